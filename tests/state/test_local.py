"""The local state: what was applied, exactly once, and who holds it."""

import json
import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime

import duckdb
import pytest

from compasso.model import CompassoError
from compasso.state import Commit, open_state


def write_changes(path, rows, carry=None):
    """rows: (change_id, operation, key, fields)."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE c (change_id BIGINT, sync VARCHAR, operation VARCHAR, key VARCHAR, "
        "fields VARCHAR, row_hash_high UBIGINT, row_hash_low UBIGINT, "
        "source_high UBIGINT, source_low UBIGINT, basis VARCHAR, carry VARCHAR, "
        "field_hashes UBIGINT[], form VARCHAR)"
    )
    for change_id, operation, key, fields in rows:
        connection.execute(
            "INSERT INTO c VALUES (?, 'crm', ?, ?, ?, 1, 2, 3, 4, 'basis', ?, NULL, NULL)",
            [change_id, operation, key, json.dumps(fields), carry],
        )
    connection.execute(f"COPY c TO '{path}' (FORMAT parquet)")
    return path


@pytest.fixture
def state(tmp_path):
    return open_state(tmp_path, None)


def commit(state, path, first, last, plan="p1", **more):
    state.commit(Commit("crm", plan, "r1", path, first, last, **more))


def known(state):
    return {r.key: r.fields for r in state.records("crm")}


def test_creates_updates_and_deletes_are_kept(state, tmp_path):
    path = write_changes(
        tmp_path / "c.parquet",
        [(0, "create", "a", {"x": 1, "y": "1"}), (1, "create", "b", {"x": 2})],
    )
    commit(state, path, 0, 1)
    assert known(state) == {"a": {"x": 1, "y": "1"}, "b": {"x": 2}}
    path = write_changes(
        tmp_path / "d.parquet",
        [(0, "update", "a", {"x": 5, "y": None}), (1, "delete", "b", {})],
    )
    commit(state, path, 0, 1, plan="p2")
    assert known(state) == {"a": {"x": 5}}


def test_the_same_commit_twice_changes_nothing_more(state, tmp_path):
    path = write_changes(tmp_path / "c.parquet", [(0, "create", "a", {"x": 1})])
    commit(state, path, 0, 0, failures={})
    commit(state, path, 0, 0, failures={})
    assert known(state) == {"a": {"x": 1}}
    assert state.serial("crm") == 1


def test_a_failed_change_is_not_applied_but_remembered_until_it_succeeds(state, tmp_path):
    path = write_changes(
        tmp_path / "c.parquet", [(0, "create", "a", {"x": 1}), (1, "create", "b", {})]
    )
    commit(state, path, 0, 1, failures={1: "422: /x is not valid"})
    assert set(known(state)) == {"a"}
    assert [(f.key, f.reason, f.tries) for f in state.failures("crm")] == [
        ("b", "422: /x is not valid", 1)
    ]
    commit(state, path, 1, 1, plan="p2", failures={1: "again"})
    assert [f.tries for f in state.failures("crm")] == [2]
    commit(state, path, 1, 1, plan="p3")
    assert state.failures("crm") == []
    assert set(known(state)) == {"a", "b"}


@pytest.mark.parametrize("count", [3, 2500])
def test_only_the_named_changes_are_committed(state, tmp_path, count):
    rows = [(i, "create", f"k{i}", {}) for i in range(count * 2)]
    path = write_changes(tmp_path / "c.parquet", rows)
    commit(state, path, 0, count * 2, only=frozenset(range(0, count * 2, 2)))
    assert state.count("crm") == count


def test_the_serial_counts_plans_not_commits(state, tmp_path):
    path = write_changes(tmp_path / "c.parquet", [(0, "create", "a", {}), (1, "create", "b", {})])
    commit(state, path, 0, 0)
    commit(state, path, 1, 1)
    assert (state.serial("crm"), state.last_plan("crm")) == (1, "p1")
    commit(state, path, 1, 1, plan="p2")
    assert state.serial("crm") == 2
    state.remove("crm", ["a"])
    assert (state.serial("crm"), state.last_plan("crm")) == (3, "")


def test_the_lineage_stays_and_environments_are_apart(tmp_path):
    assert open_state(tmp_path, None).lineage == open_state(tmp_path, None).lineage
    assert open_state(tmp_path, None).lineage != open_state(tmp_path, "staging").lineage


def test_a_damaged_state_is_named(tmp_path):
    state = open_state(tmp_path, None)
    (state.directory / "state.json").write_text("{")
    with pytest.raises(CompassoError, match="damaged"):
        _ = state.lineage
    (state.directory / "records" / "crm.duckdb").write_text("not a database, but long enough" * 99)
    with pytest.raises(CompassoError, match="cannot be opened"):
        state.count("crm")


def test_completion_is_remembered(state):
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert state.last_completed("crm") is None
    state.complete("crm", at)
    assert state.last_completed("crm") == at


def test_an_unknown_backend_is_refused(tmp_path):
    with pytest.raises(CompassoError, match="postgres"):
        open_state(tmp_path, None, "postgres")


def hold(root, ready):
    with open_state(root, None).lock(["crm"], "compasso apply"):
        ready.set()
        time.sleep(60)


def test_a_lock_names_its_holder_and_goes_with_a_killed_process(tmp_path):
    ready = multiprocessing.Event()
    holder = multiprocessing.Process(target=hold, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(20)
    state = open_state(tmp_path, None)
    with (
        pytest.raises(CompassoError, match=rf"compasso apply by .* \(process {holder.pid}\)"),
        state.lock(["crm"], "compasso plan"),
    ):
        pass
    with state.lock(["other"], "compasso apply"):  # another sync is free
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with state.lock(["crm"], "compasso apply"):
        pass


def test_a_record_that_was_deleted_and_not_made_anew_is_known_no_more(state, tmp_path):
    path = write_changes(tmp_path / "c.parquet", [(0, "create", "a", {"x": 1, "y": 2})])
    commit(state, path, 0, 0)
    path = write_changes(tmp_path / "d.parquet", [(0, "update", "a", {"x": 5})], '{"x": 5, "y": 2}')
    commit(state, path, 0, 0, plan="p2", failures={0: "400"}, gone=frozenset({0}))
    assert known(state) == {}
    assert [f.key for f in state.failures("crm")] == ["a"]
    commit(state, path, 0, 0, plan="p2")  # the same plan again: whole, not only what had changed
    assert known(state) == {"a": {"x": 5, "y": 2}}
    assert state.failures("crm") == []
