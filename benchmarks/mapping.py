"""What a mapping's field costs a row, by the road it takes.

    python benchmarks/mapping.py [--rows 1000000]

Each expression is compiled, prepared and run over a table in memory, as a plan does it, with two
threads; the best of three runs counts. The cost of reading the column and writing the result
(the first line) is not taken off.
"""

from __future__ import annotations

import argparse
import time

import duckdb

from compasso.mapping import compile_mapping, from_clause, prepare_mapping
from compasso.spec import FieldKind, FieldSpec

COLUMNS = {
    "email": "VARCHAR", "name": "VARCHAR", "stock": "VARCHAR", "phone": "VARCHAR",
    "born": "VARCHAR", "path": "VARCHAR", "price": "DOUBLE", "n": "BIGINT",
}  # fmt: skip
TABLE = """
CREATE TABLE src AS SELECT
  CASE WHEN i % 20 = 0 THEN '  Ana' || i || '@X.es ' ELSE 'Ana' || i || '@X.es' END AS email,
  CASE WHEN i % 10 = 0 THEN 'José María' ELSE 'ana lucia' END AS name,
  (i % 1000)::VARCHAR AS stock, '600 ' || lpad((i % 900000)::VARCHAR, 6, '0') AS phone,
  strftime(DATE '1970-01-01' + (i % 15000)::INTEGER, '%d/%m/%Y') AS born,
  'home/garden/' || (i % 500) AS path, (i % 9973) / 100.0::DOUBLE AS price, i::BIGINT AS n
FROM range({rows}) r(i)
"""
EXPRESSIONS = [
    "{{ email }}",
    "{{ email | trim }}",
    "{{ email | trim | lower }}",
    "{{ email | email }}",
    "{{ phone | phone('ES') }}",
    "{{ '+34' ~ phone | replace(' ', '') if phone else none }}",
    "{{ name | trim | title }}",
    "{{ path.split('/')[1] }}",
    "{{ name[:3] }}",
    "{{ 'instock' if stock | int > 0 else 'outofstock' }}",
    "{{ (price * 1.21) | round(2) }}",
    "{{ '%.2f' | format(price) }}",
    "{{ born | strptime('%d/%m/%Y') }}",
    "{{ name | center(20) }}",
    "{{ email | center(20) }}",
    "{{ phone | phone('FR', invalid=none) }}",
]


def seconds(connection: duckdb.DuckDBPyConnection, text: str, times: int) -> tuple[str, float]:
    """The road of an expression, and the best time for all rows."""
    fields = {"f": FieldSpec(FieldKind.TEMPLATE, text, None)}
    mapping = compile_mapping(fields, None, COLUMNS, {}, {})
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        ready = prepare_mapping(connection, "src", mapping)
        field = ready.fields[0]
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE result AS SELECT {field.value_sql} AS value, "
            f"{field.error_sql or 'NULL'} AS error FROM {from_clause('src', ready.lookups)}"
        )
        best = min(best, time.perf_counter() - began)
        if best > 5:
            break
    return mapping.fields[0].road, best


def main() -> None:
    """Print one line an expression."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute(TABLE.format(rows=rows))
        for text in EXPRESSIONS:
            road, best = seconds(connection, text, 3)
            print(f"{best / rows * 1e6:8.3f} µs a row  {road:6} {text}", flush=True)


if __name__ == "__main__":
    main()
