"""Scorer: a picture goes in, with or without its reference, and a Verdict comes out. onnxruntime only, no torch."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from iqassay.pictures.align import align as to_one_size
from iqassay.pictures.bend import bend
from iqassay.pictures.image import MAX_PIXELS, ImageError, Picture, TooManyPixels, read_image
from iqassay.pictures.register import register
from iqassay.scoring import tiles
from iqassay.scoring.batches import sources_in
from iqassay.scoring.device import find_device
from iqassay.scoring.looks import drawn, kind_of
from iqassay.scoring.model_file import (
    OUTPUTS,
    Card,
    ModelFile,
    ModelFileError,
    NetworkCard,
    PanelCard,
    Reference,
    address,
    default_model,
    default_threads,
    load_model_file,
)
from iqassay.scoring.session import Session
from iqassay.scoring.square import shrunk_to_square
from iqassay.scoring.verdict import Distortion, Verdict
from iqassay.support.parallel import WORKERS, Answer, Thing, in_order

if TYPE_CHECKING:
    from PIL import Image

    Source = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Picture
    Job = tuple[Source, Source | None]

PRESENT = 0.3  # a distortion is named from this probability on: each of three in a chain would have a third
LARGE = 24_000_000  # pixels: of many pictures, those above are decoded and scored one at a time
MOST_NAMED = 3  # pictures with more than three causes exist; a list that long helps nobody
UNLIKE = "unlike the training data"  # how that warning begins
BOTH_GROUNDS = "transparent: judged over white and over black"
_NO_SQUARE = np.zeros((1, 3, 1, 1), np.float32)  # a single row of pixels: the semantic encoder has nothing to do
# The other inputs of a network whose semantic encoder is asked alone: the least that it takes.
_NO_MEANING = {
    "image": np.zeros((1, 3, tiles.MIN_SIDE, tiles.MIN_SIDE), np.float32),
    "meaning": np.zeros((1, 512), np.float32),
}
_NO_MORE: Any = object()  # stands in for what the shorter of two iterables lacks


class Scorer:
    """A model, opened once, that scores any number of pictures. One Scorer may be used by several threads at once.

    Args:
        model: the name of a shipped model, the path of an .onnx file with its card beside it, or a loaded ModelFile. (A
            panel of models is opened by `iqassay.load` or `Panel`.)
        threads: how many to compute with; None means as many as this process may use. It does not change a score.
        max_pixels: larger pictures are refused before they are decoded.
        device: where the network runs: "cpu", "auto" for the best there is, or one that the installed onnxruntime has,
            such as "cuda", "cuda:1", "directml" or "coreml". Another is never taken instead. Scores of two devices
            differ in their last digits, so `identity` tells them apart.

    Raises:
        ModelFileError: when the model cannot be used.
        ValueError: for a bad number or device.
    """

    lower_is_better = False
    score_range = (0, 100)
    needs_reference = False  # of the models only some measures do
    registers = True  # measures, which are defined place by place, do not

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
        device: str = "cpu",
    ) -> None:
        check_numbers(threads=threads, max_pixels=max_pixels)
        self.device = find_device(device)
        model_file = model if isinstance(model, ModelFile) else load_model_file(model, check=False)
        self.card = model_file.card
        self._source = address(model_file.path)
        self._threads = threads
        self.max_pixels = max_pixels
        with model_file.checked():
            self._session = Session(model_file, threads, self.device)

    def __repr__(self) -> str:
        return f"Scorer({self.card.name!r}, version {self.card.version})"

    def __reduce__(self) -> tuple[Any, ...]:
        """To pickle or copy a Scorer is to say how to open it again, as multiprocessing, ray and dask do elsewhere."""
        return open_again, (type(self), self._source, self._threads, self.max_pixels, self.device, self.identity)

    @property
    def identity(self) -> str:
        """A sha256 over all that decides an answer: the card with its tables and the sha256 of the model file, this
        package's version and the device. Scorers of one identity give a picture the same verdict.
        """
        from iqassay.support.version import __version__

        decisive = [__version__, self.device, *(asdict(card) for card in self._cards())]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def _cards(self) -> list[Card]:
        """The cards of all that has a say."""
        return [self.card]

    @property
    def takes_reference(self) -> bool:
        """Whether the model can score a picture against its reference."""
        return self.card.reference is not None

    def asked(self, reference: bool) -> tuple[str, ...]:
        """The names of the models whose raw values a verdict has, beside a reference or without one."""
        return (self.card.name,)

    def score(self, picture: Source, reference: Source | None = None, align: str = "fail") -> Verdict:
        """Score one picture: a path, the bytes of a file, a Pillow image, an array (see `read_image`) or a Picture.

        The same picture gets the same score on every run, whatever was scored before and with any number of threads.
        Where all of it lies up to 8 whole pixels beside its reference, which nobody sees, what both show is compared;
        where parts of it lie a little beside it, the reference is bent to them. A warning says so; the map is still
        that of the whole picture. Measures take pictures as they are.

        Args:
            reference: the picture as it should look, in any of these forms; identical pixels get the top score. None
                scores the picture by itself.
            align: what to do when the two differ in size, "fail", "resize", "centre" (or "crop") or "top-left" (see
                `align`). Where one of the two has transparent parts, and is not decoded yet, both are shown over white
                and over black, and the lower score counts.

        Raises:
            ImageError: when a picture cannot be read or the sizes differ.
            ValueError: when a reference is given to a model that takes none.
        """
        if reference is None:
            self._tables(False)
            return self._judged(self.read(picture))
        return on_two_grounds(lambda ground: self._beside(picture, reference, align, ground))

    def _beside(self, picture: Source, reference: Source, align: str, ground: str) -> tuple[Verdict, bool]:
        """The verdict of a picture against its reference, and whether the ground shows through one of them."""
        self._tables(True)
        pair = to_one_size(self.read(picture, ground=ground), self.read(reference, ground=ground), align)
        decoded = isinstance(picture, Picture), isinstance(reference, Picture)
        shows = any(one.see_through and not done for one, done in zip(pair, decoded, strict=True))
        if not self.registers:
            return self._judged(*pair), shows
        ours, theirs, (top, left) = register(*pair)
        verdict = self._judged(*bend(ours, theirs))
        if ours.pixels.shape != pair[0].pixels.shape:
            part = tiles.Window(top, left, ours.height, ours.width)
            verdict = replace(verdict, map=tiles.widened(verdict.map, part, pair[0].height, pair[0].width))
        return verdict, shows

    def _judged(self, picture: Picture, reference: Picture | None = None) -> Verdict:
        tables = self._tables(reference is not None)
        said = tuple(f"reference: {warning}" for warning in reference.warnings) if reference else ()
        answers = self.look(picture, reference)
        raw = raw_value(answers, self.card)
        score, low, high = placed(raw, tables)
        return Verdict(
            score=score,
            low=low,
            high=high,
            distortions=distortions(answers, self.card),
            map=calibrated(answers.map, tables).astype(np.float32),
            raw=raw,
            raws={self.card.name: raw},
            model=self.card.name,
            version=self.card.version,
            warnings=picture.warnings + said + doubts(picture, answers, self.card, drawn(picture.pixels)),
            full_reference=reference is not None,
        )

    def __call__(self, pictures: Any, references: Any = None, align: str = "fail") -> Verdict | list[Verdict]:
        """The Verdict of one picture, or a list of Verdicts of several, as `score` and `score_many` give them.

        pictures: whatever `score` takes; a tensor of torch (N, 3, H, W) or (3, H, W), uint8 or floats in [0, 1], on any
        device; an array (N, H, W, 3); or a list or another iterable of paths and all these. references: as many, or
        None. Each picture is scored by itself: what else is in the batch changes nothing.

        Raises ValueError for tensors of another shape, type or range, or another number of references than pictures,
        and else as `score` does.
        """
        given, several = sources_in(pictures)
        beside, more = (None, several) if references is None else sources_in(references)
        if more != several:
            got = "several references for one picture" if more else "one reference for several pictures"
            raise ValueError(f"got {got}, want one for each")
        if several:
            return list(self.score_many(given, beside, align))
        return self.score(next(given), None if beside is None else next(beside), align)

    def look(self, picture: Source, reference: Source | None = None) -> tiles.Answers:
        """What the model says of a whole picture before the card turns it into a Verdict; calibrating starts from this.

        Raises as `score` does.

        Args:
            reference: of the picture's size.
        """
        self._tables(reference is not None)
        beside = None if reference is None else self.read(reference).pixels
        pixels = self.read(picture).pixels
        return tiles.look(pixels, self.card.views, self.network_for(pixels), beside, self._session.callers)

    @overload
    def score_many(
        self,
        pictures: Iterable[Source],
        references: Iterable[Source | None] | None = None,
        align: str = "fail",
        *,
        errors: Literal["raise"] = "raise",
    ) -> Generator[Verdict, None, None]: ...
    @overload
    def score_many(
        self,
        pictures: Iterable[Source],
        references: Iterable[Source | None] | None = None,
        align: str = "fail",
        *,
        errors: Literal["return"],
    ) -> Generator[Verdict | ImageError, None, None]: ...
    def score_many(
        self,
        pictures: Iterable[Source],
        references: Iterable[Source | None] | None = None,
        align: str = "fail",
        *,
        errors: Literal["raise", "return"] = "raise",
    ) -> Generator[Verdict | ImageError, None, None]:
        """Score pictures in several threads, as many as the Scorer may compute with but 4 at most; verdicts in order.

        The iterables may be endless. Nothing is read before the first verdict is asked for, then two pictures for each
        thread ahead of the verdict that is asked for at most, and nothing any more once the generator is closed. Files
        of more than 24 million pixels are decoded and scored one at a time, so that memory stays bounded.

        What is raised for a picture, or by the iterables, comes in its place after the verdicts of all before it, and
        ends the rest; so does ValueError where one of the two iterables ends first.

        Args:
            references: one for each picture, in the same order; None for one scored by itself. The rest is as for
                `score`.
            errors: with "return" the ImageError of a picture that cannot be scored stands in its verdict's place, and
                the rest goes on; all else is raised as before.
        """
        if errors not in ("raise", "return"):
            raise ValueError(f"errors: got {errors!r}, want 'raise' or 'return'")
        alone = threading.Lock()

        def score(job: Job | Exception) -> Verdict | ImageError:
            if isinstance(job, Exception):
                raise job
            picture, reference = job

            def read(limit: int) -> tuple[Picture, Picture | None]:
                return self.read(picture, limit), None if reference is None else self.read(reference, limit)

            def judge(both: tuple[Picture, Picture | None]) -> Verdict:
                again = reference is not None and any(one.see_through for one in both if one)
                return self.score(*(job if again else both), align)

            try:
                return one_large_at_a_time(read, judge, self.max_pixels, alone)
            except ImageError as error:
                if errors == "raise":
                    raise
                return error

        yield from in_order(score, _jobs(pictures, references), min(self._threads or default_threads(), WORKERS))

    def read(self, picture: Source, max_pixels: int = MAX_PIXELS, ground: str = "white") -> Picture:
        """Decode a picture within this and the Scorer's own `max_pixels`, unless it is decoded.

        Raises ImageError.

        Args:
            ground: what its transparent parts are shown over, "white" or "black".
        """
        if isinstance(picture, Picture):
            return picture
        return read_image(picture, min(max_pixels, self.max_pixels), ground)

    def _tables(self, full_reference: bool) -> NetworkCard | Reference:
        """The calibration and the interval of the mode."""
        if not full_reference:
            return self.card
        if self.card.reference is None:
            good = default_model(reference=True)
            raise ValueError(f"the model {self.card.name!r} takes no reference, want one that does, such as {good!r}")
        return self.card.reference

    def network_for(self, pixels: np.ndarray) -> tiles.Network:
        """What is shown the views of a picture (H, W, 3); a semantic encoder has then looked at the whole of it."""
        if not self.card.semantic:
            return self._network
        feed = {**_NO_MEANING, "square": shrunk_to_square(pixels, self.card.semantic)}
        (meaning,) = self._session.run(["understood"], feed)
        return partial(self._network, meaning=meaning)

    def _network(
        self, batch: tiles.Batch, reference: tiles.Batch | None, meaning: np.ndarray | None = None
    ) -> tiles.Answers:
        feed = {"image": batch if reference is None else np.concatenate([batch, reference])}
        if self.takes_reference:
            feed["pictures"] = np.array([len(batch)], dtype=np.int64)
        if meaning is not None:
            feed |= {"meaning": meaning.repeat(len(batch), 0), "square": _NO_SQUARE}
        outputs = (*OUTPUTS, "generated") if self.card.semantic else OUTPUTS
        score, quality_map, presence, severity, unlike, *generated = self._session.run(outputs, feed)
        return tiles.Answers(score, quality_map[:, 0], presence, severity, unlike, *generated)

    @property
    def restores(self) -> bool:
        """Whether the model also says what a picture looked like before it was spoiled; see `restore`."""
        return {"estimate", "nearness"} <= self._session.outputs

    def restore(self, batch: tiles.Batch) -> tuple[tiles.Batch, tiles.Floats]:
        """What views looked like before they were spoiled, and which known damage theirs resembles.

        Args:
            batch: (B, 3, H, W) in [0, 1], sides multiples of 32 and at least 64.

        Returns:
            As much as ``batch``, and (B, 5 * kinds + 1) cosines: of each distortion of the card at levels 1 to 5, then
            of none.

        Raises:
            ModelFileError: when the model has no such answers.
        """
        if not self.restores:
            raise ModelFileError(f"the model {self.card.name!r} restores nothing, want one that does, such as 'dri'")
        feed = {"image": batch}
        if self.card.semantic:  # which neither of the two depends on
            feed |= {"meaning": _NO_MEANING["meaning"].repeat(len(batch), 0), "square": _NO_SQUARE}
        if "restore" in self._session.optional:  # where the score does without, the estimate is made if asked for
            feed["restore"] = np.array(True)
        estimate, nearness = self._session.run(["estimate", "nearness"], feed)
        return estimate, nearness


def on_two_grounds(judge: Callable[[str], tuple[Verdict, bool]]) -> Verdict:
    """The verdict of `judge` over white; where the ground shows through, the lower one of white and black."""
    over_white, shows = judge("white")
    if not shows:
        return over_white
    over_black, _ = judge("black")
    lower, ground = (over_black, "black") if over_black.score < over_white.score else (over_white, "white")
    warnings = [*over_white.warnings, f"{BOTH_GROUNDS}, {ground} counts"]
    return replace(lower, warnings=tuple(warnings))


def one_large_at_a_time(
    read: Callable[[int], Thing], work: Callable[[Thing], Answer], max_pixels: int, alone: threading.Lock
) -> Answer:
    """work(read(limit in pixels)), where the threads that share the lock hold no two large pictures at once."""
    try:
        found = read(min(LARGE, max_pixels))
    except TooManyPixels:
        with alone:
            return work(read(max_pixels))
    return work(found)


def open_again(
    kind: type[Scorer], source: str, threads: int | None, max_pixels: int, device: str, identity: str
) -> Scorer:
    """A Scorer that was pickled. Raises ModelFileError when the model is not the same here."""
    scorer = kind(source, threads, max_pixels, device)
    if scorer.identity != identity:
        raise ModelFileError(
            f"{source!r} is another model here than where it was pickled, want the same iqassay on both"
        )
    return scorer


def _jobs(pictures: Iterable[Source], references: Iterable[Source | None] | None) -> Iterator[Job | Exception]:
    """What there is to score, and what ends it too early, if anything does, to be raised in its place."""
    try:
        if references is None:
            for picture in pictures:
                yield picture, None
            return
        for number, (picture, reference) in enumerate(zip_longest(pictures, references, fillvalue=_NO_MORE)):
            if picture is _NO_MORE or reference is _NO_MORE:
                short, long = ("pictures", "references") if picture is _NO_MORE else ("references", "pictures")
                raise ValueError(f"got {number} {short} but more {long}, want one reference for each picture")
            yield picture, reference
    except Exception as error:
        yield error


def raw_value(answers: tiles.Answers, card: Card) -> float:
    """The raw value of a whole picture. Raises ImageError when it is not a finite number."""
    raw = float(answers.score)
    if not np.isfinite(raw):
        raise ImageError(f"the model {card.name!r} gave {raw}, want a finite number")
    return raw


def calibrated(raw: float | np.ndarray, tables: Card | Reference) -> np.ndarray:
    """Raw values -> scores from 0 to 100."""
    return np.asarray(np.interp(raw, tables.calibration.raw, tables.calibration.score))


def placed(raw: float, tables: NetworkCard | Reference | PanelCard, doubt: float = 1) -> tuple[float, float, float]:
    """The score of a raw value, and the ends of its interval, whose half widths are multiplied by `doubt`."""
    score, interval = float(calibrated(raw, tables)), tables.interval
    below, above = (doubt * float(np.interp(score, interval.score, side)) for side in (interval.below, interval.above))
    return score, max(0.0, score - below), min(100.0, score + above)


def distortions(answers: tiles.Answers, card: Card) -> tuple[Distortion, ...]:
    """The kinds of damage that are worth a name, the most probable first."""
    order = np.argsort(-answers.presence[:-1], kind="stable")[:MOST_NAMED]  # the last is "none"
    return tuple(
        Distortion(card.distortions[kind], float(answers.severity[kind]), float(answers.presence[kind]))
        for kind in order
        if answers.presence[kind] >= PRESENT
    )


def doubts(
    picture: Picture, answers: tiles.Answers, card: NetworkCard, drawn: str, otherwise: str = ""
) -> tuple[str, ...]:
    """What to warn of. drawn: see `looks.drawn`; such a picture is always unlike the photos that models learn from,
    whatever they find themselves. otherwise: what a picture that is unlike them is called if its pixels do not tell.
    """
    found = []
    if min(picture.height, picture.width) < tiles.MIN_SIDE:
        found.append(f"only {picture.width}x{picture.height} pixels: take the score with care")
    # "not <=", so that NaN is unlike too
    if drawn or not answers.unlike <= card.unlike_threshold:
        found.append(unlike(kind_of(picture.pixels, otherwise)))
    return tuple(found)


def unlike(kind: str) -> str:
    """The warning of a picture that is unlike the training data, and seems to be of this kind, "" for no known one."""
    return f"{UNLIKE}{f', perhaps {kind}' if kind else ''}: take the score with care"


def check_numbers(**numbers: int | None) -> None:
    """Raises ValueError for one that is not a whole number of at least 1; None is left alone."""
    for name, value in numbers.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{name}: got {value!r}, want a whole number of at least 1")
