"""Two applies at once, of other syncs of one project: neither takes away what the other needs."""

import asyncio
import shutil

import pytest
from campaign import workshop
from templates import make_template

from compasso.applying import Journal, recover
from compasso.planning import open_plan
from compasso.state.local import LocalState


@pytest.fixture(scope="module")
def halves():
    """The state of a shop, and the plans of its two halves."""
    with workshop() as place:
        for seed in range(20):
            (place / str(seed)).mkdir()
            made = make_template(seed, place / str(seed), days=1)
            if "left" in made.days[0].plans:
                yield made
                return
        raise AssertionError("no shop has two halves")


def test_recovery_leaves_the_plan_of_an_apply_that_has_just_begun(halves, tmp_path):
    day = halves.days[0]
    shutil.copytree(day.state, tmp_path / "state")
    state = LocalState(tmp_path / "state")
    journal = Journal(state.directory)
    with open_plan(day.plans["right"]) as plan:
        copy = journal.plan_copy(plan.plan_id)
    shutil.copyfile(day.plans["right"], copy)
    asyncio.run(recover(state, None, halves.halves["left"]))
    assert copy.exists()
    asyncio.run(recover(state, None, halves.halves["right"]))
    assert not copy.exists(), "what nobody needs is tidied up by who holds its syncs"


def test_recovery_does_not_ask_for_the_plan_of_another_apply(halves, tmp_path):
    day = halves.days[0]
    shutil.copytree(day.state, tmp_path / "state")
    state = LocalState(tmp_path / "state")
    other = halves.halves["right"][0]
    Journal(state.directory).intend_call("f" * 32, 0, "a run", other, unrepeatable=True)
    assert asyncio.run(recover(state, None, halves.halves["left"])) == 0
