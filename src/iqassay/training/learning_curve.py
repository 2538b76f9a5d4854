"""The learning curve of a run, drawn from the metrics that it has logged."""

from __future__ import annotations

import csv
from pathlib import Path


def draw_curve(folder: Path) -> None:
    """The learning curve of all metrics*.csv, of which metrics.csv is the newest, as curve.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = logged(folder)
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


def logged(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics-1.csv, metrics-2.csv and so on, and then those of metrics.csv, as ``run`` has named them.

    There is no metrics.csv where a run that went on had nothing left to do.
    """
    older = sorted(folder.glob("metrics-*.csv"), key=lambda file: int(file.stem.partition("-")[2]))
    rows: list[dict[str, str]] = []
    for file in (*older, *folder.glob("metrics.csv")):
        with file.open() as stream:
            rows += csv.DictReader(stream)
    return rows
