"""Records that Connectif cannot change: what becomes of one whose source has changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from compasso.planning.diff import Diff, record_json
from compasso.planning.masking import mask
from compasso.spec import Sync

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SHOWN = 5


def settle_changes(
    connection: DuckDBPyConnection, sync: Sync, found: Diff
) -> tuple[Diff, list[str]]:
    """Updates of a target that has none: reported, or made whole so that the record can be made
    anew (`on_change: replace`). Answers the diff that is left, and warnings."""
    target = found.desired.target
    if target.can_update or not found.update:
        return found, []
    if sync.on_change == "replace":
        connection.execute(
            f"UPDATE {found.table} SET carry = {record_json(found.desired)} "
            f"FROM {found.desired.name} AS m "
            f"WHERE operation = 'update' AND m.key = {found.table}.key AND m.problems IS NULL"
        )
        return found, []
    rows = connection.execute(
        f"SELECT key, fields FROM {found.table} WHERE operation = 'update' "
        f"ORDER BY file, row, key LIMIT {_SHOWN}"
    ).fetchall()
    key_field = target.fields.get(found.desired.key_field)
    hide = key_field is not None and key_field.sensitive
    some = "; ".join(
        f"{mask(key) if hide else key} ({', '.join(sorted(json.loads(fields)))})"
        for key, fields in rows
    )
    more = f"; and {found.update - len(rows):,} more" if found.update > len(rows) else ""
    many = f"{found.update:,} {target.label}{'' if found.update == 1 else 's'}"
    connection.execute(f"DELETE FROM {found.table} WHERE operation = 'update'")
    way = (
        "say `on_change: replace` to delete and make them again"
        if target.requests_a_change > 1
        else "what was sent stays"
    )
    said = (
        f"{many} changed in the source since they were sent, and Connectif cannot change them: "
        f"{some}{more}; {way}"
    )
    return replace(found, update=0), [said]
