"""The budget, against servers that count in both known ways, in virtual time."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compasso.connectif import Budget, Claim, SqliteLedger
from compasso.connectif.ledger import Terms, Waiter
from compasso.model import Priority
from compasso.sandbox.rate import RateLimit
from compasso.sandbox.settings import Behaviour
from compasso.sandbox.virtual import VirtualClock, run_virtually


class Server:
    """Counts like the sandbox, and remembers when each request came and whether it was refused."""

    def __init__(self, clock, limit=100, **behaviour):
        self.clock = clock
        self.rate = RateLimit(limit, Behaviour(**behaviour), clock.now)
        self.came = []
        self.refused = 0

    def take(self, count=1):
        allowed, headers = self.rate.take(count)
        return allowed, {name.lower(): value for name, value in headers.items()}

    async def request(self, budget, seconds=0.1, claim=Priority.NORMAL):
        ticket = await budget.acquire(claim)
        before = random.Random(len(self.came)).random() * seconds
        await self.clock.sleep(before)
        self.came.append(self.clock.now())
        allowed, headers = self.take()
        self.refused += not allowed
        await self.clock.sleep(seconds - before)
        budget.settle(ticket, headers, 200 if allowed else 429)

    def most_in_a_minute(self):
        times = sorted(self.came)
        start = most = 0
        for end, time in enumerate(times):
            while times[start] <= time - 60:
                start += 1
            most = max(most, end - start + 1)
        return most


async def spend(server, budget, until, workers=16, seconds=0.1):
    async def worker():
        while server.clock.now() < until:
            await server.request(budget, seconds)

    await asyncio.gather(*(worker() for _ in range(workers)))


def make_budget(clock, limit=100, reserve=0, ledger=None):
    return Budget(limit, reserve, clock, ledger or SqliteLedger(":memory:"))


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("seconds", [0.05, 0.4, 0.9])
def test_alone_it_uses_the_limit_and_is_never_refused(sliding, seconds):
    clock = VirtualClock()
    server = Server(clock, sliding_window=sliding)
    minutes = 10
    run_virtually(
        spend(server, make_budget(clock), clock.now() + 60 * minutes, seconds=seconds), clock
    )
    assert server.refused == 0
    assert server.most_in_a_minute() <= 100
    # Ten minutes hold eleven starts of a minute: count what the limit allows in between.
    assert len(server.came) >= 0.98 * 100 * minutes


@settings(max_examples=12, deadline=None)
@given(
    limit=st.integers(3, 30),
    reserve=st.integers(0, 10),
    sliding=st.booleans(),
    delta=st.booleans(),
    pauses=st.lists(st.tuples(st.integers(1, 20), st.floats(0, 90)), max_size=4),
    seconds=st.sampled_from([0.01, 0.5, 5.0]),
)
def test_no_pattern_of_work_is_ever_refused(limit, reserve, sliding, delta, pauses, seconds):
    clock = VirtualClock()
    server = Server(clock, limit, sliding_window=sliding, reset_is_delta=delta)
    budget = make_budget(clock, limit, min(reserve, limit - 1))

    async def work():
        for count, pause in pauses:
            await asyncio.gather(*(server.request(budget, seconds) for _ in range(count)))
            await clock.sleep(pause)

    run_virtually(work(), clock)
    assert server.refused == 0
    assert server.most_in_a_minute() <= limit


def test_a_server_with_a_lower_limit_than_ours_is_believed():
    clock = VirtualClock()
    server = Server(clock, limit=20)
    run_virtually(spend(server, make_budget(clock), clock.now() + 300, workers=2), clock)
    assert server.refused == 0
    assert len(server.came) >= 0.9 * 20 * 5


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("reserve", [0, 10])
@pytest.mark.parametrize("every", [2, 30])
def test_another_client_is_noticed_with_the_first_answer_and_given_way(sliding, reserve, every):
    clock = VirtualClock()
    server = Server(clock, sliding_window=sliding)
    budget = make_budget(clock, reserve=reserve)
    strangers_refused = 0

    async def stranger():
        """Thirty a minute, one by one or fifteen at once."""
        nonlocal strangers_refused
        while clock.now() < end:
            allowed, _ = server.take(every // 2)
            strangers_refused += not allowed and clock.now() > end - 480  # known by then
            await clock.sleep(every)

    async def both():
        await asyncio.gather(stranger(), spend(server, budget, end, workers=8))

    end = clock.now() + 600
    run_virtually(both(), clock)
    assert server.refused == 0
    assert strangers_refused == 0
    assert len(server.came) >= 550  # 700 in ten minutes are left by the stranger
    assert budget.view().foreign >= 15


def test_a_stranger_that_goes_away_is_forgotten_after_two_minutes():
    clock = VirtualClock()
    server = Server(clock)
    budget = make_budget(clock)

    async def work():
        await server.request(budget)
        server.take(40)
        await server.request(budget)
        assert budget.view().limit == 60
        await clock.sleep(150)
        await server.request(budget)
        assert budget.view().limit == 100

    run_virtually(work(), clock)
    assert server.refused == 0


def test_a_slow_answer_from_the_last_window_does_not_hide_the_new_one():
    clock = VirtualClock()
    server = Server(clock)
    budget = make_budget(clock)

    async def slow():
        ticket = await budget.acquire()
        _, headers = server.take()
        await clock.sleep(70)
        budget.settle(ticket, headers, 200)

    async def work():
        task = asyncio.create_task(slow())
        await clock.sleep(65)
        await server.request(budget)
        server.take(90)
        await server.request(budget)
        await task
        await asyncio.gather(*(server.request(budget) for _ in range(30)))

    run_virtually(work(), clock)
    assert server.refused == 0


def test_a_refusal_is_waited_out_as_long_as_the_server_says():
    clock = VirtualClock()
    server = Server(clock)
    budget = make_budget(clock)

    async def work():
        server.take(100)
        begin = clock.now()
        await server.request(budget)
        assert server.refused == 1
        await server.request(budget)
        return clock.now() - begin

    assert run_virtually(work(), clock) >= 60
    assert server.refused == 1


def test_two_processes_on_one_ledger_share_one_budget(tmp_path):
    clock = VirtualClock()
    server = Server(clock)
    ledgers = [SqliteLedger(tmp_path / "budget.sqlite") for _ in range(2)]
    budgets = [make_budget(clock, ledger=ledger) for ledger in ledgers]
    end = clock.now() + 300

    async def both():
        await asyncio.gather(*(spend(server, b, end, workers=6) for b in budgets))

    run_virtually(both(), clock)
    assert server.refused == 0
    assert server.most_in_a_minute() <= 100
    assert len(server.came) >= 0.98 * 500


def test_high_priority_goes_first():
    clock = VirtualClock()
    server = Server(clock, limit=2)
    budget = make_budget(clock, limit=2)
    done = []

    async def one(name, priority):
        await server.request(budget, claim=priority)
        done.append(name)

    async def work():
        await asyncio.gather(server.request(budget), server.request(budget))
        jobs = [("low", Priority.LOW), ("normal", Priority.NORMAL), ("high", Priority.HIGH)]
        tasks = [asyncio.create_task(one(*job)) for job in jobs]
        await asyncio.gather(*tasks)

    run_virtually(work(), clock)
    assert done.index("high") < done.index("low")


async def count_served(server, ledger_file, claims, seconds):
    """How many requests each claim got, all wanting as many as they can, each its own process."""
    got = {}

    async def one(name, claim):
        budget = make_budget(server.clock, ledger=SqliteLedger(ledger_file))
        got[name] = 0

        async def worker():
            while server.clock.now() < end:
                await server.request(budget, claim=claim)
                got[name] += 1

        await asyncio.gather(*(worker() for _ in range(4)))

    end = server.clock.now() + seconds
    await asyncio.gather(*(one(name, claim) for name, claim in claims.items()))
    return got


def test_priority_holds_across_processes_and_the_low_one_does_not_starve(tmp_path):
    clock = VirtualClock()
    server = Server(clock)
    claims = {p.value: Claim(p, p.value, left=10_000) for p in Priority}
    got = run_virtually(count_served(server, tmp_path / "b.sqlite", claims, 600), clock)
    assert server.refused == 0
    assert got["high"] > 0.75 * sum(got.values())
    assert got["low"] > 0.02 * sum(got.values())
    assert sum(got.values()) >= 980


def test_syncs_of_one_priority_take_turns(tmp_path):
    clock = VirtualClock()
    server = Server(clock)
    claims = {
        name: Claim(Priority.NORMAL, name, left=10_000) for name in ("crm", "catalogue", "orders")
    }
    got = run_virtually(count_served(server, tmp_path / "b.sqlite", claims, 600), clock)
    assert max(got.values()) - min(got.values()) <= 0.1 * sum(got.values())


def test_the_earliest_deadline_goes_first_whatever_the_priority(tmp_path):
    clock = VirtualClock()
    server = Server(clock)
    now = clock.monotonic()
    claims = {
        "none": Claim(Priority.HIGH, "none", left=10_000),
        "late": Claim(Priority.LOW, "late", now + 3600, left=10_000),
        "soon": Claim(Priority.LOW, "soon", now + 1200, left=10_000),
        "over": Claim(Priority.LOW, "over", now - 10, left=10_000),  # too late: as if it had none
    }
    got = run_virtually(count_served(server, tmp_path / "b.sqlite", claims, 600), clock)
    assert got["soon"] > 0.75 * sum(got.values())
    assert min(got.values()) > 0


def test_a_process_that_dies_in_line_does_not_hold_up_the_others():
    clock = VirtualClock()
    server = Server(clock, limit=2)
    ledger = SqliteLedger(":memory:")
    budget = make_budget(clock, limit=2, ledger=ledger)

    async def work():
        await asyncio.gather(server.request(budget), server.request(budget))
        dead = Waiter("dead", Priority.HIGH.rank, None, clock.monotonic())
        ledger.take(clock.monotonic(), Terms(2, 0), dead, None)  # and never heard of again
        begin = clock.now()
        await server.request(budget)
        return clock.now() - begin

    assert run_virtually(work(), clock) < 65


@pytest.mark.parametrize("jump", [-86400, -30, 30, 61, 86400])
def test_a_clock_that_is_set_neither_opens_a_slot_too_early_nor_stops_the_budget(jump):
    ours = VirtualClock()
    server = Server(VirtualClock())
    budget = make_budget(ours)

    async def work():
        await asyncio.gather(*(server.request(budget) for _ in range(80)))
        ours.jump(jump)
        begin = asyncio.get_running_loop().time()
        await asyncio.gather(*(server.request(budget) for _ in range(80)))
        return asyncio.get_running_loop().time() - begin

    assert run_virtually(work(), ours) < 70
    assert server.refused == 0
    assert server.most_in_a_minute() <= 100


def test_after_a_restart_of_the_machine_the_requests_before_it_still_count(tmp_path):
    ledger = SqliteLedger(tmp_path / "budget.sqlite")
    terms, anyone = Terms(5, 0), Waiter("", 1, None, 0.0)
    for _ in range(5):
        ticket, _, _ = ledger.take(1_000_000.0, terms, anyone, None)
        ledger.settle(ticket, 1_000_000.1, None)
    # The machine counts from its start again.
    ticket, place, _ = ledger.take(20.0, terms, anyone, None)
    assert ticket is None
    assert ledger.take(79.0, terms, anyone, place)[0] is None
    assert ledger.take(81.0, terms, anyone, place)[0] is not None
