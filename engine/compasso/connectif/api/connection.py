"""One account of Connectif, with its areas."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from compasso.connectif.api.contact_fields import ContactFields
from compasso.connectif.api.contacts import Contacts
from compasso.connectif.api.coupon_sets import CouponSets
from compasso.connectif.api.custom_events import CustomEvents, CustomEventTypes, CustomIntegrations
from compasso.connectif.api.exports import Exports
from compasso.connectif.api.imports import Imports
from compasso.connectif.api.products import Products
from compasso.connectif.api.purchases import Purchases
from compasso.connectif.api.store import Store
from compasso.connectif.api.workflows import Workflows
from compasso.connectif.budget import Budget
from compasso.connectif.client import Client
from compasso.connectif.clock import SystemClock
from compasso.connectif.ledger import SqliteLedger
from compasso.model import Priority

BASE_URL = "https://api.connectif.cloud"


class Connectif:
    """The whole API of one account, under its request budget. An async context manager.

    Made with a `Client` that others may use too, or with `connect`.
    """

    def __init__(self, client: Client, priority: Priority = Priority.NORMAL) -> None:
        self.client = client
        self.store = Store(client, priority)
        self.contacts = Contacts(client, priority)
        self.contact_fields = ContactFields(client, priority)
        self.products = Products(client, priority)
        self.purchases = Purchases(client, priority)
        self.coupon_sets = CouponSets(client, priority)
        self.workflows = Workflows(client, priority)
        self.custom_events = CustomEvents(client, priority)
        self.custom_event_types = CustomEventTypes(client, priority)
        self.custom_integrations = CustomIntegrations(client, priority)
        self.imports = Imports(client, priority)
        self.exports = Exports(client, priority)

    async def __aenter__(self) -> Connectif:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.client.__aexit__(kind, error, trace)


def connect(
    key: str | Callable[[], str],
    *,
    base_url: str = BASE_URL,
    requests_per_minute: int = 100,
    reserve: int = 0,
    priority: Priority = Priority.NORMAL,
) -> Connectif:
    """An account by its API key, `id:secret`, or a function that gives it when it is needed.

    Never more than `requests_per_minute` less `reserve` in any 60 seconds; the count is this
    process's own. Processes that share an account share a `SqliteLedger` in a file: see `Client`.
    """
    clock = SystemClock()
    budget = Budget(requests_per_minute, reserve, clock, SqliteLedger(":memory:"))
    read = key if callable(key) else lambda: key
    return Connectif(Client(base_url, read, budget, clock), priority)
