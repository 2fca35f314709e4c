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

    def contact_rules(self) -> dict[str, FieldRule]:
        """The fields a contact can have: Connectif's and the account's own."""
        own = {f["id"]: custom_rule(f) for f in self.account.list("fields")}
        return {**CONTACT, **own}

    def fold(self, email: str) -> str:
        """An address as it is kept and matched."""
        return email.strip().lower() if self.settings.behaviour.fold_email else email

    def contact(self, key: str, value: str) -> dict[str, Any] | None:
        """The contact with this _email or _externalId."""
        if key == "_email":
            identity = self.account.by_email.get(self.fold(value))
        else:
            identity = self.account.by_external_id.get(value)
        return self.account.records["contacts"].get(identity or "")

    def product(self, key: str, value: str) -> dict[str, Any] | None:
        """The product with this productId or id."""
        identity = self.account.by_product_id.get(value) if key == "productId" else value
        return self.account.records["products"].get(identity or "")

    def check(self, body: Any, rules: Mapping[str, FieldRule], key: str) -> None:
        """Raise 422 unless the body fits the fields. The key stands in the path."""
        if not isinstance(body, dict):
            raise ApiError(400, "The body must be a JSON object.")
        problems = []
        for name, value in body.items():
            rule = rules.get(name)
            if rule is None or name == key:
                if self.settings.behaviour.unknown_key_is_error:
                    problems.append((name, "Property is not allowed"))
            elif reason := check_value(rule, value):
                problems.append((name, reason))
        if problems:
            raise invalid(problems)

    def patch_contact(self, key: str, value: str, body: Any) -> tuple[dict[str, Any], bool]:
        """Create or change a contact; whether it was created."""
        rules = self.contact_rules()
        self.check(body, rules, key)
        if reason := check_value(rules[key], self.fold(value) if key == "_email" else value):
            raise invalid([(key, reason)])
        fields = {n: v for n, v in body.items() if n in rules}
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
                    raise invalid([(name, "Value is already in use by another contact")])

    def merge_contact(
        self, key: str, value: str, fields: Mapping[str, Any], found: dict[str, Any] | None
    ) -> tuple[dict[str, Any], bool]:
        """The contact after the change; not kept yet."""
        now = iso(self.settings.clock())
        if found is None:
            record = {"id": new_id(), **_NEW_CONTACT, "_createdAt": now}
        else:
            record = dict(found)
            self.account.unindex(found)
        record[key] = self.fold(value) if key == "_email" else value
        _apply(record, fields)
        if fields.get("_email"):
            record["_email"] = self.fold(fields["_email"])
        record["_updatedAt"] = now
        return record, found is None

    def patch_product(self, value: str, body: Any) -> tuple[dict[str, Any], bool]:
        """Create or change a product; whether it was created."""
        self.check(body, PRODUCT, "productId")
        found = self.product("productId", value)
        record, created = self.merge_product(value, body, found)
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
        domains = self.settings.authorised_domains
        if domains and urlsplit(str(record["productDetailUrl"])).hostname not in domains:
            raise ApiError(
                400,
                "Product URL is from a non authorized domain.",
                code="E0201",
                allowedDomains=list(domains),
            )
        record["updatedAt"] = now
        return record, found is None


def _apply(record: dict[str, Any], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if value is None:
            record.pop(name, None)
        else:
            record[name] = value
