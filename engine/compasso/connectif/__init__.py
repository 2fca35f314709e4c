"""The Connectif API over HTTP, under a request budget."""

from compasso.connectif.breaker import NoAnswer, Unreachable
from compasso.connectif.budget import Budget, BudgetView, Claim
from compasso.connectif.client import Answer, Client, LimitReached, LostAnswer, Seen
from compasso.connectif.clock import Clock, SystemClock
from compasso.connectif.ledger import Ledger, SqliteLedger

__all__ = [
    "Answer",
    "Budget",
    "BudgetView",
    "Claim",
    "Client",
    "Clock",
    "Ledger",
    "LimitReached",
    "LostAnswer",
    "NoAnswer",
    "Seen",
    "SqliteLedger",
    "SystemClock",
    "Unreachable",
]
