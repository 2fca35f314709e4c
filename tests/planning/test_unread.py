"""A source that is as it was when its plan was applied is not read again."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compasso.planning import make_plan
from compasso.sources import files
from compasso.spec import load_project
from compasso.state import Commit, open_state

SPEC = """
kind: sync
name: crm
source: {csv: data.csv}
target: contacts
fields:
  _email: email
  _name: name
missing: delete
guards: {max_delete: 100%}
rejects: {max: 100%}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "compasso.yml").write_text("project: shop\n")
    (tmp_path / "specs" / "crm.yml").write_text(SPEC)
    return tmp_path


def write(folder, rows):
    (folder / "data.csv").write_text("email,name\n" + "".join(f"{e},{n}\n" for e, n in rows))


def adopt(folder, failures=None):
    state = open_state(folder, None)
    with make_plan(load_project(folder), state) as plan:
        for b in plan.batches:
            state.commit(
                Commit("crm", plan.plan_id, "r", plan.changes_file, b.first, b.last,
                       failures=failures or {})
            )  # fmt: skip
        state.complete("crm", datetime.now(UTC), plan.digests_file, plan.seen("crm"))
        return plan.document["summary"]


def is_known(folder):
    return open_state(folder, None).seen("crm") is not None


def summary(folder):
    with make_plan(load_project(folder), open_state(folder, None)) as plan:
        s = plan.document["summary"]
        return [s[n] for n in ("create", "update", "delete", "unchanged", "rejected")]


GOOD = [("ana@x.es", "Ana"), ("eva@x.es", "Eva")]


def test_an_unchanged_source_gives_a_plan_without_changes(folder):
    write(folder, GOOD)
    adopt(folder)
    assert is_known(folder)
    assert summary(folder) == [0, 0, 0, 2, 0]
    adopt(folder)
    assert is_known(folder)


def test_it_really_is_not_read(folder, monkeypatch):
    """The rows are swapped for others behind an equal fingerprint: nobody looks."""
    monkeypatch.setattr(files, "_SMALL", 0)
    monkeypatch.setattr(files, "_SETTLING_SECONDS", -1.0)
    write(folder, GOOD)
    adopt(folder)
    look = Path.stat
    same = look(folder / "data.csv")
    monkeypatch.setattr(
        Path, "stat", lambda self, **m: same if self.name == "data.csv" else look(self, **m)
    )
    with (folder / "data.csv").open("r+") as file:
        file.write("email,name\neva@x.es")
    assert summary(folder) == [0, 0, 0, 2, 0]


@pytest.mark.parametrize(
    "rows", [GOOD[:1], [*GOOD, ("new@x.es", "")], [("ana@x.es", "Eva"), GOOD[1]]]
)
def test_a_changed_source_is_read(folder, rows):
    write(folder, GOOD)
    adopt(folder)
    write(folder, rows)
    assert summary(folder)[:3] != [0, 0, 0]


def test_a_changed_mapping_is_mapped(folder):
    write(folder, GOOD)
    adopt(folder)
    spec = folder / "specs" / "crm.yml"
    spec.write_text(SPEC.replace("_name: name", '_name: "{{ name | upper }}"'))
    assert summary(folder) == [0, 2, 0, 0, 0]


def test_rejected_rows_are_tried_again(folder):
    write(folder, [*GOOD, ("wrong", "X")])
    adopt(folder)
    assert not is_known(folder)
    assert summary(folder) == [0, 0, 0, 2, 1]


def test_failed_records_are_tried_again(folder):
    write(folder, GOOD)
    adopt(folder, failures={1: "422: banned"})
    assert not is_known(folder)
    assert summary(folder) == [1, 0, 0, 1, 0]
    adopt(folder)
    assert is_known(folder)


def test_records_that_are_forgotten_are_sent_again(folder):
    write(folder, GOOD)
    adopt(folder)
    open_state(folder, None).remove("crm", ["ana@x.es"])
    assert summary(folder) == [1, 0, 0, 1, 0]


def test_a_plan_that_was_not_applied_changes_nothing(folder):
    write(folder, GOOD)
    adopt(folder)
    write(folder, GOOD[:1])
    assert summary(folder) == [0, 0, 1, 1, 0]
    assert summary(folder) == [0, 0, 1, 1, 0]


def test_a_large_file_that_was_just_written_is_not_trusted(folder, monkeypatch):
    monkeypatch.setattr(files, "_SMALL", 0)
    write(folder, GOOD)
    adopt(folder)
    assert not is_known(folder)
    os.utime(folder / "data.csv", (1, 1))  # the time of the content can be set back
    assert not files.has_settled([folder / "data.csv"])
