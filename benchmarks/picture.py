"""The table as a picture: seconds as bars, on a scale of powers of ten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from measure import Measured


def draw(lines: Sequence[Measured], path: Path) -> None:
    """Write an SVG or PNG of the lines that are about the same rows."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    from matplotlib import pyplot

    most = max(line.rows for line in lines)
    shown = [line for line in lines if line.rows == most][::-1]
    mine = "#1f6f8b"
    colors = [
        "#555555" if line.label == line.floor
        else mine if line.label.startswith(("plan", "first", "state", "apply"))
        else "#c9a227"
        for line in shown
    ]  # fmt: skip
    figure, axis = pyplot.subplots(figsize=(9, 0.42 * len(shown) + 1.2))
    bars = axis.barh([line.label for line in shown], [line.seconds for line in shown], color=colors)
    texts = [
        f"{'about ' if line.scaled else ''}{line.seconds:.1f} s, {line.peak_mb:,.0f} MB"
        for line in shown
    ]
    axis.bar_label(bars, texts, padding=4, fontsize=8)
    axis.set_xscale("log")
    axis.set_xlim(right=max(line.seconds for line in shown) * 12)
    axis.set_xlabel("seconds (each step ten times the one before)")
    axis.set_title(f"{most:,} rows", loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
