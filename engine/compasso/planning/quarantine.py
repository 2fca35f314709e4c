"""Records that the API has refused again and again: left out of plans until someone asks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from compasso.planning.diff import Diff
from compasso.state import State
from compasso.state.hashing import hashed_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def leave_out(
    connection: DuckDBPyConnection, state: State, sync: str, found: Diff, tries: int
) -> tuple[Diff, list[str]]:
    """Take the changes of records in quarantine out of a diff. Answers it, and a warning."""
    names = [f.key for f in state.failures(sync) if f.tries >= tries]
    if not names:
        return found, []
    form = state.form(sync)
    hidden = form is not None and form.keys == "hashed"
    name = hashed_name("key", state.lineage) if hidden else "key"
    rows = connection.execute(
        f"DELETE FROM {found.table} WHERE {name} IN (SELECT unnest($names)) RETURNING operation",
        {"names": names},
    ).fetchall()
    if not rows:
        return found, []
    gone = Counter(row[0] for row in rows)
    left = replace(
        found,
        create=found.create - gone["create"],
        update=found.update - gone["update"],
        delete=found.delete - gone["delete"],
    )
    many = "1 record was" if len(rows) == 1 else f"{len(rows):,} records were"
    return left, [
        f"{many} refused by Connectif {tries} times or more and are left out (quarantine): see "
        f"`compasso state failures --spec {sync}`; `compasso state retry --spec {sync} --all` "
        "tries them again"
    ]
