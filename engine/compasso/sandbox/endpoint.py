"""How an endpoint of the simulated API is declared.

The application, its OpenAPI description and docs/sandbox-endpoints.md all come from these
declarations, so they cannot tell different stories.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from compasso.sandbox.sandbox import Sandbox

Schema: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Sandbox, Request], Awaitable[Response]]

_CONVERTER = re.compile(r"\{(\w+):\w+\}")


class Evidence(StrEnum):
    """How sure we are that the real API has an endpoint."""

    DOCUMENTED = "documented"  # read on an official page
    SEEN = "seen in clients"  # public code that talks to the real API calls it
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter."""

    name: str
    schema: Schema
    description: str


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    `path` is a Starlette path: `{email:any}` may hold slashes, a collection has one at its end
    (and answers without it too). `responses` are the successes with the schema of their bodies
    (None: no body), `errors` the statuses that refuse, beside 401, 403 and 429, which every
    endpoint has, and 422 for a query parameter that is not known (a guess). `source` names the facts' sources (docs/sandbox.md lists them). `body` is the
    schema of the JSON body, or of the form's parts for multipart/form-data.
    """

    method: str
    path: str
    handler: Handler = field(repr=False)
    summary: str
    evidence: Evidence
    source: str
    responses: Mapping[int, Schema | None]
    errors: tuple[int, ...] = ()
    body: Schema | None = None
    body_type: str = "application/json"
    query: tuple[Parameter, ...] = ()
    # The schema of each parameter of the path; text when it is not named here.
    path_schemas: Mapping[str, Schema] = field(default_factory=dict)

    @property
    def public_path(self) -> str:
        """The path as documents write it."""
        return _CONVERTER.sub(r"{\1}", self.path)

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names in the path, in its order."""
        return tuple(re.findall(r"\{(\w+)\}", self.public_path))

    @property
    def statuses(self) -> tuple[int, ...]:
        """All statuses it can answer, in order."""
        return tuple(sorted({*self.responses, *self.errors, 401, 403, 422, 429}))


@dataclass(frozen=True)
class Area:
    """The endpoints of one kind of thing, and what they share.

    `schemas` are named by the endpoints as `#/components/schemas/NAME`. `live_schemas` gives
    those that depend on the account, such as its own contact fields. `advance` brings work that
    takes time up to now; it is called before every request.
    """

    title: str
    rank: int  # where it stands in the documentation
    endpoints: tuple[Endpoint, ...]
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    live_schemas: Callable[[Sandbox], Mapping[str, Schema]] | None = None
    advance: Callable[[Sandbox], None] | None = None


def ref(name: str) -> Schema:
    """A reference to a schema of an area."""
    return {"$ref": f"#/components/schemas/{name}"}
