"""Shops planned once, so that many lives can apply the same plans.

Planning costs more than a life does. A template holds, for each day of a shop, its plans, the
state and the account before the day, and both after an apply that nothing disturbed. That they
are right is checked here, against what the shop itself expects.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shops import Shop, Sync

from compasso.applying import Journal, apply_plan
from compasso.connectif import Budget, Client, SqliteLedger
from compasso.planning import PlanOptions, make_plan, open_plan
from compasso.planning.make import CONTACT_FIELDS
from compasso.sandbox.app import create_app
from compasso.sandbox.settings import SandboxSettings
from compasso.sandbox.virtual import VirtualClock, VirtualTransport, run_virtually
from compasso.spec import Project, load_project
from compasso.state.local import FORMAT, LocalState

KEY = "id:simulatedsecret"
DOMAINS = ("shop.example",)
KINDS = ("contacts", "products", "fields")
_OWN = {"id", "_createdAt", "_updatedAt", "createdAt", "updatedAt"}  # Connectif gives them

Records = dict[str, dict[str, dict[str, Any]]]


@dataclass
class Day:
    """A day of a template. `before` is the state's folder and the account's records then."""

    project: Project
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
        found[f"state of {name}"] = {r.key: r.fields for r in state.records(name)}
        found[f"failures of {name}"] = {f.key: f.operation for f in state.failures(name)}
    for kind in KINDS:
        records = sandbox.account.list(kind)
        found[f"account's {kind}"] = sorted(
            json.dumps({k: v for k, v in r.items() if k not in _OWN}, sort_keys=True)
            for r in records
        )
    return found


def make_template(seed: int, folder: Path, days: int = 2) -> Template:
    """Plan a shop's days, each on what the one before left behind."""
    shop = Shop(seed)
    names = tuple(s.name for s in shop.syncs)
    left = tuple(s.name for s in shop.syncs if s.target == "contacts")
    halves = {"all": (*names, CONTACT_FIELDS)}
    if len(names) > len(left) and shop.random.random() < 0.5:
        halves |= {
            "left": (*left, CONTACT_FIELDS),
            "right": tuple(n for n in names if n not in left),
        }
    template = Template(shop, [], halves)
    state = LocalState(_new_state(folder / "state", seed))
    records: Records = {}
    for number in range(days):
        root = folder / f"day{number}"
        shop.day(root)
        project = load_project(root)
        before = folder / f"state{number}"
        shutil.copytree(state.directory, before)
        plans, known = {}, {}
        for name, syncs in halves.items():
            plans[name] = root / f"{name}.plan"
            with make_plan(project, state, plans[name], PlanOptions(only=syncs)) as plan:
                known[name] = (plan.plan_id, dict(plan.manifest["state"]["serials"]))
        day = Day(project, plans, before, records, known=known)
        _apply_calmly(day, shop, state, halves["all"])
        records = day.after.pop("records")
        template.days.append(day)
    return template


def _new_state(folder: Path, seed: int) -> Path:
    folder.mkdir()
    # The lineage is a part of every plan's id: with a fixed one, a seed replays exactly.
    document = {"format": FORMAT, "lineage": f"simulated-{seed}"}
    (folder / "state.json").write_text(json.dumps(document))
    return folder


def _apply_calmly(day: Day, shop: Shop, state: LocalState, syncs: tuple[str, ...]) -> None:
    """What the day must end in, by an apply that nothing disturbs."""
    clock = VirtualClock()
    settings = SandboxSettings(clock=clock.now, authorised_domains=DOMAINS)
    app = create_app(settings)
    sandbox = app.state.sandbox
    fill(sandbox, day.account)
    writes = [0]

    class CountingJournal(Journal):
        def _write(self, sql, values):
            writes[0] += 1
            Journal._write(self, sql, values)

    async def work():
        ledger = SqliteLedger(":memory:")
        budget = Budget(settings.requests_per_minute, 0, clock, ledger)
        transport = VirtualTransport(app)
        async with Client("http://sandbox", lambda: KEY, budget, clock, transport) as client:
            with open_plan(day.plans["all"]) as plan:
                return await apply_plan(
                    plan, state=state, client=client, open_journal=CountingJournal
                ), client.sent

    with state.lock(syncs, "simulation"):
        result, sent = run_virtually(work(), clock)
    assert not result.stopped
    day.steps = writes[0] + 2 * sent + 2 * len(syncs)
    day.after = {**what_is(state, sandbox, syncs), "records": records_of(sandbox)}
    for sync in shop.syncs:
        _check_expected(sync, state, sandbox)
    with make_plan(day.project, state) as again:
        left = {c.key for b in again.batches for c in again.changes(b)}
        assert left == set().union(*(s.refused for s in shop.syncs)), "a second plan is not empty"


def _check_expected(sync: Sync, state: LocalState, sandbox) -> None:
    account = {r[sync.key]: r for r in sandbox.account.list(sync.target)}
    known = {r.key: r.fields for r in state.records(sync.name)}
    assert set(known) == set(account) == set(sync.expected), f"{sync.name}: other records"
    # A failure whose row is gone stays: no later change of that record has succeeded.
    failed = {f.key for f in state.failures(sync.name)} & set(sync.rows)
    assert failed == sync.refused, f"{sync.name}: failures"
    for key, record in sync.expected.items():
        names = {c.name for c in sync.columns} | set(record)
        for name in names:
            value = record.get(name)
            assert account[key].get(name) == value, f"{sync.name} {key}: {name} in the account"
            assert known[key].get(name) == value, f"{sync.name} {key}: {name} in the state"
