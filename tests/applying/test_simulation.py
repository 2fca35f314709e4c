"""Many seeds of the simulated world. A seed that ever broke is named below and stays."""

import os

import pytest
from simulation import World

# 1008, 1012, 1014: an import queue that stays full was waited for without end.
ONCE_BROKEN = [1008, 1012, 1014]
MANY = int(os.environ.get("COMPASSO_SEEDS", "40"))


@pytest.mark.parametrize("seed", [*range(3), *ONCE_BROKEN])
def test_every_stop_and_every_fault_ends_in_the_same_account(seed, tmp_path):
    World(seed, tmp_path / "shop").run()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_many_seeds(part, tmp_path):
    kills = 0
    for seed in range(1000 + part, 1000 + MANY, 8):
        world = World(seed, tmp_path / str(seed))
        try:
            kills += world.run()["kills"]
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert kills > 0
