"""The SQL of texts, character by character as Python sees them."""

from __future__ import annotations

from collections.abc import Mapping

from compasso.mapping.quoting import quote_text
from compasso.mapping.sql import INTEGER, LIST, TEXT, Guard, NotCompiled, Sql, as_text, both, holds

# Python's white space, as str.strip() removes it.
BLANKS = "".join(
    map(
        chr,
        [*range(0x9, 0xE), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028,
         0x2029, 0x202F, 0x205F, 0x3000],
    )
)  # fmt: skip
# In Latin text (up to U+017F) without these, upper and lower case are the same in Python and in
# the engine, and stay in that range; a test goes through all of it. Other scripts ask Jinja.
_OTHER_CASES = r"[^\x00-\x{17f}]|[ßİŉµ]"
_REGEXP_BLANK = r"[\s\x0b\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
# No filter makes a text longer than this: a spec is not trusted. In characters.
LONGEST_TEXT = 1_000_000
LONG = "very long texts"
# Paddings and the like that SQL takes; wider ones ask Jinja.
_WIDEST = 1_000
_LARGEST_INDEX = 2**31


def text_of(value: Sql, what: str) -> Sql:
    """The text of a scalar, as Jinja's text filters take it. Raises NotCompiled."""
    try:
        return as_text(value)
    except NotCompiled:
        raise NotCompiled(f"{what} of a {value.type}") from None


def constant_text(value: Sql, what: str) -> str:
    """A constant text. Raises NotCompiled."""
    if not isinstance(value.constant, str):
        raise NotCompiled(f"{what} that is not a constant text")
    return value.constant


def constant_integer(value: Sql | None, what: str, largest: int = _WIDEST) -> int:
    """A constant integer no larger than that. Raises NotCompiled."""
    found = value.constant if value is not None else None
    if not isinstance(found, int) or isinstance(found, bool) or abs(found) > largest:
        raise NotCompiled(f"{what} that is not a small constant")
    return found


def derived(value: Sql, sql: str, more: tuple[str, ...] = ()) -> Sql:
    """A text made of the characters of another (and of `more`)."""
    letters = both(value.alphabet, more)
    return Sql(sql, TEXT, value.guard, nullable=value.nullable, letters=letters)


def latin(value: Sql) -> tuple[Guard, ...]:
    """The condition that case is the same in Python and in the engine."""
    return tuple(
        Guard(_only(letter, _OTHER_CASES), "letters outside Latin, or ß, İ, ŉ, µ")
        for letter in value.alphabet
    )


def _only(sql: str, others: str) -> str:
    # A text with as many bytes as characters is ASCII: no need to look closer.
    other = f"NOT coalesce(regexp_matches({sql}, '{others}'), false)"
    return f"(CASE WHEN strlen({sql}) = length({sql}) THEN true ELSE {other} END)"


def ascii_only(value: Sql) -> tuple[Guard, ...]:
    """The condition that a text is ASCII (or none)."""
    return tuple(
        Guard(f"coalesce(strlen({s}) = length({s}), true)", "letters outside ASCII")
        for s in value.alphabet
    )


def matches(sql: str, pattern: str) -> str:
    """Whether the whole text has the form; never NULL."""
    return holds(f"regexp_full_match({sql}, {quote_text(pattern)})")


def trimmed(sql: str) -> str:
    """Python's str.strip() of a text.

    The engine's trim with a set of characters is slow, so texts that begin and end with a
    visible ASCII character, nearly all there are, are taken as they are.
    """
    ends = " AND ".join(f"unicode({end}) BETWEEN 33 AND 126" for end in (sql, f"right({sql}, 1)"))
    return f"(CASE WHEN {ends} THEN {sql} ELSE trim({sql}, {quote_text(BLANKS)}) END)"


def strip(value: Sql, chars: Sql | None, side: str = "") -> Sql:
    """str.strip, lstrip ("l") and rstrip ("r")."""
    if chars is None or chars.type == "none":
        if not side:
            return derived(value, trimmed(value.sql))
        return derived(value, f"{side}trim({value.sql}, {quote_text(BLANKS)})")
    removed = constant_text(chars, "characters to trim")
    if not removed:
        return value
    return derived(value, f"{side}trim({value.sql}, {chars.sql})")


def case(function: str, value: Sql) -> Sql:
    """upper or lower."""
    return derived(value, f"{function}({value.sql})").but(*latin(value))


def capitalize(value: Sql) -> Sql:
    """The first character in upper case, the rest in lower case."""
    sql = f"(upper(left({value.sql}, 1)) || lower(substr({value.sql}, 2)))"
    return derived(value, sql).but(*latin(value))


def title(value: Sql) -> Sql:
    """Jinja's title: words begin after blanks, - and opening brackets.

    Here words begin after the common blank alone; texts with the others ask Jinja. (The whole
    text is looked at: a number has no letters to ask, but it may have a -.)
    """
    words = (
        f"list_transform(string_split({value.sql}, ' '), "
        "lambda w: upper(left(w, 1)) || lower(substr(w, 2)))"
    )
    return derived(value, f"array_to_string({words}, ' ')").but(
        *latin(value), _plain_words(value.sql)
    )


def _plain_words(sql: str) -> Guard:
    others = r"[-({\[<\x09-\x0d\x1c-\x1f\x{85}\x{a0}]"
    condition = f"(NOT coalesce(regexp_matches({sql}, '{others}'), false))"
    return Guard(condition, "hyphens, opening brackets or uncommon blanks")


def python_title(value: Sql) -> Sql:
    """str.title(): words begin after anything that is no letter; here only after blanks."""
    plain = f"coalesce(regexp_full_match({value.sql}, '[A-Za-zÀ-ÖØ-Þà-öø-þ ]*'), true)"
    return title(value).but(Guard(plain, "other than Latin letters and blanks"))


def replaced(value: Sql, old: Sql, new: Sql) -> Sql:
    """str.replace with constants. It does not grow without bound."""
    gone, come = constant_text(old, "a text to replace"), constant_text(new, "a replacement")
    if not gone:
        raise NotCompiled("a replacement of nothing")
    plain = f"replace({value.sql}, {old.sql}, {new.sql})"
    if len(come) <= len(gone):
        return derived(value, plain, new.alphabet)
    most = LONGEST_TEXT // len(come)
    fits = f"coalesce(strlen({value.sql}) <= {most}, true)"
    sql = f"(CASE WHEN {fits} THEN {plain} END)"
    return derived(value, sql, new.alphabet).but(Guard(fits, LONG))


def character(value: Sql, index: int) -> Sql:
    """One character; outside the text it is undefined."""
    _small(index)
    position = index + 1 if index >= 0 else index
    size = index + 1 if index >= 0 else -index
    sql = f"substr({value.sql}, {position}, 1)"
    if index < -1:  # the engine counts past the beginning
        sql = f"left(right({value.sql}, {size}), 1)"
    missing = f"(NOT {holds(f'length({value.sql}) >= {size}')})"
    if size == 1:
        filled = f"{value.sql} <> ''"
        missing = f"(NOT {holds(filled)})"
    return Sql(
        sql, TEXT, both(value.guard, value.known), nullable=False, missing=missing,
        letters=value.alphabet,
    )  # fmt: skip


def _small(*indexes: int | None) -> None:
    if any(abs(i or 0) >= _LARGEST_INDEX for i in indexes):
        raise NotCompiled("an index that large")


def sliced(value: Sql, start: int | None, stop: int | None) -> Sql:
    """A slice without a step."""
    _small(start, stop)
    sql, first = value.sql, start or 0
    if stop is None:
        if first > 0:
            sql = f"substr({sql}, {first + 1})"
        elif first < 0:
            sql = f"right({sql}, {-first})"
    elif first < 0 <= stop:
        raise NotCompiled("a slice from the end to a place counted from the beginning")
    elif first < 0:
        sql = f"left(right({sql}, {-first}), {stop})"
    elif stop < 0:
        sql = f"left({sql}, {stop})"
        sql = f"substr({sql}, {first + 1})" if first else sql
    elif first == 0:
        sql = f"left({sql}, {stop})"
    else:
        sql = f"substr({sql}, {first + 1}, {max(stop - first, 0)})"
    return derived(value, sql).but(*value.known)


def backwards(value: Sql) -> Sql:
    """The text from its end; the engine keeps what is drawn as one sign together."""
    return derived(value, f"reverse({value.sql})").but(*value.known, *ascii_only(value))


def split(value: Sql, separator: Sql | None) -> Sql:
    """str.split with a constant separator, or at blanks."""
    guard = both(value.guard, value.known)
    if separator is None or separator.type == "none":
        inner = f"trim({value.sql}, {quote_text(BLANKS)})"
        parts = f"string_split_regex({inner}, '{_REGEXP_BLANK}+')"
        sql = f"(CASE WHEN {inner} = '' THEN []::VARCHAR[] ELSE {parts} END)"
        return Sql(sql, LIST, guard, nullable=False, letters=value.alphabet)
    if not constant_text(separator, "a separator"):
        raise NotCompiled("a split at nothing")
    sql = f"string_split({value.sql}, {separator.sql})"
    pair = (value.sql, separator.sql)
    return Sql(sql, LIST, guard, nullable=False, letters=value.alphabet, split=pair)


def split_once(value: Sql, separator: Sql) -> Sql:
    """str.split(separator, 1)."""
    gone = constant_text(separator, "a separator")
    if not gone:
        raise NotCompiled("a split at nothing")
    text, place = value.sql, f"instr({value.sql}, {separator.sql})"
    sql = (
        f"(CASE WHEN {place} > 0 THEN [left({text}, {place} - 1), "
        f"substr({text}, {place} + {len(gone)})] ELSE [{text}] END)"
    )
    guard = both(value.guard, value.known)
    return Sql(sql, LIST, guard, nullable=False, letters=value.alphabet)


def item(value: Sql, index: int) -> Sql:
    """One item of a list; outside the list it is undefined."""
    _small(index)
    size = index + 1 if index >= 0 else -index
    place = index + 1 if index >= 0 else index
    if value.split is not None:  # no list is made; and a split gives at least one item
        text, separator = value.split
        sql = f"split_part({text}, {separator}, {place})"
        found = f"len(string_split({text}, {separator})) >= {size}"
    else:
        sql, found = f"{value.sql}[{place}]", f"len({value.sql}) >= {size}"
    missing = None if value.split is not None and size == 1 else f"(NOT {holds(found)})"
    return Sql(
        sql, TEXT, both(value.guard, value.known), missing=missing, letters=value.alphabet,
        nullable=value.split is None,
    )  # fmt: skip


def some_items(value: Sql, start: int | None, stop: int | None) -> Sql:
    """A slice of a list, counted from its beginning."""
    _small(start, stop)
    if (start or 0) < 0 or (stop or 0) < 0:
        raise NotCompiled("a slice of a list counted from its end")
    first = (start or 0) + 1
    rest = f"{value.sql}[{first}:]"
    if stop is not None:
        rest = f"{value.sql}[{first}:{stop}]" if stop >= first else "[]::VARCHAR[]"
    guard = both(value.guard, value.known)
    return Sql(rest, LIST, guard, nullable=False, letters=value.alphabet)


def joined(value: Sql, separator: Sql) -> Sql:
    """The items with a constant text between them; nones are left out."""
    between = constant_text(separator, "a text to join with")
    sql = f"array_to_string({value.sql}, {separator.sql})"
    guard = both(value.guard, value.known)
    if between:
        fits = holds(f"len({value.sql}) <= {LONGEST_TEXT // len(between)}")
        sql, guard = f"(CASE WHEN {fits} THEN {sql} END)", both(guard, (Guard(fits, LONG),))
    letters = both(value.alphabet, separator.alphabet)
    return Sql(sql, TEXT, guard, nullable=False, letters=letters)


def joined_parts(parts: list[Sql], separator: str) -> Sql:
    """A list that stands in the template, joined; nones are left out."""
    texts = [as_text(part) for part in parts]
    kept = [text for text in texts if text.sql != "NULL::VARCHAR"]
    sql = f"concat_ws({', '.join([quote_text(separator), *(t.sql for t in kept)])})"
    if not kept:
        sql = "''"
    quoted = () if separator.isascii() else (quote_text(separator),)
    return Sql(
        sql, TEXT, both(*(t.guard for t in texts)), nullable=False,
        letters=both(quoted, *(t.alphabet for t in kept)),
    )  # fmt: skip


def padded(value: Sql, width: Sql, fill: Sql | None, left: bool) -> Sql:
    """str.rjust (left) and ljust."""
    sign = " " if fill is None else constant_text(fill, "a character to fill with")
    if len(sign) != 1:
        raise NotCompiled("a filling of other than one character")
    size = constant_integer(width, "a width")
    filling = f"repeat({quote_text(sign)}, {size} - length({value.sql}))"
    sql = f"({filling} || {value.sql})" if left else f"({value.sql} || {filling})"
    more = () if sign.isascii() else (quote_text(sign),)
    return derived(value, sql, more).but(*value.known)


def zero_filled(value: Sql, width: Sql) -> Sql:
    """str.zfill: zeros after a sign."""
    size = constant_integer(width, "a width")
    zeros = f"repeat('0', {size} - length({value.sql}))"
    sql = (
        f"(CASE WHEN left({value.sql}, 1) IN ('+', '-') THEN "
        f"left({value.sql}, 1) || {zeros} || substr({value.sql}, 2) ELSE {zeros} || {value.sql} END)"
    )
    return derived(value, sql).but(*value.known)


def without_prefix(value: Sql, prefix: Sql) -> Sql:
    """str.removeprefix."""
    size = len(constant_text(prefix, "a prefix"))
    sql = (
        f"(CASE WHEN starts_with({value.sql}, {prefix.sql}) "
        f"THEN substr({value.sql}, {size + 1}) ELSE {value.sql} END)"
    )
    return derived(value, sql).but(*value.known)


def without_suffix(value: Sql, suffix: Sql) -> Sql:
    """str.removesuffix."""
    size = len(constant_text(suffix, "a suffix"))
    if not size:
        return value.but(*value.known)
    sql = (
        f"(CASE WHEN ends_with({value.sql}, {suffix.sql}) "
        f"THEN left({value.sql}, {-size}) ELSE {value.sql} END)"
    )
    return derived(value, sql).but(*value.known)


def truncated(value: Sql, length: int, killwords: bool, end: str, leeway: int) -> Sql:
    """Jinja's truncate."""
    if length < len(end) or not 0 <= leeway <= _WIDEST:
        raise NotCompiled("truncate to less than its ending")
    begin = f"left({value.sql}, {length - len(end)})"
    if not killwords:  # what stands behind the last blank goes
        begin = f"regexp_replace({begin}, ' [^ ]*$', '')"
    ending = quote_text(end)
    sql = (
        f"(CASE WHEN length({value.sql}) <= {length + leeway} THEN {value.sql} "
        f"ELSE {begin} || {ending} END)"
    )
    return derived(value, sql, () if end.isascii() else (ending,))


# str.is…(): asked of ASCII alone, since Python and the engine know other characters differently.
FORMS: Mapping[str, str] = {
    "isdigit": "[0-9]+",
    "isdecimal": "[0-9]+",
    "isnumeric": "[0-9]+",
    "isalpha": "[A-Za-z]+",
    "isalnum": "[A-Za-z0-9]+",
    "isspace": "[\\x09-\\x0d\\x1c-\\x20]+",
    "islower": "[^A-Z]*[a-z][^A-Z]*",
    "isupper": "[^a-z]*[A-Z][^a-z]*",
}


def has_form(value: Sql, name: str) -> Sql:
    """str.isdigit() and its like."""
    sql = matches(value.sql, f"(?s){FORMS[name]}")
    guard = both(value.guard, value.known, ascii_only(value))
    return Sql(sql, "boolean", guard, nullable=False, letters=())


def length(value: Sql) -> Sql:
    """The number of characters or items."""
    function = "len" if value.type == LIST else "length"
    guard = both(value.guard, value.known)
    return Sql(f"{function}({value.sql})", INTEGER, guard, nullable=False, letters=())
