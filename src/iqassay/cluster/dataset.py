"""Pictures in a Dataset of Ray -> their records, as columns of another one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from iqassay.cluster.parts import Column
from iqassay.cluster.pool import find_ray
from iqassay.cluster.question import Question, ask
from iqassay.cluster.sources import find_column
from iqassay.folders import parquet
from iqassay.models.opening import open_scorer
from iqassay.pictures.image import MAX_PIXELS
from iqassay.scoring.model_file import default_model
from iqassay.scoring.scorer import Scorer, check_numbers

if TYPE_CHECKING:
    from ray.data import Dataset

BLOCK = 16  # pictures of a batch: what a worker is given at once, with their bytes


def score_dataset(
    ds: Dataset,
    model: str | None = None,
    column: str | None = None,
    workers: int | None = None,
    cpus: int = 1,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """A Dataset of Ray with pictures -> one with their records, lazily: nothing is read before it is asked for.

    A worker that dies is started again by Ray, and what it had is done again. Every machine must have the same iqassay
    and, where the model is a file, that file: else ModelFileError is raised when the work begins.

    Args:
        ds: has a column with the bytes of picture files (as `ray.data.read_binary_files(..., include_paths=True)` and
            Parquet bring them), or with their paths and URLs as text.
        model: as for `iqassay.load`.
        column: the name of that column; None is the one whose name or type says it.
        workers: how many processes at most; None is as many as the cluster has room for.
        cpus: that each computes with.
        max_pixels: larger pictures are not decoded.

    Returns:
        The columns of ds without the pictures' bytes, then those that `iqassay score` writes into Parquet: "path" (of
        bytes without one it is empty), "score", "low", "high" (0 to 100, higher is better), "raw_MODEL", "model",
        "version", "width", "height", "bytes", "distortions", "warnings", and "error", which says of a picture that
        could not be scored why, in one line; the others are then null. Rows stay in their order within a block.

    Raises:
        UsageError: without Ray, for a column that is not there or holds something else, and for one of ds that has the
            name of a column that is added.
        ModelFileError: when the model cannot be used.
        ValueError: for a bad number.
    """
    ray = find_ray()
    check_numbers(workers=workers, cpus=cpus, max_pixels=max_pixels)
    name = model or default_model(reference=False)
    scorer = open_scorer(name, 1, max_pixels)
    if scorer.needs_reference:
        raise ValueError(f"the model {name!r} scores against references alone, want another one")
    question = ask([scorer], [name], max_pixels, cpus)
    schema = ds.schema()
    if schema is None:
        raise ValueError("got a Dataset without rows, want one with pictures")
    kept = _kept(schema.base_schema, column, question)
    most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // cpus)
    return ds.map_batches(
        BatchScorer,
        batch_size=BLOCK,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
        fn_constructor_args=(question, *kept, os.getcwd()),
        num_cpus=cpus,
    )


def _kept(schema: Any, column: str | None, question: Question) -> tuple[Column, list[str]]:
    """The column of the pictures, and those that stay."""
    found = find_column(schema, column)
    replaced = {found.label, found.name if found.binary or found.name == "path" else None}
    stay = [name for name in schema.names if name not in replaced]
    added = set(question.layout.columns())
    if clash := [name for name in stay if name in added]:
        raise ValueError(f"got a column {clash[0]!r}, whose name a column of the results has, want another name for it")
    return found, stay


class BatchScorer:
    """Scores batches of rows, tables of pyarrow."""

    def __init__(self, question: Question, column: Column, stay: list[str], folder: str) -> None:
        self.question, self.column, self.stay, self.folder = question, column, stay, folder
        self.scorers: list[Scorer] = []

    def __call__(self, batch: Any) -> Any:
        self.scorers = self.scorers or self.question.open()
        wanted = [name for name in (self.column.name, self.column.label) if name is not None]
        items = (self.column.item(row, "", self.folder) for row in batch.select(wanted).to_pylist())
        found = parquet.table(self.question.records(self.scorers, items), self.question.layout)
        table = batch.select(self.stay)
        for place, name in enumerate(found.column_names):
            table = table.append_column(found.schema.field(place), found.column(name))
        return table
