"""The budget, against servers that count in both known ways, in virtual time."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compasso.connectif import Budget, SqliteLedger
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

    async def request(self, budget, seconds=0.1, priority=Priority.NORMAL):
        ticket = await budget.acquire(priority)
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


def test_another_client_is_noticed_with_the_first_answer_and_given_way():
    clock = VirtualClock()
    server = Server(clock)
    budget = make_budget(clock, reserve=5)

    async def stranger():
        while clock.now() < end:
            server.take(15)
            await clock.sleep(30)

    async def both():
        await asyncio.gather(stranger(), spend(server, budget, end, workers=1))

    end = clock.now() + 600
    run_virtually(both(), clock)
    assert server.refused == 0
    assert len(server.came) >= 500  # 700 a ten minutes are left by the stranger and the reserve


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
        await server.request(budget, priority=priority)
        done.append(name)

    async def work():
        await asyncio.gather(server.request(budget), server.request(budget))
        jobs = [("low", Priority.LOW), ("normal", Priority.NORMAL), ("high", Priority.HIGH)]
        tasks = [asyncio.create_task(one(*job)) for job in jobs]
        await asyncio.gather(*tasks)

    run_virtually(work(), clock)
    assert done.index("high") < done.index("low")


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
    for _ in range(5):
        ticket, _ = ledger.take(1_000_000.0, 5)
        ledger.settle(ticket, 1_000_000.1)
    # The machine counts from its start again.
    assert ledger.take(20.0, 5)[0] is None
    assert ledger.take(79.0, 5)[0] is None
    assert ledger.take(81.0, 5)[0] is not None
