"""From a sync's source to its desired records: open, select, map, check, name the rejects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compasso.mapping import CompiledMapping
from compasso.model import CompassoError, Diagnostic, Severity
from compasso.planning.cursor import follows_cursor, furthest, parse_cursor, wanted
from compasso.planning.cursor import newer as newer_rows
from compasso.planning.desired import Desired, build_desired
from compasso.planning.document import collect_rejects, count_rejects, message_of
from compasso.planning.line_source import Lined, open_lines
from compasso.planning.lines import (
    build_lined,
    collect_line_rejects,
    drop_lines,
    mapped_fields,
    selection_mapping,
)
from compasso.planning.resolve import compile_sync, resolve_target, sending_options
from compasso.planning.selection import (
    Selection,
    basis_of,
    drop_rows,
    select_all,
    select_rows,
    widen,
)
from compasso.planning.suppressed import leave_out, person_fields
from compasso.sources import Since, Source, open_newer, open_source
from compasso.spec import Project, Sync
from compasso.state import State
from compasso.state.suppression import read_suppressed
from compasso.targets import Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Opened:
    """A sync's source with the mapping compiled over it. `lined` if its records have lines."""

    sync: Sync
    target: Target
    key_field: str
    source: Source
    mapping: CompiledMapping  # which says, too, which columns matter
    lined: Lined | None

    def fields(self) -> list[str]:
        """The mapped fields in the order in which problems number them."""
        return mapped_fields(self.lined) if self.lined else [m.name for m in self.mapping.fields]

    def build(self, connection: DuckDBPyConnection, name: str, selected: Selection) -> Desired:
        """The desired records of the selected rows, as the table `name`."""
        if self.lined is not None:
            return build_lined(connection, name, self.lined, self.key_field, selected)
        return build_desired(
            connection, name, self.target, self.key_field, self.source, self.mapping,
            self.sync.order_by, selected,
        )  # fmt: skip


@dataclass(frozen=True)
class Mapped:
    """What became of a sync's source. `rejected` counts the records that are rejected."""

    fingerprint: str
    desired: Desired
    selected: Selection
    rejected: int
    total: int
    warnings: tuple[str, ...] = ()


def open_sync(
    connection: DuckDBPyConnection,
    name: str,
    sync: Sync,
    project: Project,
    since: Since | None = None,
) -> Opened:
    """Open the source and compile the mapping. Raises CompassoError, each at its line.

    With `since`, a source that can choose the rows beyond a cursor itself gives only those.
    """
    target, key_field = resolve_target(sync, project)
    try:
        source = since and open_newer(connection, sync.source, project.root, since)
        source = source or open_source(connection, sync.source, project.root)
    except CompassoError as error:
        raise CompassoError(
            *(_at(d, sync) for d in error.diagnostics), exit_code=error.exit_code
        ) from error
    if sync.lines is None:
        mapping = compile_sync(sync, project, target, dict(source.columns))
        return Opened(sync, target, key_field, source, mapping, None)
    lined = open_lines(connection, name, sync, project, target, key_field, source)
    return Opened(sync, target, key_field, lined.source, selection_mapping(lined), lined)


def map_sync(
    connection: DuckDBPyConnection,
    number: int,
    sync: Sync,
    project: Project,
    state: State,
    progress: Callable[[str], None],
) -> Mapped:
    """Map and check what the state does not know of the source. Adds to the table `rejects`."""
    followed = follows_cursor(sync)
    since = parse_cursor(state.seen(sync.name)) if followed else None
    asked = wanted(connection, sync, since)
    opened = open_sync(connection, f"lined_{number}", sync, project, asked)
    basis = basis_of(sync, project, opened.target, opened.source)
    reached = furthest(connection, sync, opened.source) if followed else None
    newer = (
        since is not None
        and reached is not None
        and reached.value is not None
        and since.order == reached.order
        and state.digest_basis(sync.name) == basis
    )
    if opened.source.narrowed and not newer:  # the state or the source is another: all is needed
        opened = open_sync(connection, f"lined_{number}", sync, project)
        basis = basis_of(sync, project, opened.target, opened.source)
        reached = furthest(connection, sync, opened.source)
    source = opened.source
    if newer and since is not None:
        source = newer_rows(sync, source, since)
    keys: Literal["clear", "hashed"] | None = None
    if project.state.values == "hashed" and sync.stock is None:  # coupon codes are not personal
        keys = "hashed" if project.state.hashed_keys else "clear"
    selected = select_rows(
        connection, f"rows_{number}", sync, source, opened.mapping, state, basis, keys,
        reached=None if reached is None else reached.text(), newer=newer,
    )  # fmt: skip
    progress(f"mapping and checking {sync.name}")
    desired = opened.build(connection, f"desired_{number}", selected)
    wider = widen(connection, selected, source, desired.name)
    if wider is not None:
        selected = wider
        desired = opened.build(connection, f"desired_{number}", selected)
    if source.unchanged is not None and not source.unchanged():
        raise CompassoError(
            Diagnostic(
                message=f"{sync.name}: the source changed while it was read",
                position=sync.position("source"),
                hint="plan again when it is written to its end",
            )
        )
    options = sending_options(sync, project)
    contact = options.get("contact_field")
    left_out = leave_out(
        connection,
        desired,
        read_suppressed(state.directory),
        person_fields(opened.target, None if contact is None else str(contact)),
    )
    rejected = count_rejects(connection, desired)
    collect_rejects(connection, sync.name, desired)
    _name_rules(connection, sync.name, desired, opened.fields())
    warnings = []
    if left_out:
        many = f"{left_out:,} row{' is' if left_out == 1 else 's are'}"
        warnings.append(f"{many} of people who were forgotten (compasso forget), and left out")
    if opened.lined is not None:
        collect_line_rejects(connection, sync.name, opened.lined, selected)
        drop_lines(connection, opened.lined, selected)
        if opened.lined.orphans:
            warnings.append(f"{opened.lined.orphans:,} lines belong to no row and are left out")
    drop_rows(connection, selected)
    count = connection.execute(f"SELECT count(*) FROM {desired.name}").fetchone()
    looked_at = (int(count[0]) if count else 0) + len(desired.unreadable)
    return Mapped(
        source.fingerprint,
        desired,
        selected,
        rejected,
        looked_at + selected.matched,
        tuple(warnings),
    )


def map_some(
    connection: DuckDBPyConnection, name: str, sync: Sync, project: Project, count: int
) -> tuple[Opened, Desired]:
    """The first records of a source, whatever the state knows; for a look at a mapping."""
    from dataclasses import replace

    opened = open_sync(connection, f"{name}_lined", sync, project)
    few = replace(opened.source, relation=f"{opened.source.relation} LIMIT {count}")
    selected = select_all(connection, f"{name}_rows", sync, few, opened.mapping)
    return opened, opened.build(connection, name, selected)


def _at(diagnostic: Diagnostic, sync: Sync) -> Diagnostic:
    """The same diagnostic; if it has no place of its own, at the sync's source."""
    position = diagnostic.position or sync.position("source")
    return Diagnostic(
        message=f"{sync.name}: {diagnostic.message}",
        severity=Severity.ERROR,
        code=diagnostic.code,
        position=position,
        text=diagnostic.text,
        hint=diagnostic.hint,
    )


def _name_rules(
    connection: DuckDBPyConnection, sync: str, desired: Desired, fields: list[str]
) -> None:
    """Put names and words in place of the numbers and keywords that SQL wrote."""
    pairs = connection.execute(
        "SELECT DISTINCT field, rule FROM rejects WHERE sync = $sync AND field <> ''",
        {"sync": sync},
    ).fetchall()
    for number, rule in pairs:
        name, words = message_of(desired, fields, int(number), rule)
        connection.execute(
            "UPDATE rejects SET field = $name, rule = $words "
            "WHERE sync = $sync AND field = $number AND rule = $rule",
            {"name": name, "words": words, "sync": sync, "number": number, "rule": rule},
        )
