"""Rows from databases and workbooks: what arrives, and what a query may not do."""

import sqlite3

import adbc_driver_manager
import adbc_driver_postgresql
import duckdb
import openpyxl
import pytest

SPEC = """kind: sync
name: crm
source: SOURCE
target: contacts
fields:
  _email: email
  _name: name
  _points: {from: points, type: integer}
"""
PROJECT = "project: shop\nconnections: {erp: '${env:ERP_URL}'}\n"
TABLE = "CREATE TABLE customers (email TEXT, name TEXT, points INTEGER)"
ROWS = "INSERT INTO customers VALUES ('ana@x.es', 'Ana', 3), ('rui@x.pt', 'Rui', NULL)"
QUERY = "SELECT email, name, points FROM customers ORDER BY email"


def spec(query, **options):
    source = {"sql": query, "connection": "erp", **options}
    return SPEC.replace("SOURCE", repr(source).replace("'", '"'))


def run_postgresql(url, text):
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


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def database(request, tmp_path, monkeypatch):
    """A database of each kind with two customers; answers what counts them."""
    file = tmp_path / f"shop.{request.param}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
        for text in ("DROP TABLE IF EXISTS customers", TABLE, ROWS):
            run_postgresql(url, text)

        def count():
            return run_postgresql(url, "SELECT count(*) FROM customers")[0][0]

    else:
        url = f"{request.param}:////{str(file).lstrip('/')}"
        opened = sqlite3.connect(file) if request.param == "sqlite" else duckdb.connect(str(file))
        opened.execute(TABLE)
        opened.execute(ROWS)
        opened.commit()
        opened.close()

        def count():
            again = sqlite3 if request.param == "sqlite" else duckdb
            with again.connect(str(file)) as connection:
                return connection.execute("SELECT count(*) FROM customers").fetchone()[0]

    monkeypatch.setenv("ERP_URL", url)
    return count


def test_a_query_gives_the_rows_of_a_plan(database, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec(QUERY)})
    ran = compasso("plan", "--project", folder, "--reveal")
    assert ran.code == 0, ran.err
    assert "a query of erp -> contacts" in ran.out
    assert "+ ana@x.es  (row 1)" in ran.out
    assert "_points: 3" in ran.out
    assert "2 to create" in ran.out


def test_a_query_may_stand_in_a_file_of_the_project(database, project, compasso):
    files = {"queries/crm.sql": f"-- all customers\n{QUERY}\n"}
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec("queries/crm.sql"), **files})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 0, ran.err
    assert "queries/crm.sql -> contacts" in ran.out


WRITES = [
    "DELETE FROM customers",
    "SELECT 1; DELETE FROM customers",
    "WITH gone AS (DELETE FROM customers RETURNING *) SELECT * FROM gone",
    "INSERT INTO customers VALUES ('eve@x.es', 'Eve', 1)",
    "DROP TABLE customers",
]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_cannot_write(query, database, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec(query)})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "crm" in ran.err
    assert "verysecret" not in ran.out + ran.err
    assert database() == 2


def test_a_query_of_a_file_database_cannot_read_other_files(
    tmp_path, project, compasso, monkeypatch
):
    duckdb.connect(str(tmp_path / "a.duckdb")).close()
    monkeypatch.setenv("ERP_URL", f"duckdb:///{tmp_path / 'a.duckdb'}")
    query = "SELECT * FROM read_text('/etc/passwd')"
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec(query)})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "root:" not in ran.out + ran.err


def test_a_wrong_query_is_told_in_the_databases_own_words(database, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec("SELECT email FROM nowhere")})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "the query on erp failed" in ran.err
    assert "nowhere" in ran.err
    assert "specs/crm.yml:3" in ran.err


def test_a_connection_that_is_not_declared_is_named(project, compasso):
    folder = project({"specs/crm.yml": spec(QUERY)})
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert "compasso.yml has no connection 'erp'" in ran.err
    assert "specs/crm.yml:3" in ran.err


def test_an_address_that_is_not_set_is_named_and_not_shown(project, compasso, monkeypatch):
    monkeypatch.delenv("ERP_URL", raising=False)
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec(QUERY)})
    assert compasso("validate", "--project", folder).code == 0
    ran = compasso("plan", "--project", folder)
    assert (ran.code, "the environment variable ERP_URL is not set" in ran.err) == (1, True)


def workbook(file, rows, sheet="Customers"):
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    page = book.create_sheet(sheet)
    for row in rows:
        page.append(row)
    file.parent.mkdir(parents=True, exist_ok=True)
    book.save(file)


def excel(options):
    return SPEC.replace("SOURCE", "{excel: data/c.xlsx" + options + "}")


def test_a_sheet_gives_the_rows_of_a_plan(project, compasso):
    folder = project({"specs/crm.yml": excel(", sheet: Customers, header_row: 2")})
    rows = [["our customers"], ["email", "name", "points"], ["ana@x.es", "Ana", 3], []]
    workbook(folder / "data/c.xlsx", [*rows, ["rui@x.pt", "Rui", "12"]])
    ran = compasso("plan", "--project", folder, "--reveal")
    assert ran.code == 0, ran.err
    assert "2 to create" in ran.out
    assert "_points: 12" in ran.out


def test_a_sheet_that_is_not_there_is_named_with_those_that_are(project, compasso):
    folder = project({"specs/crm.yml": excel(", sheet: Costumers")})
    workbook(folder / "data/c.xlsx", [["email", "name", "points"]])
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "data/c.xlsx has no sheet 'Costumers'" in ran.err
    assert "Notes, Customers" in ran.err


def test_a_file_that_is_no_workbook_is_named(project, compasso):
    folder = project({"specs/crm.yml": excel(""), "data/c.xlsx": "email,name\n"})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "cannot read data/c.xlsx" in ran.err
