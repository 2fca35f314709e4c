"""Checks a body against the schema that its endpoint declares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import jsonschema

from compasso.sandbox.errors import invalid

# ASCII, as the format `email` of JSON Schema says; what Connectif takes beyond it nobody knows.
EMAIL = re.compile(r"[!-?A-~]+@[!-\-/-?A-~]+(\.[!-\-/-?A-~]+)+\Z")
_FORMATS = jsonschema.FormatChecker(())


def is_date(text: str) -> bool:
    """Whether a text is a date or a date with a time, as ISO 8601 writes them."""
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _is_email(value: object) -> bool:
    return not isinstance(value, str) or EMAIL.match(value) is not None


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or is_date(value)


def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        return bool(urlsplit(value).scheme)
    except ValueError:
        return False


_FORMATS.checks("email")(_is_email)
_FORMATS.checks("date-time")(_is_date_time)
_FORMATS.checks("uri")(_is_uri)


@lru_cache(maxsize=256)
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(schema), format_checker=_FORMATS)


def problems_of(schema: Mapping[str, Any], value: Any) -> list[tuple[str, str]]:
    """What is wrong with a value: (path, reason), the path with slashes and without the first."""
    found = []
    for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(value):
        path = [str(part) for part in error.absolute_path]
        if error.validator == "required":
            named = [name for name in error.validator_value if name not in error.instance]
            found += [("/".join([*path, name]), "Value is required") for name in named]
        elif error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            extra = [name for name in error.instance if name not in known]
            found += [("/".join([*path, name]), "Property is not allowed") for name in extra]
        else:
            found.append(("/".join(path), "Value is not valid"))
    return sorted(set(found))


def check(schema: Mapping[str, Any], value: Any) -> None:
    """Raise 422 unless the value fits the schema."""
    if problems := problems_of(schema, value):
        raise invalid(problems)
