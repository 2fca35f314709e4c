"""Personal data, made unreadable but still of use to a reviewer."""

from __future__ import annotations

from compasso.model import Json


def mask(value: Json) -> Json:
    """The first character and, of an e-mail address, the domain; the rest is hidden."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value:
            return value
        name, at, domain = value.partition("@")
        return f"{name[:1]}***{at}{domain}"
    return "***"
