"""HTML: one page that stands alone, to be kept beside a run or sent to a reviewer.

It loads nothing and runs nothing; a content policy in the page itself forbids both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from compasso.rendering.words import SYMBOLS, plan_line, result_line, value

if TYPE_CHECKING:
    from jinja2 import Environment

_COUNTS = ("create", "update", "delete", "unchanged", "rejected", "requests")
_SHOWN_FAILURES = 200

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
       color: #1b1f24; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .3rem .6rem; text-align: left;
       border-bottom: 1px solid #d0d7de; vertical-align: top } td.n, th.n { text-align: right }
code, .v { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere }
.create { color: #116329 } .update { color: #7d4e00 } .delete { color: #a40e26 }
.note { background: #fff8c5; padding: .5rem .8rem; margin: .5rem 0 }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #e6edf3 } td, th { border-color: #30363d }
  .create { color: #56d364 } .update { color: #e3b341 } .delete { color: #ff7b72 }
  .note { background: #3a2d00 } }
</style>
</head>
<body>
"""

_PLAN = """<h1>Compasso: {{ document.project }}</h1>
<p><strong>{{ line }}</strong></p>
{% for note in document.warnings or [] %}<p class="note">{{ note }}</p>{% endfor %}
<table>
<tr><th>spec</th><th>target</th>{% for c in counts %}<th class="n">{{ c }}</th>{% endfor %}</tr>
{% for sync in document.syncs %}<tr><td>{{ sync.name }}</td><td>{{ sync.target }}</td>
{% for c in counts %}<td class="n">{{ "{:,}".format(sync[c]) }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% for sync in document.syncs %}
<h2>{{ sync.name }}</h2>
<p>{{ sync.source }} → {{ sync.target }}{% if sync.owner %}, kept by {{ sync.owner }}{% endif %}</p>
{% for note in sync.guards + sync.warnings %}<p class="note">{{ note }}</p>{% endfor %}
{% if sync.route_reasons %}<ul>{% for r in sync.route_reasons %}<li>{{ r }}</li>{% endfor %}</ul>
{% endif %}
{% if sync.samples %}<table>
<tr><th></th><th>record</th><th>row</th><th>what changes</th></tr>
{% for s in samples(sync) %}<tr class="{{ s.operation }}"><td>{{ symbols[s.operation] }}</td>
<td><code>{{ s.key }}</code></td><td>{{ s.source_row or "" }}</td><td>
{% if s.operation != "delete" %}{% for f in s.fields %}<div>{{ f.name }}:
{% if s.operation == "update" %}<span class="v">{{ show(f.before) }}</span> → {% endif %}
<span class="v">{{ show(f.after) }}</span></div>{% endfor %}{% endif %}</td></tr>
{% endfor %}</table>{% endif %}
{% if sync.rejects %}<h3>Rejected rows ({{ "{:,}".format(sync.rejected) }})</h3><table>
<tr><th>where</th><th>why</th><th>value</th></tr>
{% for r in sync.rejects %}<tr><td>{{ r.location }}</td><td>{{ r.message }}</td>
<td class="v">{{ "" if r.value is none else show(r.value) }}</td></tr>{% endfor %}</table>{% endif %}
{% endfor %}
</body>
</html>
"""

_RESULT = """<h1>{{ line }}</h1>
{% if document.stopped %}<p class="note">Stopped: {{ document.reason }}. Nothing is lost: run apply
again to go on.</p>{% endif %}
<table>
<tr><th>spec</th><th class="n">applied</th><th class="n">failed</th><th class="n">left</th></tr>
{% for s in document.syncs %}<tr><td>{{ s.name }}</td><td class="n">{{ "{:,}".format(s.applied) }}</td>
<td class="n">{{ "{:,}".format(s.failed) }}</td><td class="n">{{ "{:,}".format(s.skipped) }}</td></tr>
{% endfor %}</table>
{% if failures %}<h2>Failed records</h2><table>
<tr><th>spec</th><th>record</th><th>what</th><th>why</th></tr>
{% for f in failures %}<tr><td>{{ f.sync }}</td><td><code>{{ f.key }}</code></td>
<td>{{ f.operation }}</td><td>{{ f.reason }}</td></tr>{% endfor %}</table>{% endif %}
</body>
</html>
"""


@cache
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined

    pages = {"plan": _HEAD + _PLAN, "result": _HEAD + _RESULT}
    return Environment(
        loader=DictLoader(pages), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def plan(document: Mapping[str, Any], *, color: bool, show: int | None) -> str:
    """A plan as a page; `show` is how many samples of each operation."""

    def samples(sync: Mapping[str, Any]) -> list[Any]:
        shown = dict.fromkeys(SYMBOLS, 0)
        kept = []
        for sample in sync["samples"]:
            shown[sample["operation"]] += 1
            if show is None or shown[sample["operation"]] <= show:
                kept.append(sample)
        return kept

    return (
        _environment()
        .get_template("plan")
        .render(
            title=f"Plan of {document['project']}",
            document=document,
            line=plan_line(document),
            counts=_COUNTS,
            symbols=SYMBOLS,
            samples=samples,
            show=value,
        )
    )


def result(document: Mapping[str, Any], *, color: bool) -> str:
    """An apply as a page."""
    return (
        _environment()
        .get_template("result")
        .render(
            title="Compasso apply",
            document=document,
            line=result_line(document),
            failures=document["failures"][:_SHOWN_FAILURES],
        )
    )
