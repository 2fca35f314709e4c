"""Compile a mapping: each field takes the fastest road whose result is exactly Jinja's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

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
from compasso.mapping.compiler import TEXT, Compiler, NotCompiled, Sql, column, concat, literal
from compasso.mapping.lookups import Lookup
from compasso.mapping.quoting import quote_name, quote_text
from compasso.mapping.templates import Parsed, TemplateProblem, evaluator, parse, parse_condition
from compasso.model import SQL_TYPES, FieldType, Json
from compasso.spec import Cast, FieldKind, FieldSpec
from compasso.spec.problems import did_you_mean

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
    """One field: its value in SQL_TYPES[type], its error (NULL or a rule), and its road."""

    name: str
    type: FieldType
    value_sql: str
    error_sql: str | None
    road: Road
    reason: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class CompiledMapping:
    """A mapping, ready to run."""

    fields: tuple[MappedField, ...]
    when_sql: str | None
    when_error_sql: str | None
    lookups: tuple[Lookup, ...]
    problems: tuple[MappingProblem, ...]


def compile_mapping(
    fields: Mapping[str, FieldSpec],
    when: str | None,
    columns: Mapping[str, str],
    types: Mapping[str, FieldType],
    variables: Mapping[str, Json],
) -> CompiledMapping:
    """Compile a mapping over a source's columns. Problems are collected, never raised."""
    work = _Work(columns, types, variables)
    mapped = [f for name, spec in fields.items() if (f := work.field(name, spec)) is not None]
    when_sql = when_error = None
    if when is not None:
        when_sql, when_error = work.condition(when)
    return CompiledMapping(
        tuple(mapped), when_sql, when_error, tuple(work.lookups), tuple(work.problems)
    )


class _Work:
    """One compilation: what it knows, and what it has found so far."""

    def __init__(
        self,
        columns: Mapping[str, str],
        types: Mapping[str, FieldType],
        variables: Mapping[str, Json],
    ) -> None:
        self.columns = columns
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
        typed, final = self._finish(value, cast, kind, name)
        return _mapped(name, final, typed, "sql", columns=(found,))

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
        except NotCompiled as reason:
            table = self._lookup(parsed, inputs, None)
            typed, final = _dynamic(table, cast, kind, name)
            return _mapped(name, final, typed, "jinja", str(reason), inputs)
        if value.guard is None:
            typed, final = self._finish(value, cast, kind, name)
            return _mapped(name, final, typed, "sql", columns=inputs)
        table = self._lookup(parsed, inputs, f"NOT {value.guard}")
        typed, final = self._finish(value, cast, kind, name)
        other, _ = _dynamic(table, cast, final, name)
        both = Typed(
            f"CASE WHEN {value.guard} THEN {typed.sql} ELSE {other.sql} END",
            f"CASE WHEN {value.guard} THEN {typed.error or 'NULL'} ELSE {other.error} END",
        )
        return _mapped(name, final, both, "mixed", "rows that SQL treats otherwise", inputs)

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
        if parsed.expression is not None:
            return self.compiler.value(parsed.expression)
        from jinja2 import nodes

        outputs = parsed.body.body
        if len(outputs) == 1 and isinstance(outputs[0], nodes.Output):
            return concat([self.compiler.value(part) for part in outputs[0].nodes])
        if not outputs:
            return Sql("''", TEXT, None, "")
        raise NotCompiled("a block")

    def _lookup(self, parsed: Parsed, inputs: tuple[str, ...], where: str | None) -> str:
        run = evaluator(parsed)
        namespace = self.namespace

        def evaluate(row: Mapping[str, Any]) -> Any:
            return run({**row, "vars": namespace})

        table = f"lookup_{len(self.lookups)}"
        self.lookups.append(Lookup(table, inputs, where, evaluate))
        return table

    def condition(self, text: str) -> tuple[str | None, str | None]:
        """The SQL of `when`, never NULL, and of its error."""
        try:
            parsed = parse_condition(text)
        except TemplateProblem as problem:
            self.problem(None, problem.message, text, problem.hint)
            return None, None
        if not self._known(parsed, None, text):
            return None, None
        inputs = tuple(n for n in parsed.names if n != "vars")
        truth: Sql | None = None
        try:
            if parsed.expression is None:
                raise NotCompiled("a text")
            truth = self.compiler.truth(parsed.expression)
        except NotCompiled:
            pass
        if truth is not None and truth.guard is None:
            return truth.sql, None
        where = f"NOT {truth.guard}" if truth is not None else None
        table = self._lookup(parsed, inputs, where)
        other = (
            f"coalesce(CASE {table}.kind WHEN 'boolean' THEN {table}.value = 'true' "
            f"WHEN 'integer' THEN {table}.value <> '0' "
            f"WHEN 'decimal' THEN {table}.value::DOUBLE <> 0 "
            f"WHEN 'none' THEN false ELSE {table}.value NOT IN ('', '[]', '{{}}') END, false)"
        )
        if truth is None:
            return other, f"{table}.error"
        return (
            f"CASE WHEN {truth.guard} THEN {truth.sql} ELSE {other} END",
            f"CASE WHEN {truth.guard} THEN NULL ELSE {table}.error END",
        )


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
    sql = f"CAST({typed.sql} AS {SQL_TYPES[kind]})"
    return MappedField(name, kind, sql, typed.error, road, reason, columns)


def _dynamic(
    table: str, cast: Cast | None, kind: FieldType | None, name: str
) -> tuple[Typed, FieldType]:
    """An answer of Jinja in the field's type: its own type is only known row by row."""
    value, given = f"{table}.value", f"{table}.kind"
    if cast is not None:
        final = kind or CAST_TYPES[cast.type]
        inner = cast
        if CAST_TYPES[cast.type] is not final:
            inner = Cast(final.value, cast.formats, cast.separator, cast.decimal)
        typed = _from_kinds(value, given, inner)
        return Typed(typed.sql, f"coalesce({table}.error, {typed.error or 'NULL'})"), final
    final = kind or FieldType.TEXT
    accepted = {
        FieldType.TEXT: ("text",),
        FieldType.INTEGER: ("integer",),
        FieldType.DECIMAL: ("decimal", "integer"),
        FieldType.BOOLEAN: ("boolean",),
        FieldType.DATE: ("date", "text"),
        FieldType.LIST: ("list",),
        FieldType.JSON: ("json", "list", "text"),
    }[final]
    fits = f"{given} IN ({', '.join(map(quote_text, accepted))})"
    if final is FieldType.DATE:
        typed = cast_text(value, Cast("date"))
    elif final is FieldType.LIST:
        typed = Typed(f"CASE WHEN {fits} THEN from_json({value}, '[\"VARCHAR\"]') END")
    else:
        typed = Typed(f"try_cast({value} AS {SQL_TYPES[final]})")
    wrong = f"CASE WHEN {given} <> 'none' AND NOT {fits} THEN 'is a ' || {given} || '; it must be {final}' END"
    error = f"coalesce({table}.error, {wrong}, {typed.error or 'NULL'})"
    return Typed(f"CASE WHEN {fits} THEN {typed.sql} END", error), final


def _from_kinds(value: str, given: str, cast: Cast) -> Typed:
    """A cast of an answer: what already has the type stays, the rest is cast from its text."""
    if cast.type == "list":
        listed = f"CASE WHEN {given} = 'list' THEN from_json({value}, '[\"VARCHAR\"]')"
        return Typed(f"{listed} ELSE {cast_text(value, cast).sql} END")
    if cast.type == "text":
        # As Python writes it.
        return Typed(
            f"CASE WHEN {given} = 'boolean' THEN upper(left({value}, 1)) || substr({value}, 2) ELSE {value} END"
        )
    if cast.type == "decimal" and cast.decimal == ",":
        plain = cast_text(value, Cast("decimal"))
        comma = cast_text(value, cast)
        number = f"{given} IN ('integer', 'decimal')"
        return Typed(
            f"CASE WHEN {number} THEN {plain.sql} ELSE {comma.sql} END",
            f"CASE WHEN {number} THEN {plain.error} ELSE {comma.error} END",
        )
    return cast_text(value, cast)
