"""A file that a web server gives: CSV, JSON lines, JSON or Parquet.

The spec names a path, and compasso.yml the server: its address is a secret that a pull request
cannot change, so a spec cannot make the planner call just any address.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from compasso.model import CompassoError
from compasso.sources.base import Reader, Source, UnreadableRow
from compasso.temporary import working_folder

if TYPE_CHECKING:
    import httpx
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

FORMATS = ("csv", "jsonl", "json", "parquet")
_TIMEOUT_SECONDS = 60.0
_MOST_REDIRECTS = 5


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """Fetch the file, then read it as its format says. `format` is taken from the name if it is
    not given; the other options are the format's. Raises CompassoError."""
    if spec.connection is None:
        raise CompassoError.say(
            "an http source needs the name of a connection",
            "add `connection: NAME`, and NAME under `connections:` in compasso.yml",
        )
    form = str(spec.options.get("format") or _format_of(spec.location))
    if form not in FORMATS:
        raise CompassoError.say(
            f"the format of {spec.location} is not known", f"add `format: {'|'.join(FORMATS)}`"
        )
    # The folder goes when the source does.
    held = tempfile.TemporaryDirectory(prefix="http-", dir=working_folder())
    file = Path(held.name).resolve() / f"{PurePosixPath(spec.location).name or 'file'}"
    digest = _fetch(spec.connection.reveal(), spec.location, str(spec.options["connection"]), file)
    options = {k: v for k, v in spec.options.items() if k not in {"connection", "format"}}
    local = dataclasses.replace(
        spec, kind=form, location=file.name, options=options, connection=None
    )
    reader: Reader = importlib.import_module(f"compasso.sources.{form}").read
    found = reader(connection, local, file.parent)

    def unreadable() -> list[UnreadableRow]:
        return [dataclasses.replace(row, file=spec.location) for row in found.unreadable()]

    return dataclasses.replace(
        found, files=(spec.location,), fingerprint=digest, unreadable=unreadable, held=held
    )


def _format_of(location: str) -> str:
    name = location.removesuffix(".gz").removesuffix(".zst")
    return PurePosixPath(name).suffix.removeprefix(".")


def _fetch(address: str, path: str, name: str, file: Path) -> str:
    """Write the file; answers a digest of its content. Raises CompassoError."""
    import httpx

    url, auth = _url(address, path, name)
    digest = hashlib.sha256()
    try:
        with (
            httpx.Client(timeout=_TIMEOUT_SECONDS, auth=auth) as client,
            _open(client, url) as response,
        ):
            if not response.is_success:
                raise CompassoError.say(
                    f"{name} answered {response.status_code} for {path}",
                    "check the path, and the address and its password in the connection's variable",
                )
            with file.open("wb") as target:
                for chunk in response.iter_bytes():
                    digest.update(chunk)
                    target.write(chunk)
    except httpx.HTTPError as error:
        raise CompassoError.say(
            f"{path} cannot be fetched from {name}: {type(error).__name__}",
            "check the network and the address in the connection's variable",
        ) from None
    return digest.hexdigest()[:32]


def _url(address: str, path: str, name: str) -> tuple[str, httpx.BasicAuth | None]:
    import httpx

    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CompassoError.say(f"the address of {name} is not http or https", "mend its variable")
    host = parts.hostname + (f":{parts.port}" if parts.port else "")
    whole = f"{parts.path.rstrip('/')}/{quote(path)}"
    auth = httpx.BasicAuth(parts.username, parts.password or "") if parts.username else None
    return urlunsplit((parts.scheme, host, whole, parts.query, "")), auth


@contextmanager
def _open(client: httpx.Client, url: str) -> Iterator[httpx.Response]:
    """The answer behind redirects that stay on the same host: the password must not leave it."""
    import httpx

    start = httpx.URL(url)
    where = start
    for _ in range(_MOST_REDIRECTS):
        with client.stream("GET", where) as response:
            if not response.has_redirect_location:
                yield response
                return
            where = where.join(response.headers["location"])
        if (where.scheme, where.host, where.port) != (start.scheme, start.host, start.port):
            raise CompassoError.say(
                "the server sends the request on to another host", "give that host's address"
            )
    raise CompassoError.say("the server sends the request round in circles", "mend the address")
