"""Many pictures through one Scorer: in order, in several threads, no further ahead than is said."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqassay.pictures.image import ImageError
from iqassay.scoring import scorer as module
from iqassay.scoring.scorer import Scorer


def flat(value: int, height: int = 80, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


class Counted:
    """An endless iterable of pictures, each lighter than the one before, that tells how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            self.taken += 1
            yield flat(self.taken)


@pytest.fixture(scope="module", params=[1, 2, 4])
def scorer(request: pytest.FixtureRequest, pair_model: Path) -> Scorer:
    return Scorer(pair_model, threads=request.param)


@pytest.mark.slow
def test_verdicts_come_in_order_whatever_each_picture_costs(scorer: Scorer) -> None:
    pictures = [flat(value, *size) for value, size in zip(range(0, 240, 10), [(900, 700), (9, 9)] * 12, strict=True)]
    want = [scorer.score(picture) for picture in pictures]
    assert list(scorer.score_many(pictures)) == want
    assert list(scorer.score_many([])) == []


def test_an_endless_iterable_is_read_two_ahead_for_each_thread(scorer: Scorer) -> None:
    pictures = Counted()
    verdicts = scorer.score_many(pictures)
    assert pictures.taken == 0, "nothing before the first verdict is asked for"
    for number in range(1, 30):
        assert next(verdicts).score == pytest.approx(number / 2.55, abs=0.02)
        assert number <= pictures.taken <= number + 2 * 4
    verdicts.close()
    taken = pictures.taken
    assert list(verdicts) == []
    assert pictures.taken == taken, "nothing once it is closed"


def test_one_reference_for_each_picture_or_none(scorer: Scorer) -> None:
    references, pictures = Counted(), itertools.repeat(flat(0))
    verdicts = scorer.score_many(pictures, references)
    assert references.taken == 0
    for number in range(1, 9):
        assert next(verdicts).score == pytest.approx((1 - number / 255) * 98, abs=0.02)
    assert references.taken <= 8 + 2 * 4
    verdicts.close()
    mixed = scorer.score_many([flat(51)] * 3, iter([None, flat(51), None]))
    assert [verdict.full_reference for verdict in mixed] == [False, True, False]
    cut = scorer.score_many([flat(51)], [flat(51, 90, 120)], align="crop")
    assert [verdict.score for verdict in cut] == [98]


@pytest.mark.parametrize(
    ("pictures", "references", "said"),
    [(3, 2, "got 2 references but more pictures"), (1, 2, "got 1 pictures but more references")],
)
def test_as_many_references_as_pictures(scorer: Scorer, pictures: int, references: int, said: str) -> None:
    verdicts = scorer.score_many([flat(9)] * pictures, [flat(9)] * references)
    assert [next(verdicts).score for _ in range(min(pictures, references))] == [98] * min(pictures, references)
    with pytest.raises(ValueError, match=said):
        next(verdicts)


def test_an_error_comes_in_its_pictures_place_and_ends_the_rest(scorer: Scorer, tmp_path: Path) -> None:
    verdicts = scorer.score_many([flat(0), flat(0), tmp_path / "gone.jpg", flat(0)])
    assert [next(verdicts).score, next(verdicts).score] == [0, 0]
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        next(verdicts)
    assert list(verdicts) == []


def test_an_error_of_the_iterable_comes_after_the_verdicts_before_it(scorer: Scorer) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from (flat(0), flat(0))
        raise RuntimeError("the disk is gone")

    for verdicts in (scorer.score_many(broken()), scorer.score_many(broken(), itertools.repeat(None))):
        assert [next(verdicts).score, next(verdicts).score] == [0, 0]
        with pytest.raises(RuntimeError, match="the disk is gone"):
            next(verdicts)


def test_large_files_are_decoded_and_scored_one_at_a_time(
    pair_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 90 * 90)
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.fromarray(flat(0)[:, :90]).save(small)
    Image.fromarray(flat(0, 200, 200)).save(large)
    at_once, most, lock = 0, 0, threading.Lock()
    read, score = module.read_image, Scorer.score

    def reading(source, max_pixels, ground="white"):
        nonlocal at_once, most
        if source == large and max_pixels > module.LARGE:  # else it is refused before it is decoded
            with lock:
                at_once += 1
                most = max(most, at_once)
        return read(source, max_pixels, ground)

    def scoring(self, picture, reference=None, align="fail"):
        nonlocal at_once
        verdict = score(self, picture, reference, align)
        with lock:
            at_once -= picture.height == 200
        return verdict

    monkeypatch.setattr(module, "read_image", reading)
    monkeypatch.setattr(Scorer, "score", scoring)
    verdicts = list(Scorer(pair_model, threads=4).score_many([large, small, large] * 6))
    assert [verdict.score for verdict in verdicts] == [0] * 18
    assert most == 1
    with pytest.raises(ImageError, match="200x200 = 40,000 pixels, want at most 10,000"):
        list(Scorer(pair_model, max_pixels=10_000).score_many([small, large]))


def test_with_return_an_error_stands_in_its_pictures_place_and_the_rest_goes_on(scorer: Scorer, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    pictures = [flat(0), tmp_path / "gone.jpg", flat(51), broken, flat(102)]
    first, gone, second, unreadable, third = scorer.score_many(pictures, errors="return")
    assert [first.score, second.score, third.score] == pytest.approx([0, 20, 40], abs=0.02)
    assert isinstance(gone, ImageError)
    assert str(gone).endswith("gone.jpg: no such file")
    assert isinstance(unreadable, ImageError)
    sizes = scorer.score_many([flat(9), flat(9)], [flat(9, 20, 20), flat(9)], errors="return")
    assert [type(found).__name__ for found in sizes] == ["ImageError", "Verdict"]


def test_with_return_what_is_no_pictures_fault_is_raised(tiny_model: Path, scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="takes no reference"):
        list(Scorer(tiny_model).score_many([flat(9)], [flat(9)], errors="return"))
    with pytest.raises(ValueError, match="got 1 references but more pictures"):
        list(scorer.score_many([flat(9)] * 2, [flat(9)], errors="return"))
    with pytest.raises(ValueError, match="errors: got 'ignore', want 'raise' or 'return'"):
        list(scorer.score_many([flat(9)], errors="ignore"))
