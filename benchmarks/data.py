"""The data of the benchmarks: a seeded table of customers, as it was and as it is a day later.

Twelve columns. The second day differs from the first in 1% updated rows, 0.1% new ones and 0.1%
that are gone. The same number of rows gives the same data.
"""

from __future__ import annotations

from pathlib import Path

# Ten fields, six of them with filters.
SPEC = """kind: sync
name: bench
source: {{{kind}: {file}}}
target: contacts
fields:
  _email: "{{{{ email | trim | lower }}}}"
  _externalId: id
  _name: "{{{{ first_name | trim | title }}}}"
  _surname: "{{{{ last_name | trim }}}}"
  _mobilePhone: "{{{{ '+34' ~ phone | replace(' ', '') if phone else none }}}}"
  _points: {{from: points, type: integer}}
  _birthdate: {{from: birth, type: date}}
  _newsletterSubscriptionStatus: "{{{{ news | default('none') | lower }}}}"
  city: "{{{{ city | upper }}}}"
  spent: {{from: total, type: decimal}}
missing: delete
"""
PROJECT = "project: bench\n{more}"

_ROWS = """
SELECT i::VARCHAR AS id,
  CASE WHEN h1 % 3 = 0 THEN ' User' || i || '@Example.COM' ELSE 'user' || i || '@example.com' END
    AS email,
  ['ana', 'josé', 'MARÍA', ' luis', 'núria', 'Pau', 'iker', 'carmen'][1 + h1 % 8] || ' ' || h2 % 997
    AS first_name,
  ['García', 'López ', 'Martínez', 'Puig', 'Etxeberria', 'Nuñez'][1 + h2 % 6] || ' ' || h1 % 499
    AS last_name,
  CASE WHEN h1 % 10 = 0 THEN '' ELSE '6' || lpad((h2 % 10000 * 1000 + h1 % 1000)::VARCHAR, 8, '0')
    END AS phone,
  (h1 % 1000 {points})::VARCHAR AS points,
  '19' || 50 + h2 % 50 || '-0' || 1 + h1 % 9 || '-' || 10 + h2 % 19 AS birth,
  (h1 % 5)::VARCHAR AS segment,
  'Calle Mayor ' || h2 % 300 AS address,
  (h1 % 50000 / 100)::VARCHAR AS total,
  ['subscribed', 'Unsubscribed', 'none'][1 + h2 % 3] AS news,
  ['Sevilla', 'Madrid', 'Bilbao', 'València', 'Lugo'][1 + h1 % 5] AS city
FROM (SELECT i, (hash(i, 'one') // 1024)::BIGINT AS h1, (hash(i, 'two') // 1024)::BIGINT AS h2 FROM range({rows}) t(i))
"""


def make_data(folder: Path, rows: int, kind: str = "parquet") -> None:
    """Write day1.KIND and day2.KIND into the folder, unless they are there."""
    import duckdb

    every = 1000
    first = _ROWS.format(points="", rows=rows)
    # Rows of which the number ends in 7 of a hundred are updated, a thousandth is gone.
    touched = "+ CASE WHEN i % 100 = 7 THEN 1 ELSE 0 END"
    second = _ROWS.format(points=touched, rows=rows + rows // every)
    second += f" WHERE NOT (i % {every} = 11 AND i < {rows})"
    options = "FORMAT parquet" if kind == "parquet" else "FORMAT csv, HEADER"
    for name, select in (("day1", first), ("day2", second)):
        path = folder / f"{name}.{kind}"
        if not path.exists():
            with duckdb.connect() as connection:
                connection.execute("SET preserve_insertion_order = true")
                connection.execute(f"COPY ({select}) TO '{path}' ({options})")


def make_project(folder: Path, kind: str, day: int, more: str = "") -> Path:
    """A project over the data of one day; answers its folder."""
    (folder / "specs").mkdir(parents=True, exist_ok=True)
    (folder / "compasso.yml").write_text(PROJECT.format(more=more), "utf-8")
    spec = SPEC.format(kind=kind, file=f"day{day}.{kind}")
    (folder / "specs" / "bench.yml").write_text(spec, "utf-8")
    return folder
