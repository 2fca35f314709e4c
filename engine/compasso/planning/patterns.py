"""JSON Schema patterns in one form that Python's re and DuckDB's RE2 read alike.

JSON Schema writes patterns as ECMA 262 does. The three differ: in what `.`, `\\s`, `\\d` and `\\w`
take in, in where `$` stops, and in look-arounds, back references and classes of classes. A
pattern without the latter is written out here with ECMA's sets; the others are Python's alone.
"""

from __future__ import annotations

import re
from functools import cache

# RE2 refuses more repetitions than this.
_MOST = 1000
_SETS = {
    "d": "0-9",
    "w": "A-Za-z0-9_",
    "s": "\t\n\x0b\x0c\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff",
    "t": "\t",
    "n": "\n",
    "r": "\r",
    "f": "\x0c",
    "v": "\x0b",
}
_LINE_ENDS = "\n\r\u2028\u2029"
_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_LITERAL = r"[ !\"#%&',/:;<=>@_`~A-Za-z0-9-]"
# Within a class: a range or a character, or one of the sets.
_ITEM = rf"(?:[^\x00-\x1f\x7f-\U0010ffff\]\[\\^-]|\\{_PUNCTUATION})"
_MEMBER = rf"\\[dwstnrfv](?!-[^\]])|{_ITEM}(?:-{_ITEM})?"
_TOKEN = re.compile(
    rf"(?P<atom>{_LITERAL}|\\{_PUNCTUATION})|(?P<set>\\[dwsDWStnrfv]|\.)"
    rf"|(?P<class>\[\^?(?:{_MEMBER})+-?\])"
    r"|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<bar>\|)|(?P<start>\^)|(?P<end>\$)"
    r"|(?P<times>[*+?]|\{(?P<least>[0-9]{1,4})(?:,(?P<most>[0-9]{1,4})?)?\})(?P<lazy>\??)"
)


@cache
def portable(pattern: str) -> str | None:
    """The pattern in the form that both read alike (`$` is the end); None when there is none."""
    parts, end, before = [], 0, "bar"
    while end < len(pattern):
        token = _TOKEN.match(pattern, end)
        if token is None or not _fits(token, before):
            return None
        parts.append(_written(token))
        before = "times" if token["times"] else "part" if token["close"] else _kind(token)
        end = token.end()
    text = "".join(parts)
    return text if _compiles(text) else None


def _kind(token: re.Match[str]) -> str:
    return "part" if token["atom"] or token["set"] or token["class"] else "edge"


def _fits(token: re.Match[str], before: str) -> bool:
    """Whether a repetition repeats one thing, and not too often."""
    if not token["times"]:
        return True
    least, most = (int(token[name] or 0) for name in ("least", "most"))
    if token["most"] and most < least:
        return False
    return before == "part" and max(least, most) <= _MOST


def _written(token: re.Match[str]) -> str:
    if token["set"] == ".":
        return f"[^{_LINE_ENDS}]"
    if token["set"]:
        letter = token["set"][1]
        return f"[{'^' if letter.isupper() else ''}{_SETS[letter.lower()]}]"
    if token["class"]:
        return re.sub(r"\\(.)", lambda m: _SETS.get(m[1], m[0]), token["class"], flags=re.DOTALL)
    return token[0]


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def in_python(pattern: str) -> str:
    """The pattern for Python's re, whose `$` would also stop before a last line feed."""
    text = portable(pattern) or pattern
    parts = re.split(r"(\\.|\[(?:\\.|[^\]\\])*\])", text, flags=re.DOTALL)
    return "".join(p if i % 2 else p.replace("$", r"\Z") for i, p in enumerate(parts))
