"""An apply that is killed while Connectif works on its imports: the state learns of every row.

The changes of one file need not have ids that follow each other: rows are grouped by the columns
that they fill.
"""

import shutil

import pytest
from virtually import Fuse, Killed, World

SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: import
fields:
  _email: email
  _points: {from: points, type: integer}
"""
ROWS = "email,points\n" + "".join(f"u{i}@x.es,{i if i % 2 else ''}\n" for i in range(12))


def test_killed_at_any_step_the_state_learns_of_every_row_of_an_import(project, tmp_path):
    step, finished = 0, False
    while not finished:
        step += 1
        shop = World(
            project({"compasso.yml": "project: s\n", "specs/crm.yml": SPEC, "data/c.csv": ROWS})
        )
        plan = tmp_path / f"{step}.plan"
        try:
            shop.apply(Fuse(step, after=True), plan)
            finished = True
        except Killed:
            shop.apply(saved=plan)
        assert {c["_email"] for c in shop.dump("contacts")} == {f"u{i}@x.es" for i in range(12)}
        known = {r.key for r in shop.state().records("crm")}
        assert known == {f"u{i}@x.es" for i in range(12)}, f"killed at step {step}"
        shutil.rmtree(shop.folder / ".compasso")
    assert step > 6


@pytest.mark.parametrize("seconds", [-86400, -5, 5, 86400])
def test_a_lost_upload_is_found_by_the_accounts_own_clock(seconds, project):
    """Uploaded again it would do no harm, but a large file would take its time twice."""
    files = {"compasso.yml": "project: s\n", "specs/crm.yml": SPEC, "data/c.csv": ROWS}
    shop = World(project(files))
    shop.fault(kind="clock_jump", seconds=seconds, method="GET")
    shop.fault(kind="truncate", method="POST")
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (12, 0)
    assert shop.sent("POST", "/imports/") == 2  # one for each set of columns
