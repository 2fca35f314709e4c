"""The same inputs give the same plan file, byte for byte, whatever the machine lends to planning."""

from pathlib import Path

import duckdb
import pytest

from compasso.planning import PlanOptions, make_plan
from compasso.spec import load_project
from compasso.state import Commit, open_state

# Jinja answers `first`, SQL the rest: both kinds of joins are in the plan.
SPEC = """
kind: sync
name: crm
source: {{{kind}: data.{kind}}}
target: contacts
fields:
  _email: "{{{{ email | trim | lower }}}}"
  _name: "{{{{ first | title | wordwrap(20) }}}}"
  _points: {{from: points, type: integer}}
  _birthdate: "{{{{ birth if birth else none }}}}"
duplicates: last
missing: delete
guards: {{max_delete: 100%}}
rejects: {{max: 100%}}
"""
ROWS = """
SELECT CASE WHEN i % 97 = 0 THEN 'wrong' ELSE ' User' || (i % {people}) || '@X.es' END AS email,
  'josé ' || i % 1009 AS first, CASE WHEN i % 89 = 0 THEN 'many' ELSE (i + {more})::VARCHAR END
  AS points, CASE WHEN i % 3 = 0 THEN '' ELSE '1980-02-03' END AS birth
FROM range({rows}) t(i)
"""


def write(folder: Path, kind: str, rows: int, people: int, more: int = 0) -> None:
    select = ROWS.format(rows=rows, people=people, more=more)
    form = "parquet" if kind == "parquet" else "csv, HEADER"
    duckdb.sql(f"COPY ({select}) TO '{folder}/data.{kind}' (FORMAT {form})")


def bytes_with(folder: Path, options: PlanOptions) -> bytes:
    out = folder / "out.plan"
    make_plan(load_project(folder), open_state(folder, None), out, options).close()
    return out.read_bytes()


def check(folder: Path, kind: str, rows: int, lendings: list[PlanOptions]) -> None:
    (folder / "specs").mkdir()
    (folder / "compasso.yml").write_text("project: shop\n")
    (folder / "specs" / "crm.yml").write_text(SPEC.format(kind=kind))
    write(folder, kind, rows=rows, people=rows - 10_000)
    first = [bytes_with(folder, options) for options in lendings]
    assert first[1:] == first[:-1]
    state = open_state(folder, None)
    with make_plan(load_project(folder), state) as plan:
        last = plan.batches[-1].last
        state.commit(Commit("crm", plan.plan_id, "run", plan.changes_file, 0, last))
    write(folder, kind, rows=rows, people=rows - 20_000)
    second = [bytes_with(folder, options) for options in lendings]
    assert second[1:] == second[:-1]
    assert second[0] != first[0]


# More rows than the engine gives to one thread at a time (122,880).
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_threads_and_memory_do_not_change_a_plan(kind, tmp_path):
    check(tmp_path, kind, 130_000, [PlanOptions(threads=1), PlanOptions(threads=4, memory="200MB")])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_threads_and_memory_do_not_change_a_large_plan(kind, tmp_path):
    lendings = [
        PlanOptions(threads=1),
        PlanOptions(threads=4),
        PlanOptions(threads=4, memory="250MB"),
        PlanOptions(threads=2, memory="4GB"),
    ]
    check(tmp_path, kind, 700_000, lendings)
