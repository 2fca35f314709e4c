"""Exports: pieces of time that end up whole in a file or table, once each, whatever happens."""

import contextlib
import csv
import io
import json
import os
import shutil
import sqlite3
import zipfile
from datetime import date, timedelta

import adbc_driver_manager
import adbc_driver_postgresql
import duckdb
import httpx
import pytest
from virtually import Fuse, Killed, World

from compasso.model import CompassoError
from compasso.sandbox.seed import seed

REPORT = "5cf8c05f5b4cb901091f7d98"
DAY = 86400
# The virtual clock begins on 14 November 2023.
BEGIN = date(2023, 11, 14)
ACTIVITIES = """kind: export
name: sales
export: {activities: {types: [purchase]}}
from: -40d
into: INTO
mode: append
"""
CONTACTS = """kind: export
name: people
export: contacts
into: {csv: exports/people.csv}
mode: replace
columns: {email: _email, points: {from: _points, type: integer}}
"""
REPORTS = f"""kind: export
name: report
export: {{data-explorer: {{report: {REPORT}}}}}
from: 2023-11-01
to: 2023-11-10
into: {{parquet: exports/report.parquet}}
mode: replace
"""
PROJECT = "project: shop\nconnections: {lake: '${env:LAKE_URL}'}\n"


def purchase(number, day):
    """A purchase so many days before the clock begins."""
    when = f"{BEGIN - timedelta(days=day)}T12:00:00.000Z"
    product = {"productId": "P1", "quantity": 1, "price": 5}
    return {
        "purchaseId": f"A-{number}", "contactEmail": "ana@x.es", "totalPrice": 5,
        "totalQuantity": 1, "purchaseDate": when, "products": [product],
    }  # fmt: skip


def seeded():
    return {
        "contacts": [{"_email": "ana@x.es", "_points": 3}, {"_email": "rui@x.pt"}],
        "products": [
            {"productId": "P1", "name": "Shoe", "unitPrice": 5, "productDetailUrl": "https://s.es"}
        ],
        "purchases": [purchase(n, day) for n, day in enumerate([1, 2, 8, 35])],
        "reports": [{"id": REPORT, "name": "Sales"}],
    }


@pytest.fixture
def world(project):
    """A project with the given export, and its account."""

    def make(spec, **files):
        given = {"compasso.yml": PROJECT, "specs/crm.yml": None, "data/c.csv": None}
        return World(project({**given, "specs/export.yml": spec, **files}), seeded())

    return make


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def read_duckdb(sql):
    return duckdb.connect().execute(sql).fetchall()


INTO = {
    "csv": "{csv: exports/sales.csv}",
    "csv.gz": "{csv: exports/sales.csv.gz}",
    "parquet": "{parquet: exports/sales.parquet}",
    "duckdb": "{duckdb: exports/lake.duckdb, table: raw.sales}",
    "sqlite": "{sql: lake, table: sales}",
    "postgresql": "{sql: lake, table: raw.sales}",
}


@pytest.fixture(params=list(INTO))
def destination(request, tmp_path, monkeypatch):
    """A kind of destination, and what reads it: rows of (purchase's day, piece)."""
    kind = request.param
    folder = tmp_path / "shop"
    select = 'SELECT left("date", 10), compasso_piece FROM {} ORDER BY ALL'
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql")
        monkeypatch.setenv("LAKE_URL", url)
        _postgresql(url, "DROP TABLE IF EXISTS raw.sales")
        columns = 'left("date", 10), "compasso_piece"'
        return kind, lambda: _postgresql(url, f"SELECT {columns} FROM raw.sales ORDER BY 1, 2")
    if kind == "sqlite":
        monkeypatch.setenv(
            "LAKE_URL", f"sqlite:///{tmp_path}/lake.sqlite".replace("///", "////", 1)
        )
        columns = "substr(date, 1, 10), compasso_piece"
        return (
            kind,
            lambda: (
                sqlite3.connect(tmp_path / "lake.sqlite")
                .execute(f"SELECT {columns} FROM sales ORDER BY 1, 2")
                .fetchall()
            ),
        )
    if kind == "duckdb":

        def read():
            with duckdb.connect(str(folder / "exports/lake.duckdb")) as lake:
                return lake.execute(select.format("raw.sales")).fetchall()

        return kind, read
    reader = "read_parquet" if kind == "parquet" else "read_csv"
    more = "" if kind == "parquet" else ", all_varchar=true"
    table = f"{reader}('{folder}/exports/sales.{kind}'{more})"
    return kind, lambda: read_duckdb(select.format(table))


def _postgresql(url, text):
    with (
        adbc_driver_postgresql.connect(url) as server,
        adbc_driver_manager.AdbcConnection(server) as connection,
        adbc_driver_manager.AdbcStatement(connection) as statement,
    ):
        statement.set_sql_query(text)
        if not text.startswith("SELECT"):
            return statement.execute_update()
        rows, _ = statement.execute_query()
        return duckdb.connect().register("rows", rows).execute("SELECT * FROM rows").fetchall()


def days(*numbers):
    return [str(BEGIN - timedelta(days=n)) for n in numbers]


def test_pieces_are_appended_once_and_a_new_day_brings_a_new_piece(destination, world):
    kind, read = destination
    shop = world(ACTIVITIES.replace("INTO", INTO[kind]))
    result, planned = shop.apply()
    assert (result.applied, result.failed) == (planned, 0) == (2, 0)
    assert [day for day, _ in read()] == days(35, 8, 2, 1)
    first, second = sorted({piece for _, piece in read()})
    assert first == f"{BEGIN - timedelta(days=40)}/{BEGIN - timedelta(days=10)}"
    assert second == f"{BEGIN - timedelta(days=9)}/{BEGIN - timedelta(days=1)}"
    assert shop.plan()["summary"]["create"] == 0
    seed(shop.sandbox, {"purchases": [purchase(9, 0)]})
    shop.clock.jump(DAY)
    result, planned = shop.apply()
    assert (result.applied, planned) == (1, 1)
    assert read()[-1] == (str(BEGIN), f"{BEGIN}/{BEGIN}")
    assert len(read()) == 5


def test_a_day_that_may_still_change_is_renewed_until_it_is_final(world):
    into = INTO["parquet"]
    shop = world(ACTIVITIES.replace("INTO", into).replace("-40d", "-4d") + "lookback: 2d\n")

    def exported():
        return dict(
            read_duckdb(
                f'SELECT left("date", 10), count(*) FROM '
                f"'{shop.folder}/exports/sales.parquet' GROUP BY ALL"
            )
        )

    _, planned = shop.apply()
    assert planned == 3  # two days that are final, and the last two, each alone
    assert exported() == dict.fromkeys(days(2, 1), 1)
    seed(shop.sandbox, {"purchases": [purchase(10, 1)]})  # somebody is late
    assert shop.apply()[1] == 0, "nothing to do before another day has ended"
    shop.clock.jump(DAY)
    document = shop.plan()
    assert (document["summary"]["create"], document["summary"]["update"]) == (1, 2)
    shop.apply()
    assert exported()[days(1)[0]] == 2, "the piece replaced itself"
    for _ in range(3):
        shop.clock.jump(DAY)
        shop.apply()
    seed(shop.sandbox, {"purchases": [purchase(11, 1)]})  # too late: the day is final
    shop.clock.jump(DAY)
    shop.apply()
    assert exported()[days(1)[0]] == 2


def test_contacts_are_replaced_once_a_day(world):
    shop = world(CONTACTS)
    file = shop.folder / "exports/people.csv"
    assert shop.apply()[1] == 1
    assert rows_of(file) == [
        {"email": "ana@x.es", "points": "3"},
        {"email": "rui@x.pt", "points": ""},
    ]
    seed(shop.sandbox, {"contacts": [{"_email": "eva@x.es", "_points": 1}]})
    assert shop.apply()[1] == 0
    shop.clock.jump(DAY)
    assert shop.apply()[1] == 1
    assert [r["email"] for r in rows_of(file)] == ["ana@x.es", "rui@x.pt", "eva@x.es"]


def test_a_report_of_some_days_is_made_once(world):
    shop = world(REPORTS)
    assert shop.apply()[1] == 1
    assert (shop.folder / "exports/report.parquet").is_file()
    for _ in range(2):
        shop.clock.jump(DAY)
        assert shop.apply()[1] == 0


def test_the_second_file_of_activities_goes_where_it_is_wanted(world):
    into = "{duckdb: lake.duckdb, table: sales, products: lines}"
    shop = world(ACTIVITIES.replace("INTO", into))
    shop.apply()
    with duckdb.connect(str(shop.folder / "lake.duckdb")) as lake:
        assert lake.execute("SELECT count(*), any_value(productId) FROM lines").fetchone() == (
            4,
            "P1",
        )


def test_an_export_whose_answer_was_lost_is_found_and_not_asked_for_again(world):
    shop = world(CONTACTS)
    shop.fault(kind="timeout_after", method="POST", path="/exports/", seconds=1)
    result, _ = shop.apply()
    assert result.applied == 1
    assert shop.sent("POST", "/exports/") == 1


def test_an_export_that_was_never_made_is_asked_for_again(world):
    shop = world(CONTACTS)
    shop.fault(kind="timeout_before", method="POST", path="/exports/", seconds=1)
    result, _ = shop.apply()
    assert result.applied == 1
    assert shop.sent("POST", "/exports/") == 2


def test_a_dead_address_is_asked_for_anew(world):
    shop = world(CONTACTS)
    shop.fault(kind="expired_file", times=2)
    assert shop.apply()[0].applied == 1
    assert shop.sent("POST", "/exports/") == 1
    shop.clock.jump(DAY)
    shop.fault(kind="expired_file", times=3)
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (0, 1)
    assert "cannot be fetched: status 403, 3 times" in result.failures[0].reason
    assert shop.apply()[0].applied == 1, "the next plan asks for it again"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("export_failed", "Connectif could not make it (status error)"),
        ("export_stuck", "the export did not end within 2 hours"),
    ],
)
def test_an_export_that_does_not_come_to_a_good_end_fails_alone(kind, said, world):
    shop = world(CONTACTS)
    shop.fault(kind=kind)
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (0, 1)
    assert said in result.failures[0].reason
    assert not (shop.folder / "exports/people.csv").exists()


def _fill_queue(shop):
    """Six exports of somebody else: one that never ends, five that wait behind it."""
    shop.sandbox.exports.stuck = 1
    body = {"exportType": "contacts", "delimiter": ",", "dateFormat": "ISO"}
    return [shop.sandbox.exports.create(body) for _ in range(6)]


def test_a_full_queue_is_waited_for_and_said(world):
    shop = world(CONTACTS)
    others = _fill_queue(shop)
    shop.change = _after(shop, 30, lambda: [shop.sandbox.exports.delete(o) for o in others])
    result, _ = shop.apply()
    assert result.applied == 1
    assert any("queue of exports is full (E0301, five at most)" in text for text in shop.said)


def _after(shop, requests, act):
    left = [requests]

    def change(_request, response):
        left[0] -= 1
        if left[0] == 0:
            act()
        return response

    return change


def test_a_queue_that_stays_full_ends_with_the_next_step(world):
    shop = world(CONTACTS)
    _fill_queue(shop)
    with pytest.raises(CompassoError) as told:
        shop.apply()
    [found] = told.value.diagnostics
    assert "has been full for 2 hours (E0301: five exports are queued)" in found.message
    assert "compasso exports list" in str(found.hint)


def packed(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), text)
    return content.getvalue()


GOOD = "_email,_points\r\nana@x.es,3\r\nrui@x.pt,\r\n"
BAD_FILES = {
    "not a zip": (b"<html>", "is no ZIP file"),
    "half a zip": (packed(a_csv=GOOD)[:-30], "is no ZIP file"),
    "nothing in it": (packed(readme=GOOD), "has no CSV file in it"),
    "a bomb": (packed(a_csv="0" * 120_000_000), "that is no export"),
    "a row too few": (packed(a_csv=GOOD[:26]), "has 1 rows, and the export says 2"),
    "a column too few": (packed(a_csv="_email\na\nb\n"), "has no column _points; it has: _email"),
    "a wrong type": (packed(a_csv=GOOD.replace("3", "x")), "1 values of the column points"),
    "a column twice": (packed(a_csv="_email,_EMAIL\na,b\nc,d\n"), "or one twice"),
    "no text": (packed(a_csv=b"_email,_points\n\xff\xfe,3\n"), "is not CSV in UTF-8"),
    "a broken line": (packed(a_csv='_email,_points\na,3,4,5\n"b,2\n'), "cannot be read"),
}


@pytest.mark.parametrize("name", list(BAD_FILES))
def test_a_file_that_is_not_as_it_should_be_changes_nothing(name, world):
    content, said = BAD_FILES[name]
    shop = world(CONTACTS)
    shop.apply()
    file = shop.folder / "exports/people.csv"
    before = file.read_bytes()
    shop.clock.jump(DAY)
    shop.change = lambda request, response: (
        httpx.Response(200, content=content) if "/files/" in request.url.path else response
    )
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (0, 1)
    assert said in result.failures[0].reason
    assert file.read_bytes() == before
    assert [f.name for f in file.parent.iterdir()] == [file.name], "no draft stays behind"


def test_a_name_in_the_archive_is_never_a_path(world, tmp_path):
    shop = world(CONTACTS)
    evil = packed(**{"..__..__..__evil_csv": GOOD})
    shop.change = lambda request, response: (
        httpx.Response(200, content=evil) if "/files/" in request.url.path else response
    )
    assert shop.apply()[0].applied == 1
    assert not list(tmp_path.rglob("evil.csv"))
    assert len(rows_of(shop.folder / "exports/people.csv")) == 2


def test_a_file_that_the_export_did_not_make_is_not_overwritten(world):
    shop = world(CONTACTS, **{"exports/people.csv": "mine\n"})
    assert "is there already" in " ".join(shop.plan()["syncs"][0]["warnings"])
    result, _ = shop.apply()
    assert result.failed == 1
    assert "this export did not make it" in result.failures[0].reason
    assert (shop.folder / "exports/people.csv").read_text() == "mine\n"


def test_a_table_that_no_export_made_is_not_touched(world, tmp_path, monkeypatch):
    file = tmp_path / "lake.sqlite"
    with sqlite3.connect(file) as lake:
        lake.execute("CREATE TABLE sales (a TEXT)")
    monkeypatch.setenv("LAKE_URL", f"sqlite:////{str(file).lstrip('/')}")
    shop = world(ACTIVITIES.replace("INTO", INTO["sqlite"]))
    result, _ = shop.apply()
    assert result.failed == 2
    assert "was not made by an export" in result.failures[0].reason


def test_a_link_out_of_the_project_is_not_followed(world, tmp_path):
    shop = world(CONTACTS)
    (tmp_path / "outside").mkdir()
    (shop.folder / "exports").symlink_to(tmp_path / "outside")
    result, _ = shop.apply()
    assert "leads out of the project" in result.failures[0].reason
    assert not list((tmp_path / "outside").iterdir())


def test_the_address_of_a_database_is_never_shown(world, monkeypatch):
    monkeypatch.setenv("LAKE_URL", "postgresql://shop:verysecret@127.0.0.1:9/lake")
    shop = world(ACTIVITIES.replace("INTO", INTO["postgresql"]))
    result, _ = shop.apply()
    assert result.failed == 2
    assert "cannot be written" in result.failures[0].reason
    assert "verysecret" not in result.failures[0].reason
    for file in shop.folder.rglob("*"):
        assert file.is_dir() or b"verysecret" not in file.read_bytes()


def _count(kind, folder, tmp_path):
    if kind == "sqlite":
        [(count,)] = sqlite3.connect(tmp_path / "lake.sqlite").execute("SELECT count(*) FROM sales")
        return count
    if kind == "parquet":
        return read_duckdb(f"SELECT count(*) FROM '{folder}/exports/sales.parquet'")[0][0]
    with duckdb.connect(str(folder / "exports/lake.duckdb")) as lake:
        return lake.execute("SELECT count(*) FROM raw.sales").fetchone()[0]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "every"),
    [
        ("duckdb", 5),  # some of the steps; the slow suite takes each of them
        pytest.param("duckdb", 1, marks=pytest.mark.slow),
        pytest.param("parquet", 1, marks=pytest.mark.slow),
        pytest.param("sqlite", 1, marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_step_each_piece_is_there_once(
    kind, every, after, world, tmp_path, monkeypatch
):
    monkeypatch.setenv("LAKE_URL", f"sqlite:////{str(tmp_path).lstrip('/')}/lake.sqlite")
    step, finished = 0, False
    while not finished:
        step += every
        shop = world(ACTIVITIES.replace("INTO", INTO[kind]))
        try:
            shop.apply(Fuse(step, after))
            finished = True
        except Killed:
            pass
        shop.apply()
        _, planned = shop.apply()
        assert planned == 0
        asked = shop.sent("POST", "/exports/")
        assert asked == 2, f"{asked} exports for two pieces, killed at step {step}"
        assert _count(kind, shop.folder, tmp_path) == 4, f"killed at step {step}"
        shutil.rmtree(shop.folder / ".compasso")
        shutil.rmtree(shop.folder / "exports", ignore_errors=True)
        (tmp_path / "lake.sqlite").unlink(missing_ok=True)
    assert step > 8


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_while_a_whole_is_replaced_the_old_one_stays_until_the_new_one_is_there(
    every, world
):
    spec = ACTIVITIES.replace("INTO", INTO["csv"]).replace("append", "replace")
    for step in range(every, 40, every):
        shop = world(spec)
        shop.apply()
        file = shop.folder / "exports/sales.csv"
        assert len(rows_of(file)) == 4
        shop.clock.jump(DAY)
        seed(shop.sandbox, {"purchases": [purchase(9, 0)]})
        try:
            shop.apply(Fuse(step, after=True))
            break
        except Killed:
            assert len(rows_of(file)) in {4, 5}
            shop.apply()
            assert len(rows_of(file)) == 5
            assert shop.apply()[1] == 0
            assert shop.sent("POST", "/exports/") == 4
        shutil.rmtree(shop.folder / ".compasso")
        file.unlink()
    assert step > 5


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_saved_plan_goes_on_after_a_kill_at_any_step(mode, world, tmp_path):
    """Also when the state knows of all pieces, and the journal does not yet."""
    spec = ACTIVITIES.replace("INTO", INTO["csv"]).replace("append", mode)
    step, finished = 0, False
    while not finished:
        step += 1
        shop, plan = world(spec), tmp_path / f"{step}.plan"
        try:
            shop.apply(Fuse(step, after=True), plan)
            finished = True
        except Killed:
            result, _ = shop.apply(saved=plan)
            assert (result.failed, result.skipped) == (0, 0)
        assert shop.sent("POST", "/exports/") == 2
        assert len(rows_of(shop.folder / "exports/sales.csv")) == 4
        shutil.rmtree(shop.folder / ".compasso")
        shutil.rmtree(shop.folder / "exports")
    assert step > 8


def test_a_clock_that_was_set_back_does_not_make_an_old_piece_the_new_one(world, tmp_path):
    """After a kill: the state has a piece of that name, of later than the export was asked for."""
    spec = ACTIVITIES.replace("INTO", INTO["csv"]).replace("append", "replace")
    for step in range(1, 30):
        shop, plan = world(spec), tmp_path / f"{step}.plan"
        shop.apply()
        shop.clock.jump(DAY)
        seed(shop.sandbox, {"purchases": [purchase(9, 0)]})
        with pytest.raises(Killed):
            shop.apply(Fuse(1), plan)
        shop.clock.jump(-2 * DAY)
        with contextlib.suppress(Killed):
            shop.apply(Fuse(step, after=True), plan)
            break
        shop.apply(saved=plan)
        assert len(rows_of(shop.folder / "exports/sales.csv")) == 5, f"killed at step {step}"
        shutil.rmtree(shop.folder / ".compasso")
        shutil.rmtree(shop.folder / "exports")
    assert step > 5


MISTAKES = {
    "a path that leads out": (CONTACTS, "exports/people.csv", "../people.csv", "inside the project"),
    "the project's own file": (CONTACTS, "{csv: exports/people.csv}", "{csv: compasso.yml}", "ends in .csv"),
    "a hidden folder": (CONTACTS, "exports/people.csv", ".git/people.csv", "in no hidden folder"),
    "no such connection": (ACTIVITIES.replace("INTO", "{sql: nowhere, table: a}"), "a", "a", "no connection 'nowhere'"),
    "an address": (ACTIVITIES.replace("INTO", "{sql: 'postgresql://a', table: a}"), "a", "a", "not the name of a connection"),
    "a table that is none": (ACTIVITIES.replace("INTO", "{sql: lake, table: 'a; drop'}"), "a", "a", "not the name of a table"),
    "no table": (ACTIVITIES.replace("INTO", "{sql: lake}"), "a", "a", "`sql` needs a `table`"),
    "too long a window": (ACTIVITIES.replace("INTO", INTO["csv"]) + "window: 32d\n", "a", "a", "`window` must be 1d to 31d"),
    "today": (ACTIVITIES.replace("INTO", INTO["csv"]) + "to: today\n", "a", "a", "a day is exported when it has ended"),
    "no such day": (REPORTS, "2023-11-10", "'2023-11-31'", "`to` is not a day"),
    "the wrong way round": (REPORTS, "2023-11-10", "2023-10-01", "`to` is before `from`"),
    "no first day": (REPORTS, "from: 2023-11-01\n", "", "an export of data-explorer needs `from`"),
    "days of contacts": (CONTACTS + "from: -7d\n", "a", "a", "a contacts export has no `from`"),
    "no such timezone": (REPORTS + "timezone: Europe/Madird\n", "a", "a", "did you mean `Europe/Madrid`?"),
    "two things": (CONTACTS, "export: contacts", f"export: {{contacts: {{}}, data-explorer: {{report: {REPORT}}}}}", "must name one of"),
    "no mode": (CONTACTS, "mode: replace\n", "", "the key `mode` is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(MISTAKES))
def test_mistakes_in_an_export_are_named(name, project, compasso):
    spec, old, new, said = MISTAKES[name]
    given = {
        "compasso.yml": PROJECT,
        "specs/crm.yml": None,
        "specs/export.yml": spec.replace(old, new),
    }
    ran = compasso("validate", "--project", project(given))
    assert ran.code == 1, ran.err
    assert said in ran.err
    assert "specs/export.yml:" in ran.err


def test_two_exports_may_not_write_one_file(project, compasso):
    given = {"compasso.yml": PROJECT, "specs/crm.yml": None, "specs/a.yml": CONTACTS}
    folder = project({**given, "specs/b.yml": CONTACTS.replace("people\n", "others\n")})
    ran = compasso("validate", "--project", folder)
    assert "this file or table is taken by specs/a.yml:4" in ran.err


def test_exports_of_one_run_fill_tables_of_one_file(project, compasso, sandbox):
    """They are written in threads, at the same time."""
    seeded = {"contacts": [{"_email": f"u{n}@x.es"} for n in range(50)]}
    assert httpx.post(f"{sandbox.url}/_sandbox/seed", json=seeded).is_success
    given = {"compasso.yml": PROJECT, "specs/crm.yml": None, "data/c.csv": None}
    for n in range(4):
        spec = CONTACTS.replace("name: people", f"name: people{n}")
        into = f"{{duckdb: exports/lake.duckdb, table: people{n}}}"
        given[f"specs/{n}.yml"] = spec.replace("{csv: exports/people.csv}", into)
    folder = project(given)
    ran = compasso("apply", "--project", folder, "--auto-approve")
    assert ran.code == 0, ran.err
    with duckdb.connect(str(folder / "exports/lake.duckdb")) as lake:
        for n in range(4):
            assert lake.execute(f"SELECT count(*) FROM people{n}").fetchone() == (50,)


def test_a_guard_stops_a_plan_of_too_many_exports(project, compasso):
    spec = ACTIVITIES.replace("INTO", INTO["csv"]) + "window: 1d\nguards: {max_create: 10}\n"
    given = {"compasso.yml": PROJECT, "specs/crm.yml": None, "specs/export.yml": spec}
    folder = project(given)
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "would make 40 exports, more than max_create 10 allows" in ran.err
    ran = compasso("plan", "--project", folder, "--override-guards", "sales")
    assert "40 to create" in ran.out


def test_a_plan_of_exports_is_a_plan_like_any_other(project, compasso):
    given = {"compasso.yml": PROJECT, "specs/crm.yml": None}
    spec = ACTIVITIES.replace("INTO", INTO["csv"]).replace("-40d", "-3d")
    ran = compasso("plan", "--project", project({**given, "specs/e.yml": spec}), "--format", "json")
    document = json.loads(ran.out)
    [sync] = document["syncs"]
    assert (sync["name"], sync["target"], sync["create"], sync["requests"]) == (
        "sales",
        "exports",
        1,
        4,
    )
    assert "CONNECTIF_API_KEY" not in os.environ, "and it needs no key"


def test_history_names_each_piece_with_its_export_and_what_became_of_it(world, compasso):
    shop = world(ACTIVITIES.replace("INTO", INTO["csv"]))
    shop.fault(kind="status", status=400, method="POST", path="/exports")
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (1, 1)
    ran = compasso("history", "show", result.run_id, "--project", shop.folder, "--format", "json")
    refused, done = json.loads(ran.out)["pieces"]
    assert (refused["outcome"], refused["import_id"]) == ("failed", None)
    assert refused["reason"].startswith("Connectif refused the export: 400")
    assert (done["outcome"], done["route"], done["sync"]) == ("applied", "export", "sales")
    ran = compasso("history", "show", result.run_id, "--project", shop.folder)
    assert f"create {done['key']}" in ran.out
    assert f"by export {done['import_id']}: applied" in ran.out
    assert ran.out.count(refused["key"]) == 1
    ran = compasso("history", "of", done["key"], "--project", shop.folder)
    assert (ran.code, ran.out.count("applied")) == (0, 1)
