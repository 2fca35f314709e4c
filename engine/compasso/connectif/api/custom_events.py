"""Custom events, their types, and the integrations they belong to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Literal, Required, TypedDict

from compasso.connectif.api.calls import Area, segment
from compasso.connectif.api.contact_fields import FieldKind, FieldOption
from compasso.model import Json


class CustomIntegrationFields(TypedDict, total=False):
    """What an integration has (D15). A new one needs name and eventsEnabled."""

    name: str
    eventsEnabled: bool
    color: str
    description: str
    imageUri: str


class CustomIntegration(CustomIntegrationFields, total=False):
    """An integration as GET shows it; the resource's page was not seen (a guess)."""

    id: Required[str]
    createdAt: str
    updatedAt: str


class EventField(TypedDict, total=False):
    """A field of an event type (D14)."""

    id: Required[str]
    name: Required[str]
    type: Required[FieldKind]
    required: bool
    isPrimaryKey: bool
    jsonPointerPath: str
    options: list[FieldOption]
    defaultCountryCode: str


class WebhookHeader(TypedDict):
    """A header that Connectif sends with an event (D14); values up to 1,200 characters (H17)."""

    name: str
    value: str


class CustomEventTypeCreate(TypedDict, total=False):
    """A new event type (D14). Receive: an alias, and one primary key of type email (D13)."""

    name: Required[str]
    category: Required[Literal["send", "receive"]]
    fields: Required[list[EventField]]
    alias: str
    receiveType: str
    webhookUrl: str
    webhookHeaders: list[WebhookHeader]
    icon: str


class CustomEventType(CustomEventTypeCreate, total=False):
    """An event type as GET shows it; the resource's page was not seen (a guess)."""

    id: Required[str]
    customIntegrationId: str
    createdAt: str
    updatedAt: str


class SentEvent(TypedDict, total=False):
    """The answer to an event that was sent; its properties were not seen (a guess)."""

    id: str


class CustomEvents(Area):
    """Sending events of the types of category receive."""

    async def send(
        self,
        fields: Mapping[str, Json],
        *,
        alias: str | None = None,
        type_id: str | None = None,
        create_contact: bool = False,
    ) -> SentEvent:
        """POST /custom-events/alias/{alias} (D13) or /custom-events/id/{id} (D2, path C4).

        `fields` are strict: no unknown one, none missing that is required. At most 512 KB (H24).
        Raises Refused: 422, 404 (no such type), 400 E0501 (the contact does not exist and may
        not be created). Raises LostAnswer: the event may have been taken, and sending it again
        may make two.
        """
        if (alias is None) == (type_id is None):
            raise ValueError("give either alias or type_id")
        place = f"alias/{segment(alias)}" if alias is not None else f"id/{segment(type_id or '')}"
        query = {"createContact": "true" if create_contact else "false"}
        sent: SentEvent = await self._create(f"/custom-events/{place}", dict(fields), query)
        return sent


class CustomEventTypes(Area):
    """The types of custom events."""

    async def list(self) -> AsyncIterator[CustomEventType]:
        """GET /custom-event-types/ (C4): those of all integrations, page by page."""
        async for event_type in self._pages("/custom-event-types/"):
            yield event_type

    async def get(self, type_id: str) -> CustomEventType | None:
        """GET /custom-event-types/{id} (C4). None where there is none."""
        found: CustomEventType | None = await self._read(f"/custom-event-types/{segment(type_id)}")
        return found

    async def create(
        self, integration_id: str, event_type: CustomEventTypeCreate
    ) -> CustomEventType:
        """POST /custom-integrations/{id}/custom-event-types/ (D14). Raises LostAnswer, Refused."""
        path = f"/custom-integrations/{segment(integration_id)}/custom-event-types/"
        made: CustomEventType = await self._create(path, event_type)
        return made

    async def delete(self, type_id: str) -> bool:
        """DELETE /custom-event-types/{id} (C4). Answers whether there was one."""
        return await self._remove(f"/custom-event-types/{segment(type_id)}")


class CustomIntegrations(Area):
    """Custom integrations."""

    async def list(self) -> AsyncIterator[CustomIntegration]:
        """GET /custom-integrations/ (C4): all of them, page by page."""
        async for integration in self._pages("/custom-integrations/"):
            yield integration

    async def get(self, integration_id: str) -> CustomIntegration | None:
        """GET /custom-integrations/{id} (C4). None where there is none."""
        path = f"/custom-integrations/{segment(integration_id)}"
        found: CustomIntegration | None = await self._read(path)
        return found

    async def create(
        self, name: str, *, events_enabled: bool, more: CustomIntegrationFields | None = None
    ) -> CustomIntegration:
        """POST /custom-integrations/ (D15). Raises LostAnswer, Refused."""
        body = {**(more or {}), "name": name, "eventsEnabled": events_enabled}
        made: CustomIntegration = await self._create("/custom-integrations/", body)
        return made

    async def patch(
        self, integration_id: str, fields: CustomIntegrationFields
    ) -> CustomIntegration:
        """PATCH /custom-integrations/{id} (C4). Raises Refused, also where there is none (404)."""
        path = f"/custom-integrations/{segment(integration_id)}"
        changed: CustomIntegration = await self._change(path, fields)
        return changed

    async def delete(self, integration_id: str) -> bool:
        """DELETE /custom-integrations/{id} (C4). Answers whether there was one."""
        return await self._remove(f"/custom-integrations/{segment(integration_id)}")
