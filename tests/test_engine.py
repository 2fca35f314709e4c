"""The process's one DuckDB: files are attached while they are in use, and no longer."""

import subprocess
import sys

import duckdb
import pytest

from compasso.engine import cursor, open_file


def test_temporary_tables_of_two_cursors_do_not_meet():
    with cursor() as one, cursor() as other:
        one.execute("CREATE TEMP TABLE t AS SELECT 1 AS a")
        with pytest.raises(duckdb.CatalogException):
            other.execute("FROM t")


def test_what_was_not_committed_is_rolled_back(tmp_path):
    file = tmp_path / "it's.duckdb"
    with open_file(file) as opened:
        opened.execute("CREATE TABLE t AS SELECT 1 AS a")
    with pytest.raises(ZeroDivisionError), open_file(file) as opened:
        opened.begin()
        opened.execute("INSERT INTO t VALUES (2)")
        raise ZeroDivisionError
    with open_file(file, read_only=True) as opened:
        assert opened.execute("FROM t").fetchall() == [(1,)]


def test_a_file_is_read_by_two_and_let_go_by_the_last(tmp_path):
    file = tmp_path / "t.duckdb"
    with open_file(file) as opened:
        opened.execute("CREATE TABLE t AS SELECT 1 AS a")
    with open_file(file, read_only=True) as one:
        with open_file(file, read_only=True) as other:
            assert other.execute("FROM t").fetchall() == [(1,)]
        assert one.execute("FROM t").fetchall() == [(1,)]
    code = f"import duckdb; duckdb.connect({str(file)!r}).execute('INSERT INTO t VALUES (2)')"
    subprocess.run([sys.executable, "-c", code], check=True)  # nobody holds it any more
