"""A typed client of the whole Connectif API, for programs that do not need Compasso's plans.

It stands alone: beside the budget and the HTTP client of `compasso.connectif` it uses nothing of
Compasso. docs/client.md shows how to use it. Each method names where its fact is known from:
D.. an official page, H.. the help centre, C.. public code that talks to the real API, or a guess;
docs/sandbox.md lists these sources.
"""

from compasso.connectif.api.calls import Refused
from compasso.connectif.api.connection import BASE_URL, Connectif, connect
from compasso.connectif.api.contact_fields import ContactField, ContactFieldCreate, FieldOption
from compasso.connectif.api.contacts import Contact, custom_fields
from compasso.connectif.api.coupon_sets import CouponSet
from compasso.connectif.api.custom_events import (
    CustomEventType,
    CustomEventTypeCreate,
    CustomIntegration,
    CustomIntegrationFields,
    EventField,
    SentEvent,
)
from compasso.connectif.api.exports import Export, ExportFilters
from compasso.connectif.api.imports import Import
from compasso.connectif.api.products import Product, ProductFields
from compasso.connectif.api.purchases import Purchase, PurchaseCreate, PurchaseLine
from compasso.connectif.api.workflows import Workflow

__all__ = [
    "BASE_URL",
    "Connectif",
    "Contact",
    "ContactField",
    "ContactFieldCreate",
    "CouponSet",
    "CustomEventType",
    "CustomEventTypeCreate",
    "CustomIntegration",
    "CustomIntegrationFields",
    "EventField",
    "Export",
    "ExportFilters",
    "FieldOption",
    "Import",
    "Product",
    "ProductFields",
    "Purchase",
    "PurchaseCreate",
    "PurchaseLine",
    "Refused",
    "SentEvent",
    "Workflow",
    "connect",
    "custom_fields",
]
