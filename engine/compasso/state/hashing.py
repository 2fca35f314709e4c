"""The hashes by which a state knows records, as SQL. They stay the same from version to version.

All are parts of MD5, salted with the state's lineage. They find what is equal; they are no
encryption: who has the state and a list of addresses can tell which of them are in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

# 48 bits: nine fields and two 128-bit hashes fit into 100 bytes. That two values of one field
# have the same hash by chance happens once in 280 million million changes.
_FIELD_BITS = (1 << 48) - 1


def key_hash(key: str, lineage: str) -> str:
    """The SQL of a key's 128-bit hash (UHUGEINT). `key` is SQL; the state's lineage is the salt."""
    return f"md5_number({_salt(lineage)} || {key})"


def field_hash(value: str, name: str, lineage: str) -> str:
    """The SQL of a field's 48-bit hash (UBIGINT), 0 when it has no value.

    `value` is SQL of the value as JSON text.
    """
    salted = f"{_salt(lineage)} || {_text(name + ':')} || {value}"
    number = f"greatest((md5_number({salted}) & {_FIELD_BITS}::UHUGEINT)::UBIGINT, 1::UBIGINT)"
    return f"CASE WHEN {value} IS NULL THEN 0::UBIGINT ELSE {number} END"


def hashed_name(key: str, lineage: str) -> str:
    """The SQL of the text that stands for a key where keys are hashed: # and 32 digits."""
    return f"'#' || md5({_salt(lineage)} || {key})"


def content_hash(lineage: str) -> str:
    """The SQL of what stands for a change's content (32 digits): its operation and its fields."""
    return f"md5({_salt(lineage)} || operation || ':' || fields)"


def _salt(lineage: str) -> str:
    return _text(lineage + ":")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def hidden_name(number: int) -> str:
    """What stands for a key of which only the hash is known: the same text as `hashed_name`."""
    return f"#{number.to_bytes(16, 'little').hex()}"


def hidden_numbers(keys: Iterable[str]) -> list[int]:
    """The hashes of those keys that are the names of hidden ones."""
    found = [k for k in keys if re.fullmatch("#[0-9a-f]{32}", k)]
    return [int.from_bytes(bytes.fromhex(k[1:]), "little") for k in found]


def holds(value: str, fields: Sequence[str] | None, *, key: bool) -> list[str]:
    """SQL tests for a text in a record's fields (None: in any), whatever its case."""
    text = _text(value.lower())
    tests = [f"lower(key) = {text}"] if key else []
    for name in fields or ():
        path = _text('$."' + name.replace('"', '""') + '"')
        tests.append(f"lower(json_extract_string(fields, {path})) = {text}")
    if fields is None:
        texts = "list_transform(json_extract_string(fields, '$.*'), lambda v: lower(v))"
        tests.append(f"list_contains({texts}, {text})")
    return tests


def holds_hash(
    layout: Sequence[str], value: str, fields: Sequence[str], lineage: str, *, key: bool
) -> list[str]:
    """The same tests where only hashes are kept: of the text as it is, and in lower case."""
    tests = []
    for text in dict.fromkeys((value, value.lower())):
        if key:
            tests.append(f"key_hash = {key_hash(_text(text), lineage)}")
        written = _text(json.dumps(text, ensure_ascii=False))
        for name in set(fields) & set(layout):
            hashed = field_hash(written, name, lineage)
            tests.append(f"field_hashes[{layout.index(name) + 1}] = {hashed}")
    return tests
