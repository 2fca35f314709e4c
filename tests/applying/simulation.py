"""One simulated world: a shop, an account, faults, kills and other clients, all from one seed.

Everything runs in virtual time with the product's own executor, client, budget, journal, state
and sandbox. `World(seed).run()` raises AssertionError when an invariant breaks.
"""

import csv
import json
import random
from pathlib import Path

import duckdb

from compasso.applying import Journal, Limits, apply_plan, has_left_over, recover
from compasso.connectif import Budget, Client, SqliteLedger
from compasso.model import CompassoError
from compasso.planning import make_plan
from compasso.sandbox.app import create_app
from compasso.sandbox.settings import Behaviour, SandboxSettings
from compasso.sandbox.virtual import VirtualClock, VirtualTransport, run_virtually
from compasso.spec import load_project
from compasso.state.local import LocalState

KEY = "id:simulatedsecret"
CONTACTS = """kind: sync
name: crm
source: {{csv: contacts.csv}}
target: contacts
fields:
  _email: email
  _name: name
  _points: {{from: points, type: integer}}
  _birthdate: {{from: born, type: date}}
missing: {missing}
route: {route}
guards: {{max_delete: 100%}}
"""
PRODUCTS = """kind: sync
name: catalogue
source: {csv: products.csv}
target: products
fields:
  productId: id
  name: name
  productDetailUrl: "{{ 'https://shop.example/' ~ id }}"
  unitPrice: {from: price, type: decimal}
  availability: {value: instock}
missing: retire
"""
FAULTS = ["status", "timeout_before", "timeout_after", "reset", "slow", "truncate"]
FAULTS += ["rate_limit_storm", "other_clients", "import_stuck", "import_failed"]


class Killed(BaseException):
    """The process died: from here on nothing more reaches the disk."""


class Fuse:
    """Counts steps, and dies at one of them, before or after its effect."""

    def __init__(self, at: int | None, after: bool) -> None:
        self.left, self.after, self.dead = at, after, False

    def around(self, step) -> None:
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
    """See the module. `stats` says what happened."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.clock = VirtualClock()
        self.stats = dict.fromkeys(("kills", "faults", "applies", "stops", "refused", "seconds"), 0)
        self.kinds: set[str] = set()
        behaviour = Behaviour(
            sliding_window=self.random.random() < 0.3,
            retry_after=self.random.random() < 0.8,
            reset_is_delta=self.random.random() < 0.2,
            create_status=self.random.choice([200, 201]),
        )
        self.limit = self.random.choice([20, 60, 100])
        settings = SandboxSettings(
            requests_per_minute=self.limit, clock=self.clock.now, behaviour=behaviour
        )
        self.app = create_app(settings)
        self.account = self.app.state.sandbox
        (folder / "specs").mkdir(parents=True)
        (folder / "compasso.yml").write_text(
            f"project: sim\nbudget: {{requests_per_minute: {self.limit}}}\n"
        )
        (folder / "specs" / "crm.yml").write_text(
            CONTACTS.format(
                missing=self.random.choice(["keep", "delete"]),
                route=self.random.choice(["auto", "auto", "calls", "import"]),
            )
        )
        (folder / "specs" / "catalogue.yml").write_text(PRODUCTS)
        self.contacts: dict[str, list[str]] = {}
        self.products: dict[str, list[str]] = {}

    def run(self) -> dict[str, int]:
        """Some days of the shop: data changes, an apply until all is done, checks."""
        for _ in range(self.random.randint(1, 3)):
            self._change_data()
            self._converge()
            self._check()
            self.clock.jump(self.random.choice([1, 3600, 86400]))
        self._check_secrets()
        return self.stats

    def _change_data(self) -> None:
        some = self.random
        for i in range(some.choice([2, 5, 30, 60])):
            if some.random() < 0.7:
                self.contacts[f"user{some.randint(0, 80)}@x.es"] = [
                    f"Name {some.randint(0, 9)}",
                    some.choice(["", "0", "12"]),
                    some.choice(["", "1980-02-03"]),
                ]
            else:
                self.products[f"P{some.randint(0, 20)}"] = [
                    f"Thing {i}",
                    f"{some.randint(1, 99)}.5",
                ]
        for rows in (self.contacts, self.products):
            for key in some.sample(sorted(rows), k=min(len(rows), some.choice([0, 0, 3]))):
                del rows[key]
        self._write("contacts.csv", ["email", "name", "points", "born"], self.contacts)
        self._write("products.csv", ["id", "name", "price"], self.products)

    def _write(self, name: str, header: list[str], rows: dict[str, list[str]]) -> None:
        with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *([key, *rest] for key, rest in rows.items())])

    def _converge(self) -> None:
        """Apply again and again, under faults that end some day, until nothing is left."""
        done = False
        for attempt in range(40):
            calm = attempt >= 3 or done
            fuse = Fuse(
                None if calm or self.random.random() < 0.4 else self.random.randint(1, 25),
                after=self.random.random() < 0.5,
            )
            self._add_faults(calm)
            self.stats["applies"] += 1
            before = self.clock.now()
            try:
                done = self._apply(fuse, calm)
            except Killed:
                self.stats["kills"] += 1
                done = False
            except CompassoError as error:
                known = ("cannot reach", "cannot be read", "queue of imports has been full")
                assert any(text in str(error) for text in known), str(error)
                done = False
            self.stats["seconds"] += int(self.clock.now() - before)
            if done and calm:
                return
        raise AssertionError("no convergence in forty applies")

    def _add_faults(self, calm: bool) -> None:
        self.account.faults.rules.clear()
        if calm:
            for stuck in self.account.account.list("imports"):
                stuck.pop("_stuck", None)  # Connectif's people have mended it
                self.account.account.put("imports", [stuck])
            return
        for _ in range(self.random.randint(0, 4)):
            kind = self.random.choice(FAULTS)
            if kind == "import_stuck" and self.random.random() < 0.8:
                continue  # two hours of polls each: a few of them tell as much
            self.kinds.add(kind)
            self.stats["faults"] += 1
            self.account.faults.add(
                {
                    "kind": kind,
                    "times": self.random.choice([1, 1, 2, 9]) if "import" not in kind else 1,
                    "method": self.random.choice([None, None, "PATCH", "POST", "GET", "DELETE"]),
                    "status": self.random.choice([500, 502, 503]),
                    "seconds": self.random.choice([0.5, 5, 45]),
                    "requests": self.random.choice([5, 30]),
                }
            )

    def _apply(self, fuse: Fuse, calm: bool) -> bool:
        """One run of `compasso apply`; whether nothing was left to do."""

        class DyingJournal(Journal):
            def _write(self, sql, values):
                fuse.around(lambda: Journal._write(self, sql, values))

        class DyingState(LocalState):
            def commit(self, commit):
                fuse.around(lambda: LocalState.commit(self, commit))

        project = load_project(self.folder)
        state = DyingState(self.folder / ".compasso" / "default")
        limits = Limits(
            max_requests=None if calm or self.random.random() < 0.8 else self.random.randint(1, 30),
            deadline_seconds=None if self.random.random() < 0.8 else 600.0,
        )
        names = tuple(s.name for s in project.syncs)

        async def work() -> bool:
            ledger = SqliteLedger(state.directory / "budget.sqlite")
            budget = Budget(self.limit, 0, self.clock, ledger)
            transport = VirtualTransport(self.app)
            async with Client(
                "http://sandbox", lambda: KEY, budget, self.clock, transport, seed=1
            ) as client:
                if has_left_over(state):
                    await recover(state, client, names, DyingJournal)
                with make_plan(project, state) as plan:
                    empty = not plan.batches
                    result = await apply_plan(
                        plan, state=state, client=client, limits=limits, open_journal=DyingJournal
                    )
            self.stats["stops"] += result.stopped
            return empty

        with state.lock(names, "simulation"):
            return run_virtually(work(), self.clock)

    def _check(self) -> None:
        """The account equals the state, the state equals the source, nothing is left to do."""
        seen = list(self.account.seen)
        refused = sum(1 for r in seen if r["status"] == 429)
        self.stats["refused"] += refused
        if not self.kinds & {"rate_limit_storm", "other_clients"}:
            assert refused == 0, "we were refused though nobody else used the account"
        self.account.seen.clear()
        state = LocalState(self.folder / ".compasso" / "default")
        for sync, target, rows in (
            ("crm", "contacts", self.contacts),
            ("catalogue", "products", self.products),
        ):
            key = {"contacts": "_email", "products": "productId"}[target]
            account = {r[key]: r for r in self.account.account.list(target)}
            known = {r.key: r.fields for r in state.records(sync)}
            assert set(rows) <= set(known), f"{sync}: rows without a record"
            assert set(known) == set(account), f"{sync}: state and account differ"
            for name, fields in known.items():
                for field, value in fields.items():
                    assert account[name].get(field) == value, f"{sync} {name} {field}"
            assert not state.failures(sync)

    def _check_secrets(self) -> None:
        for path in (self.folder / ".compasso").rglob("*"):
            if path.is_file():
                assert KEY.encode() not in path.read_bytes(), f"the key is in {path.name}"
        for file in (self.folder / ".compasso").rglob("*.duckdb"):
            with duckdb.connect(str(file), read_only=True) as state:
                rows = state.execute("SELECT * FROM meta").fetchall()
            assert "simulatedsecret" not in json.dumps(rows)
