"""Scorer: a picture goes in, a Verdict comes out. onnxruntime only, no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iqassay import tiles
from iqassay.image import MAX_PIXELS, Picture, read_image
from iqassay.model_file import OUTPUTS, ModelFile, load_model_file, open_session
from iqassay.verdict import Distortion, Verdict

if TYPE_CHECKING:
    from PIL import Image

    Source = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Picture

PRESENT = 0.3  # a distortion is named from this probability on: each of three in a chain would have a third
MOST_NAMED = 3  # pictures with more than three causes exist; a list that long helps nobody


class Scorer:
    """A model, opened once, that scores any number of pictures. One Scorer may be used by several threads at once.

    model: the name of a shipped model, the path of an .onnx file with its card beside it, or a loaded ModelFile.
    threads: how many to compute with; None means as many as this process may use. It does not change a score.
    max_pixels: larger pictures are refused before they are decoded.

    Raises ModelFileError when the model cannot be used, ValueError for a bad number.
    """

    lower_is_better = False
    score_range = (0, 100)

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile = "mfen",
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        for name, value in (("threads", threads), ("max_pixels", max_pixels)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}: got {value!r}, want a whole number of at least 1")
        model_file = model if isinstance(model, ModelFile) else load_model_file(model)
        self.card = model_file.card
        self.max_pixels = max_pixels
        self._session = open_session(model_file, threads)

    def __repr__(self) -> str:
        return f"Scorer({self.card.name!r}, version {self.card.version})"

    def score(self, picture: Source) -> Verdict:
        """Score one picture: a path, the bytes of a file, a Pillow image, an array (see `read_image`) or a Picture.

        The same picture gets the same score on every run, whatever was scored before and with any number of threads.
        Raises ImageError when the picture cannot be read.
        """
        picture = self._read(picture)
        card = self.card
        answers = self.look(picture)
        raw = float(answers.score)
        if not np.isfinite(raw):
            raise ValueError(f"the model {card.name!r} gave {raw}, want a finite number")
        score = float(self._calibrated(raw))
        below = float(np.interp(score, card.interval.score, card.interval.below))
        above = float(np.interp(score, card.interval.score, card.interval.above))
        return Verdict(
            score=score,
            low=max(0.0, score - below),
            high=min(100.0, score + above),
            distortions=self._distortions(answers),
            map=self._calibrated(answers.map).astype(np.float32),
            raw=raw,
            model=card.name,
            version=card.version,
            warnings=picture.warnings + self._doubts(picture, float(answers.unlike)),
        )

    def look(self, picture: Source) -> tiles.Answers:
        """What the model says of a whole picture before the card turns it into a Verdict; calibrating starts from this.

        Raises ImageError when the picture cannot be read.
        """
        return tiles.look(self._read(picture).pixels, self.card.views, self._network)

    def score_many(self, pictures: Iterable[Source]) -> Iterator[Verdict]:
        """Score pictures one after another, each when it is asked for; nothing is kept."""
        for picture in pictures:
            yield self.score(picture)

    def _read(self, picture: Source) -> Picture:
        return picture if isinstance(picture, Picture) else read_image(picture, self.max_pixels)

    def _network(self, batch: NDArray[np.float32]) -> tiles.Answers:
        score, quality_map, presence, severity, unlike = self._session.run(OUTPUTS, {"image": batch})
        return tiles.Answers(score, quality_map[:, 0], presence, severity, unlike)

    def _calibrated(self, raw: float | np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(raw, self.card.calibration.raw, self.card.calibration.score))

    def _distortions(self, answers: tiles.Answers) -> tuple[Distortion, ...]:
        order = np.argsort(-answers.presence[:-1], kind="stable")[:MOST_NAMED]  # the last is "none"
        return tuple(
            Distortion(self.card.distortions[kind], float(answers.severity[kind]), float(answers.presence[kind]))
            for kind in order
            if answers.presence[kind] >= PRESENT
        )

    def _doubts(self, picture: Picture, unlike: float) -> tuple[str, ...]:
        doubts = []
        if min(picture.height, picture.width) < tiles.MIN_SIDE:
            doubts.append(f"only {picture.width}x{picture.height} pixels: take the score with care")
        if not unlike <= self.card.unlike_threshold:  # "not <=", so that NaN is unlike too
            doubts.append("unlike the training data: take the score with care")
        return tuple(doubts)
