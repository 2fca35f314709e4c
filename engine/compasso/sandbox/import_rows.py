"""The rows of one import file: taken one after the other, each alone (API facts: 7.3 to 7.6)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from compasso.sandbox import coupons
from compasso.sandbox.errors import ApiError
from compasso.sandbox.fields import PRODUCT, CellError, FieldRule, check_value, read_cell
from compasso.sandbox.records import Records
from compasso.sandbox.settings import SandboxSettings
from compasso.sandbox.store import Account

KEYS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("_externalId", "_email"),
    "products": ("productId",),
    "coupons": ("code",),
}


def import_rules(records: Records, kind: str) -> dict[str, FieldRule]:
    """The columns that an import of a kind knows, beside its keys."""
    if kind == "coupons":
        return {}
    return records.contact_rules() if kind == "contacts" else dict(PRODUCT)


class ImportRows:
    """A file that is being worked off. After a restart it goes on behind the rows it had taken."""

    def __init__(
        self,
        account: Account,
        records: Records,
        settings: SandboxSettings,
        record: Mapping[str, Any],
        text: str,
    ) -> None:
        self.account = account
        self.records = records
        self.settings = settings
        self.kind: str = record["type"]
        self.options: Mapping[str, Any] = record["options"]
        delimiter = self.options["delimiter"]
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        self.header = next(rows)
        self.report_header = [*self.header, "error"]
        self._rows = (row for row in rows if row)
        self._seen: set[tuple[str, ...]] = set()
        for _ in range(record["success"] + record["errors"]):
            self._is_repeated(next(self._rows))

    def take(self, count: int) -> tuple[int, list[list[str]]]:
        """Take the next rows: how many were good, and the bad ones with their reasons."""
        rules = import_rules(self.records, self.kind)
        success = 0
        failed: list[list[str]] = []
        batch: dict[str, dict[str, Any]] = {}
        for row in (row for _, row in zip(range(count), self._rows, strict=False)):
            try:
                if self._is_repeated(row):
                    raise CellError(f"{' or '.join(KEYS[self.kind])}: Value is in the file before")
                changed = self._row(row, rules)
            except (CellError, ApiError) as error:
                reason = error.reasons if isinstance(error, ApiError) else str(error)
                failed.append([*row, reason])
                continue
            success += 1
            if changed is not None:
                # A later row of the same file must see it, so it is known at once.
                self.account.stage(self.kind, changed)
                batch[changed["id"]] = changed
        self.account.put(self.kind, batch.values())
        if self.kind == "coupons" and batch:
            at = self.settings.clock()
            coupons.count(self.account, self.options["couponSetId"], at, quantity=len(batch))
        return success, failed

    def _is_repeated(self, row: list[str]) -> bool:
        """Whether the key stood in a row before; only where a switch makes that an error."""
        if self.settings.behaviour.repeated_key_in_import != "error":
            return False
        cells = dict(zip(self.header, row, strict=False))
        key = tuple(cells.get(name, "") for name in KEYS[self.kind])
        repeated = key in self._seen
        self._seen.add(key)
        return repeated

    def _row(self, row: list[str], rules: Mapping[str, FieldRule]) -> dict[str, Any] | None:
        kind, header = self.kind, self.header
        if len(row) != len(header):
            raise CellError("The row has another number of cells than the header")
        cells = dict(zip(header, row, strict=True))
        key = next((k for k in KEYS[kind] if cells.get(k)), None)
        if key is None:
            raise CellError(f"{' or '.join(KEYS[kind])}: Value is required")
        if kind == "coupons":
            return coupons.new_code(self.account, self.options["couponSetId"], cells[key])
        zero = self.settings.behaviour.zero_integer_in_import
        fields = {}
        for name, cell in cells.items():
            rule = rules.get(name)
            if rule is None or name == key:
                continue
            try:
                value = read_cell(rule, cell, zero=zero)
            except CellError as error:
                raise CellError(f"{name}: {error}") from None
            if value is not None:  # an empty text cell leaves the field as it is (a guess)
                fields[name] = value
        if (
            kind == "contacts"
            and key == "_email"
            and (reason := check_value(rules["_email"], cells["_email"].strip()))
        ):
            raise CellError(f"_email: {reason}")
        return self._merge(key, cells[key], fields)

    def _merge(self, key: str, value: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        records, options = self.records, self.options
        is_contact = self.kind == "contacts"
        found = records.contact(key, value) if is_contact else records.product(key, value)
        if found is not None:
            if not options["overrideExisting"]:
                if self.settings.behaviour.kept_existing_counts_as == "error":
                    raise CellError(f"{key}: Value exists already")
                return None
            if options["updateOnlyEmptyFields"]:
                fields = {n: v for n, v in fields.items() if found.get(n) in (None, "")}
        if is_contact:
            records.check_collision(fields, found)
            return records.merge_contact(key, value, fields, found)[0]
        return records.merge_product(value, fields, found)[0]
