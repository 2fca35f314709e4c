"""Run a mapping over rows as a plan does, on the road of one's choice."""

from types import SimpleNamespace

import duckdb

from compasso.mapping import compile_mapping, from_clause, prepare_mapping
from compasso.mapping.lookups import describe
from compasso.mapping.templates import RowError, evaluator, parse
from compasso.spec import Cast, FieldKind, FieldSpec

COLUMNS = {
    "t": "VARCHAR", "u": "VARCHAR", "n": "BIGINT", "x": "DOUBLE", "b": "BOOLEAN",
    "d": "DATE", "s": "TIMESTAMP",
}  # fmt: skip
VARIABLES = {"p": "34", "rate": 1.21, "many": 7}


def template(text, **cast):
    return FieldSpec(FieldKind.TEMPLATE, text, Cast(**cast) if cast else None)


def table(connection, rows, columns=COLUMNS):
    """A table `src` of the rows, numbered by `i`."""
    names = ", ".join(f"{c} {t}" for c, t in columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE src (i BIGINT, {names})")
    if rows:
        marks = ", ".join("(" + ", ".join("?" * (len(columns) + 1)) + ")" for _ in rows)
        values = [v for i, row in enumerate(rows) for v in (i, *(row.get(c) for c in columns))]
        connection.execute(f"INSERT INTO src VALUES {marks}", values)


def select(connection, mapping):
    """The mapped values and errors of the rows of `src`."""
    assert not mapping.problems, mapping.problems
    mapping = prepare_mapping(connection, "src", mapping)
    columns = ", ".join(f"{f.value_sql}, {f.error_sql or 'NULL'}" for f in mapping.fields)
    where = f" WHERE {mapping.when_sql}" if mapping.when_sql else ""
    found = connection.execute(
        f"SELECT {columns} FROM {from_clause('src', mapping.lookups)}{where} ORDER BY source.i"
    ).fetchall()
    return [[tuple(row[k : k + 2]) for k in range(0, len(row), 2)] for row in found]


def run(fields, rows, columns=COLUMNS, types=None, when=None, only_jinja=False):
    """The mapped values and errors of some rows, through DuckDB as a plan does it."""
    mapping = compile_mapping(fields, when, columns, types or {}, VARIABLES, only_jinja=only_jinja)
    with duckdb.connect() as connection:
        table(connection, rows, columns)
        return select(connection, mapping)


def one(text, row, kind=None, **cast):
    """The value and error of one template over one row."""
    types = {"f": kind} if kind else {}
    return run({"f": template(text, **cast)}, [row], types=types)[0][0]


def by_jinja(text, row):
    """What Jinja itself gives, described."""
    try:
        return describe(evaluator(parse(text))({**row, "vars": SimpleNamespace(**VARIABLES)}))
    except RowError as error:
        return {"error": str(error)}
