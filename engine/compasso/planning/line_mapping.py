"""The mapping of a record's lines: what may be mapped, and the mapping compiled."""

from __future__ import annotations

from collections.abc import Mapping

from compasso.mapping import CompiledMapping, compile_mapping
from compasso.model import CompassoError, Diagnostic
from compasso.spec import LinesSpec, Project, Sync
from compasso.spec.problems import did_you_mean
from compasso.targets import Target, line_fields


def check_lines(sync: Sync, target: Target) -> list[Diagnostic]:
    """What is wrong with the lines of a sync, as far as the spec alone tells."""
    problems = [
        Diagnostic(
            message=f"`{name}` of {target.name} is no list of lines",
            position=sync.position("fields", name),
            hint=f"only `{target.lines.field}` is" if target.lines else "leave `lines` out",
        )
        for name, field in sync.fields.items()
        if field.lines is not None and (target.lines is None or name != target.lines.field)
    ]
    if target.lines is None or target.lines.field not in sync.fields or problems:
        return problems
    name = target.lines.field
    lines = sync.fields[name].lines
    if lines is None:
        hint = f"{name}: {{lines: rows, fields: {{productId: sku, quantity: …, price: …}}}}"
        said = f"`{name}` needs `lines`: where they stand, and the mapping of each"
        return [Diagnostic(message=said, position=sync.position("fields", name), hint=hint)]
    return [*_unknown(sync, target, name, lines), *_missing(sync, target, name, lines)]


def _unknown(sync: Sync, target: Target, name: str, lines: LinesSpec) -> list[Diagnostic]:
    known = line_fields(target)
    return [
        Diagnostic(
            message=f"the lines of {target.name} have no field `{field}`",
            position=sync.position("fields", name, "fields", field),
            text=field,
            hint=did_you_mean(field, known),
        )
        for field in lines.fields
        if field not in known
    ]


def _missing(sync: Sync, target: Target, name: str, lines: LinesSpec) -> list[Diagnostic]:
    required = set(target.fields[name].schema["items"]["required"])
    if _computes_price(lines):
        required.discard("price")
    missing = sorted(required - set(lines.fields))
    if not missing:
        return []
    return [
        Diagnostic(
            message=f"the lines lack {', '.join(missing)}, which every line needs",
            position=sync.position("fields", name, "fields"),
            hint="add it under `fields:` of the lines"
            + ("; price is computed if quantity and unitPrice are there" if "price" in missing
               else ""),
        )
    ]  # fmt: skip


def _computes_price(lines: LinesSpec) -> bool:
    return "price" not in lines.fields and {"quantity", "unitPrice"} <= set(lines.fields)


def compile_lines(
    sync: Sync, project: Project, target: Target, columns: Mapping[str, str]
) -> CompiledMapping:
    """The mapping of the lines over their columns. Raises CompassoError with every problem."""
    name, lines = sync.lines or ("", LinesSpec("rows", {}))
    types = {n: f.type for n, f in line_fields(target).items()}
    mapping = compile_mapping(lines.fields, None, columns, types, project.variables)
    if mapping.problems:
        raise CompassoError(
            *(
                Diagnostic(
                    message=problem.message.replace("the source has", "the lines have"),
                    position=sync.position("fields", name, "fields", problem.field or ""),
                    text=problem.text,
                    hint=problem.hint,
                )
                for problem in mapping.problems
            )
        )
    return mapping
