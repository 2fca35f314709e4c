"""Records that the API has refused: again and again, so that plans leave them out until their
data is mended or someone asks; or once, and nothing is to be sent for them any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from compasso.planning.diff import Diff, unknown_rows
from compasso.state import Failure, State
from compasso.state.hashing import content_hash, hashed_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def leave_out(
    connection: DuckDBPyConnection,
    state: State,
    sync: str,
    found: Diff,
    failures: Sequence[Failure],
    tries: int,
) -> tuple[Diff, list[str]]:
    """Take the changes of records in quarantine out of a diff, if they are what was refused.

    Answers the diff, and a warning. Mended data is another change: it is tried again.
    """
    tired = [f for f in failures if f.tries >= tries]
    if not tired:
        return found, []
    rows = connection.execute(
        f"DELETE FROM {found.table} AS c USING (SELECT unnest($names::VARCHAR[]) AS name, "
        "unnest($contents::VARCHAR[]) AS content) AS t "
        f"WHERE {_name(state, sync)} = t.name "
        f"AND coalesce(t.content = {content_hash(state.lineage)}, true) RETURNING c.operation",
        {"names": [f.key for f in tired], "contents": [f.content for f in tired]},
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
        "tries them again, and so does mending the data"
    ]


def passed_failures(
    connection: DuckDBPyConnection,
    state: State,
    sync: str,
    found: Diff,
    failures: Sequence[Failure],
) -> list[str]:
    """The failures of a sync that no change is pending for, by their hashed names: the row has
    left the source, or is again what the account has. A row that is rejected may still be one."""
    failed = [f.key for f in failures]
    if not failed or unknown_rows(connection, found.desired):
        return []
    name = _name(state, sync)
    rows = connection.execute(
        f"SELECT name FROM (SELECT {name} AS name FROM {found.table} UNION ALL "
        f"SELECT {name} FROM {found.desired.name} WHERE problems IS NOT NULL) "
        "WHERE name IN (SELECT unnest($keys::VARCHAR[]))",
        {"keys": failed},
    ).fetchall()
    pending = {row[0] for row in rows}
    names = connection.execute(
        f"SELECT CASE WHEN starts_with(key, '#') THEN key ELSE {hashed_name('key', state.lineage)} "
        "END FROM (SELECT unnest($keys::VARCHAR[]) AS key)",
        {"keys": [key for key in failed if key not in pending]},
    ).fetchall()
    return [row[0] for row in names]


def _name(state: State, sync: str) -> str:
    """The SQL of what stands for a key in the state."""
    form = state.form(sync)
    hidden = form is not None and form.keys == "hashed"
    return hashed_name("key", state.lineage) if hidden else "key"
