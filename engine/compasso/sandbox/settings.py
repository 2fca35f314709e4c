"""How the simulated Connectif behaves. Each guess about the real one stands here, in one place."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Behaviour:
    """What no public source tells. Every switch is a guess, and its default the likeliest."""

    # Rate limit
    retry_after: bool = True  # whether a 429 says how long to wait
    reset_is_delta: bool = False  # X-RateLimit-Reset as seconds left instead of an epoch
    sliding_window: bool = False  # the rate window; evidence points to a fixed one
    count_refused: bool = True  # whether refused requests use the window up too
    refusal_is_json: bool = False  # whether a 429 has an HttpError body instead of text
    # Statuses
    create_status: int = 200  # of a PATCH that creates; 201 is possible
    post_status: int = 201  # of a POST that creates (documented for imports, exports, events)
    missing_delete_status: int = 404  # of DELETE of what is not there; 204 is possible
    missing_purchase_delete_status: int = 204  # of a purchase: its page lists no 404
    malformed_id_status: int = 400  # of an id that is no 24 hex digits (documented for purchases)
    collision_status: int = 422  # a key that another contact has; 400 and 409 are possible
    # Values
    null_clears: bool = True  # null in a PATCH clears an optional field; else it is 422
    empty_text_clears: bool = False  # "" in a PATCH clears a text field; else it is kept
    unknown_key_is_error: bool = True  # a PATCH with an unknown key: 422; else ignored
    read_only_key_is_error: bool = True  # a PATCH with a read-only key: 422; else ignored
    unknown_query_is_error: bool = True  # a query parameter that is not listed: 422; else ignored
    fold_email: bool = True  # addresses are trimmed and lower-cased
    max_text_length: int | None = None  # of system fields; no limit was found
    field_status: str | None = None  # ContactField.status; its values were not seen
    # Purchases
    repeated_purchase: Literal["refuse", "replay", "duplicate"] = "refuse"
    purchase_required: tuple[str, ...] = ("purchaseId", "totalPrice", "totalQuantity", "products")
    purchase_item_required: tuple[str, ...] = ("productId", "quantity", "price")
    # Lists (the names of the parameters are seen in one client)
    page_parameter: str = "page"
    page_size_parameter: str = "pageSize"
    page_size: int = 20
    max_page_size: int = 50
    newest_first: bool = True
    # Imports
    unknown_header_is_error: bool = False  # an unknown column of an import file
    zero_integer_in_import: bool = True  # whether a lone 0 is taken (the help page is unsure)
    max_import_rows: int | None = None  # of one file; no limit is stated
    repeated_key_in_import: Literal["last", "error"] = "last"  # two rows of a file, one key
    kept_existing_counts_as: Literal["success", "error"] = "success"  # overrideExisting=false
    # Exports
    export_headers: Literal["ids", "labels"] = "ids"  # of a contacts file
    export_bom: bool = True  # a byte order mark begins each CSV (clients strip one)
    export_crlf: bool = False
    export_list_separator: str = "|"
    # Deletion
    contact_deletion_seconds: float = 0.0  # how long a deleted contact can still be read
    # Coupons: counters are up to 10 s late (documented); how late exactly is not
    coupon_counter_seconds: float = 10.0

    @classmethod
    def from_words(cls, words: Mapping[str, str]) -> Behaviour:
        """Switches from text, as the command line gives them. Raises ValueError."""
        known = {f.name: getattr(cls(), f.name) for f in dataclasses.fields(cls)}
        return cls(**{name: _read_switch(name, text, known) for name, text in words.items()})


_CHOICES = {
    "repeated_purchase": ("refuse", "replay", "duplicate"),
    "repeated_key_in_import": ("last", "error"),
    "kept_existing_counts_as": ("success", "error"),
    "export_headers": ("ids", "labels"),
}
_OPTIONAL_NUMBERS = {"max_text_length", "max_import_rows"}


def _read_switch(name: str, text: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ValueError(f"there is no switch {name!r}; known: {', '.join(known)}")
    default = known[name]
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}, not {text!r}")
        return text
    if isinstance(default, bool):
        if text not in {"true", "false"}:
            raise ValueError(f"{name} is true or false, not {text!r}")
        return text == "true"
    if isinstance(default, tuple):
        return tuple(text.split(","))
    if isinstance(default, (int, float)) or name in _OPTIONAL_NUMBERS:
        try:
            return float(text) if isinstance(default, float) else int(text)
        except ValueError:
            raise ValueError(f"{name} is a number, not {text!r}") from None
    return text


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
    export_rows_per_second: float = 20_000
    export_min_seconds: float = 0.5
    authorised_domains: tuple[str, ...] = ()  # none: any domain will do
    address: str = "http://sandbox"  # what absolute URLs in answers begin with


MAX_IMPORT_BYTES = 50 * 1024 * 1024  # documented as 50 MB; the larger reading, to be lenient
MAX_BODY_BYTES = MAX_IMPORT_BYTES  # documented for every endpoint that lists 413
MAX_EVENT_BYTES = 512 * 1024  # documented (H24)
MAX_QUEUED_IMPORTS = 10  # documented
MAX_QUEUED_EXPORTS = 5  # documented
MAX_CUSTOM_FIELDS = 140  # documented
MAX_COUPONS = 500_000  # documented (H17): codes of a set, uses of a single coupon
EXPORT_DAYS = 31  # documented
EXPORT_URL_SECONDS = 100 * 60  # documented: how long an export's address lives
