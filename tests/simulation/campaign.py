"""Many runs of the simulated world, by seed.

Seeds share templates: seed 1234 is run 34 of shop 12. `play` plays one seed alone, from
nothing, exactly as it went in a campaign.
"""

import gc
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from templates import Template, make_template
from world import World

from compasso.applying.runners import exports, imports
from compasso.engine import cursor

RUNS_OF_A_SHOP = 100
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_SHOWN_EVENTS = 150
_PATIENCE_SECONDS = 1200.0  # two hours of polls would tell no more


@contextmanager
def workshop():
    """A folder in memory, where there is one: the simulation writes thousands of small files.

    What is stuck is given up after twenty minutes there.
    """
    parent = str(_MEMORY) if _MEMORY.is_dir() else None
    before, pace, patience = tempfile.tempdir, gc.get_threshold(), imports.PATIENCE_SECONDS
    imports.PATIENCE_SECONDS = exports.PATIENCE_SECONDS = _PATIENCE_SECONDS
    gc.freeze()  # what is there already is not looked at again and again
    gc.set_threshold(50_000, 20, 50)
    with cursor() as connection:  # the tables are tiny: a second thread only costs time
        connection.execute("SET GLOBAL threads = 1")
    with tempfile.TemporaryDirectory(prefix="compasso-simulation-", dir=parent) as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
            imports.PATIENCE_SECONDS = exports.PATIENCE_SECONDS = patience
            gc.set_threshold(*pace)
            gc.unfreeze()
            with cursor() as connection:
                connection.execute("RESET GLOBAL threads")


def play(seed: int, folder: Path, template: Template | None = None) -> World:
    """Play one seed. Raises AssertionError with the seed and what happened."""
    if template is None:
        template = shop_of(seed, folder)
    place = folder / f"run{seed}"
    place.mkdir()
    world = World(seed, template, place)
    try:
        world.run()
    except Exception as error:
        events = "\n".join(world.trace[-_SHOWN_EVENTS:])
        raise AssertionError(
            f"seed {seed} breaks: {error}\n"
            f"play it again: python -m pytest tests/simulation --seed {seed}\n{events}"
        ) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return world


def shop_of(seed: int, folder: Path) -> Template:
    """The template that a seed's run begins with."""
    place = folder / f"shop{seed // RUNS_OF_A_SHOP}"
    place.mkdir()
    return make_template(seed // RUNS_OF_A_SHOP, place)


def play_many(first: int, last: int, folder: Path) -> Counter[str]:
    """Play seeds first..last-1; what happened in all of them."""
    stats: Counter[str] = Counter()
    template = None
    for seed in range(first, last):
        if template is None or seed % RUNS_OF_A_SHOP == 0:
            for old in folder.glob("shop*"):
                shutil.rmtree(old)
            template = shop_of(seed, folder)
        stats += play(seed, folder, template).stats
    return stats
