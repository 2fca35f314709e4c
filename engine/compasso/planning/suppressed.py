"""Rows of people who were forgotten: a plan leaves them out, whatever the source says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compasso.mapping.quoting import quote_text
from compasso.model import FieldType
from compasso.planning.desired import Desired
from compasso.state.suppression import Identity, Suppressed
from compasso.targets import Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def person_fields(target: Target, contact_field: str | None = None) -> dict[str, Identity]:
    """The fields of a target that say whose record it is. `contact_field` is that of an event's
    type; of events whose type no spec declares, it is any field that holds the address."""
    if contact_field is not None:
        return {contact_field: Identity.EMAIL}
    return {name: Identity(kind) for name, kind in target.person.items()}


def leave_out(
    connection: DuckDBPyConnection,
    desired: Desired,
    suppressed: Suppressed,
    fields: dict[str, Identity],
) -> int:
    """Take the rows of forgotten people from the desired records; answers how many."""
    if not suppressed.people:
        return 0
    columns = {c.field.name: c.sql for c in desired.columns if c.field.type is FieldType.TEXT}
    if desired.target.composed_key and not fields:
        fields = dict.fromkeys(columns, Identity.EMAIL)
    tests = []
    for name, kind in fields.items():
        column = "key" if name == desired.key_field else columns.get(name)
        if column is not None:
            folded = f"lower(trim({column}))" if kind is Identity.EMAIL else f"trim({column})"
            salt = quote_text(f"{suppressed.salt}{kind}:")
            tests.append(
                f"coalesce(sha256({salt} || {folded}) IN (SELECT hash FROM forgotten), false)"
            )
    if not tests:
        return 0
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE forgotten AS SELECT unnest($hashes) AS hash",
        {"hashes": sorted(suppressed.people)},
    )
    row = connection.execute(f"DELETE FROM {desired.name} WHERE {' OR '.join(tests)}").fetchone()
    return int(row[0]) if row else 0
