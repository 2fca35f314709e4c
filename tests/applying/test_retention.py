"""How long history is kept, and that nothing goes which a stop or a kill still needs."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import duckdb
import httpx
import pytest

from compasso.applying import Journal, retention
from compasso.applying.journal import Outcome
from compasso.state import open_state

SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: ROUTE
fields: {_email: email, _name: name}
"""
TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def shop(project):
    def make(*names, route="calls", settings=""):
        return project(
            {
                "compasso.yml": f"project: s\nbudget: {{requests_per_minute: 1000}}\n{settings}",
                "specs/crm.yml": SPEC.replace("ROUTE", route),
                "data/c.csv": "\n".join(
                    ["email,name", *(f"user{i}@x.es,{name}" for i, name in enumerate(names))]
                ),
            }
        )

    return make


def requests(sandbox, method):
    seen = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
    return [r["path"] for r in seen if r["method"] == method]


def apply(compasso, folder, *more):
    return compasso("apply", *more, "--project", folder, "--auto-approve", "--format", "json")


def history(compasso, folder, *words):
    ran = compasso("history", *words, "--project", folder, "--format", "json")
    return json.loads(ran.out) if ran.code == 0 else []


def grow_old(folder, days):
    """Make all that is in the history older."""
    kept = folder / ".compasso" / "default"
    past = datetime.now(UTC) - timedelta(days=days)
    for file in (kept / "runs").glob("*.parquet"):
        older = file.with_name(f"{past:%Y%m%dT%H%M%S}-{file.stem[-6:]}.parquet")
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT * REPLACE (time - INTERVAL {days} DAY AS time) FROM '{file}') "
                f"TO '{older}' (FORMAT parquet)"
            )
        file.unlink()
    with sqlite3.connect(kept / "journal.sqlite") as journal:
        for table, column in (("runs", "started"), ("calls", "at"), ("imports", "at")):
            journal.execute(f"UPDATE {table} SET {column} = ?", (past.isoformat(),))
    journal.close()


@pytest.mark.parametrize("route", ["calls", "import"])
def test_an_apply_removes_what_is_older_than_is_kept(route, serve, shop, compasso):
    serve()
    folder = shop("Ana", "Eva", route=route, settings="state: {history: 90d}\n")
    assert apply(compasso, folder).code == 0
    grow_old(folder, 100)
    assert len(history(compasso, folder, "of", "user1@x.es")) == 1
    shop("Ana", "Evita", route=route, settings="state: {history: 90d}\n")
    assert apply(compasso, folder).code == 0
    assert [e["operation"] for e in history(compasso, folder, "of", "user1@x.es")] == ["update"]
    assert len(history(compasso, folder)) == 1
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


def test_forever_and_the_default_keep_it(serve, shop, compasso):
    serve()
    for settings, days in (("", 399), ("state: {history: forever}\n", 4000)):
        folder = shop("Ana", str(days), settings=settings)
        assert apply(compasso, folder).code == 0
        before = len(history(compasso, folder))
        grow_old(folder, days)
        shop("Ana", f"{days} again", settings=settings)
        assert apply(compasso, folder).code == 0
        assert len(history(compasso, folder)) == before + 1


def test_prune_says_what_it_would_remove_and_removes_it(serve, shop, compasso):
    serve()
    folder = shop("Ana", "Eva")
    assert apply(compasso, folder).code == 0
    grow_old(folder, 100)
    shop("Ana", "Evita")
    assert apply(compasso, folder).code == 0
    prune = ("history", "prune", "--project", folder, "--keep", "90d")
    for words, said in (
        ((*prune, "--dry-run"), "Would remove 1 run and 2 outcomes of records from before"),
        (prune, "Removed 1 run and 2 outcomes of records from before"),
        (prune, "Removed 0 runs and 0 outcomes of records from before"),
    ):
        ran = compasso(*words)
        assert (ran.code, ran.out.startswith(said)) == (0, True), ran.out
    ran = compasso(*prune[:-1], "soon")
    assert ran.code == 1
    assert "--keep 'soon' is not a time" in ran.err


def test_a_plan_that_was_stopped_goes_on_after_a_prune(serve, shop, compasso):
    sandbox = serve()
    folder = shop(*["Ana"] * 20)
    plan = folder / "p.plan"
    assert compasso("plan", "--project", folder, "--out", plan).code == 0
    assert compasso("apply", plan, "--project", folder, "--max-requests", 7).code == 3
    assert not list((folder / ".compasso").rglob("*.plan"))  # nothing is open: no copy is needed
    retention.prune(open_state(folder, None), TOMORROW)
    assert compasso("apply", plan, "--project", folder).code == 0
    patches = requests(sandbox, "PATCH")
    assert len(patches) == len(set(patches)) == 20


def test_an_apply_that_was_killed_is_settled_after_a_prune(serve, shop, compasso):
    sandbox = serve(import_min_seconds=2)
    folder = shop(*["Ana"] * 20, route="import")
    killed = subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "apply", "--auto-approve", "--project", folder],
        env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not requests(sandbox, "GET"):
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    retention.prune(open_state(folder, None), TOMORROW)
    assert apply(compasso, folder).code == 0
    assert len(requests(sandbox, "POST")) == 1
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


def test_many_small_files_become_one_and_answer_the_same(serve, shop, compasso):
    serve()
    folder = shop("Ana", "Eva")
    assert apply(compasso, folder).code == 0
    runs = folder / ".compasso" / "default" / "runs"
    [file] = runs.glob("*.parquet")
    for i in range(80):
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT * REPLACE (time - INTERVAL {i + 1} HOUR AS time) FROM '{file}') "
                f"TO '{runs / f'20260101T{i:06}-abcdef.parquet'}' (FORMAT parquet)"
            )
    before = history(compasso, folder, "of", "user1@x.es", "--limit", "1000")
    assert len(before) == 81
    shop("Ana", "Eva", "Bob")
    assert apply(compasso, folder).code == 0
    assert len(list(runs.iterdir())) == 1
    assert history(compasso, folder, "of", "user1@x.es", "--limit", "1000") == before


def test_a_call_under_way_is_not_tidied_away_whatever_time_its_clock_told(tmp_path):
    """Its outcome would find no place to be written to."""
    journal = Journal(tmp_path)
    journal.begin_run("a run", "a plan", "compasso apply")
    long_ago = datetime.now(UTC) - timedelta(days=1000)
    journal.intend_call("a plan", 7, "a run", "crm", at=long_ago)
    journal.prune((datetime.now(UTC) - timedelta(days=90)).isoformat())
    journal.record_call("a plan", Outcome(7, "applied", 200, None))
    assert [o.change_id for o in journal.unkept("a plan", "crm")] == [7]
    journal.close()
