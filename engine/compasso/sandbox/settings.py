"""How the simulated Connectif behaves. Each guess about the real one stands here, in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Behaviour:
    """What no public source tells. Every switch is a guess, and its default the likeliest."""

    create_status: int = 200  # of a PATCH that creates; 201 is possible
    missing_delete_status: int = 404  # of DELETE of what is not there; 204 is possible
    unknown_key_is_error: bool = True  # a PATCH with an unknown or read-only key: 422
    fold_email: bool = True  # addresses are trimmed and lower-cased
    retry_after: bool = True  # whether a 429 says how long to wait
    reset_is_delta: bool = False  # X-RateLimit-Reset as seconds left instead of an epoch
    sliding_window: bool = False  # the rate window; evidence points to a fixed one
    unknown_header_is_error: bool = False  # an unknown column of an import file
    zero_integer_in_import: bool = True  # whether a lone 0 is taken (the help page is unsure)
    page_size: int = 20
    max_page_size: int = 50


@dataclass(frozen=True)
class SandboxSettings:
    """One simulated account. `clock` tells seconds since 1970."""

    requests_per_minute: int = 100
    api_key: str | None = None
    data: Path | None = None
    clock: Callable[[], float] = time.time
    behaviour: Behaviour = field(default_factory=Behaviour)
    import_rows_per_second: float = 20_000
    import_min_seconds: float = 0.5
    authorised_domains: tuple[str, ...] = ()  # none: any domain will do
    address: str = "http://sandbox"  # what absolute URLs in answers begin with


MAX_IMPORT_BYTES = 50 * 1024 * 1024  # documented as 50 MB; the larger reading, to be lenient
MAX_QUEUED_IMPORTS = 10  # documented
MAX_CUSTOM_FIELDS = 140  # documented
