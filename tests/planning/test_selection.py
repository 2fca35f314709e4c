"""A plan that leaves out known rows must be the plan that looks at all of them."""

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compasso.model import CompassoError
from compasso.planning import make_plan
from compasso.spec import load_project
from compasso.state import Commit, open_state

SPEC = """
kind: sync
name: crm
source: {{{kind}: data.{kind}}}
target: contacts
when: "{{{{ country != 'FR' }}}}"
fields:
  _email: "{{{{ email | trim | lower }}}}"
  _name: "{{{{ name | trim | title }}}}"
  _points: {{from: points, type: integer}}
duplicates: {duplicates}
missing: {missing}
guards: {{max_delete: 100%}}
rejects: {{max: 100%}}
"""
COLUMNS = ["email", "name", "points", "country", "note"]


def make_project(folder, kind="csv", duplicates="last", missing="delete"):
    (folder / "specs").mkdir(parents=True)
    (folder / "compasso.yml").write_text("project: shop\n")
    (folder / "specs" / "crm.yml").write_text(
        SPEC.format(kind=kind, duplicates=duplicates, missing=missing)
    )
    return folder


def write_rows(folder, kind, rows):
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    table = f"read_csv('{folder}/rows.csv', all_varchar=true, header=true, delim=',', quote='\"')"
    if kind == "csv":
        (folder / "rows.csv").replace(folder / "data.csv")
    elif kind == "parquet":
        duckdb.sql(f"COPY (FROM {table}) TO '{folder}/data.parquet' (FORMAT parquet)")
    else:
        duckdb.sql(f"COPY (FROM {table}) TO '{folder}/data.jsonl' (FORMAT json)")


def adopt(folder):
    """Put a plan's changes into the state, as an apply does."""
    state = open_state(folder, None)
    with make_plan(load_project(folder), state) as plan:
        for batch in plan.batches:
            state.commit(
                Commit("crm", plan.plan_id, "run", plan.changes_file, batch.first, batch.last)
            )
        state.complete("crm", datetime.now(UTC), plan.digests_file)


def planned(folder):
    """What a plan says, without what names the state's or the file's version."""
    try:
        plan = make_plan(load_project(folder), open_state(folder, None))
    except CompassoError as error:
        return str(error)
    with plan:
        document = plan.document
        changes = [c for batch in plan.batches for c in plan.changes(batch)]
        return document["summary"], document["syncs"], changes


def looked_at_whole(folder):
    """The same plan by a state that knows no source rows."""
    copy = folder.parent / "whole"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    for file in (copy / ".compasso").rglob("*.duckdb"):
        with duckdb.connect(str(file)) as state:
            state.execute("UPDATE meta SET value = 'other' WHERE name = 'digest_basis'")
    return planned(copy)


BASE = [[f"user{i}@x.es", f"ana {i}", str(i), "ES", ""] for i in range(60)]
rows = st.tuples(
    st.sampled_from(
        [f"user{i}@x.es" for i in range(8)] + [" USER3@x.es ", "new@x.es", "", "wrong"]
    ),
    st.sampled_from(["ana 1", "ana 3", " LUÍS", "", "josé"]),
    st.sampled_from(["1", "3", "", "many"]),
    st.sampled_from(["ES", "FR"]),
    st.sampled_from(["", "x"]),
).map(list)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 60), rows),
        st.tuples(st.just("remove"), st.integers(0, 20), st.none()),
        st.tuples(st.just("repeat"), st.integers(0, 20), st.none()),
        st.tuples(st.just("swap"), st.integers(0, 20), st.none()),
        st.tuples(st.just("change"), st.integers(0, 20), rows),
    ),
    max_size=6,
)


def edited(base, changes):
    result = [list(row) for row in base]
    for what, at, row in changes:
        if what == "add":
            result.insert(at, row)
        elif what == "remove":
            del result[at]
        elif what == "repeat":
            result.append(list(result[at]))
        elif what == "swap":
            result[at], result[-1] = result[-1], result[at]
        else:
            result[at] = row
    return result


def check(kind, first, second, duplicates, missing, parent):
    folder = make_project(parent / "p", kind, duplicates, missing)
    write_rows(folder, kind, BASE)
    adopt(folder)
    write_rows(folder, kind, edited(BASE, first))
    assert planned(folder) == looked_at_whole(folder)
    try:
        adopt(folder)
    except CompassoError:
        return  # doubled keys
    summary = planned(folder)[0]
    assert [summary[n] for n in ("create", "update", "delete")] == [0, 0, 0]
    write_rows(folder, kind, edited(edited(BASE, first), second))
    assert planned(folder) == looked_at_whole(folder)


# Each example makes some ten plans: finding is worth it, shrinking for minutes is not.
QUIET = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],
}
CASES = {
    "first": edits,
    "second": edits,
    "duplicates": st.sampled_from(["error", "first", "last"]),
    "missing": st.sampled_from(["keep", "delete"]),
}


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@settings(max_examples=4, **QUIET)
@given(**CASES)
def test_leaving_out_known_rows_changes_no_plan(kind, tmp_path_factory, **case):
    check(kind, parent=tmp_path_factory.mktemp("p"), **case)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@settings(max_examples=20, **QUIET)
@given(**CASES)
def test_leaving_out_known_rows_changes_no_plan_of_many(kind, tmp_path_factory, **case):
    check(kind, parent=tmp_path_factory.mktemp("p"), **case)


def basis_and_digests(folder) -> tuple[str, int]:
    [file] = (folder / ".compasso").rglob("crm.duckdb")
    with duckdb.connect(str(file), read_only=True) as state:
        [[basis]] = state.execute("SELECT value FROM meta WHERE name = 'digest_basis'").fetchall()
        [[known]] = state.execute("SELECT count(source_high) FROM records").fetchall()
    return basis, known


def test_a_changed_mapping_makes_the_state_learn_the_rows_anew(tmp_path: Path):
    folder = make_project(tmp_path / "p")
    write_rows(folder, "csv", BASE)
    adopt(folder)
    basis, known = basis_and_digests(folder)
    assert known == 60
    spec = folder / "specs" / "crm.yml"
    spec.write_text(
        spec.read_text().replace('_name: "{{ name | trim', '_name: "{{ name | string | trim')
    )
    assert planned(folder)[0]["unchanged"] == 60
    adopt(folder)
    other, known = basis_and_digests(folder)
    assert known == 60
    assert other != basis


def test_the_plan_file_holds_the_digests_of_what_it_changes(tmp_path: Path):
    folder = make_project(tmp_path / "p")
    write_rows(folder, "csv", BASE)
    with make_plan(load_project(folder), open_state(folder, None)) as plan:
        [[count, bases]] = duckdb.sql(
            f"SELECT count(source_high), count(DISTINCT basis) FROM '{plan.changes_file}'"
        ).fetchall()
        [first, *_] = plan.changes(plan.batches[0])
    assert (count, bases) == (60, 1)
    assert json.loads(json.dumps(first.fields)) == {"_name": "Ana 0", "_points": 0}
