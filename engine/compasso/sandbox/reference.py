"""docs/sandbox-endpoints.md, made from the endpoints' declarations.

`python -m compasso.sandbox.reference > docs/sandbox-endpoints.md` writes it; a test holds that the
committed file is what this makes.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections import Counter

from compasso.sandbox.endpoint import Area, Endpoint
from compasso.sandbox.endpoints import areas, endpoints
from compasso.sandbox.settings import Behaviour

_HEAD = """# The endpoints of the simulated Connectif

Made from the declarations in `engine/compasso/sandbox/endpoints/`; change those, then run
`python -m compasso.sandbox.reference > docs/sandbox-endpoints.md`.

Evidence: **documented** is read on an official page of Connectif, **seen in clients** in public
code that talks to the real API, **guess** is our own inference. The keys of the sources (D.., H..,
C..) are listed in [sandbox.md](sandbox.md#sources). Every endpoint can also answer 401 (no key),
403 (the key may not), 422 (an unknown query parameter, a guess) and 429 (rate limit). Collections answer with and without the slash at the
end. `GET /_sandbox/openapi.json` describes the same for machines.
"""


def reference() -> str:
    """The whole page."""
    counted = Counter(endpoint.evidence for endpoint in endpoints())
    told = ", ".join(f"{count} {evidence}" for evidence, count in sorted(counted.items()))
    parts = [_HEAD, f"{len(endpoints())} endpoints: {told}.\n"]
    parts += [_area(area) for area in areas()]
    parts.append(_switches())
    return "\n".join(parts)


def _area(area: Area) -> str:
    lines = [
        f"## {area.title}\n",
        "| method and path | what it does | answers | evidence | source |",
        "| --- | --- | --- | --- | --- |",
        *(_row(endpoint) for endpoint in area.endpoints),
    ]
    notes = [
        f"- `{parameter.name}` ({endpoint.method} `{endpoint.public_path}`): "
        f"{parameter.description}"
        for endpoint in area.endpoints
        for parameter in endpoint.query
    ]
    if notes:
        lines += ["", "Query parameters:", "", *notes]
    return "\n".join(lines) + "\n"


def _row(endpoint: Endpoint) -> str:
    answers = [*sorted(endpoint.responses), *sorted(endpoint.errors)]
    return (
        f"| {endpoint.method} `{endpoint.public_path}` | {endpoint.summary} "
        f"| {', '.join(map(str, answers))} | {endpoint.evidence} | {endpoint.source} |"
    )


_SWITCH = re.compile(r"^    (?P<name>\w+): [^=]+= (?P<value>.+?)(?:  # (?P<note>.*))?$")
_GROUP = re.compile(r"^    # (?P<title>.*)$")


def _switches() -> str:
    """The switches of Behaviour, with the comments that stand beside them in the source."""
    known = {field.name for field in dataclasses.fields(Behaviour)}
    lines = [
        "## Switches for what nobody knows\n",
        "Each is a field of `Behaviour` in `engine/compasso/sandbox/settings.py`, and",
        "`compasso sandbox --behaviour NAME=VALUE` sets it.\n",
        "| switch | default | |",
        "| --- | --- | --- |",
    ]
    for line in inspect.getsource(Behaviour).splitlines():
        if (group := _GROUP.match(line)) is not None:
            lines.append(f"| **{group['title']}** | | |")
        elif (switch := _SWITCH.match(line)) is not None and switch["name"] in known:
            value = switch["value"].strip('"')
            lines.append(f"| `{switch['name']}` | `{value}` | {switch['note'] or ''} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
