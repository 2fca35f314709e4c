"""How long a plan takes, as a ratio to DuckDB just reading and hashing the same file.

    python benchmarks/plan_csv.py --rows 1000000

Makes a seeded CSV of 12 columns, maps 10 fields, and measures in one run: the floor, a first
plan (all creates), and a plan with no change. Prints seconds, ratios and peak memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SPEC = """
kind: sync
name: bench
source: {csv: data.csv}
target: contacts
fields:
  _email: "{{ email | trim | lower }}"
  _externalId: id
  _name: "{{ first_name | trim | title }}"
  _surname: "{{ last_name | trim }}"
  _mobilePhone: "{{ '+34' ~ phone if phone else none }}"
  _points: {from: points, type: integer}
  _birthdate: {from: birth, type: date}
  _newsletterSubscriptionStatus: "{{ 'subscribed' if news == 'yes' else 'unsubscribed' }}"
  city: "{{ city | upper }}"
  spent: {from: total, type: decimal}
"""


def make_data(path: Path, rows: int) -> None:
    """Twelve columns, the same for the same number of rows."""
    import duckdb

    duckdb.connect().execute(
        f"""COPY (SELECT i AS id,
        CASE WHEN i % 3 = 0 THEN ' User' || i || '@Example.COM' ELSE 'user' || i || '@example.com'
        END AS email, 'ana ' || i AS first_name, 'García López' AS last_name,
        CASE WHEN i % 10 = 0 THEN '' ELSE '6' || lpad((i % 100000000)::VARCHAR, 8, '0') END AS phone,
        i % 1000 AS points, '1980-01-0' || (1 + i % 9) AS birth, i % 5 AS segment,
        'Calle Mayor ' || i AS address, (i % 50000) / 100 AS total,
        CASE WHEN i % 2 = 0 THEN 'yes' ELSE 'no' END AS news, 'Sevilla' AS city
        FROM range({rows}) t(i)) TO '{path}' (HEADER)"""
    )


def floor(folder: Path) -> None:
    """What no plan can be faster than."""
    import duckdb

    duckdb.connect().execute(
        "SELECT bit_xor(hash(c)) FROM read_csv(?, all_varchar = true) AS c",
        [str(folder / "data.csv")],
    ).fetchall()


def plan(folder: Path) -> None:
    """Plan the project against its state."""
    from compasso.planning import make_plan
    from compasso.spec import load_project
    from compasso.state import open_state

    make_plan(load_project(folder), open_state(folder, None)).close()


def adopt(folder: Path) -> None:
    """Put a plan's changes into the state, as if they had been applied."""
    from compasso.planning import make_plan
    from compasso.spec import load_project
    from compasso.state import Commit, open_state

    state = open_state(folder, None)
    with make_plan(load_project(folder), state) as made:
        first, last = made.batches[0].first, made.batches[-1].last
        state.commit(Commit("bench", made.plan_id, "bench", made.changes_file, first, last))


def measured(work: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """Seconds and peak MB of the work in a process of its own."""
    queue: multiprocessing.Queue[tuple[float, float]] = multiprocessing.Queue()

    def child() -> None:
        start = time.perf_counter()
        work(folder)
        seconds = time.perf_counter() - start
        queue.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    result = queue.get()
    process.join()
    return result


def main() -> None:
    """Run it all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder / "data.csv", given.rows)
        (folder / "specs").mkdir()
        (folder / "compasso.yml").write_text("project: bench\n")
        (folder / "specs" / "bench.yml").write_text(SPEC)
        floors: list[float] = []
        print(f"{given.rows:,} rows, medians of {given.runs} runs")
        print(f"{'what':28}{'seconds':>9}{'x floor':>9}{'peak MB':>9}")
        steps = [("floor: read and hash", floor), ("plan, all new", plan)]
        for label, work in steps:
            report(label, [measured(work, folder) for _ in range(given.runs)], floors)
        measured(adopt, folder)
        report("plan, no change", [measured(plan, folder) for _ in range(given.runs)], floors)


def report(label: str, runs: list[tuple[float, float]], floors: list[float]) -> None:
    """One line of the table; the first line is the floor of the others."""
    seconds = statistics.median(r[0] for r in runs)
    floors.append(seconds)
    peak = max(r[1] for r in runs)
    print(f"{label:28}{seconds:9.2f}{seconds / floors[0]:9.1f}{peak:9.0f}")


if __name__ == "__main__":
    main()
