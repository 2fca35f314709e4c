"""A first load is planned without holding its changes; it is the plan that holds them."""

import csv
from datetime import UTC, datetime

import pytest

from compasso.model import CompassoError, Route
from compasso.planning import make_plan
from compasso.spec import load_project
from compasso.state import Commit, open_state

SPEC = """
kind: sync
name: crm
source: {{csv: data.csv}}
target: contacts
route: {route}
duplicates: last
rejects: {{max: 100%}}
fields:
  _email: "{{{{ email | trim | lower }}}}"
  _name: name
  _points: {{from: points, type: integer}}
  _birthdate: {{from: born, type: date}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "compasso.yml").write_text("project: shop\n")
    with (tmp_path / "data.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["email", "name", "points", "born"])
        for i in range(900):
            points = ["", "7", "-1", "many"][i % 4]  # -1 has no form in an import file
            born = "1980-02-0" + str(1 + i % 9) if i % 3 else ""
            out.writerow(
                [f"User{i // 2 if i % 50 == 0 else i}@x.es", f"Ana {i % 11}", points, born]
            )
    return tmp_path


def planned(folder):
    """A plan's batches and changes, without the numbers of the changes."""
    with make_plan(load_project(folder), open_state(folder, None)) as plan:
        batches = [
            (b.operation, b.route, b.rows, b.columns, b.size_bytes, b.requests, b.reason)
            for b in plan.batches
        ]
        changes = [
            [(c.key, c.fields, c.source_row, c.batch_id) for c in plan.changes(b)]
            for b in plan.batches
        ]
        ids = [c.change_id for b in plan.batches for c in plan.changes(b)]
        files = []
        for batch in plan.batches:
            if batch.route is Route.IMPORT:
                plan.write_import(batch, folder / "import.csv")
                files.append((folder / "import.csv").read_bytes())
        assert ids == sorted(set(ids)), "change ids rise"
        assert [len(c) for c in changes] == [b.rows for b in plan.batches]
        return plan.document["syncs"], batches, changes, files


def refuse_all(folder):
    """What a state knows after an apply of which every record was refused: failures alone."""
    state = open_state(folder, None)
    with make_plan(load_project(folder), state) as plan:
        ids = {c.change_id: "no" for b in plan.batches for c in plan.changes(b)}
        first, last = plan.batches[0].first, plan.batches[-1].last
        state.commit(
            Commit("crm", plan.plan_id, "run", plan.changes_file, first, last, failures=ids,
                   at=datetime.now(UTC))
        )  # fmt: skip


@pytest.mark.parametrize("route", ["auto", "calls", "import"])
def test_it_is_the_plan_of_a_state_that_knows_failures_and_no_records(project, route):
    (project / "specs" / "crm.yml").write_text(SPEC.format(route=route))
    first = planned(project)
    assert first[0][0]["create"] > 600
    assert (len(first[1]) > 1) == (route != "calls"), "files by the fields that they fill"
    refuse_all(project)
    assert planned(project) == first


def test_a_file_that_is_written_meanwhile_is_no_source(tmp_path):
    import duckdb

    (tmp_path / "specs").mkdir()
    (tmp_path / "compasso.yml").write_text("project: shop\n")
    spec = SPEC.format(route="auto").replace("csv: data.csv", "parquet: data.parquet")
    (tmp_path / "specs" / "crm.yml").write_text(spec)
    rows = "SELECT 'a' || i || '@x.es' AS email, 'A' AS name, '1' AS points, '' AS born"

    def write(count):
        duckdb.sql(f"COPY ({rows} FROM range({count}) t(i)) TO '{tmp_path}/data.parquet'")

    write(10)
    steps = []

    def meanwhile(step):
        steps.append(step)
        if step.startswith("mapping"):
            write(11)

    from compasso.planning import PlanOptions

    options = PlanOptions(progress=meanwhile)
    with pytest.raises(CompassoError, match="crm: the source changed while it was read"):
        make_plan(load_project(tmp_path), open_state(tmp_path, None), options=options)
    with make_plan(load_project(tmp_path), open_state(tmp_path, None)) as plan:
        assert plan.document["summary"]["create"] == 11
