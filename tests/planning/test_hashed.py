"""A state of hashes: the same plans as one that keeps values in full, and no personal data."""

from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from compasso.model import CompassoError
from compasso.planning import make_plan
from compasso.spec import load_project
from compasso.state import Commit, open_state
from examples import property_test

SPEC = """
kind: sync
name: crm
source: {{csv: data.csv}}
target: contacts
fields:
  _email: email
  _name: name
  _points: {{from: points, type: integer}}
  tags: {{from: tags, type: list, separator: ";"}}
nulls: {nulls}
missing: {missing}
guards: {{max_delete: 100%}}
"""
HEADER = "email,name,points,tags\n"


def make(folder, state, nulls="omit", missing="keep"):
    (folder / "specs").mkdir(parents=True, exist_ok=True)
    (folder / "compasso.yml").write_text(f"project: shop\nstate: {state}\n")
    (folder / "specs" / "crm.yml").write_text(SPEC.format(nulls=nulls, missing=missing))
    return folder


def write(folder, rows):
    (folder / "data.csv").write_text(HEADER + "".join(",".join(r) + "\n" for r in rows))


def plan_of(folder):
    return make_plan(load_project(folder), open_state(folder, None))


def changes(folder):
    with plan_of(folder) as plan:
        found = [c for batch in plan.batches for c in plan.changes(batch)]
        return [(c.operation, c.key, c.fields, c.source_row) for c in found], plan.document


def adopt(folder, failures=None):
    state = open_state(folder, None)
    with plan_of(folder) as plan:
        for b in plan.batches:
            state.commit(
                Commit("crm", plan.plan_id, "r", plan.changes_file, b.first, b.last,
                       failures=failures or {})
            )  # fmt: skip
        state.complete("crm", datetime.now(UTC), plan.digests_file)


def bytes_of_state(folder):
    return b"".join(f.read_bytes() for f in (folder / ".compasso").rglob("*") if f.is_file())


row = st.tuples(
    st.sampled_from([f"u{i}@x.es" for i in range(8)]),
    st.sampled_from(["", "Ana", "Luís"]),
    st.sampled_from(["", "1", "2"]),
    st.sampled_from(["", "a", "a;b"]),
)
rows = st.lists(row, unique_by=lambda r: r[0], max_size=8)


@property_test(4, 12, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(days=st.lists(rows, min_size=2, max_size=3), nulls=st.sampled_from(["omit", "clear"]),
       missing=st.sampled_from(["keep", "delete"]))  # fmt: skip
def test_hashes_give_the_plans_that_values_give(tmp_path_factory, days, nulls, missing):
    top = tmp_path_factory.mktemp("p")
    full = make(top / "full", "{values: full}", nulls, missing)
    hashed = make(top / "hashed", "{values: hashed, keys: clear}", nulls, missing)
    for day in days:
        for folder in (full, hashed):
            write(folder, day)
        (theirs, document), (ours, mine) = changes(full), changes(hashed)
        assert ours == theirs
        assert mine["summary"] == document["summary"]
        for folder in (full, hashed):
            adopt(folder)
            assert changes(folder)[0] == []


@pytest.mark.parametrize("keys", ["clear", "hashed"])
def test_no_value_rests_in_the_state(tmp_path, keys):
    folder = make(tmp_path, f"{{values: hashed, keys: {keys}}}")
    write(folder, [("ana.longname@example.es", "Anastasia", "12345678", "vip;gold")])
    adopt(folder)
    kept = bytes_of_state(folder)
    assert b"Anastasia" not in kept
    assert b"vip" not in kept
    assert (b"ana.longname" in kept) == (keys == "clear")


def test_the_key_finds_a_hashed_record_and_its_failure(tmp_path, compasso):
    folder = make(tmp_path, "{values: hashed}")
    write(folder, [("ana@x.es", "Ana", "", ""), ("eva@x.es", "Eva", "", "")])
    adopt(folder, failures={1: '422: "eva@x.es" is banned'})
    shown = compasso("state", "show", "ana@x.es", "--project", folder)
    assert (shown.code, '_name: "(hashed)"' in shown.out) == (0, True)
    assert "_points" not in shown.out
    failed = compasso("state", "show", "eva@x.es", "--project", folder)
    assert 'failed to create: 422: "***" is banned' in failed.out
    assert b"eva@x.es" not in bytes_of_state(folder)
    [name] = [r.key for r in open_state(folder, None).records("crm")]
    assert name == open_state(folder, None).name_of("crm", "ana@x.es")
    assert compasso("state", "rm", "ana@x.es", "--project", folder).code == 0
    assert [c[1] for c in changes(folder)[0]] == ["ana@x.es", "eva@x.es"]


def test_the_reviewer_sees_that_the_old_value_is_not_known(tmp_path):
    folder = make(tmp_path, "{values: hashed}")
    write(folder, [("ana@x.es", "Ana", "1", "")])
    adopt(folder)
    write(folder, [("ana@x.es", "Ana", "2", "a")])
    [sample] = changes(folder)[1]["syncs"][0]["samples"]
    before = {f["name"]: f["before"] for f in sample["fields"]}
    assert before == {"_points": "(hashed)", "tags": None}


def test_deletes_need_keys_in_clear(tmp_path):
    folder = make(tmp_path, "{values: hashed}", missing="delete")
    with pytest.raises(CompassoError, match="`missing: delete` needs the keys"):
        load_project(folder)


def test_hashed_keys_without_hashed_values_are_refused(tmp_path):
    folder = make(tmp_path, "{keys: hashed}")
    with pytest.raises(CompassoError, match="goes with `values: hashed`"):
        load_project(folder)


def test_a_state_kept_in_another_way_is_not_mixed(tmp_path, compasso):
    folder = make(tmp_path, "{values: full}")
    write(folder, [("ana@x.es", "Ana", "1", "")])
    adopt(folder)
    make(folder, "{values: hashed}")
    with pytest.raises(CompassoError, match="in another way"):
        plan_of(folder)
    assert compasso("state", "rm", "--all", "--spec", "crm", "--project", folder).code == 0
    adopt(folder)
    assert b"Ana" not in bytes_of_state(folder).replace(b"ana", b"")
    assert changes(folder)[0] == []


def test_a_field_that_is_added_to_the_mapping_is_sent(tmp_path):
    folder = make(tmp_path, "{values: hashed}")
    write(folder, [("ana@x.es", "Ana", "1", "")])
    adopt(folder)
    spec = folder / "specs" / "crm.yml"
    spec.write_text(
        spec.read_text().replace("  _name: name\n", "  _name: name\n  _surname: name\n")
    )
    [(_, _, fields, _)] = changes(folder)[0]
    assert fields == {"_surname": "Ana"}
    adopt(folder)
    assert changes(folder)[0] == []
    [file] = (folder / ".compasso").rglob("crm.duckdb")
    with duckdb.connect(str(file), read_only=True) as state:
        [[count]] = state.execute("SELECT len(field_hashes) FROM records").fetchall()
    assert count == 4
