"""Ctrl-C and SIGTERM at every moment of every command that may take long. With real processes."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: ROUTE
fields: {_email: email, _name: name}
"""
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])


def people(count, name="Ana"):
    return "email,name\n" + "".join(f"user{i}@x.es,{name}\n" for i in range(count))


@pytest.fixture
def shop(project):
    def make(count=20, route="calls", name="Ana"):
        return project(
            {
                "compasso.yml": "project: s\nbudget: {requests_per_minute: 1000}\n",
                "specs/crm.yml": SPEC.replace("ROUTE", route),
                "data/c.csv": people(count, name),
            }
        )

    return make


def slow(sandbox, **rule):
    fault = {"kind": "slow", "seconds": 60, "times": 1000, **rule}
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=fault).is_success


def requests(sandbox):
    return httpx.get(f"{sandbox.url}/_sandbox/requests").json()


def waits_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def start(*words, stdin=subprocess.DEVNULL):
    return subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", *map(str, words)], env=dict(os.environ),
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stop(process, number):
    """Send the signal; the process must end within five seconds. Answers its exit code and words."""
    begin = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 5
    assert "Traceback" not in out + err
    assert "failed" not in err, err
    return process.returncode, err


@BOTH
def test_recovery_that_waits_for_an_import(number, serve, shop, compasso):
    sandbox = serve(import_min_seconds=600)
    folder = shop(route="import")
    apply = ("apply", "--auto-approve", "--project", folder)
    killed = start(*apply)
    waits_for(lambda: [r for r in requests(sandbox) if r["method"] == "GET"])
    killed.kill()
    killed.communicate()
    seen = len(requests(sandbox))
    again = start(*apply)
    waits_for(lambda: len(requests(sandbox)) > seen)
    code, err = stop(again, number)
    assert code == 3
    assert "Stopped while settling what an interrupted apply left: 1 import of crm (20 rows)" in err
    assert "run it again to go on" in err
    # The same by the limits, which count for recovery too.
    for limit in (("--deadline", "3s"), ("--max-requests", "1")):
        ran = compasso(*apply, *limit)
        assert ran.code == 3
        assert f"Reached {' '.join(limit) if 'max' in limit[0] else limit[0]} while" in ran.err
    # The lock is free, and the import is not sent a second time.
    assert compasso("plan", "--project", folder).code == 0
    assert len([r for r in requests(sandbox) if r["method"] == "POST"]) == 1


@BOTH
@pytest.mark.parametrize("late", [0.0, 0.3, 0.8, 1.5])
def test_planning(number, late, serve, shop, compasso):
    """Wherever it is: reading, mapping, comparing, writing the plan."""
    sandbox = serve()
    folder = shop(1_000_000)
    process = start("apply", "--auto-approve", "--project", folder)
    waits_for(lambda: list((folder / ".compasso").glob("default/locks/*.json")))
    time.sleep(late)
    slow(sandbox)  # a quick machine may have planned it all by now
    code, err = stop(process, number)
    assert code == 3, err
    assert "run it again" in err.lower() or requests(sandbox)
    shop(3)
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    assert compasso("apply", "--auto-approve", "--project", folder).code == 0


@BOTH
def test_the_question(number, serve, shop, compasso):
    serve()
    folder = shop()
    ours, theirs = pty.openpty()
    process = start("apply", "--project", folder, stdin=theirs)
    said = []
    reader = threading.Thread(target=lambda: said.extend(iter(lambda: process.stderr.read(1), "")))
    reader.start()
    waits_for(lambda: "Apply these changes?" in "".join(said))
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(20) == 3
    assert time.monotonic() - begin < 5
    reader.join()
    os.close(ours)
    os.close(theirs)
    assert "Stopped before anything was sent" in "".join(said)
    assert compasso("apply", "--auto-approve", "--project", folder).code == 0


@BOTH
@pytest.mark.parametrize(
    "words",
    [
        ("drift", "--all"),
        ("refresh",),
        ("plan", "--refresh"),
        ("forget", "user1@x.es", "--yes"),
        ("imports", "list"),
        ("exports", "list"),
        ("validate", "--online"),
    ],
    ids=" ".join,
)
def test_commands_that_wait_for_the_account(words, number, serve, shop, compasso):
    sandbox = serve()
    folder = shop()
    assert compasso("apply", "--auto-approve", "--project", folder).code == 0
    slow(sandbox)
    seen = len(requests(sandbox))
    process = start(*words, "--project", folder)
    waits_for(lambda: len(requests(sandbox)) > seen)
    code, err = stop(process, number)
    assert code == 3
    assert "Stopped" in err
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


@BOTH
def test_a_request_under_way_when_the_signal_comes(number, serve, shop, compasso):
    """Its answer does not come in time; the next apply sends the change again."""
    sandbox = serve()
    folder = shop()
    slow(sandbox, times=8)
    process = start("apply", "--auto-approve", "--project", folder)
    waits_for(lambda: requests(sandbox))
    code, _ = stop(process, number)
    assert code == 3
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    assert compasso("apply", "--auto-approve", "--project", folder).code == 0
    assert len(httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()) == 20


@BOTH
def test_the_sandbox_ends_well(number):
    process = start("sandbox", "--port", "0")
    assert "http://" in process.stdout.readline()
    assert stop(process, number)[0] == 0
