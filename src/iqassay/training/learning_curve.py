"""The learning curve of a run, drawn from the metrics that it has logged."""

from __future__ import annotations

import csv
from pathlib import Path


def draw_curve(folder: Path) -> None:
    """The learning curve of all metrics*.csv as curve.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows: list[dict[str, str]] = []
    for file in sorted(folder.glob("metrics*.csv"), key=lambda f: f.stat().st_mtime):
        with file.open() as stream:
            rows += csv.DictReader(stream)
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.5))
    for axis, prefix in zip(axes, ("train/", "val/"), strict=True):
        for column in dict.fromkeys(c for row in rows for c in row if c.startswith(prefix)):
            points = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
            axis.plot(*zip(*points, strict=True), marker=".", label=column.removeprefix(prefix))
        axis.set(xlabel="epoch", title=prefix.rstrip("/"))
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "curve.png", dpi=110)
    pyplot.close(figure)
