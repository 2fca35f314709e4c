"""Shops planned once, so that many lives can apply the same plans.

Planning costs more than a life does. A template holds, for each day of a shop, its plans, the
state and the account before the day, and both after an apply that nothing disturbed. That they
are right is checked here, against what the shop itself expects.
"""

import asyncio
import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from once import DAY, pages
from shops import Shop

from compasso.applying import Journal, apply_plan
from compasso.connectif import Budget, Client, SqliteLedger
from compasso.engine import open_file
from compasso.planning import PlanOptions, look_at_account, make_plan, open_plan
from compasso.planning.account import NOT_LOOKED_AT, Account
from compasso.sandbox.app import create_app
from compasso.sandbox.seed import seed as put_into
from compasso.sandbox.settings import Behaviour, SandboxSettings
from compasso.sandbox.virtual import BEGIN, VirtualClock, VirtualTransport, run_virtually
from compasso.spec import Project, load_project
from compasso.spec.load import CONTACT_FIELDS, EVENT_TYPES
from compasso.state.local import FORMAT, LocalState

KEY = "id:simulatedsecret"
DOMAINS = ("shop.example",)
KINDS = ("contacts", "products", "fields", "purchases", "coupons", "event_types")
# Connectif gives these; those of the products in a purchase too.
_OWN = {"id", "contactId", "_createdAt", "_updatedAt", "createdAt", "updatedAt"}

Records = dict[str, dict[str, dict[str, Any]]]


@dataclass
class Day:
    """A day of a template. `before` is the state's folder and the account's records then."""

    project: Project
    begin: float  # when it begins, in seconds since 1970
    plans: dict[str, Path]  # "all", and "left" and "right" for two applies at once
    state: Path
    account: Records
    after: dict[str, Any] = field(default_factory=dict)  # see `what_is`
    # Of each plan its id, and the serials of the state it was made for.
    known: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)
    steps: int = 0  # of an undisturbed apply


@dataclass
class Template:
    """A shop with its days, planned."""

    shop: Shop
    days: list[Day]
    halves: dict[str, tuple[str, ...]]  # the syncs of each plan


def records_of(sandbox) -> Records:
    """A copy of what the account holds."""
    return {
        kind: {i: dict(r) for i, r in found.items()}
        for kind, found in sandbox.account.records.items()
    }


def fill(sandbox, records: Records) -> None:
    """Put a copy of records into an account."""
    for kind, found in records.items():
        sandbox.account.put(kind, [dict(r) for r in found.values()])


def what_is(state: LocalState, sandbox, syncs: tuple[str, ...]) -> dict[str, Any]:
    """State and account in a form that two worlds can be compared in: no ids, no times."""
    found: dict[str, Any] = {}
    for name in syncs:
        file = state.records_file(name)
        # What is open already is not opened again for each look.
        with open_file(file, read_only=True) if file else nullcontext():
            found[f"state of {name}"] = {r.key: r.fields for r in state.records(name)}
            # A purchase that was deleted to be made anew is a create when it is tried again.
            found[f"failures of {name}"] = {
                f.key: "" if name == "orders" else f.operation for f in state.failures(name)
            }
    for kind in KINDS:
        records = sandbox.account.list(kind)
        found[f"account's {kind}"] = sorted(
            json.dumps(_without_own(r), sort_keys=True) for r in records
        )
    found["account's events"] = Counter(pages(sandbox))
    return found


def _without_own(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_own(v) for k, v in value.items() if k not in _OWN}
    return [_without_own(v) for v in value] if isinstance(value, list) else value


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def halves_of(shop: Shop) -> dict[str, tuple[str, ...]]:
    """The syncs of each plan: all of them, and perhaps two halves for two applies at once."""

    def with_declared(names: list[str]) -> tuple[str, ...]:
        declared = [CONTACT_FIELDS] if "crm" in names and shop.fields else []
        declared += [EVENT_TYPES] if "visits" in names else []
        return (*names, *declared)

    names = [s.name for s in shop.syncs]
    halves = {"all": with_declared(names)}
    if len(names) > 1 and shop.random.random() < 0.5:
        halves |= {"left": with_declared(names[:1]), "right": with_declared(names[1:])}
    return halves


def make_template(seed: int, folder: Path, days: int = 2) -> Template:
    """Plan a shop's days, each on what the one before left behind."""
    shop = Shop(seed)
    template = Template(shop, [], halves_of(shop))
    state = LocalState(_new_state(folder / "state", seed))
    records: Records = {}
    for number in range(days):
        root = folder / f"day{number}"
        shop.day(number, root)
        # What an export brings lies beside the state, so that a copy of one takes both along.
        project = dataclasses.replace(load_project(root), root=root)
        before = folder / f"state{number}"
        shutil.copytree(state.directory, before)
        calm = _Calm(shop, records, number)
        account = calm.records()
        options = PlanOptions(account=calm.look(), now=moment(calm.clock.now()))
        plans, known = {}, {}
        for name, syncs in template.halves.items():
            plans[name] = root / f"{name}.plan"
            chosen = dataclasses.replace(options, only=syncs)
            with make_plan(project, state, plans[name], chosen) as plan:
                known[name] = (plan.plan_id, dict(plan.manifest["state"]["serials"]))
        day = Day(project, BEGIN + number * DAY, plans, before, account, known=known)
        records = calm.apply(day, state, template.halves["all"])
        template.days.append(day)
    return template


def _new_state(folder: Path, seed: int) -> Path:
    folder.mkdir()
    # The lineage is a part of every plan's id: with a fixed one, a seed replays exactly.
    document = {"format": FORMAT, "lineage": f"simulated-{seed}"}
    (folder / "state.json").write_text(json.dumps(document))
    return folder


class _Calm:
    """An account that nothing disturbs."""

    def __init__(self, shop: Shop, before: Records, number: int) -> None:
        self.shop = shop
        self.clock = VirtualClock(BEGIN + number * DAY)
        settings = SandboxSettings(
            clock=self.clock.now,
            authorised_domains=DOMAINS,
            behaviour=Behaviour(repeated_purchase="duplicate"),
        )
        self.app = create_app(settings)
        self.sandbox = self.app.state.sandbox
        if before:
            fill(self.sandbox, before)
        else:
            put_into(self.sandbox, shop.founded())
        shop.night(self.sandbox, number)

    def records(self) -> Records:
        return records_of(self.sandbox)

    def look(self) -> Account:
        """The account as a plan sees it."""
        if not self.shop.has("codes"):
            return NOT_LOOKED_AT
        return self._online(lambda client: look_at_account(client, workflows=True))[0]

    def _online(self, work: Callable[[Client], Awaitable[Any]]) -> tuple[Any, int]:
        async def run() -> tuple[Any, int]:
            budget = Budget(100, 0, self.clock, SqliteLedger(":memory:"))
            transport = VirtualTransport(self.app)
            async with Client("http://sandbox", lambda: KEY, budget, self.clock, transport) as c:
                return await work(c), c.sent

        return run_virtually(run(), self.clock)

    def apply(self, day: Day, state: LocalState, syncs: tuple[str, ...]) -> Records:
        """What the day must end in."""
        writes = [0]

        class CountingJournal(Journal):
            def _write(self, sql, values):
                writes[0] += 1
                Journal._write(self, sql, values)

        async def work(client: Client):
            with open_plan(day.plans["all"]) as plan:
                return await apply_plan(
                    plan,
                    state=state,
                    client=client,
                    open_journal=CountingJournal,
                    project=beside(day.project, state),
                )

        with state.lock(syncs, "simulation"):
            result, sent = self._online(work)
        assert not result.stopped
        # The counters of coupons are ten seconds late.
        run_virtually(asyncio.sleep(60), self.clock)
        day.steps = writes[0] + 2 * sent + 2 * len(syncs)
        day.after = what_is(state, self.sandbox, syncs)
        for sync in self.shop.syncs:
            sync.check(state, self.sandbox)
        now = moment(self.clock.now())
        with make_plan(day.project, state, options=PlanOptions(account=self.look(), now=now)) as p:
            left = {c.key for b in p.batches for c in p.changes(b)}
            refused = set().union(*(s.refused for s in self.shop.syncs))
            assert left == refused, "a second plan is not empty"
        return records_of(self.sandbox)


def beside(project: Project, state: LocalState) -> Project:
    """The project as an apply uses it: what an export brings lies beside the state."""
    return dataclasses.replace(project, root=state.directory)
