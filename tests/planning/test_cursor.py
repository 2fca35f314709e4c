"""A source with a cursor: only newer rows are looked at, and nothing is left behind."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings
from examples import property_test

SPEC = """kind: sync
name: crm
source: {csv: data/c.csv, cursor: updated}
target: contacts
duplicates: last
order_by: updated
route: calls
fields:
  _email: email
  _name: name
  _points: {from: points, type: integer}
"""
HEAD = "email,name,points,updated\n"
FIRST = HEAD + "ana@x.es,Ana,1,2024-01-01\neva@x.es,Eva,2,2024-01-02\nrui@x.pt,Rui,3,2024-01-03\n"


@pytest.fixture
def shop(project, compasso, monkeypatch):
    """A project at a sandbox of its own; answers what writes the data and what applies it."""
    with RunningSandbox(SandboxSettings(requests_per_minute=10_000)) as sandbox:
        monkeypatch.setenv("CONNECTIF_BASE_URL", sandbox.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:secret")

        where = []

        def write(data, spec=SPEC):
            return project(
                {
                    "compasso.yml": "project: shop\nbudget: {requests_per_minute: 10000}\n",
                    "specs/crm.yml": spec,
                    "data/c.csv": data,
                }
            )

        def plan(*more):
            ran = compasso("plan", "--project", where[-1], "--format", "json", *more)
            assert ran.code == 0, ran.err
            summary = json.loads(ran.out)["summary"]
            return [summary[n] for n in ("create", "update", "delete", "unchanged", "rejected")]

        def apply():
            ran = compasso("apply", "--project", where[-1], "--auto-approve")
            return ran.code

        def put(data, spec=SPEC):
            where.append(write(data, spec))

        yield put, plan, apply


def test_only_rows_beyond_the_cursor_are_looked_at(shop):
    put, plan, apply = shop
    put(FIRST)
    assert apply() == 0
    # An old row was changed without a newer time: with a cursor nobody looks at it.
    put(FIRST.replace("Ana,1", "Zoe,1") + "leo@x.es,Leo,4,2024-01-04\neva@x.es,Eva,9,2024-01-05\n")
    assert plan() == [1, 1, 0, 2, 0]
    assert apply() == 0
    assert plan() == [0, 0, 0, 4, 0]


def test_rows_of_the_very_moment_of_the_cursor_are_read_again(shop):
    put, plan, apply = shop
    put(FIRST)
    assert apply() == 0
    put(FIRST + "leo@x.es,Leo,4,2024-01-03\n")
    assert plan() == [1, 0, 0, 3, 0]


def test_lookback_reads_rows_that_came_in_late(shop):
    put, plan, apply = shop
    spec = SPEC.replace("cursor: updated", "cursor: updated, lookback: 1d")
    put(FIRST, spec)
    assert apply() == 0
    put(FIRST + "leo@x.es,Leo,4,2024-01-02\nold@x.es,Old,4,2024-01-01\n", spec)
    assert plan() == [1, 0, 0, 3, 0]


def test_numbers_run_as_numbers(shop):
    put, plan, apply = shop
    put(HEAD + "ana@x.es,Ana,1,9\neva@x.es,Eva,2,10\n")
    assert apply() == 0
    put(HEAD + "ana@x.es,Zoe,1,9\neva@x.es,Eva,2,10\nrui@x.pt,Rui,3,11\n")
    assert plan() == [1, 0, 0, 2, 0]


def test_a_row_without_a_cursor_is_always_read(shop):
    put, plan, apply = shop
    put(FIRST)
    assert apply() == 0
    put(FIRST + "leo@x.es,Leo,4,\n")
    assert plan() == [1, 0, 0, 3, 0]


def test_while_a_row_is_rejected_the_whole_source_is_read(shop):
    put, plan, apply = shop
    put(FIRST.replace("eva@x.es", "eva"))
    assert apply() == 0
    put(FIRST.replace("eva@x.es", "eva") + "leo@x.es,Leo,4,2024-01-04\n")
    assert plan() == [1, 0, 0, 2, 1]
    put(FIRST + "leo@x.es,Leo,4,2024-01-04\n")
    assert plan() == [2, 0, 0, 2, 0]


@pytest.mark.parametrize(
    ("old", "new"),
    [("duplicates: last\norder_by: updated", "missing: delete\nguards: {max_delete: 100%}")],
)
def test_a_full_pass_is_made_when_missing_needs_it(old, new, shop):
    put, plan, apply = shop
    spec = SPEC.replace(old, new)
    put(FIRST, spec)
    assert apply() == 0
    put(FIRST.replace("ana@x.es,Ana,1,2024-01-01\n", ""), spec)
    assert plan() == [0, 0, 1, 2, 0]


def test_a_changed_mapping_reads_everything(shop):
    put, plan, apply = shop
    put(FIRST)
    assert apply() == 0
    put(FIRST, SPEC.replace("_name: name", '_name: "{{ name | upper }}"'))
    assert plan() == [0, 3, 0, 0, 0]


def test_a_cursor_that_the_source_does_not_have_is_named_at_its_line(project, compasso):
    spec = SPEC.replace("cursor: updated", "cursor: updatd")
    folder = project({"specs/crm.yml": spec, "data/c.csv": FIRST})
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert "specs/crm.yml:3" in ran.err
    assert "cursor names the column 'updatd'" in ran.err


ROWS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.integers(0, 3), st.integers(0, 5)), max_size=6
)


@property_test(5, 20)
@given(days=st.lists(ROWS, min_size=2, max_size=3))
def test_a_log_read_by_its_cursor_gives_the_account_that_reading_all_gives(days, tmp_path_factory):
    """Rows are only ever added, each later than all before, as in a log of changes."""
    from datetime import UTC, datetime

    from compasso.planning import make_plan
    from compasso.spec import load_project
    from compasso.state import Commit, open_state

    ends = []
    for spec in (SPEC, SPEC.replace(", cursor: updated", "")):
        folder = tmp_path_factory.mktemp("shop")
        (folder / "specs").mkdir()
        (folder / "data").mkdir()
        (folder / "compasso.yml").write_text("project: shop\n")
        (folder / "specs" / "crm.yml").write_text(spec)
        text, second = HEAD, 0
        for day in days:
            for key, points, _ in day:
                second += 1
                text += f"{key}@x.es,N,{points},2024-01-01 00:00:{second:02}\n"
            (folder / "data" / "c.csv").write_text(text)
            state = open_state(folder, None)
            with make_plan(load_project(folder), state) as plan:
                for b in plan.batches:
                    state.commit(
                        Commit("crm", plan.plan_id, "r", plan.changes_file, b.first, b.last)
                    )
                state.complete("crm", datetime.now(UTC), plan.digests_file, plan.seen("crm"))
        ends.append({r.key: dict(r.fields) for r in open_state(folder, None).records("crm")})
    assert ends[0] == ends[1]
