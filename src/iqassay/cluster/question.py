"""What is asked of every picture, as it travels to the workers: which models, and how."""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from iqassay.cluster.parts import Item
from iqassay.folders.cells import Layout
from iqassay.folders.folder import Pair, score_pairs
from iqassay.folders.records import Record
from iqassay.models.opening import open_scorer
from iqassay.scoring.model_file import ModelFileError
from iqassay.scoring.scorer import Scorer

AT_ONCE = 2  # pictures at least that a worker has in hand, so that it computes while it fetches


@dataclass(frozen=True)
class Question:
    """models: names or absolute paths, the first chooses. identities: what each of them was where the run was started;
    threads: that a worker computes with.
    """

    models: tuple[str, ...]
    identities: tuple[str, ...]
    layout: Layout
    max_pixels: int
    threads: int = 1

    def open(self) -> list[Scorer]:
        """The models, opened here. Raises ModelFileError where one of them is not what it was where the run began."""
        scorers = []
        for model, identity in zip(self.models, self.identities, strict=True):
            scorers.append(open_scorer(model, self.threads, self.max_pixels))
            if scorers[-1].identity != identity:
                raise ModelFileError(
                    f"{model!r} is another model on {platform.node()} than where the run was started, want the same "
                    "iqassay and the same model files on all machines"
                )
        return scorers

    def records(self, scorers: Sequence[Scorer], items: Iterable[Item], at_once: int | None = None) -> Iterator[Record]:
        """The records of pictures, in order, as `iqassay score` writes them; a few pictures are held at a time."""
        names: deque[str] = deque()

        def pairs() -> Iterator[Pair]:
            for item in items:
                names.append(item.name)
                yield item.pair()

        first, *also = scorers
        for result in score_pairs(first, pairs(), workers=at_once or max(AT_ONCE, self.threads), also=also):
            yield {**result.record(), "path": names.popleft()}


def ask(scorers: Sequence[Scorer], models: Sequence[str], max_pixels: int, threads: int = 1) -> Question:
    """The question that open models answer; models: how they were asked for."""
    raws = dict.fromkeys(name for scorer in scorers for name in scorer.asked(False))
    layout = Layout(tuple(raws), tuple(scorer.card.name for scorer in scorers[1:]))
    places = tuple(os.path.abspath(model) if os.path.isfile(model) else model for model in models)
    return Question(places, tuple(scorer.identity for scorer in scorers), layout, max_pixels, threads)
