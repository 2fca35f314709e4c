"""One step of a benchmark, run as a process of its own: python benchmarks/steps.py STEP FOLDER."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def floor(folder: Path, file: str) -> dict[str, Any]:
    """What no plan can be faster than: read the file and hash all its columns."""
    import duckdb

    path = str(folder / file)
    read = f"read_parquet('{path}')"
    if path.endswith(".csv"):
        read = f"read_csv('{path}', all_varchar = true, header = true)"
    connection = duckdb.connect()
    connection.execute(f"SELECT bit_xor(hash(c)) FROM {read} AS c").fetchall()
    return {}


def plan(folder: Path) -> dict[str, Any]:
    """Plan the project against its state, into a file."""
    from compasso.planning import make_plan
    from compasso.spec import load_project
    from compasso.state import open_state

    with make_plan(load_project(folder), open_state(folder, None), folder / "new.plan") as made:
        return {"summary": made.document["summary"]}


def imports(folder: Path) -> dict[str, Any]:
    """Write each import file of the saved plan, as an apply does before its upload."""
    from compasso.model import Route
    from compasso.planning import open_plan

    sizes = []
    with open_plan(folder / "new.plan") as made, tempfile.TemporaryDirectory() as place:
        for batch in made.batches:
            if batch.route is Route.IMPORT:
                file = Path(place) / "import.csv"
                made.write_import(batch, file)
                sizes.append(file.stat().st_size)
        requests = sum(b.requests for b in made.batches)
    return {"files": len(sizes), "bytes": sizes, "requests": requests}


def commit(folder: Path) -> dict[str, Any]:
    """Put the saved plan's changes into the state, as if they had been applied."""
    from compasso.planning import open_plan
    from compasso.spec import load_project
    from compasso.state import Commit, open_state

    load_project(folder)
    state = open_state(folder, None)
    with open_plan(folder / "new.plan") as made:
        for b in made.batches:
            state.commit(Commit("bench", made.plan_id, "run", made.changes_file, b.first, b.last))
        state.complete("bench", datetime.now(UTC), made.digests_file)
    size = sum(f.stat().st_size for f in (folder / ".compasso").rglob("*.duckdb"))
    return {"bytes_a_record": round(size / max(1, state.count("bench")), 1)}


def main() -> None:
    """Run the step and print what it found as JSON."""
    step = {"floor": floor, "plan": plan, "imports": imports, "commit": commit}[sys.argv[1]]
    found = step(Path(sys.argv[2]), *sys.argv[3:])
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
