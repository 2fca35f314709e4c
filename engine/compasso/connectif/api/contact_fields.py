"""Contact fields: Connectif's own and the store's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal, Required, TypedDict

from compasso.connectif.api.calls import Area, segment

FieldKind = Literal[
    "text", "email", "phone", "integer", "decimal", "date", "checkbox", "radio", "boolean"
]


class FieldOption(TypedDict):
    """A choice of a checkbox or radio field (D12)."""

    id: str
    label: str


class ContactFieldCreate(TypedDict, total=False):
    """A new field (D12). Which properties go with which type: docs/specs.md, contact fields."""

    id: Required[str]
    name: Required[str]
    type: Required[FieldKind]
    required: Required[bool]
    defaultValue: Any
    defaultCountryCode: str
    maxLength: int
    minValue: float
    maxValue: float
    minDate: str
    maxDate: str
    options: list[FieldOption]


class ContactField(ContactFieldCreate, total=False):
    """A field as GET shows it (D12). The values of `status` were not seen."""

    custom: Required[bool]
    readOnly: Required[bool]
    status: str


class ContactFields(Area):
    """The definitions of contact fields."""

    async def list(self) -> AsyncIterator[ContactField]:
        """GET /contact-fields/ (D12, path C4): all of them, page by page."""
        async for field in self._pages("/contact-fields/"):
            yield field

    async def get(self, field_id: str) -> ContactField | None:
        """GET /contact-fields/{id} (D12, C4). None where there is none."""
        found: ContactField | None = await self._read(f"/contact-fields/{segment(field_id)}")
        return found

    async def create(self, field: ContactFieldCreate) -> ContactField:
        """POST /contact-fields/ (D12). Raises LostAnswer, Refused (422)."""
        made: ContactField = await self._create("/contact-fields/", field)
        return made

    async def delete(self, field_id: str) -> bool:
        """DELETE /contact-fields/{id} (C4): with its values, for good. Whether there was one.

        System fields, and fields that a workflow or a dynamic segment uses, stay (H10): Refused.
        """
        return await self._remove(f"/contact-fields/{segment(field_id)}")
