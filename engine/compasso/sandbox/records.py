"""Contacts and products: read, upsert, delete (API facts: sections 2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.fields import (
    CONTACT,
    PRODUCT,
    PRODUCT_REQUIRED,
    READ_ONLY,
    FieldRule,
    check_value,
    custom_rule,
)
from compasso.sandbox.settings import SandboxSettings
from compasso.sandbox.store import Account, iso, new_id

_NEW_CONTACT: Mapping[str, Any] = {
    "_hasPushSubscriptions": False,
    "_isAnonymous": False,
    "_totalPurchases": 0,
    "_totalPurchasesAmount": 0,
    "_averagePurchasesAmount": 0,
}
_NEW_PRODUCT: Mapping[str, Any] = {
    "availability": "instock",
    "isBlacklisted": False,
    "priority": 0,
}


class Records:
    """The account's contacts and products, with the rules of their calls."""

    def __init__(self, account: Account, settings: SandboxSettings) -> None:
        self.account = account
        self.settings = settings

    def domains(self) -> tuple[str, ...]:
        """The store's authorised domains; none: any will do."""
        store = self.account.get("store", "store") or {}
        return self.settings.authorised_domains or tuple(store.get("authorisedDomains", ()))

    def authorised(self, url: Any) -> bool:
        """Whether an address of a product is in an authorised domain."""
        domains = self.domains()
        if not domains:
            return True
        try:
            return urlsplit(str(url)).hostname in domains
        except ValueError:
            return False

    def contact_rules(self) -> dict[str, FieldRule]:
        """The fields a contact can have: Connectif's and the account's own."""
        own = {f["id"]: custom_rule(f) for f in self.account.list("fields")}
        return {**CONTACT, **own}

    def fold(self, email: str) -> str:
        """An address as it is kept and matched."""
        return email.strip().lower() if self.settings.behaviour.fold_email else email

    def contact(self, key: str, value: str) -> dict[str, Any] | None:
        """The contact with this _email or _externalId."""
        return self.account.find("contacts", key, self.fold(value) if key == "_email" else value)

    def product(self, key: str, value: str) -> dict[str, Any] | None:
        """The product with this productId or id."""
        if key == "productId":
            return self.account.find("products", key, value)
        return self.account.get("products", value)

    def check(self, body: Any, rules: Mapping[str, FieldRule], key: str) -> None:
        """Raise 422 unless the body fits the fields. The key stands in the path."""
        if not isinstance(body, dict):
            raise invalid([("", "Value is not an object")])
        behaviour = self.settings.behaviour
        problems = []
        for name, value in body.items():
            rule = rules.get(name)
            if name == key or (rule is None and name in READ_ONLY):
                if behaviour.read_only_key_is_error:
                    problems.append((name, "Property is read only"))
            elif rule is None:
                if behaviour.unknown_key_is_error:
                    problems.append((name, "Property is not allowed"))
            elif value is None and not behaviour.null_clears:
                problems.append((name, "Value is not valid"))
            elif reason := check_value(rule, value, behaviour.max_text_length):
                problems.append((name, reason))
        if problems:
            raise invalid(problems)

    def _written(self, rules: Mapping[str, FieldRule], key: str, body: Any) -> dict[str, Any]:
        """The fields of a body that are written: the others were let pass by a switch."""
        fields = {n: v for n, v in body.items() if n in rules and n != key}
        if self.settings.behaviour.empty_text_clears:
            fields = {n: None if v == "" else v for n, v in fields.items()}
        return fields

    def patch_contact(self, key: str, value: str, body: Any) -> tuple[dict[str, Any], bool]:
        """Create or change a contact; whether it was created."""
        rules = self.contact_rules()
        self.check(body, rules, key)
        if reason := check_value(rules[key], self.fold(value) if key == "_email" else value):
            raise invalid([(key, reason)])
        fields = self._written(rules, key, body)
        found = self.contact(key, value)
        self.check_collision(fields, found)
        record, created = self.merge_contact(key, value, fields, found)
        self.account.put("contacts", [record])
        return record, created

    def check_collision(self, fields: Mapping[str, Any], found: Mapping[str, Any] | None) -> None:
        for name in ("_email", "_externalId"):
            if fields.get(name):
                other = self.contact(name, fields[name])
                if other is not None and other is not found:
                    reason = "Value is already in use by another contact"
                    raise invalid([(name, reason)], self.settings.behaviour.collision_status)

    def merge_contact(
        self, key: str, value: str, fields: Mapping[str, Any], found: dict[str, Any] | None
    ) -> tuple[dict[str, Any], bool]:
        """The contact after the change; not kept yet."""
        now = iso(self.settings.clock())
        if found is None:
            defaults = {
                f["id"]: f["defaultValue"] for f in self.account.list("fields") if f["required"]
            }
            record = {"id": new_id(), **_NEW_CONTACT, **defaults, "_createdAt": now}
        else:
            record = dict(found)
        record[key] = self.fold(value) if key == "_email" else value
        _apply(record, fields)
        if fields.get("_email"):
            record["_email"] = self.fold(fields["_email"])
        record["_updatedAt"] = now
        return record, found is None

    def delete_contact(self, contact: Mapping[str, Any]) -> None:
        """Remove a contact, now or a little later (whether it is queued is not known)."""
        wait = self.settings.behaviour.contact_deletion_seconds
        if wait <= 0:
            self.account.remove("contacts", contact)
            return
        at = self.settings.clock() + wait
        self.account.put("deletions", [{"id": contact["id"], "at": at}])

    def finish_deletions(self) -> None:
        """Remove the contacts whose deletion is due."""
        for deletion in self.account.list("deletions"):
            if self.settings.clock() >= deletion["at"]:
                self.account.remove("contacts", {"id": deletion["id"]})
                self.account.remove("deletions", deletion)

    def patch_product(self, value: str, body: Any) -> tuple[dict[str, Any], bool]:
        """Create or change a product; whether it was created."""
        self.check(body, PRODUCT, "productId")
        fields = self._written(PRODUCT, "productId", body)
        found = self.product("productId", value)
        record, created = self.merge_product(value, fields, found)
        self.account.put("products", [record])
        return record, created

    def merge_product(
        self, value: str, fields: Mapping[str, Any], found: dict[str, Any] | None
    ) -> tuple[dict[str, Any], bool]:
        """The product after the change; not kept yet. Raises 422 and 400 (E0201)."""
        now = iso(self.settings.clock())
        record = dict(found) if found else {"id": new_id(), **_NEW_PRODUCT, "createdAt": now}
        record["productId"] = value
        _apply(record, fields)
        missing = [(n, "Property is required") for n in PRODUCT_REQUIRED if n not in record]
        if missing:
            raise invalid(missing)
        if not self.authorised(record["productDetailUrl"]):
            raise ApiError(
                400,
                "Product URL is from a non authorized domain.",
                code="E0201",
                allowedDomains=list(self.domains()),
            )
        record["updatedAt"] = now
        return record, found is None


def _apply(record: dict[str, Any], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if value is None:
            record.pop(name, None)
        else:
            record[name] = value
