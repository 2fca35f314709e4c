"""One simulated run: an account, and the lives of applies under faults, kills and jumping clocks.

All of it follows from one seed, so that a run that breaks an invariant can be played again.
"""

import asyncio
import collections
import random
import re
import shutil
from collections import Counter, deque
from pathlib import Path

import httpx
from doors import LIFE, Killed, Ledger, Life, Network, journal_of, note_tasks, state_of
from once import pages
from templates import DOMAINS, KEY, Day, Template, beside, fill, moment, what_is

from compasso.applying import Limits, apply_plan, has_left_over, recover
from compasso.connectif import Budget, Client, SqliteLedger
from compasso.model import CompassoError
from compasso.planning import Plan, PlanOptions, look_at_account, make_plan, open_plan
from compasso.sandbox.app import create_app
from compasso.sandbox.faults import KINDS
from compasso.sandbox.settings import Behaviour, SandboxSettings
from compasso.sandbox.virtual import VirtualClock, VirtualTransport, run_virtually
from compasso.state.local import LocalState

# What an apply may end with when the account or the network is broken, and be run again.
KNOWN_ENDS = (
    "cannot reach",
    "cannot be read",
    "queue of imports has been full",
    "queue of exports has been full",
    "cannot be fetched",
)
# What is stuck costs many polls: a few of them tell as much as many.
RARE = {"import_stuck": 0.02, "export_stuck": 0.15, "import_failed": 0.25}
OTHERS = {"rate_limit_storm", "other_clients"}  # faults that use up the budget
MOST_LIVES = 40
LONGEST_LIFE = 8 * 3600.0  # seconds; something stuck is waited for for two hours
_IDS = re.compile(r"[0-9a-f]{24,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class BrokenError(AssertionError):
    """An invariant does not hold."""


class World:
    """See the module. `stats` says what happened, `trace` in which order."""

    def __init__(self, seed: int, template: Template, folder: Path) -> None:
        self.random = random.Random(f"world {seed}")
        self.template = template
        self.folder = folder
        self.stats: Counter[str] = Counter()
        self.trace: list[str] = []
        self.names: dict[str, str] = {}
        some = self.random
        self.first_day = some.randrange(len(template.days))
        self.begin = template.days[self.first_day].begin
        self.server = VirtualClock(self.begin)
        self.clock = VirtualClock(self.begin)  # the machine's, which may be wrong
        self.clock.jump(some.choice([0, 0, 0, -40, 25]))
        shop = template.shop
        self.allowed = shop.requests_per_minute - shop.reserve
        self.app = create_app(
            SandboxSettings(
                requests_per_minute=shop.requests_per_minute,
                clock=self.server.now,
                authorised_domains=DOMAINS,
                behaviour=Behaviour(
                    sliding_window=some.random() < 0.3,
                    retry_after=some.random() < 0.8,
                    reset_is_delta=some.random() < 0.2,
                    create_status=some.choice([200, 201]),
                    missing_delete_status=some.choice([404, 404, 204]),
                    repeated_purchase=some.choice(["duplicate", "duplicate", "refuse"]),
                    coupon_counter_seconds=some.choice([0.0, 10.0]),
                ),
            )
        )
        self.account = self.app.state.sandbox
        self._watch_faults()
        self.recent: deque[float] = deque()  # when our requests of the last minute arrived
        self.crowded = 0.0  # until when others may be the reason of a refusal
        self.latency = some.choice([0.01, 0.05, 0.4])
        self.networks: list[Network] = []
        self.others = False  # whether other plans than the prepared ones were applied
        self.lost_events = 0  # events that were sent, and whose answer never came
        visits = [s for s in shop.syncs if s.name == "visits"]
        self.delivery = visits[0].delivery if visits else ""

    # What the world tells of itself.

    def tell(self, text: str) -> None:
        """Note an event. Connectif's ids are random; the trace numbers them."""
        text = _IDS.sub(self._name, text)
        self.trace.append(f"{self._since():10.2f} {text}")

    def _name(self, match: re.Match) -> str:
        return self.names.setdefault(match[0], f"#{len(self.names) + 1}")

    def _since(self) -> float:
        return self.server.now() - self.begin

    def _watch_faults(self) -> None:
        take = self.account.faults.take

        def watched(*request, **more):
            fault = take(*request, **more)
            if fault is not None:
                self.stats[f"fault {fault.kind}"] += 1
                self.tell(f"fault {fault.kind}")
                if fault.kind in OTHERS:
                    self.crowded = self.server.now() + 120
            return fault

        self.account.faults.take = watched

    # The server, watched.

    async def serve(self, scope, receive, send) -> None:
        """The sandbox, with the invariants of every request."""
        now = self.server.now()
        path = f"{scope['method']} {scope['path']}"
        if not scope["path"].startswith("/_sandbox"):  # a file's address is not of the API
            self._count(now)

        async def answer(message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                self.tell(f"{path} -> {status}")
                if status == 429:
                    self.stats["429"] += 1
                    if self.server.now() > self.crowded:
                        raise BrokenError("we were refused though nobody else used the account")
            await send(message)

        self.stats["requests"] += 1
        try:
            await self.app(scope, receive, answer)
        except BrokenError as broken:
            self.broken = broken
            raise
        finally:
            if scope["method"] == "POST":
                self._check_once(scope["path"])

    broken: BrokenError | None = None

    def _check_once(self, path: str) -> None:
        """Nothing is there twice, at any moment."""
        if path.startswith("/purchases"):
            found = [p["purchaseId"] for p in self.account.account.list("purchases")]
        elif path.startswith("/custom-events") and self.delivery == "at_most_once":
            found = pages(self.account)
        else:
            return
        if len(found) > len(set(found)):
            twice = [i for i, count in Counter(found).items() if count > 1]
            self.broken = BrokenError(f"{path}: {twice[0]} is there twice")

    def _count(self, now: float) -> None:
        while self.recent and self.recent[0] <= now - 60:
            self.recent.popleft()
        self.recent.append(now)
        if len(self.recent) > self.allowed:
            self.broken = BrokenError(
                f"{len(self.recent)} requests in 60 s, {self.allowed} allowed"
            )

    def _lost(self, request: httpx.Request) -> None:
        """A request left, and no answer told what came of it."""
        self.lost_events += "/custom-events/" in request.url.path

    # A run.

    def run(self) -> Counter[str]:
        """Some days of the shop: applies until all is done, under faults; then the checks."""
        run_virtually(self._run(), self.server)
        return self.stats

    async def _run(self) -> None:
        asyncio.get_running_loop().set_task_factory(note_tasks)
        self.stats["runs"] += 1
        number = self.first_day
        day = self.template.days[number]
        self.directory = self.folder / "state"
        shutil.copytree(day.state, self.directory)
        fill(self.account, day.account)
        await self._day(day)
        while number + 1 < len(self.template.days) and self.random.random() < 0.2:
            if (
                self._is_stale(self.template.days[number + 1], "all")
                and self.random.random() < 0.95
            ):
                break  # it would need a plan of its own, and those are dear
            number += 1
            await self._next_day(number)
        self._check_secrets()
        self.stats["seconds"] += int(self._since())

    async def _next_day(self, number: int) -> None:
        self.tell("the next day")
        await asyncio.sleep(self.random.choice([600, 3600, 86400]))
        self.template.shop.night(self.account, number)
        await self._day(self.template.days[number])

    async def _day(self, day: Day) -> None:
        """Apply until nothing is left."""
        fresh = self._is_stale(day, "all")
        names = ("all",)
        if "left" in day.plans and not fresh and self.random.random() < 0.3:
            names = ("left", "right")
        for attempt in range(MOST_LIVES):
            calm = attempt >= 2
            self._add_faults(calm)
            ended = await self._lives(day, names, fresh, calm)
            await self._settle()
            now = self._now_is() if ended else {}
            if ended and self._is_done(day, now):
                break
            # What an import could not do, only another plan does again.
            if ended or self.random.random() < 0.01 or self._is_stale(day, names[0]):
                fresh, names = True, ("all",)
            await asyncio.sleep(self.random.choice([0, 1, 30, 300]))
        else:
            raise BrokenError(f"not done after {MOST_LIVES} lives")
        self._check_day(day, now)
        if self.random.random() < 0.01:
            await self._check_second_plan(day)

    async def _lives(self, day: Day, names: tuple[str, ...], fresh: bool, calm: bool) -> bool:
        """One apply, or two at once: one state, one account, one budget, other syncs. Whether
        all came to their end."""
        if names == ("all",):
            return await self._life(day, "all", fresh, calm)
        self.stats["two at once"] += 1
        self.others = True
        lives = [self._life(day, name, False, calm) for name in names]
        if self.random.random() < 0.5:
            lives.append(self._locked_out(self.random.choice(names)))
        return all(await asyncio.gather(*lives))

    def _is_stale(self, day: Day, name: str) -> bool:
        """Whether another plan than the prepared one has changed the state."""
        if not self.others:
            return False
        state = LocalState(self.directory)
        plan_id, serials = day.known[name]
        return any(
            serial != (now := state.serial(sync))
            and (now != serial + 1 or state.last_plan(sync) != plan_id)
            for sync, serial in serials.items()
        )

    async def _settle(self) -> None:
        """The server ends what it has begun, before other data may cross with it."""
        for network in self.networks:
            await network.settle()
        self.networks.clear()
        if self.broken:
            raise self.broken

    async def _locked_out(self, name: str) -> bool:
        """A third one, on the same syncs, must be told who holds them."""
        await asyncio.sleep(0.001)
        state = LocalState(self.directory)
        try:
            with state.lock(self.template.halves[name], "simulation"):
                pass  # the other one is dead or done already
        except CompassoError as error:
            assert "is locked: " in str(error)
            self.stats["locked out"] += 1
        return True

    def _add_faults(self, calm: bool) -> None:
        faults = self.account.faults
        faults.rules.clear()
        some = self.random
        if calm:
            for stuck in self.account.account.list("imports"):
                stuck.pop("_stuck", None)  # Connectif's people have mended it
            for stuck in self.account.account.list("exports"):
                stuck.pop("__stuck", None)
            return
        exports = self.template.shop.has("report")
        for _ in range(some.choice([0, 1, 2, 4])):
            kind = some.choice([k for k in KINDS if exports or not k.startswith("export_")])
            if some.random() > RARE.get(kind, 1):
                continue
            faults.add(
                {
                    "kind": kind,
                    "times": some.choice([1, 1, 2, 9]) if "port_" not in kind else 1,
                    "method": None
                    if "port_" in kind or kind == "expired_file"
                    else some.choice([None, None, "PATCH", "POST", "GET", "DELETE"]),
                    "status": some.choice([500, 502, 503]),
                    "seconds": some.choice([0.5, 5, 45, 70]),
                    "requests": some.choice([5, 30]),
                }
            )

    def _new_life(self, day: Day, calm: bool) -> tuple[Life, asyncio.Event]:
        """What will happen to it, and when."""
        some, stop = self.random, asyncio.Event()
        life = Life()
        if calm:
            return life, stop

        def kill(when: str):
            def action(label: str) -> str:
                self.stats["kills"] += 1
                self.stats[f"killed {when} {label}"] += 1
                self.tell(f"killed {when} {label}")
                return when

            return action

        def jump(label: str) -> None:
            seconds = some.choice([-86400, -600, -61, -5, 5, 61, 600, 86400])
            self.stats["clock jumps"] += 1
            self.tell(f"the clock jumps by {seconds} s at {label}")
            self.clock.jump(seconds)

        def ask(label: str) -> None:
            self.stats["signals"] += 1
            self.tell(f"a signal at {label}")
            stop.set()

        most = max(4, day.steps)
        if some.random() < 0.2:
            life.at[some.randint(1, most)] = jump
        if some.random() < 0.08:
            life.at[some.randint(1, most)] = ask
        if some.random() < 0.6:
            life.at[some.randint(1, most)] = kill(some.choice(["before", "after"]))
        return life, stop

    async def _life(self, day: Day, name: str, fresh: bool, calm: bool) -> bool:
        """One run of `compasso apply`; whether it came to its end."""
        life, stop = self._new_life(day, calm)
        self.stats["lives"] += 1
        self.tell(f"apply {name}{', a new plan' if fresh else ''}")
        task = asyncio.create_task(self._within(life, day, name, fresh, calm, stop))
        try:
            async with asyncio.timeout(LONGEST_LIFE):
                return await task
        except TimeoutError:
            raise BrokenError(f"an apply did not end in {LONGEST_LIFE / 3600:.0f} hours") from None
        except (Killed, asyncio.CancelledError):
            if not life.dead:
                raise
            await life.end()
            return False
        except CompassoError as error:
            self.tell(f"it ends: {error}")
            if "the plan is stale" in str(error) and not fresh:
                self.stats["stale"] += 1  # what the recovery of another apply's plan has changed
                return False
            if not any(text in str(error) for text in KNOWN_ENDS):
                raise BrokenError(f"an apply ended with: {error}") from error
            self.stats["gave up"] += 1
            return False

    async def _within(
        self, life: Life, day: Day, name: str, fresh: bool, calm: bool, stop: asyncio.Event
    ) -> bool:
        LIFE.set(life)
        some = self.random
        syncs = self.template.halves[name]
        state = state_of(life, self.directory)
        journal = journal_of(life)
        limits = Limits()
        if not calm and some.random() < 0.15:
            limits = Limits(max_requests=some.randint(1, 15))
        elif not calm and some.random() < 0.1:
            limits = Limits(deadline_seconds=some.choice([1.0, 90.0]))
        budget = Budget(
            self.template.shop.requests_per_minute,
            self.template.shop.reserve,
            self.clock,
            Ledger(life, self.directory / "budget.sqlite"),
        )
        network = Network(life, self.serve, self.latency, self._lost)
        self.networks.append(network)
        async with Client(
            "http://sandbox", lambda: KEY, budget, self.clock, network, seed=some.random()
        ) as client:
            with state.lock(syncs, "simulation"):
                if has_left_over(state):
                    await recover(state, client, syncs, journal)
                if fresh:
                    plan = await self._plan(day, state, syncs, client)
                else:
                    plan = open_plan(day.plans[name])
                with plan:
                    result = await apply_plan(
                        plan,
                        state=state,
                        client=client,
                        limits=limits,
                        stop=stop,
                        open_journal=journal,
                        project=beside(day.project, state),
                    )
        self.tell(
            f"it ends: {result.applied} applied, {result.failed} failed, {result.skipped} skipped"
            f"{', ' + result.reason if result.reason else ''}"
        )
        self.stats["stops"] += result.stopped
        return not result.stopped

    async def _plan(
        self, day: Day, state: LocalState, syncs: tuple[str, ...], client: Client
    ) -> Plan:
        """Another plan than the prepared one."""
        self.stats["new plans"] += 1
        self.others = True
        options = PlanOptions(only=syncs, now=moment(day.begin))
        if self.template.shop.has("codes"):
            account = await look_at_account(client, workflows=True)
            options = PlanOptions(only=syncs, now=moment(self.clock.now()), account=account)
        return make_plan(day.project, state, None, options)

    # The checks.

    def _now_is(self) -> dict:
        return what_is(LocalState(self.directory), self.account, self.template.halves["all"])

    def _is_done(self, day: Day, now: dict) -> bool:
        """Whether only what Connectif refuses for good has failed."""
        names = [f"failures of {s}" for s in self.template.halves["all"] if s != "codes"]
        # Of an event that may not be sent twice nobody may learn that it was refused.
        loose = "failures of visits" if self.delivery == "at_most_once" else ""
        return all(
            set(now[n]) <= set(day.after[n]) if n == loose else set(now[n]) == set(day.after[n])
            for n in names
        ) and len(now["account's coupons"]) == len(day.after["account's coupons"])

    def _check_day(self, day: Day, now: dict) -> None:
        """State and account are what they are after an apply that nothing disturbed."""
        for name, wanted in day.after.items():
            if name == "account's events":
                self._check_events(now[name], wanted)
            elif name == "account's coupons" and self.template.shop.has("codes"):
                self._check_coupons(now, day)
            elif name.endswith(" of codes"):
                continue
            elif name.endswith(" of visits") and self.delivery == "at_most_once":
                known = {*now["state of visits"], *now["failures of visits"]}
                wished = {*day.after["state of visits"], *day.after["failures of visits"]}
                if known != wished or not (
                    set(day.after["state of visits"]) <= set(now["state of visits"])
                ):
                    raise BrokenError(f"events: {sorted(known ^ wished)} are not told of")
            elif now[name] != wanted:
                raise BrokenError(f"{name}: {_difference(now[name], wanted)}")
        for sync in self.template.shop.syncs:
            if sync.name == "report" and day is self.template.days[-1]:
                sync.check_file(self.directory)

    def _check_coupons(self, now: dict, day: Day) -> None:
        """A code that was refused once gives way to others, so only their number is known; and
        the state knows all codes of ours that the account has.

        Of an import that hung and ended after all the state does not know: its codes are uploaded
        again, and refused, since they are there.
        """
        codes = [c["code"] for c in self.account.account.list("coupons")]
        ours = {code for code in codes if not code.startswith("OLD-")}
        wanted = len(day.after["account's coupons"])
        if len(codes) != wanted:
            raise BrokenError(f"{len(codes)} codes, not {wanted}")
        state = set(now["state of codes"])
        if not state <= ours <= state | set(now["failures of codes"]):
            raise BrokenError(f"codes {sorted(ours)} in the account, {sorted(state)} in the state")

    def _check_events(self, now: Counter[str], wanted: Counter[str]) -> None:
        """Delivered at most once, or at least once, and nothing else."""
        if extra := set(now) - set(wanted):
            raise BrokenError(f"events that nobody asked for: {sorted(extra)[:3]}")
        missing = sorted(set(wanted) - set(now))
        if self.delivery == "at_least_once" and missing:
            raise BrokenError(f"events were lost: {missing[:3]}")
        # Who is killed between an intent and its request does not know that it never left.
        most = self.lost_events + self.stats["kills"]
        if len(missing) > most:
            raise BrokenError(f"{len(missing)} events are missing, {most} may have been lost")
        self.stats["uncertain events"] += len(missing)
        self.stats["repeated events"] += sum(now.values()) - len(now)

    async def _check_second_plan(self, day: Day) -> None:
        self.stats["second plans"] += 1
        await asyncio.sleep(60)  # the counters of coupons are late
        state = LocalState(self.directory)
        options = PlanOptions(now=moment(day.begin))
        if self.template.shop.has("codes"):
            budget = Budget(100, 0, self.server, SqliteLedger(":memory:"))
            transport = VirtualTransport(self.app)
            async with Client("http://x", lambda: KEY, budget, self.server, transport) as client:
                account = await look_at_account(client, workflows=True)
            options = PlanOptions(now=moment(self.clock.now()), account=account)
        with make_plan(day.project, state, options=options) as plan:
            left = {c.key for b in plan.batches for c in plan.changes(b)}
        refused = set().union(*(day.after[f"failures of {s}"] for s in self.template.halves["all"]))
        if not left <= refused:
            raise BrokenError(f"a second plan is not empty: {sorted(left - refused)}")

    def _check_secrets(self) -> None:
        for path in self.directory.rglob("*"):
            if path.is_file() and KEY.partition(":")[2].encode() in path.read_bytes():
                raise BrokenError(f"the key is in {path.name}")


def _difference(now, wanted) -> str:
    if isinstance(now, dict):
        keys = [k for k in {**now, **wanted} if now.get(k) != wanted.get(k)]
        return "; ".join(f"{k}: {now.get(k)}, not {wanted.get(k)}" for k in keys[:3])
    more, less = collections.Counter(now), collections.Counter(wanted)
    return f"too many: {list(more - less)[:3]}; missing: {list(less - more)[:3]}"
