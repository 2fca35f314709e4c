"""The hashes by which a state knows records, as SQL. They stay the same from version to version."""

from __future__ import annotations


def key_hash(key: str, lineage: str) -> str:
    """The SQL of a key's 128-bit hash (UHUGEINT). `key` is SQL; the state's lineage is the salt."""
    salt = lineage.replace("'", "''")
    return f"md5_number('{salt}:' || {key})"
