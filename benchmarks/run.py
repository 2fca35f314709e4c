"""Measure Compasso against what no plan can beat, and against what one would do without it.

    python benchmarks/run.py --rows 1000000
    python benchmarks/run.py --rows 10000000 --kind parquet --without-rivals

Each measure is a process of its own: its start, imports and all. Seconds are medians of the runs.
Needs the dependency group `bench`: uv sync --group bench. Times depend on the machine and on what
else it does; the ratios less so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data import make_data, make_project
from measure import Measured, measure
from picture import draw

HERE = Path(__file__).parent
PYTHON = sys.executable
SLOW_ROWS = 50_000  # for tools that work row by row: the rest is multiplied
# Each with its file kind (None: the benchmark's own) and whether it is measured on few rows.
RIVALS = {
    "polars script, hashes kept": ("polars_join.py", None, False),
    "pandas script, merge": ("pandas_merge.py", None, False),
    "datacompy, no mapping": ("datacompy_report.py", None, False),
    "csv-diff, no mapping": ("csv_diff_run.py", "csv", True),
    "Jinja + jsonschema, row by row": ("jinja_loop.py", "csv", True),
    "dlt to a destination of one's own": ("dlt_pipeline.py", "csv", True),
}


def main() -> None:
    """Run it all, print a table, and draw it if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kind", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--values", choices=["full", "hashed"], default="full")
    parser.add_argument(
        "--folder", type=Path, help="Where data and states go, and are found again."
    )
    parser.add_argument("--without-rivals", action="store_true")
    parser.add_argument("--apply-rows", type=int, default=20_000)
    parser.add_argument("--picture", type=Path, help="An SVG or PNG of the table.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="compasso-bench-") as name:
        folder = given.folder or Path(name)
        lines = [*ours(folder, given), *startup(folder)]
        lines += apply(folder, given.apply_rows)
        if not given.without_rivals:
            lines += rivals(folder, given)
    report(lines)
    if given.picture:
        draw(lines, given.picture)


def ours(folder: Path, given: argparse.Namespace) -> Iterator[Measured]:
    """First load, no change, one percent; from the same file the floor is measured on."""
    kind, rows, runs = given.kind, given.rows, given.runs
    place = folder / f"{kind}-{rows}-{given.values}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    data = data_of(folder, kind, rows)
    for file in data.glob(f"*.{kind}"):
        os.link(file, place / file.name)
    more = ""
    if given.values == "hashed":
        more = "state: {values: hashed, keys: clear}\n"
    make_project(place, kind, 1, more)
    label = f"floor: read and hash {kind}"
    step = [PYTHON, str(HERE / "steps.py")]
    yield measure(label, [*step, "floor", str(place), f"day1.{kind}"], rows, runs=runs, floor=label)
    yield measure("first load, planned", [*step, "plan", str(place)], rows, floor=label)
    yield measure(
        "first load, import files written", [*step, "imports", str(place)], rows, floor=label
    )
    yield measure("first load, state committed", [*step, "commit", str(place)], rows, floor=label)
    yield measure("plan, no change", [*step, "plan", str(place)], rows, runs=runs, floor=label)
    # A touched file is read again, whatever its fingerprint says.
    make_project(place, kind, 2, more)
    text = "plan, 1% updated, 0.1% new, 0.1% gone"
    yield measure(text, [*step, "plan", str(place)], rows, runs=runs, floor=label)
    yield measure("state committed of that 1%", [*step, "commit", str(place)], rows)
    show = [compasso(), "state", "show", "user5@example.com", "--project", str(place)]
    yield measure("state show KEY", show, rows, runs=runs)


def data_of(folder: Path, kind: str, rows: int) -> Path:
    """The folder with both days of data."""
    place = folder / f"data-{kind}-{rows}"
    place.mkdir(parents=True, exist_ok=True)
    make_data(place, rows, kind)
    return place


def startup(folder: Path) -> Iterator[Measured]:
    """What a command costs before it does anything."""
    yield measure("compasso --help", [compasso(), "--help"], 0, runs=7)
    place = folder / "specs-100"
    shutil.rmtree(place, ignore_errors=True)
    make_project(place, "csv", 1)
    spec = (place / "specs" / "bench.yml").read_text("utf-8")
    (place / "specs" / "bench.yml").unlink()
    (place / "day1.csv").write_text(
        "id,email,first_name,last_name,phone,points,birth,segment,address,total,news,city\n",
        "utf-8",
    )
    for number in range(100):
        text = spec.replace("name: bench", f"name: bench-{number}")
        text = text.replace("target: contacts", "target: contacts", 1)
        (place / "specs" / f"s{number}.yml").write_text(text, "utf-8")
    yield measure(
        "validate of 100 specs", [compasso(), "validate", "--project", str(place)], 0, runs=5
    )


def apply(folder: Path, rows: int) -> Iterator[Measured]:
    """Plan, upload and commit against the simulated Connectif, which is the slower of the two."""
    place = folder / f"apply-{rows}"
    shutil.rmtree(place, ignore_errors=True)
    make_project(place, "parquet", 1)
    make_data(place, rows, "parquet")
    with sandbox() as address:
        os.environ |= {"CONNECTIF_BASE_URL": address, "CONNECTIF_API_KEY": "a:b"}
        command = [compasso(), "apply", "--auto-approve", "--project", str(place)]
        yield measure("apply to the sandbox", command, rows)


@contextmanager
def sandbox() -> Iterator[str]:
    """A simulated Connectif in a process of its own."""
    port = "8461"
    command = [compasso(), "sandbox", "--port", port, "--requests-per-minute", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/_sandbox/dump/contacts", timeout=1).close()  # noqa: S310
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def rivals(folder: Path, given: argparse.Namespace) -> Iterator[Measured]:
    """The same work by other means, on the second day, with what they keep of the first."""
    label = f"floor: read and hash {given.kind}"
    for name, (script, wanted, slow) in RIVALS.items():
        kind = wanted or given.kind
        rows = min(given.rows, SLOW_ROWS) if slow else given.rows
        data = data_of(folder, kind, rows)
        known = data / f"{script}.known"
        command = [PYTHON, str(HERE / "rivals" / script)]
        places = [str(data / f"day1.{kind}"), str(data / f"day2.{kind}"), str(known)]
        prepared = subprocess.run(  # noqa: S603
            [*command, "prepare", *places], capture_output=True, text=True, check=False
        )
        if prepared.returncode != 0:
            sys.exit(f"{name} failed:\n{prepared.stderr}")
        yield measure(
            name, [*command, "run", *places], given.rows, runs=1 if slow else given.runs,
            floor=label, of=rows,
        )  # fmt: skip


def compasso() -> str:
    """The command as it is installed beside this Python."""
    return str(Path(PYTHON).with_name("compasso"))


def report(lines: list[Measured]) -> None:
    """The table, as Markdown."""
    floors = {line.label: line.seconds for line in lines if line.label == line.floor}
    print("| what | rows | seconds | times the floor | processor s | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for line in lines:
        times = line.times(floors)
        ratio = "" if times is None else f"{times:.1f}"
        about = "about " if line.scaled else ""
        rows = f"{line.rows:,}" if line.rows else ""
        print(
            f"| {line.label} | {rows} | {about}{line.seconds:.2f} | {ratio} | "
            f"{line.cpu:.1f} | {line.peak_mb:,.0f} |"
        )
    print()
    for line in lines:
        if sizes := line.found.get("bytes"):
            full = [s for s in sizes if s > 0.9 * max(sizes)]
            print(
                f"{len(sizes)} import files, {line.found['requests']} requests; "
                f"{len(full)} of them {min(full):,} to {max(full):,} bytes"
            )
        elif "bytes_a_record" in line.found:
            print(f"{line.label}: {line.found['bytes_a_record']} bytes a record on the disk")
        elif "summary" in line.found:
            print(f"{line.label}: {json.dumps(line.found['summary'])}")


if __name__ == "__main__":
    main()
