"""Records that Connectif cannot change: what becomes of one whose source has changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from compasso.planning.diff import Diff, record_json
from compasso.planning.masking import mask
from compasso.spec import Sync
from compasso.targets import Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SHOWN = 5
# What the app can change of a contact field after it was made (documented, H10).
_IN_THE_APP = frozenset({"name", "options"})


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


def settle_declared(connection: DuckDBPyConnection, found: Diff) -> tuple[Diff, list[str]]:
    """The same for records that specs declare: a warning for each, with the way round."""
    changed = connection.execute(
        f"SELECT key, fields FROM {found.table} WHERE operation = 'update' ORDER BY key"
    ).fetchall()
    connection.execute(f"DELETE FROM {found.table} WHERE operation = 'update'")
    target = found.desired.target
    warnings = [_declared_warning(target, key, sorted(json.loads(f))) for key, f in changed]
    return replace(found, update=0), warnings


def _declared_warning(target: Target, key: str, names: list[str]) -> str:
    said = f"the {target.label} {key} differs from the account ({', '.join(names)}), and "
    if target.name != "contact-fields":
        return said + (
            "Connectif's API cannot change it: change it in the app, or declare a new one with "
            "another alias and send to that"
        )
    if set(names) <= _IN_THE_APP:
        return said + (
            "Connectif's API cannot change a field: change it in the app (which can change the "
            f"name, and add options), then say `compasso state rm {key} --spec {target.name}`, and "
            "the next apply takes it over as it is declared"
        )
    return said + (
        "neither Connectif's API nor its app can change that of a field: declare a new field with "
        "another id, map both until nothing reads the old one, then delete the old one in the app"
    )
