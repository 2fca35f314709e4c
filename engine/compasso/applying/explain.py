"""Why Connectif refused a record, in terms of the specs, and what to do about it.

The codes are documented (API facts: 9.3). The reason names no person: it is kept in the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compasso.applying.runners.base import Work
from compasso.connectif import Answer
from compasso.model import Change

_AGAIN = "the next plan sends it again by itself"
_SHOWN = 5


def explain(work: Work, change: Change, answer: Answer) -> str:
    """The API's reason, with the user's next step where the code tells what it is."""
    body = answer.body if isinstance(answer.body, dict) else {}
    code = body.get("code")
    if code == "E0101":
        return f"400 E0101: its contact is not in the account. {_contact(work, change)}"
    if code == "E0102":
        return f"400 E0102: {_products(work, body)}"
    if code in {"E0103", "E0201"}:
        return f"400 {code}: {_domains(body)}"
    if code == "E0501":
        return (
            f"400 E0501: its contact is not in the account. {_contact(work, change)}; or say "
            "`create_contact: true`, and the event makes its contact"
        )
    return answer.reason()


def _contact(work: Work, change: Change) -> str:
    """Which sync would provide the contact, and what it knows of it."""
    record = change.record or change.fields
    email = record.get(str(change.options.get("contact_field", "contactEmail")))
    keys = {"_email": email, "_externalId": record.get("contactExternalId")}
    syncs = _providers(work, "contacts")
    if not syncs:
        return "No sync of this plan writes contacts: add one, or make the contact in Connectif"
    for sync in syncs:
        key = keys.get(work.plan.key_field(sync))
        if key is not None:
            return f"{_known(work, sync, str(key).strip().lower())}, {_AGAIN}"
    return f"The sync {syncs[0]} writes contacts; when it has written this one, {_AGAIN}"


def _products(work: Work, body: Mapping[str, Any]) -> str:
    # The page spells the key in two ways (9.3).
    missing = [str(i) for i in body.get("productIds") or body.get("productsId") or ()]
    some = _some(missing)
    which = f"the products {some} are" if len(missing) > 1 else f"the product {some} is"
    said = f"{which if missing else 'a product is'} not in the account. "
    syncs = _providers(work, "products")
    if not syncs:
        return said + "No sync of this plan writes products: add one, or make it in Connectif"
    if not missing:
        return f"{said}The sync {syncs[0]} writes products; when it has written it, {_AGAIN}"
    return f"{said}{_known(work, syncs[0], missing[0])}, {_AGAIN}"


def _known(work: Work, sync: str, key: str) -> str:
    """What the state of the sync that would provide a record knows of it."""
    if next(iter(work.state.records(sync, key)), None) is not None:
        return (
            f"{sync} did write it, so it was removed since (`compasso drift` tells): when it is "
            "there again"
        )
    failed = next((f for f in work.state.failures(sync) if f.key == key), None)
    if failed is not None:
        return f"{sync} could not write it ({failed.reason}): when that is mended"
    return (
        f"{sync} has no such record: its row was rejected, is left out by `when`, or is not in the "
        "source: when it is written"
    )


def _providers(work: Work, target: str) -> list[str]:
    syncs = work.plan.manifest["syncs"]
    return [name for name, about in syncs.items() if about["target"] == target]


def _domains(body: Mapping[str, Any]) -> str:
    allowed = _some([str(d) for d in body.get("allowedDomains") or ()]) or "none"
    missing = [str(i) for i in body.get("productIds") or body.get("productsId") or ()]
    whose = f" of {_some(missing)}" if missing else ""
    return (
        f"the domain of productDetailUrl{whose} is not one of the store's (allowed: {allowed}): "
        "mend the mapping of productDetailUrl, or add the domain in Connectif's store settings; "
        f"then {_AGAIN}"
    )


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
