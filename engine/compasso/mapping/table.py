"""The table that every filter, method and test of a mapping stands in.

To add one: a function decorated with `Table.add` in `filters.py`, `methods.py` or
`predicates.py`; if it is not Jinja's own, also its Python in `templates.py`. What is not in
the table cannot be used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compasso.mapping.sql import NotCompiled, Sql

Compiled = Callable[..., Sql]


@dataclass(frozen=True, slots=True)
class Entry:
    """One filter, method or test.

    `meaning` says what it does, for the docs; `asks` which rows or forms go to Jinja ("" : none);
    `gives` is the type of its value, "" where that depends.
    """

    name: str
    gives: str
    meaning: str
    asks: str
    compiled: Compiled | None = None

    def sql(self, value: Sql, arguments: Sequence[Sql], named: Mapping[str, Sql]) -> Sql:
        """Its SQL. Raises NotCompiled."""
        if self.compiled is None:
            raise NotCompiled(f"`{self.name}` is Jinja's")
        try:
            bound = inspect.signature(self.compiled).bind(value, *arguments, **named)
        except TypeError:
            raise NotCompiled(f"`{self.name}` with these arguments") from None
        return self.compiled(*bound.args, **bound.kwargs)


class Table(dict[str, Entry]):
    """Entries by name."""

    def add(
        self, *names: str, gives: str, meaning: str, asks: str = ""
    ) -> Callable[[Compiled], Compiled]:
        """Enter a function from the values' SQL to the result's, under one or more names."""

        def enter(compiled: Compiled) -> Compiled:
            for name in names:
                self[name] = Entry(name, gives, meaning, asks, compiled)
            return compiled

        return enter

    def leave_to_jinja(self, gives: str, **meanings: str) -> None:
        """Enter what only Jinja evaluates."""
        for name, meaning in meanings.items():
            self[name] = Entry(name, gives, meaning, "all")
