"""The hashes by which a state knows records, as SQL. They stay the same from version to version.

All are parts of MD5, salted with the state's lineage. They find what is equal; they are no
encryption: who has the state and a list of addresses can tell which of them are in it.
"""

from __future__ import annotations

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


def _salt(lineage: str) -> str:
    return _text(lineage + ":")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
