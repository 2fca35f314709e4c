"""What tests share: running the command line in this process, and a small project on the disk."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from compasso.cli import main

PROJECT = "project: shop\n"
CONTACTS = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields:
  _email: email
  _name: first_name
"""
ROWS = "email,first_name,points\nana@x.es,Ana,3\n"


def pytest_xdist_auto_num_workers(config):
    """`-n auto`: many tests wait for other processes, so three of them for two cores."""
    return 1 + (os.cpu_count() or 1)


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def compasso(capfd, monkeypatch):
    """Run a command as the shell would: `compasso("plan", "--project", folder)`."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["compasso", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "something in compasso itself failed" not in err, err
        return Ran(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def project(tmp_path):
    """Write a project's files: `project({"specs/crm.yml": text})` over a small one that works."""

    def write(files=None) -> Path:
        folder = tmp_path / "shop"
        given = {"compasso.yml": PROJECT, "specs/crm.yml": CONTACTS, "data/c.csv": ROWS}
        for name, text in {**given, **(files or {})}.items():
            if text is None:
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    return write


@pytest.fixture
def serve(monkeypatch):
    """Start a sandbox for commands to find, as often as is wanted: `serve(6000, **settings)`."""
    from compasso.sandbox import RunningSandbox
    from compasso.sandbox.settings import SandboxSettings

    with ExitStack() as stack:

        def start(requests_per_minute=1000, **more):
            settings = SandboxSettings(requests_per_minute=requests_per_minute, **more)
            running = stack.enter_context(RunningSandbox(settings))
            monkeypatch.setenv("CONNECTIF_BASE_URL", running.url)
            monkeypatch.setenv("CONNECTIF_API_KEY", "id:topsecret")
            return running

        yield start


@pytest.fixture
def sandbox(serve):
    """A sandbox for commands to find."""
    return serve()


_MANY_RUNS = 2_000  # in which every kind of fault must be met, the rare ones too


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, help="play this seed of the simulation alone")


def _simulated(reporter) -> Counter[str]:
    """What the simulation went through, over all workers."""
    total: Counter[str] = Counter()
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, stats in report.user_properties:
                    if name == "simulation":
                        total += Counter(stats)
    return total


def _never_met(total: Counter[str]) -> list[str]:
    """The kinds of fault that so many runs should have met, and did not."""
    from compasso.sandbox.faults import KINDS

    return [k for k in KINDS if total["runs"] >= _MANY_RUNS and not total[f"fault {k}"]]


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not session.exitstatus and _never_met(_simulated(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    total = _simulated(terminalreporter)
    if not total:
        return
    terminalreporter.section("simulation")
    if total["real kills"]:
        terminalreporter.line(f"{total['real kills']:,} real processes killed with kill -9")
    if not total["runs"]:
        return
    terminalreporter.line(
        f"{total['runs']:,} runs, {total['seconds'] / 86400:,.1f} simulated days, "
        f"{total['lives']:,} applies, {total['requests']:,} requests, {total['kills']:,} kills, "
        f"{total['clock jumps']:,} clock jumps, {total['signals']:,} signals, "
        f"{total['two at once']:,} times two applies at once, {total['new plans']:,} new plans, "
        f"{total['second plans']:,} second plans found empty"
    )
    if never := _never_met(total):
        terminalreporter.line(f"FAILED: faults that were never met: {', '.join(never)}")
    for what in ("fault", "killed"):
        counts = sorted((n, c) for n, c in total.items() if n.startswith(f"{what} "))
        names = ", ".join(f"{n.removeprefix(what).strip()} {c:,}" for n, c in counts)
        terminalreporter.line(f"{what}: {names}")


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql():
    """A server of PostgreSQL of this test's own, on a socket; skipped where it is not installed."""
    bin_ = _binaries()
    if bin_ is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="compasso-pg-"))  # short: a socket's path has a limit
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data = folder / "data"
    subprocess.run(
        [*as_user, bin_ / "initdb", "-D", data, "-U", "shop", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
    )
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run = [*as_user, bin_ / "pg_ctl", "-D", data, "-w"]
    log = folder / "log"
    subprocess.run([*run, "-o", options, "-l", log, "start"], check=True, capture_output=True)
    yield f"postgresql://shop:verysecret@/postgres?host={folder}"
    subprocess.run([*run, "-m", "immediate", "stop"], check=True, capture_output=True)
    shutil.rmtree(folder)
