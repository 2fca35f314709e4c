"""The Connectif API over HTTP, under a request budget."""

from compasso.connectif.budget import Budget, BudgetView, Ledger, SqliteLedger
from compasso.connectif.client import Answer, Client, LimitReached, LostAnswer
from compasso.connectif.clock import Clock, SystemClock

__all__ = [
    "Answer",
    "Budget",
    "BudgetView",
    "Client",
    "Clock",
    "Ledger",
    "LimitReached",
    "LostAnswer",
    "SqliteLedger",
    "SystemClock",
]
