"""Many seeds of the simulated world. A seed that ever broke is named below and stays."""

import os

import pytest
from simulation import FAULTS, World

ONCE_BROKEN: list[int] = []
MANY = int(os.environ.get("COMPASSO_SEEDS", "400"))


@pytest.mark.parametrize("seed", [*range(6), *ONCE_BROKEN])
def test_every_stop_and_every_fault_ends_in_the_same_account(seed, tmp_path):
    World(seed, tmp_path / "shop").run()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_many_seeds(part, tmp_path):
    kinds, kills = set(), 0
    for seed in range(1000 + part, 1000 + MANY, 8):
        world = World(seed, tmp_path / str(seed))
        try:
            kills += world.run()["kills"]
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        kinds |= world.kinds
    assert kinds == set(FAULTS)
    assert kills > 0
