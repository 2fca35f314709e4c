"""A copy of the state to play with."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from compasso.state import State
from compasso.state.local import FORMAT, LocalState


def copy_state(state: State, syncs: Sequence[str], folder: Path) -> LocalState:
    """A local state in `folder` with the records of these syncs and what the journal says.

    What an earlier apply of a plan did is not done again, in a rehearsal either.
    """
    document = {"format": FORMAT, "lineage": state.lineage}
    (folder / "state.json").write_text(json.dumps(document), "utf-8")
    copy = LocalState(folder)
    for sync in syncs:
        source = state.records_file(sync)
        if source is None:
            continue
        name = f"{quote(sync, safe='')}.duckdb"
        for suffix in ("", ".wal"):  # the second one after a kill: what is not in the first yet
            part = source.with_name(source.name + suffix)
            if part.exists():
                shutil.copyfile(part, folder / "records" / (name + suffix))
    _copy_journal(state.directory / "journal.sqlite", folder / "journal.sqlite")
    return copy


def _copy_journal(source: Path, target: Path) -> None:
    if not source.exists():
        return
    with closing(sqlite3.connect(source)) as known, closing(sqlite3.connect(target)) as copy:
        known.backup(copy)
