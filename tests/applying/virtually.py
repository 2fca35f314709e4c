"""A project and an account in virtual time, and a process that dies at any step."""

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx

from compasso.applying import Journal, apply_plan, has_left_over, recover
from compasso.connectif import Budget, Client, SqliteLedger
from compasso.planning import PlanOptions, look_at_account, make_plan, open_plan
from compasso.sandbox.app import create_app
from compasso.sandbox.seed import seed
from compasso.sandbox.settings import Behaviour, SandboxSettings
from compasso.sandbox.virtual import VirtualClock, VirtualTransport, run_virtually
from compasso.spec import load_project
from compasso.state.local import LocalState


class Killed(BaseException):
    """The process died: from here on nothing more reaches the disk."""


class Fuse:
    """Counts steps, and dies at one of them, before or after its effect."""

    def __init__(self, at=None, after=False):
        self.left, self.after, self.dead = at, after, False

    def around(self, step):
        if self.dead:
            raise Killed
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.dead = True
                if self.after:
                    step()
                raise Killed
        step()


class World:
    """A project folder, and its account. `answer` may change what the network brings."""

    def __init__(self, folder: Path, seeded=None, **behaviour):
        self.folder = folder
        self.clock = VirtualClock()
        settings = SandboxSettings(
            requests_per_minute=1000, clock=self.clock.now, behaviour=Behaviour(**behaviour)
        )
        self.app = create_app(settings)
        self.sandbox = self.app.state.sandbox
        self.ids = seed(self.sandbox, seeded or {})
        self.change = lambda request, response: response
        self.said = []

    def now(self):
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def fault(self, **rule):
        self.sandbox.faults.add(rule)

    def sent(self, method, path):
        """How many requests of a kind the account has seen."""
        return sum(1 for r in self.sandbox.seen if (r["method"], r["path"]) == (method, path))

    def state(self):
        return LocalState(self.folder / ".compasso" / "default")

    def apply(self, fuse=None, saved=None):
        """One run of `compasso apply`: what it did, and how many changes it had planned.

        `saved` is a plan file: it is made at the first run, and applied again by the others.
        """
        fuse = fuse or Fuse()
        world = self

        class DyingJournal(Journal):
            def _write(self, sql, values):
                fuse.around(lambda: Journal._write(self, sql, values))

        class DyingState(LocalState):
            def commit(self, commit):
                fuse.around(lambda: LocalState.commit(self, commit))

        class Network(VirtualTransport):
            async def handle_async_request(self, request):
                response = await super().handle_async_request(request)
                return world.change(request, response)

        project = load_project(self.folder)
        state = DyingState(self.folder / ".compasso" / "default")
        names = tuple(s.name for s in project.named)

        async def work():
            ledger = SqliteLedger(state.directory / "budget.sqlite")
            budget = Budget(1000, 0, self.clock, ledger)
            network = Network(self.app)
            async with Client("http://sandbox", lambda: "a:b", budget, self.clock, network, 1) as c:
                if has_left_over(state):
                    await recover(state, c, names, DyingJournal)
                account = await look_at_account(c, workflows=True)
                options = PlanOptions(account=account, now=self.now())
                old = saved is not None and saved.exists()
                with open_plan(saved) if old else make_plan(project, state, saved, options) as plan:
                    planned = sum(b.rows for b in plan.batches)
                    result = await apply_plan(
                        plan,
                        state=state,
                        client=c,
                        open_journal=DyingJournal,
                        project=project,
                        progress=lambda p: self.said.append(p.waiting_for),
                    )
            return result, planned

        with state.lock(names, "test"):
            return run_virtually(work(), self.clock)

    def plan(self):
        """The document of a plan made now."""

        async def work():
            budget = Budget(1000, 0, self.clock, SqliteLedger(":memory:"))
            network = VirtualTransport(self.app)
            async with Client("http://sandbox", lambda: "a:b", budget, self.clock, network) as c:
                return await look_at_account(c, workflows=True)

        account = run_virtually(work(), self.clock)
        options = PlanOptions(account=account, now=self.now())
        with make_plan(load_project(self.folder), self.state(), options=options) as plan:
            return plan.document

    def dump(self, kind):
        """The account's records of a kind."""

        async def work():
            async with httpx.AsyncClient(
                transport=VirtualTransport(self.app), base_url="http://sandbox"
            ) as c:
                return (await c.get(f"/_sandbox/dump/{kind}")).json()

        return json.loads(json.dumps(run_virtually(work(), self.clock)))
