"""A simulated account over real HTTP, whose clock the test sets."""

import contextlib
from dataclasses import dataclass, field

import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import Behaviour, SandboxSettings

KEY = {"Authorization": "apiKey id:secret"}
BEGIN = 1_700_000_000.0


@dataclass
class Account:
    """An account, its HTTP client, and its clock: `account.pass_time(seconds)`."""

    api: httpx.Client
    now: list[float] = field(default_factory=lambda: [BEGIN])

    def pass_time(self, seconds):
        self.now[0] += seconds

    def seed(self, **kinds):
        answer = self.api.post("/_sandbox/seed", json=kinds)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def dump(self, kind):
        return self.api.get(f"/_sandbox/dump/{kind}").json()

    def upload(self, kind, text, **fields):
        form = {"type": kind, "delimiter": ",", "overrideExisting": "true"}
        form |= {"updateOnlyEmptyFields": "false", **fields}
        return self.api.post("/imports/", data=form, files={"file": ("f.csv", text, "text/csv")})

    def imported(self, kind, text, **fields):
        """Import a file and let its time pass; the import at its end."""
        answer = self.upload(kind, text, **fields)
        assert answer.status_code == 201, answer.text
        self.pass_time(3600)
        return self.api.get(f"/imports/{answer.json()['id']}").json()


@pytest.fixture
def open_account():
    """Start accounts: `open_account(repeated_purchase="replay")` turns switches of Behaviour."""
    with contextlib.ExitStack() as stack:

        def opened(settings=None, **switches) -> Account:
            now = [BEGIN]
            made = SandboxSettings(
                clock=lambda: now[0],
                requests_per_minute=100_000,
                behaviour=Behaviour(**switches),
                **(settings or {}),
            )
            sandbox = stack.enter_context(RunningSandbox(made))
            client = stack.enter_context(httpx.Client(base_url=sandbox.url, headers=KEY))
            return Account(client, now)

        yield opened


@pytest.fixture
def account(open_account):
    return open_account()
