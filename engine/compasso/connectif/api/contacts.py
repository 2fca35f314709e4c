"""Contacts: people, by e-mail or by the shop's own id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Required, TypedDict

from compasso.connectif.api.calls import Area, segment
from compasso.model import Json

SubscriptionStatus = Literal["subscribed", "unsubscribed", "none"]


class Contact(TypedDict, total=False):
    """A contact as GET shows it (D5). The account's own fields: `custom_fields(contact)`.

    Dates are ISO 8601 text. Fields without a value are missing.
    """

    id: Required[str]
    _email: str
    _externalId: str
    _name: str
    _surname: str
    _birthdate: str
    _mobilePhone: str
    _mobilePhoneStatus: Literal["active", "bounced", "paused"]
    _emailStatus: Literal["active", "bounced", "paused", "banned"]
    _newsletterSubscriptionStatus: SubscriptionStatus
    _smsSubscriptionStatus: SubscriptionStatus
    _points: int
    _createdAt: str
    _updatedAt: str
    _isAnonymous: bool
    _hasPushSubscriptions: bool
    _emailBouncedReason: str
    _emailLastBouncedDate: str
    _emailLastSoftBounceDate: str
    _emailLastUnsubscribedDate: str
    _emailLastUnsubscribedIp: str
    _emailSoftBounces: int
    _totalPurchases: int
    _totalPurchasesAmount: float
    _averagePurchasesAmount: float
    _firstPurchaseDate: str
    _lastPurchaseDate: str
    _clv: float | None
    _churnRate: float | None
    _pAlive: float | None
    _expectedPurchases: float | None
    _rfm: str
    _recency: str
    _frequency: str
    _monetary: str


def custom_fields(contact: Contact) -> dict[str, Any]:
    """The fields that the store has made itself, by their ids (D3: none begins with `_`)."""
    return {name: value for name, value in contact.items() if name not in Contact.__annotations__}


class Contacts(Area):
    """Contacts. Each is called by `email` or by `external_id`; give exactly one of them."""

    async def get(
        self, *, email: str | None = None, external_id: str | None = None
    ) -> Contact | None:
        """GET /contacts/email/{email} or /contacts/external-id/{externalId} (C4).

        None where there is no such contact. Raises Refused, CompassoError.
        """
        found: Contact | None = await self._read(_path(email, external_id))
        return found

    async def patch(
        self,
        fields: Mapping[str, Json],
        *,
        email: str | None = None,
        external_id: str | None = None,
    ) -> Contact:
        """PATCH /contacts/email/{email} (D4) or /contacts/external-id/{externalId} (D6).

        Creates the contact where there is none (D3, D4), else changes only what `fields` name
        (H5). That null clears a field is a guess. Answers the contact as it is then (a guess
        from D5). Raises Refused (422: a value or a field that does not fit).
        """
        changed: Contact = await self._change(_path(email, external_id), dict(fields))
        return changed

    async def delete(self, *, email: str | None = None, external_id: str | None = None) -> bool:
        """DELETE /contacts/email/{email} or /contacts/external-id/{externalId} (C4, H5).

        Cannot be undone; purchases and statistics stay (H7). Answers whether there was one.
        """
        return await self._remove(_path(email, external_id))

    async def get_by_old_path(self, email: str) -> Contact | None:
        """GET /contacts/{email}: the older form of `get` (D1, D5)."""
        found: Contact | None = await self._read(f"/contacts/{segment(email)}")
        return found

    async def patch_by_old_path(self, email: str, fields: Mapping[str, Json]) -> Contact:
        """PATCH /contacts/{email}: the older form of `patch` (D3, C6)."""
        changed: Contact = await self._change(f"/contacts/{segment(email)}", dict(fields))
        return changed

    async def delete_by_old_path(self, email: str) -> bool:
        """DELETE /contacts/{email}: the older form of `delete` (a guess)."""
        return await self._remove(f"/contacts/{segment(email)}")


def _path(email: str | None, external_id: str | None) -> str:
    if (email is None) == (external_id is None):
        raise ValueError("give either email or external_id")
    if email is not None:
        return f"/contacts/email/{segment(email)}"
    return f"/contacts/external-id/{segment(external_id or '')}"
