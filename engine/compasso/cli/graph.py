"""`compasso graph`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from compasso.cli.options import Common, common
from compasso.model import ExitCode

if TYPE_CHECKING:
    from compasso.spec import Project

HELP = "Draw what flows where: sources, specs, targets, and who goes first."


@dataclass(frozen=True, slots=True)
class _Edge:
    source: str
    spec: str
    target: str
    rank: int


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso graph\n\n  compasso graph --format mermaid > docs/flow.md\n\n"
    "  compasso graph --format dot | dot -Tsvg > flow.svg",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot", "json"]),
    default="text",
    help="How to print.",
)
@common
def command(common: Common, form: str) -> int:
    """Draw what flows where, in the order of application.

    Specs of the same step may go in any order between them: high priority first.
    """
    project = common.load()
    edges = _edges(project)
    draw = {"text": _text, "mermaid": _mermaid, "dot": _dot, "json": _json}[form]
    click.echo(draw(project.name, edges))
    return ExitCode.DONE


def _edges(project: Project) -> list[_Edge]:
    from compasso.planning import resolve_target
    from compasso.targets import load_target

    edges = []
    if project.contact_fields:
        edges.append(_Edge("specs", "contact-fields", "contact-fields", 0))
    for sync in project.syncs:
        target, _ = resolve_target(sync, project)
        edges.append(_Edge(sync.source.label, sync.name, sync.target, target.rank))
    for export in project.exports:
        rank = load_target("exports").rank
        edges.append(_Edge(f"Connectif {export.what}", export.name, export.into.label, rank))
    return sorted(edges, key=lambda e: e.rank)  # stable: within a step as the files are


def _text(name: str, edges: Sequence[_Edge]) -> str:
    steps = {rank: step for step, rank in enumerate(sorted({e.rank for e in edges}), 1)}
    lines = [name]
    for rank, step in steps.items():
        lines.append(f"  step {step}")
        lines += [f"    {e.source} -> {e.spec} -> {e.target}" for e in edges if e.rank == rank]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _mermaid(name: str, edges: Sequence[_Edge]) -> str:
    # Entities, for in Mermaid a quote ends a text whatever stands before it.
    def text(word: str) -> str:
        return '"' + word.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;") + '"'

    names = {e.source: f"s{i}" for i, e in enumerate(edges)}
    targets = {e.target: f"t{i}" for i, e in enumerate(edges)}
    lines = ["flowchart LR"]
    lines += [f"  {node}[({text(word)})]" for word, node in names.items()]
    lines += [f"  {node}[{text(word)}]" for word, node in targets.items()]
    for number, e in enumerate(edges):
        spec = f"n{number}"
        lines.append(f"  {spec}({text(e.spec)})")
        lines.append(f"  {names[e.source]} --> {spec} --> {targets[e.target]}")
    return "\n".join(lines)


def _dot(name: str, edges: Sequence[_Edge]) -> str:
    lines = [f"digraph {_quoted(name)} {{", "  rankdir=LR;", "  node [shape=box];"]
    for e in edges:
        source, spec = _quoted(f"source {e.source}"), _quoted(f"spec {e.spec}")
        target = _quoted(f"target {e.target}")
        lines += [
            f"  {source} [label={_quoted(e.source)}, shape=cylinder];",
            f"  {spec} [label={_quoted(e.spec)}, style=rounded];",
            f"  {target} [label={_quoted(e.target)}];",
            f"  {source} -> {spec} -> {target};",
        ]
    return "\n".join([*lines, "}"])


def _json(name: str, edges: Sequence[_Edge]) -> str:
    steps = {rank: step for step, rank in enumerate(sorted({e.rank for e in edges}), 1)}
    flows = [
        {"source": e.source, "spec": e.spec, "target": e.target, "step": steps[e.rank]}
        for e in edges
    ]
    document = {"format_version": "1.0", "project": name, "flows": flows}
    return json.dumps(document, indent=2, ensure_ascii=False)
