"""Faults on demand: what a network and a service do on a bad day.

`POST /_sandbox/faults` takes {"kind": …, "times": N, "method": …, "path": prefix, …}:

- status: answer `status` without doing anything
- timeout_before: wait `seconds`, do nothing, drop the connection
- timeout_after: do it, wait `seconds`, drop the connection
- reset: drop the connection at once
- slow: wait `seconds`, then answer as usual
- truncate: do it, and cut the answer's body in half
- rate_limit_storm: use up the rate window
- other_clients: `requests` of the rate window go to others
- import_stuck, import_failed: the next import never ends, or ends with status error
- export_stuck, export_failed: the same for the next export
- expired_file: the address of an export's or a report's file is dead, whatever its age
- clock_jump: the account's clock jumps by `seconds`, back where they are negative

Rules whose path begins with /_sandbox/files/ concern the downloads of files: status, slow,
timeout_before, timeout_after, reset and truncate are played there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FILES = "/_sandbox/files/"
KINDS = (
    "status", "timeout_before", "timeout_after", "reset", "slow", "truncate", "rate_limit_storm",
    "other_clients", "import_stuck", "import_failed", "export_stuck", "export_failed",
    "expired_file", "clock_jump",
)  # fmt: skip


@dataclass
class Fault:
    """One rule, and how often it still applies."""

    kind: str
    times: int = 1
    method: str | None = None
    path: str = "/"
    status: int = 503
    seconds: float = 1.0
    requests: int = 30

    def concerns(self, method: str, path: str) -> bool:
        """Whether the rule applies to a request."""
        return self.times > 0 and self.method in (None, method) and path.startswith(self.path)


class Faults:
    """The rules that wait."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def add(self, body: Any) -> None:
        """Add rules from JSON: one, a list, or {"clear": true}. Raises ValueError."""
        if isinstance(body, dict) and body.get("clear"):
            self.rules.clear()
            return
        for item in body if isinstance(body, list) else [body]:
            if not isinstance(item, dict) or item.get("kind") not in KINDS:
                raise ValueError(f"a fault needs a kind: {', '.join(KINDS)}")
            try:
                self.rules.append(Fault(**item))
            except TypeError as error:
                raise ValueError(str(error)) from None

    def take(self, method: str, path: str, *, file: bool = False) -> Fault | None:
        """The first rule that concerns a request, of the API or for a file; it is used by one."""
        for rule in self.rules:
            for_files = rule.kind == "expired_file" or rule.path.startswith(FILES)
            if for_files == file and rule.concerns(method, path):
                rule.times -= 1
                return rule
        return None

    def describe(self) -> list[dict[str, Any]]:
        """The rules that still wait."""
        return [vars(rule).copy() for rule in self.rules if rule.times > 0]
