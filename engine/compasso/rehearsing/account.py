"""The simulated account of a rehearsal: what the state knows, and what a plan takes for granted.

The account's own records cannot be listed by the API, so a rehearsal knows of it only what
Compasso wrote, and what the plan needs and no sync of its own makes. The report says which.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from compasso.engine import cursor
from compasso.model import FieldType, Json
from compasso.planning import Plan
from compasso.sandbox.definitions import create_field
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.seed import seed
from compasso.state import State

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A product cannot be without these; a state that took a product over may not know them.
_PRODUCT: Mapping[str, Json] = {
    "name": "?",
    "productDetailUrl": "https://shop.invalid/",
    "unitPrice": 0.0,
}
_FIELD_TYPES = {
    FieldType.TEXT: "text",
    FieldType.INTEGER: "integer",
    FieldType.DECIMAL: "decimal",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.LIST: "checkbox",
}


class Stage:
    """Fills a simulated account for one plan. `assumed` says, in words, what was taken for granted."""

    def __init__(self, sandbox: Sandbox, plan: Plan, state: State) -> None:
        self.sandbox = sandbox
        self.plan = plan
        self.state = state
        self.assumed: list[str] = []
        self.syncs: Mapping[str, Mapping[str, Any]] = plan.manifest["syncs"]

    def fill(self) -> None:
        """Put everything in, in an order in which each finds what it names."""
        self._own_fields()
        for name, sync in self.syncs.items():
            if sync["target"] in {"contacts", "products"}:
                self._records(name, sync)
        self._customers_and_products()
        self._coupon_sets()

    def _of(self, target: str) -> dict[str, Mapping[str, Any]]:
        return {n: s for n, s in self.syncs.items() if s["target"] == target}

    def _own_fields(self) -> None:
        """Contact fields: those that were made, and those that no spec declares."""
        made: set[str] = set()
        for name in self._of("contact-fields"):
            for record in self.state.records(name):
                create_field(self.sandbox.account, {"id": record.key, **record.fields}, None)
                made.add(record.key)
            made |= set(self._keys(name, "create"))
        known = self.sandbox.records.contact_rules()
        for name, sync in self._of("contacts").items():
            for field, kind in sync["types"].items():
                if field not in known and field not in made and not field.startswith("_"):
                    self._assume_field(name, field, FieldType(kind))
                    made.add(field)

    def _assume_field(self, sync: str, field: str, kind: FieldType) -> None:
        body: dict[str, Any] = {"id": field, "name": field, "required": False}
        body["type"] = _FIELD_TYPES.get(kind, "text")
        if body["type"] == "boolean":
            body |= {"required": True, "defaultValue": False}
        if body["type"] == "checkbox":
            options = sorted(self._list_items(sync, field))[:120] or ["?"]
            body["options"] = [{"id": o, "label": o} for o in options]
            body |= {"required": True, "defaultValue": options[:1]}
        create_field(self.sandbox.account, body, None)
        self.assumed.append(f"a contact field {field} of type {body['type']}")

    def _list_items(self, sync: str, field: str) -> set[str]:
        found: set[str] = set()
        for fields in self._fields(sync):
            found.update(str(item) for item in fields.get(field) or ())
        for record in self.state.records(sync):
            items = record.fields.get(field)
            found.update(str(item) for item in (items if isinstance(items, list) else ()))
        return found

    def _records(self, name: str, sync: Mapping[str, Any]) -> None:
        """The contacts or products that the state knows, all at once."""
        self.sandbox.account.put(
            sync["target"], self._built(sync, ((r.key, r.fields) for r in self.state.records(name)))
        )

    def _built(
        self, sync: Mapping[str, Any], found: Iterable[tuple[str, Mapping[str, Json]]]
    ) -> Iterator[dict[str, Any]]:
        records, key = self.sandbox.records, sync["key"]
        for value, fields in found:
            if sync["target"] == "contacts":
                there = records.contact(key, value)
                yield records.merge_contact(key, value, fields, there)[0]
            else:
                there = records.product("productId", value)
                given = fields if there else {**_PRODUCT, **fields}
                yield records.merge_product(value, given, there)[0]

    def _customers_and_products(self) -> None:
        """Whom and what purchases and events name, where no sync of the plan makes such records."""
        contacts: dict[tuple[str, str], None] = {}
        products: dict[str, None] = {}
        for name, sync in self.syncs.items():
            if sync["target"] != "purchases":
                continue
            for fields in self._fields(name):
                for field, key in (
                    ("contactEmail", "_email"),
                    ("contactExternalId", "_externalId"),
                ):
                    if fields.get(field):
                        contacts[key, str(fields[field])] = None
                for line in fields.get("products") or ():
                    products[str(line.get("productId"))] = None
        if not self._of("contacts"):
            self._assume("contact", [self._contact(*c) for c in contacts])
        if not self._of("products"):
            made = self._built({"target": "products", "key": ""}, ((p, {}) for p in products))
            self._assume("product", list(made))

    def _contact(self, key: str, value: str) -> dict[str, Any]:
        return self.sandbox.records.merge_contact(
            key, value, {}, self.sandbox.records.contact(key, value)
        )[0]

    def _assume(self, what: str, records: list[dict[str, Any]]) -> None:
        if not records:
            return
        self.sandbox.account.put(f"{what}s", records)
        number = f"{len(records):,} {what}{'s' if len(records) > 1 else ''}"
        self.assumed.append(f"{number} that the purchases name")

    def _coupon_sets(self) -> None:
        """The sets of coupon stocks, with room for the plan's codes, and in use."""
        for name in self._of("coupons"):
            options = self.plan.options(name)
            identity = options.get("coupon_set_id")
            if not identity:
                continue
            one = {"id": identity, "name": name, "type": "multiple", "codes": []}
            used = {"name": name, "status": "active", "couponSetIds": [identity]}
            seed(self.sandbox, {"coupon_sets": [one], "workflows": [used]})
            self.assumed.append(
                f"the coupon set of {name}, empty, and an active workflow that uses it"
            )

    def _changes(self, connection: DuckDBPyConnection, sync: str, column: str) -> Iterator[Any]:
        connection.execute(
            f"SELECT {column} FROM read_parquet($file) WHERE sync = $sync "
            "AND operation <> 'delete'",
            {"file": str(self.plan.changes_file), "sync": sync},
        )
        while rows := connection.fetchmany(10_000):
            yield from (row[0] for row in rows)

    def _fields(self, sync: str) -> Iterator[dict[str, Any]]:
        """What the changes of a sync write."""
        with cursor() as connection:
            for text in self._changes(connection, sync, "coalesce(carry, fields)"):
                yield json.loads(text)

    def _keys(self, sync: str, operation: str) -> list[str]:
        with cursor() as connection:
            return [
                row[0]
                for row in connection.execute(
                    "SELECT key FROM read_parquet($f) WHERE sync = $s AND operation = $o",
                    {"f": str(self.plan.changes_file), "s": sync, "o": operation},
                ).fetchall()
            ]
