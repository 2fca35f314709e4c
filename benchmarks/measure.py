"""Run a command as a process of its own: seconds, processor seconds and peak memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """What one line of the table says. Seconds are medians, the peak is the highest."""

    label: str
    rows: int
    seconds: float
    cpu: float
    peak_mb: float
    floor: str = ""  # the label of the measure it is compared with
    scaled: bool = False  # measured on fewer rows, and multiplied
    found: Mapping[str, Any] = field(default_factory=dict)

    def times(self, floors: Mapping[str, float]) -> float | None:
        """How many times the floor it took."""
        return self.seconds / floors[self.floor] if self.floor in floors else None


def measure(
    label: str,
    command: Sequence[str],
    rows: int,
    *,
    runs: int = 1,
    floor: str = "",
    of: int | None = None,
) -> Measured:
    """Run the command `runs` times. `of`: the rows that were measured, to be scaled to `rows`."""
    taken = [_run(command) for _ in range(runs)]
    factor = rows / of if of else 1.0
    measured = Measured(
        label,
        rows,
        statistics.median(t[0] for t in taken) * factor,
        statistics.median(t[1] for t in taken) * factor,
        max(t[2] for t in taken),
        floor,
        factor > 1,
        taken[-1][3],
    )
    sys.stderr.write(f"  {label}: {measured.seconds:.2f} s\n")
    return measured


def _run(command: Sequence[str]) -> tuple[float, float, float, dict[str, Any]]:
    child = [sys.executable, "-S", "-E", str(Path(__file__).with_name("child.py")), *command]
    done = subprocess.run(child, capture_output=True, text=True, check=False)  # noqa: S603
    *lines, last = done.stdout.strip().splitlines()
    code, seconds, cpu, peak = json.loads(last)
    if code != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    text = next((line for line in reversed(lines) if line.strip()), "")
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    return seconds, cpu, peak, found if isinstance(found, dict) else {}
