"""A database is asked for the rows beyond a cursor alone: what travels, and that none is missed."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_databases import PROJECT, run_postgresql

from compasso.planning.cursor import Cursor, furthest, newer, parse_cursor, wanted
from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings
from compasso.sources import open_newer, open_source
from compasso.spec import load_project
from examples import property_test

SPEC = """kind: sync
name: crm
source: {sql: queries/crm.sql, connection: erp, cursor: updated MORE}
target: contacts
route: calls
fields: {_email: {from: email, type: text}, _name: {from: name, type: text}}
"""
QUERY = "SELECT email, name, updated FROM log ORDER BY number; \n"
KINDS = ["sqlite", "duckdb", "postgresql"]
COLUMN = {"number": "BIGINT", "float": "DOUBLE PRECISION", "text": "TEXT", "time": "TIMESTAMP"}


@pytest.fixture
def database(request, tmp_path, monkeypatch):
    """One of each kind; answers what fills the table `log` with the values of `updated`."""
    kind = request.param
    file = tmp_path / f"shop.{kind}"
    url = f"{kind}:////{str(file).lstrip('/')}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql")
    monkeypatch.setenv("ERP_URL", url)

    def fill(column, values, again=False):
        rows = [
            f"({i}, 'c{i}@x.es', 'N{i}', {'NULL' if v is None else repr(v)})"
            for i, v in enumerate(values, 1)
        ]
        create = (
            f"CREATE TABLE log (number INTEGER, email TEXT, name TEXT, updated {COLUMN[column]})"
        )
        texts = ["DROP TABLE IF EXISTS log", create]
        texts += [f"INSERT INTO log VALUES {', '.join(rows)}"] if rows else []
        if kind == "postgresql":
            for text in texts:
                run_postgresql(url, text)
            return
        with sqlite3.connect(file) if kind == "sqlite" else duckdb.connect(str(file)) as opened:
            for text in texts:
                opened.execute(text)
            if kind == "sqlite":
                opened.commit()

    return fill


every_kind = pytest.mark.parametrize("database", KINDS, indirect=True)


def sync_of(folder: Path, more=""):
    (folder / "specs").mkdir(parents=True, exist_ok=True)
    (folder / "queries").mkdir(exist_ok=True)
    (folder / "compasso.yml").write_text(PROJECT)
    (folder / "specs" / "crm.yml").write_text(SPEC.replace("MORE", more))
    (folder / "queries" / "crm.sql").write_text(QUERY)
    return load_project(folder).syncs[0]


def rows_of(connection, source):
    return connection.execute(
        f"SELECT email, name, updated FROM ({source.relation}) AS s ORDER BY email"
    ).fetchall()


@dataclass(frozen=True)
class Second:
    """A second plan: what travelled (None: all), what is looked at of it, and what would be looked
    at of everything; these two are None where the cursor cannot be followed."""

    since: Cursor
    travelled: list | None
    looked_at: list | None
    right: list | None


def second_plan(folder, fill, column, before, after, more=""):
    """Fill the table, note how far it reaches, and fill it again. None: nothing is noted."""
    sync = sync_of(folder, more)
    with duckdb.connect() as connection:

        def looked_at(source):
            reached = furthest(connection, sync, source)
            follows = reached.value is not None and reached.order == since.order
            return rows_of(connection, newer(sync, source, since)) if follows else None

        fill(column, before)
        whole = open_source(connection, sync.source, folder)
        since = parse_cursor(furthest(connection, sync, whole).text())
        fill(column, after)
        asked = wanted(connection, sync, since)
        if asked is None:
            return None
        whole = open_source(connection, sync.source, folder)
        right, columns = looked_at(whole), whole.columns
        found = open_newer(connection, sync.source, folder, asked)
        if found is None:
            return Second(since, None, None, right)
        assert found.columns == columns
        return Second(since, rows_of(connection, found), looked_at(found), right)


NUMBERS = list(range(1, 2001))
TEXT_TIMES = [f"2024-01-{1 + i // 100:02} 10:{i % 60:02}:00" for i in range(2000)]


@every_kind
@pytest.mark.parametrize(
    ("column", "before"),
    [
        ("number", NUMBERS),
        ("float", [i / 2 for i in NUMBERS]),
        ("text", [f"v{i:04}" for i in NUMBERS]),
        ("time", [f"2024-01-{1 + i // 100:02} {i % 24:02}:00:00" for i in range(2000)]),
    ],
)
def test_only_newer_rows_travel(database, column, before, tmp_path):
    before = sorted(before)
    found = second_plan(tmp_path, database, column, before, [*before, None, None, before[-1]])
    # SQLite keeps times as texts, and gives those of the last days.
    assert len(found.travelled) < (320 if column == "time" else 20)
    assert len(found.right) >= 4
    assert found.looked_at == found.right


@every_kind
def test_times_that_are_texts_travel_by_their_days(database, tmp_path):
    after = [*TEXT_TIMES, "2024-01-21 09:00:00"]
    found = second_plan(tmp_path, database, "text", TEXT_TIMES, after, ", lookback: 1h")
    assert found.since.order == "TIMESTAMP"
    assert len(found.travelled) < 500
    assert found.looked_at == found.right
    assert len(found.right) > 60


@every_kind
def test_a_text_among_times_that_is_none_is_not_left_behind(database, tmp_path):
    after = [*TEXT_TIMES, "2023-02-30 00:00:00"]
    found = second_plan(tmp_path, database, "text", TEXT_TIMES, after)
    assert any(row[2] == after[-1] for row in found.travelled)
    assert found.right is found.looked_at is None  # so that all rows are read


TIMES = st.builds(
    lambda year, month, day, between, time, zone: (
        f"{year}-{month}-{day}{between + time if time else ''}{zone if time else ''}"
    ),
    st.sampled_from(["2023", "2024", "2024", "12024"]),
    st.sampled_from(["01", "02", "1", "12", "13"]),
    st.sampled_from(["01", "05", "5", "28", "29", "30", "31"]),
    st.sampled_from([" ", "T"]),
    st.sampled_from(["", "00:00:00", "10:00", "23:59:59.5", "24:00:00", "9:00:00"]),
    st.sampled_from(["", "", "Z", "z", "+14:00", "-14:00", " "]),
)
ODD = [
    "",
    " 2024-01-05",
    "2024 01 05",
    "2024/01/05",
    "abc",
    "é",
    "9",
    "10",
    "1e3",
    "nan",
    "infinity",
]
VALUES = {
    "number": st.integers(-5, 5),
    "float": st.integers(-5, 5).map(lambda i: i / 2),
    "text": st.one_of(TIMES, st.sampled_from(ODD), st.text("aZé9 -", max_size=3)),
    "time": st.integers(1, 28).map(lambda d: f"2024-02-{d:02} 10:00:00"),
}
CASES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda column: st.tuples(
        st.just(column),
        st.lists(VALUES[column], min_size=1, max_size=4),
        st.lists(st.one_of(st.none(), VALUES[column]), max_size=4),
        st.sampled_from(["", ", lookback: 2d"]),
    )
)


@every_kind
@property_test(4, 40)
@given(case=CASES)
@example(case=("text", ["9", "10"], ["1000", "11", None], ""))
@example(case=("text", ["b", "B"], ["é", "a", "C"], ""))
@example(case=("text", ["2024-01-05"], ["2024-01-04 10:00:00-14:00", "2023-02-30"], ""))
def test_no_row_is_missed(database, case, tmp_path):
    column, before, more_values, more = case
    found = second_plan(tmp_path, database, column, before, [*before, *more_values], more)
    if found is not None and found.looked_at is not None:
        assert found.looked_at == found.right


@every_kind
def test_a_plan_by_the_cursor_of_a_database(database, project, compasso, monkeypatch):
    with RunningSandbox(SandboxSettings(requests_per_minute=10_000)) as sandbox:
        monkeypatch.setenv("CONNECTIF_BASE_URL", sandbox.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:secret")
        head = PROJECT + "budget: {requests_per_minute: 10000}\n"
        files = {"compasso.yml": head, "queries/crm.sql": QUERY}
        folder = project({**files, "specs/crm.yml": SPEC.replace("MORE", "")})

        def plan():
            ran = compasso("plan", "--project", folder, "--format", "json")
            assert ran.code == 0, ran.err
            summary = json.loads(ran.out)["summary"]
            return [summary[n] for n in ("create", "update", "delete", "unchanged", "rejected")]

        def apply():
            assert compasso("apply", "--project", folder, "--auto-approve").code == 0

        database("number", [])
        apply()
        database("number", [1, 2, 3])
        assert plan() == [3, 0, 0, 0, 0]
        apply()
        assert plan() == [0, 0, 0, 3, 0]
        database("number", [1, 2, 3, 4, None])
        assert plan() == [2, 0, 0, 3, 0]
        apply()
        # The greatest value went: everything is read again, and the next plan goes on from there.
        database("number", [1, 2, 3])
        assert plan() == [0, 0, 0, 3, 0]
        apply()
        database("number", [1, 2, 3, 3, 3, 3])
        assert plan() == [1, 0, 0, 5, 0]
        # Another mapping reads everything.
        project(
            {
                **files,
                "specs/crm.yml": SPEC.replace("MORE", "").replace("from: name", "from: email"),
            }
        )
        assert plan()[:2] == [1, 5]
