"""Contacts: detail, upsert and delete by e-mail and by external id (API facts: section 2)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox.answers import created_status, deleted, missing, read_json
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, Schema, ref
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import DATE_TIME, ID, NUMBER, TEXT, body_schema, record_schema
from compasso.sandbox.store import shown

_EMAIL: Mapping[str, Schema] = {"email": {"type": "string", "format": "email", "maxLength": 200}}
_EXTERNAL_ID: Mapping[str, Schema] = {
    "externalId": {"type": "string", "minLength": 1, "maxLength": 50}
}
_KEYS = {"email": "_email", "externalId": "_externalId"}


def _key(request: Request) -> tuple[str, str]:
    [(name, value)] = request.path_params.items()
    return _KEYS[name], value


async def get_contact(sandbox: Sandbox, request: Request) -> Response:
    """The contact with this key, or 404."""
    found = sandbox.records.contact(*_key(request))
    if found is None:
        return missing(sandbox, "contact", "GET")
    return JSONResponse(shown(found))


async def patch_contact(sandbox: Sandbox, request: Request) -> Response:
    """Create the contact, or change what the body names."""
    key, value = _key(request)
    record, created = sandbox.records.patch_contact(key, value, await read_json(request))
    return JSONResponse(shown(record), created_status(sandbox, created))


async def delete_contact(sandbox: Sandbox, request: Request) -> Response:
    """Remove the contact; its purchases stay (documented, H7)."""
    found = sandbox.records.contact(*_key(request))
    if found is None:
        return missing(sandbox, "contact", "DELETE")
    sandbox.records.delete_contact(found)
    return deleted()


_READ_ONLY: Mapping[str, Schema] = {
    "id": ID,
    "_createdAt": DATE_TIME,
    "_updatedAt": DATE_TIME,
    "_isAnonymous": {"type": "boolean"},
    "_hasPushSubscriptions": {"type": "boolean"},
    "_emailBouncedReason": TEXT,
    "_emailLastBouncedDate": DATE_TIME,
    "_emailLastSoftBounceDate": DATE_TIME,
    "_emailLastUnsubscribedDate": DATE_TIME,
    "_emailLastUnsubscribedIp": TEXT,
    "_emailSoftBounces": {"type": "integer"},
    "_totalPurchases": {"type": "integer"},
    "_totalPurchasesAmount": NUMBER,
    "_averagePurchasesAmount": NUMBER,
    "_firstPurchaseDate": DATE_TIME,
    "_lastPurchaseDate": DATE_TIME,
    "_clv": {"type": ["number", "null"]},
    "_churnRate": {"type": ["number", "null"]},
    "_pAlive": {"type": ["number", "null"]},
    "_expectedPurchases": {"type": ["number", "null"]},
    "_rfm": TEXT,
    "_recency": TEXT,
    "_frequency": TEXT,
    "_monetary": TEXT,
}


def _schemas(sandbox: Sandbox) -> Mapping[str, Schema]:
    rules = sandbox.records.contact_rules()
    closed = sandbox.behaviour.unknown_key_is_error
    return {
        "Contact": record_schema(rules, _READ_ONLY, ("id", "_createdAt", "_updatedAt")),
        "ContactPatch": body_schema(rules, without="_email", closed=closed),
        "ContactPatchByExternalId": body_schema(rules, without="_externalId", closed=closed),
    }


def _endpoints(
    path: str, by: str, body: str, marks: Mapping[str, tuple[Evidence, str]]
) -> tuple[Endpoint, ...]:
    in_path = _EXTERNAL_ID if "externalId" in path else _EMAIL

    def declare(method: str) -> tuple[str, str]:
        return method, path

    return (
        Endpoint(
            *declare("GET"), get_contact, f"A contact, by {by}", *marks["GET"],
            {200: ref("Contact")}, (400, 404), path_schemas=in_path,
        ),
        Endpoint(
            *declare("PATCH"), patch_contact, f"Create or change a contact, by {by}",
            *marks["PATCH"], {200: ref("Contact"), 201: ref("Contact")}, (400, 413, 415, 422),
            body=ref(body), path_schemas=in_path,
        ),
        Endpoint(
            *declare("DELETE"), delete_contact, f"Delete a contact, by {by}", *marks["DELETE"],
            {204: None}, (400, 404), path_schemas=in_path,
        ),
    )  # fmt: skip


AREA = Area(
    title="Contacts",
    rank=1,
    endpoints=(
        *_endpoints(
            "/contacts/email/{email:any}", "e-mail", "ContactPatch",
            {
                "GET": (Evidence.SEEN, "C4"),
                "PATCH": (Evidence.DOCUMENTED, "D4"),
                "DELETE": (Evidence.SEEN, "C4"),
            },
        ),
        *_endpoints(
            "/contacts/external-id/{externalId:any}", "external id", "ContactPatchByExternalId",
            {
                "GET": (Evidence.SEEN, "C4"),
                "PATCH": (Evidence.DOCUMENTED, "D6, path C4"),
                "DELETE": (Evidence.SEEN, "C4, H5"),
            },
        ),
        *_endpoints(
            "/contacts/{email:any}", "e-mail (the older form)", "ContactPatch",
            {
                "GET": (Evidence.DOCUMENTED, "D1, D5"),
                "PATCH": (Evidence.DOCUMENTED, "D3, C6"),
                "DELETE": (Evidence.GUESS, "delete is older than the newer paths"),
            },
        ),
    ),
    live_schemas=_schemas,
    advance=lambda sandbox: sandbox.records.finish_deletions(),
)  # fmt: skip
