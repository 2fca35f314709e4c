"""An import file goes from the disk to the network; it is never held in memory."""

import asyncio
import subprocess
import sys
import tracemalloc

import httpx
import pytest

from compasso.connectif import Budget, Client, SqliteLedger, SystemClock

ROWS = 80_000


class HurriedClock(SystemClock):
    """A clock that goes on at once when somebody wants to wait: here for the next minute."""

    ahead = 0.0

    def now(self):
        return super().now() + self.ahead

    def monotonic(self):
        return super().monotonic() + self.ahead

    async def sleep(self, seconds):
        self.ahead += seconds
        await super().sleep(0)


@pytest.fixture
def address():
    """A sandbox in a process of its own, so that only the client's memory is ours."""
    process = subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.communicate()


def test_an_upload_is_streamed_and_begins_anew_when_it_is_refused(address, tmp_path):
    file = tmp_path / "import.csv"
    with file.open("w") as text:
        text.write("_email,_name\n")
        for i in range(ROWS):
            text.write(f"user{i}@x.es,{'N' * 480}\n")
    assert file.stat().st_size > 39_000_000
    # The first try is sent whole and refused; the second must not begin where that one ended.
    fault = {"kind": "status", "status": 429, "method": "POST", "path": "/imports"}
    assert httpx.post(f"{address}/_sandbox/faults", json=fault).is_success

    async def upload():
        clock = HurriedClock()
        budget = Budget(100, 0, clock, SqliteLedger(":memory:"))
        async with Client(address, lambda: "id:secret", budget, clock) as client:
            await client.list_imports()  # what the first request loads is not the upload's
            tracemalloc.start()
            answer = await client.create_import("contacts", file)
            return answer, tracemalloc.get_traced_memory()[1], client.sent

    answer, peak, sent = asyncio.run(upload())
    tracemalloc.stop()
    assert answer.status in {200, 201}
    assert answer.body["total"] == ROWS
    assert sent == 3
    assert peak < 4_000_000
