"""Compile a mapping: each field takes the fastest road whose result is exactly Jinja's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from compasso.mapping.answers import answered
from compasso.mapping.casts import (
    CAST_TYPES,
    STATIC_TYPES,
    Misfit,
    Typed,
    cast_text,
    cast_value,
    fit,
    fit_column,
)
from compasso.mapping.compiler import Compiler
from compasso.mapping.inference import inferred
from compasso.mapping.lookups import Lookup, answer_lookups, input_column, needed_lookups
from compasso.mapping.quoting import quote_name, quote_text
from compasso.mapping.sql import NotCompiled, Sql, column, conjunction, leaves, literal
from compasso.mapping.templates import Parsed, TemplateProblem, evaluator, parse, parse_condition
from compasso.model import SQL_TYPES, FieldType, Json
from compasso.spec import Cast, FieldKind, FieldSpec
from compasso.spec.problems import did_you_mean

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Road = Literal["sql", "mixed", "jinja", "constant"]


@dataclass(frozen=True, slots=True)
class MappingProblem:
    """What is wrong with a field (None: with `when`)."""

    field: str | None
    message: str
    text: str | None
    hint: str


@dataclass(frozen=True, slots=True)
class MappedField:
    """One field: its value in SQL_TYPES[type], its error (NULL or a rule), and its road.

    A mixed field also has the condition under which SQL answers (`guard`), its lookup's table,
    and its value and error for when all rows keep the condition.
    """

    name: str
    type: FieldType
    value_sql: str
    error_sql: str | None
    road: Road
    reason: str
    columns: tuple[str, ...]
    guard: str | None = None
    lookup: str | None = None
    plain: tuple[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A `when`: `sql` is never NULL; the rest is as in MappedField."""

    sql: str
    error_sql: str | None
    road: Road
    reason: str = ""
    columns: tuple[str, ...] = ()
    guard: str | None = None
    lookup: str | None = None
    plain: str | None = None

    def passed(self) -> Condition:
        """The same for rows that are known to keep it: only its errors count."""
        return replace(self, sql="true", plain=None if self.plain is None else "true")


@dataclass(frozen=True)
class CompiledMapping:
    """A mapping, ready to run."""

    fields: tuple[MappedField, ...]
    when: Condition | None
    lookups: tuple[Lookup, ...]
    problems: tuple[MappingProblem, ...]

    @property
    def when_sql(self) -> str | None:
        """The condition, never NULL."""
        return self.when.sql if self.when else None

    @property
    def when_error_sql(self) -> str | None:
        """The error of the condition, or NULL."""
        return self.when.error_sql if self.when else None


def compile_mapping(
    fields: Mapping[str, FieldSpec],
    when: str | None,
    columns: Mapping[str, str],
    types: Mapping[str, FieldType],
    variables: Mapping[str, Json],
    *,
    only_jinja: bool = False,
) -> CompiledMapping:
    """Compile a mapping over a source's columns. Problems are collected, never raised.

    With `only_jinja` no expression is compiled: the result is the same, and slow.
    """
    work = _Work(columns, types, variables, only_jinja)
    mapped = [f for name, spec in fields.items() if (f := work.field(name, spec)) is not None]
    condition = None if when is None else work.condition(when)
    return CompiledMapping(tuple(mapped), condition, tuple(work.lookups), tuple(work.problems))


def prepare_mapping(
    connection: DuckDBPyConnection, relation: str, mapping: CompiledMapping
) -> CompiledMapping:
    """Ask Jinja for the rows of `relation` (what FROM takes) that SQL does not answer.

    The mapping that is returned is the one to run over them: what no row needed of Jinja is
    left out of it.
    """
    needed = needed_lookups(connection, relation, mapping.lookups)
    # A field that is made of others (the key of an event) has no plain form of its own: it needs
    # every lookup that it names, answered or not.
    fixed = "".join(f.value_sql + (f.error_sql or "") for f in mapping.fields if f.plain is None)
    kept = {lookup.table for lookup in mapping.lookups if lookup.table in fixed}
    kept |= {lookup.table for lookup in needed}
    needed = [lookup for lookup in mapping.lookups if lookup.table in kept]
    answer_lookups(connection, relation, needed)
    tables = {lookup.table for lookup in needed}
    fields = []
    for field in mapping.fields:
        if field.plain is not None and field.lookup not in tables:
            value, error = field.plain
            field = replace(field, value_sql=value, error_sql=error)  # noqa: PLW2901
        fields.append(field)
    when = mapping.when
    if when is not None and when.plain is not None and when.lookup not in tables:
        when = replace(when, sql=when.plain, error_sql=None)
    return replace(mapping, fields=tuple(fields), when=when, lookups=tuple(needed))


class _Work:
    """One compilation: what it knows, and what it has found so far."""

    def __init__(
        self,
        columns: Mapping[str, str],
        types: Mapping[str, FieldType],
        variables: Mapping[str, Json],
        only_jinja: bool,
    ) -> None:
        self.columns = columns
        self.only_jinja = only_jinja
        self.types = types
        self.compiler = Compiler(columns, variables)
        self.namespace = SimpleNamespace(**variables)
        self.lookups: list[Lookup] = []
        self.problems: list[MappingProblem] = []

    def problem(self, field: str | None, message: str, text: str | None, hint: str) -> None:
        self.problems.append(MappingProblem(field, message, text, hint))

    def field(self, name: str, spec: FieldSpec) -> MappedField | None:
        """One field; None if it has a problem."""
        kind = self.types.get(name)
        try:
            if spec.kind is FieldKind.CONSTANT:
                return self._constant(name, spec.value, kind)
            if spec.kind is FieldKind.COLUMN:
                return self._column(name, str(spec.value), spec.cast, kind)
            return self._template(name, str(spec.value), spec.cast, kind)
        except Misfit as misfit:
            source = json.dumps(spec.value, ensure_ascii=False)
            written = str(spec.value) if spec.kind is FieldKind.COLUMN else source
            hint = f"write `{name}: {{from: {written}, type: {misfit.cast}}}`"
            if spec.kind is FieldKind.CONSTANT:
                hint = f"write a constant of the type {misfit.cast}"
            self.problem(name, misfit.message, f"{name}: {spec.value}", hint)
        except TemplateProblem as problem:
            self.problem(name, problem.message, f"{name}: {spec.value}", problem.hint)
        return None

    def _constant(self, name: str, value: Json, kind: FieldType | None) -> MappedField:
        if isinstance(value, list) and kind in {None, FieldType.LIST}:
            if not all(isinstance(item, str) for item in value):
                raise Misfit(f"`{name}` takes a list of texts", "list")
            items = ", ".join(quote_text(str(item)) for item in value)
            return _mapped(name, FieldType.LIST, Typed(f"[{items}]::VARCHAR[]"), "constant")
        if isinstance(value, (list, dict)) or kind is FieldType.JSON:
            text = quote_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
            return _mapped(name, kind or FieldType.JSON, Typed(text), "constant")
        given = literal(value)
        final = kind or STATIC_TYPES.get(given.type, FieldType.TEXT)
        return _mapped(name, final, fit(given, final, name), "constant")

    def _column(
        self, name: str, source: str, cast: Cast | None, kind: FieldType | None
    ) -> MappedField | None:
        found = self._find_column(source)
        if found is None:
            self.problem(
                name,
                f"the source has no column {source!r}",
                f"{name}: {source}",
                did_you_mean(source, self.columns),
            )
            return None
        sql = f"source.{quote_name(found)}"
        try:
            value = column(found, self.columns[found])
            typed, final = self._finish(value, cast, kind, name)
            return _mapped(name, final, typed, "sql", columns=(found,))
        except NotCompiled:
            special = fit_column(sql, self.columns[found], kind)
            if special is None:
                raise Misfit(
                    f"the column {found} is of the type {self.columns[found]}", "text"
                ) from None
            typed, special_kind = special
            if kind is not None and kind is not special_kind:
                raise Misfit(f"`{name}` takes a {kind}, not a {special_kind}", kind.value) from None
            return _mapped(name, special_kind, typed, "sql", columns=(found,))

    def _find_column(self, name: str) -> str | None:
        return name if name in self.columns else None

    def _finish(
        self, value: Sql, cast: Cast | None, kind: FieldType | None, name: str
    ) -> tuple[Typed, FieldType]:
        """The value in the field's type: by the cast, or as it is."""
        if cast is not None:
            given = CAST_TYPES[cast.type]
            final = kind or given
            if not _fits(given, final):
                raise Misfit(f"`{name}` takes a {final}, and the cast gives a {given}", final.value)
            typed = cast_value(value, cast)
            if given is FieldType.INTEGER and final is FieldType.DECIMAL:
                return Typed(f"({typed.sql})::DOUBLE", typed.error), final
            if given is FieldType.TEXT and final is FieldType.DATE:
                return cast_text(typed.sql, Cast("date")), final
            return typed, final
        final = kind or STATIC_TYPES.get(value.type, FieldType.TEXT)
        return fit(value, final, name), final

    def _template(
        self, name: str, text: str, cast: Cast | None, kind: FieldType | None
    ) -> MappedField | None:
        parsed = parse(text)
        if not self._known(parsed, name, text):
            return None
        inputs = tuple(n for n in parsed.names if n != "vars")
        try:
            value = self._compiled(parsed)
            typed, final = self._finish(value, cast, kind, name)
        except NotCompiled as reason:
            final = self._declared(parsed, cast, kind, name)
            table = self._lookup(parsed, inputs, None)
            typed = answered(table, cast, final)
            return _mapped(name, final, typed, "jinja", str(reason), inputs)
        guard = conjunction(value.guard)
        if guard is None:
            road: Road = "sql" if inputs else "constant"
            return _mapped(name, final, typed, road, columns=inputs)
        table = self._lookup(parsed, inputs, f"NOT {guard}")
        other = answered(table, cast, final)
        both = Typed(
            f"CASE WHEN {guard} THEN {typed.sql} ELSE {other.sql} END",
            f"CASE WHEN {guard} THEN {typed.error or 'NULL'} ELSE {other.error} END",
        )
        field = _mapped(name, final, both, "mixed", _left(value), inputs)
        plain = (_typed_sql(final, typed), typed.error)
        return replace(field, guard=guard, lookup=table, plain=plain)

    def _declared(
        self, parsed: Parsed, cast: Cast | None, kind: FieldType | None, name: str
    ) -> FieldType:
        """The type of a field whose template is not compiled."""
        if cast is not None:
            given = CAST_TYPES[cast.type]
            final = kind or given
            if not _fits(given, final):
                raise Misfit(f"`{name}` takes a {final}, and the cast gives a {given}", final.value)
            return final
        if kind is not None or parsed.expression is None:
            return kind or FieldType.TEXT
        given_type = inferred(parsed.expression, self.columns, self.compiler.variables)
        return STATIC_TYPES.get(given_type, FieldType.TEXT)

    def _known(self, parsed: Parsed, name: str | None, text: str) -> bool:
        unknown = [n for n in parsed.names if n != "vars" and n not in self.columns]
        for missing in unknown:
            self.problem(
                name,
                f"the source has no column {missing!r}",
                text if name is None else f"{name}: {text}",
                did_you_mean(missing, [*self.columns, "vars"]),
            )
        from jinja2 import nodes

        for node in parsed.body.find_all(nodes.Getattr):
            is_vars = isinstance(node.node, nodes.Name) and node.node.name == "vars"
            if is_vars and node.attr not in vars(self.namespace):
                unknown.append(node.attr)
                known = sorted(vars(self.namespace))
                self.problem(
                    name,
                    f"there is no variable vars.{node.attr}",
                    text if name is None else f"{name}: {text}",
                    did_you_mean(node.attr, known) if known else "add it under `vars:`",
                )
        return not unknown

    def _compiled(self, parsed: Parsed) -> Sql:
        if self.only_jinja:
            raise NotCompiled("Jinja was asked for")
        if parsed.expression is not None:
            return self.compiler.value(parsed.expression)
        return self.compiler.text(parsed.body.body)

    def _lookup(self, parsed: Parsed, inputs: tuple[str, ...], where: str | None) -> str:
        run = evaluator(parsed)
        namespace = self.namespace

        def evaluate(row: Mapping[str, Any]) -> Any:
            return run({**row, "vars": namespace})

        table = f"lookup_{len(self.lookups)}"
        given = tuple(input_column(name, self.columns[name]) for name in inputs)
        self.lookups.append(Lookup(table, given, where, evaluate))
        return table

    def condition(self, text: str) -> Condition | None:
        """A `when`; None if it has a problem."""
        try:
            parsed = parse_condition(text)
            if not self._known(parsed, None, text):
                return None
            return self._condition(parsed)
        except TemplateProblem as problem:
            self.problem(None, problem.message, text, problem.hint)
            return None

    def _condition(self, parsed: Parsed) -> Condition:
        inputs = tuple(n for n in parsed.names if n != "vars")
        truth: Sql | None = None
        reason = ""
        try:
            if parsed.expression is None or self.only_jinja:
                raise NotCompiled("a text")
            truth = self.compiler.truth(parsed.expression)
        except NotCompiled as why:
            reason = str(why)
        guard = conjunction(truth.guard) if truth is not None else None
        if truth is not None and guard is None:
            return Condition(truth.sql, None, "sql" if inputs else "constant", "", inputs)
        table = self._lookup(parsed, inputs, f"NOT {guard}" if guard else None)
        other = (
            f"coalesce(CASE {table}.kind WHEN 'boolean' THEN {table}.value = 'true' "
            f"WHEN 'integer' THEN {table}.value <> '0' "
            f"WHEN 'decimal' THEN {table}.value::DOUBLE <> 0 "
            f"WHEN 'text' THEN {table}.value <> '' WHEN 'none' THEN false "
            f"ELSE {table}.value NOT IN ('[]', '{{}}') END, false)"
        )
        if truth is None:
            return Condition(other, f"{table}.error", "jinja", reason, inputs, None, table)
        return Condition(
            f"CASE WHEN {guard} THEN {truth.sql} ELSE {other} END",
            f"CASE WHEN {guard} THEN NULL ELSE {table}.error END",
            "mixed",
            _left(truth),
            inputs,
            guard,
            table,
            truth.sql,
        )


def _left(value: Sql) -> str:
    return f"Jinja for rows with {'; '.join(leaves(value.guard))}"


def _fits(given: FieldType, final: FieldType) -> bool:
    text_to_date = given is FieldType.TEXT and final is FieldType.DATE
    widened = given is FieldType.INTEGER and final is FieldType.DECIMAL
    return given is final or text_to_date or widened


def _mapped(
    name: str,
    kind: FieldType,
    typed: Typed,
    road: Road,
    reason: str = "",
    columns: tuple[str, ...] = (),
) -> MappedField:
    return MappedField(name, kind, _typed_sql(kind, typed), typed.error, road, reason, columns)


def _typed_sql(kind: FieldType, typed: Typed) -> str:
    sql = f"CAST({typed.sql} AS {SQL_TYPES[kind]})"
    # No field holds minus zero.
    return f"({sql} + 0.0::DOUBLE)" if kind is FieldType.DECIMAL else sql
