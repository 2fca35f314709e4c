"""Contacts: people, by e-mail or by the shop's own id (API facts: section 2)."""

from __future__ import annotations

from urllib.parse import quote

from compasso.model import ApiCall, Change, Operation
from compasso.schemas import load_schema
from compasso.targets.base import Target, schema_fields

_PATHS = {"_email": "/contacts/email/", "_externalId": "/contacts/external-id/"}


def _call(change: Change, key_field: str) -> ApiCall:
    """PATCH is an upsert and DELETE has no undo; both can be repeated (documented)."""
    path = _PATHS[key_field] + quote(change.key, safe="")
    if change.operation is Operation.DELETE:
        return ApiCall("DELETE", path)
    return ApiCall("PATCH", path, {k: v for k, v in change.fields.items() if k != key_field})


def _read(key: str, key_field: str) -> ApiCall:
    """GET by either key (C4)."""
    return ApiCall("GET", _PATHS[key_field] + quote(key, safe=""))


TARGET = Target(
    name="contacts",
    label="contact",
    rank=1,
    keys=("_email", "_externalId"),
    schema=load_schema("contacts"),
    fields=schema_fields("contacts"),
    call=_call,
    read=_read,
    import_type="contacts",
    open_fields=True,
    person={"_email": "email", "_externalId": "external_id"},
    folded_keys=frozenset({"_email"}),
)
