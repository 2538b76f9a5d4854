"""Many pictures at once: threads, the cache, files that change, large ones."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqassay.folders.cache import Cache
from iqassay.folders.folder import Beside, Pair, score_pairs
from iqassay.scoring import scorer as scoring
from iqassay.scoring.scorer import Scorer


@pytest.fixture
def album(tmp_path: Path) -> list[Pair]:
    """Pictures of brightness 10, 20, ... and a broken one."""
    for number in range(1, 10):
        Image.fromarray(np.full((70, 80, 3), 10 * number, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "5.png").write_bytes(b"nothing")
    return [Pair(str(tmp_path / f"{number}.png")) for number in range(1, 10)]


@pytest.fixture
def scorer(tiny_model: Path) -> Scorer:
    return Scorer(tiny_model, threads=1)


def records(*arguments: object, **options: object) -> list[dict]:
    return [result.record() for result in score_pairs(*arguments, **options)]  # type: ignore[arg-type]


def test_any_number_of_workers_gives_the_same_in_order(scorer: Scorer, album: list[Pair]) -> None:
    alone = records(scorer, album, workers=1)
    assert ["error" in record for record in alone] == [False] * 4 + [True] + [False] * 4
    assert [record["path"] for record in alone] == [pair.path for pair in album]
    assert records(scorer, album * 5, workers=4) == alone * 5


def test_pictures_are_taken_as_they_are_needed(scorer: Scorer, album: list[Pair]) -> None:
    endless = itertools.cycle(album)
    found = score_pairs(scorer, endless, workers=2)
    assert [next(found).path for _ in range(3)] == [pair.path for pair in album[:3]]
    found.close()  # type: ignore[attr-defined]
    assert next(endless).path != album[3].path, "some were looked at ahead"


def test_the_cache_gives_what_scoring_gives(scorer: Scorer, album: list[Pair], tmp_path: Path) -> None:
    path = str(tmp_path / "answers.sqlite")
    with Cache(path) as cache:
        fresh = records(scorer, album, cache=cache)
        assert cache.taken == 0
    with Cache(path) as cache:
        assert records(scorer, album, cache=cache) == fresh == records(scorer, album)
        assert cache.taken == 8


def test_a_copy_under_another_name_is_known(scorer: Scorer, album: list[Pair], tmp_path: Path) -> None:
    (tmp_path / "copy.png").write_bytes(Path(album[0].path).read_bytes())
    path = str(tmp_path / "answers.sqlite")
    with Cache(path) as cache:
        records(scorer, album, cache=cache)
    with Cache(path) as cache:
        (copy,) = records(scorer, [Pair(str(tmp_path / "copy.png"))], cache=cache)
        assert cache.taken == 1
    assert copy["path"].endswith("copy.png")


def test_another_question_is_asked_anew(pair_model: Path, album: list[Pair], tmp_path: Path) -> None:
    """Another model, a reference, another one, another way to align: none takes the answer of the others."""
    from conftest import write_model

    other = Scorer(write_model(tmp_path, "other", calibration={"raw": [0.0, 1.0], "score": [50.0, 100.0]}), threads=1)
    scorer = Scorer(pair_model, threads=1)
    path, *references = (pair.path for pair in album[:3])
    with Cache(str(tmp_path / "answers.sqlite")) as cache:
        for _ in range(2):
            found = [
                *records(scorer, [Pair(path)], cache=cache),
                *records(other, [Pair(path)], cache=cache),
                *records(scorer, [Pair(path, reference) for reference in references], cache=cache),
                *records(scorer, [Pair(path, references[0])], beside=Beside(align="crop"), cache=cache),
            ]
            cache.close()
            cache = Cache(str(tmp_path / "answers.sqlite"))
            assert len({(r["score"], r.get("reference")) for r in found}) == 4
            assert found[2]["reference"] == references[0]


@pytest.mark.slow
def test_maps_come_from_the_cache_too(scorer: Scorer, photo: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(np.tile(photo, (16, 16, 1))).save(tmp_path / "big.png")
    pairs = [Pair(str(tmp_path / "big.png"))]
    found = []
    for _ in range(2):
        with Cache(str(tmp_path / "answers.sqlite")) as cache:
            found += list(score_pairs(scorer, pairs, cache=cache, maps=True, pictures=True))
    first, second = found
    assert first.verdict is not None
    assert second.verdict is None
    assert first.map is not None
    assert np.array_equal(first.map, second.map)
    assert first.picture is not None
    assert second.picture is not None
    assert first.picture.pixels.shape == (768, 1024, 3)
    assert np.array_equal(first.picture.pixels, second.picture.pixels)


def test_a_file_that_changes_while_it_is_scored_is_an_error(
    scorer: Scorer, album: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = scorer.score

    def slow(*sources: object) -> object:
        Path(album[0].path).write_bytes(b"something else")
        return score(*sources)  # type: ignore[arg-type]

    monkeypatch.setattr(scorer, "score", slow)
    with Cache(str(tmp_path / "answers.sqlite")) as cache:
        (record,) = records(scorer, album[:1], cache=cache)
        assert "changed while it was read" in record["error"]
        cache.close()
    with Cache(str(tmp_path / "answers.sqlite")) as cache:
        assert cache.count() == 0


def test_errors_are_not_kept(scorer: Scorer, album: list[Pair], tmp_path: Path) -> None:
    with Cache(str(tmp_path / "answers.sqlite")) as cache:
        assert "error" in records(scorer, album[4:5], cache=cache)[0]
    Path(album[4].path).write_bytes(Path(album[0].path).read_bytes())
    with Cache(str(tmp_path / "answers.sqlite")) as cache:
        assert "error" not in records(scorer, album[4:5], cache=cache)[0]


def test_large_pictures_are_worked_on_one_at_a_time(
    scorer: Scorer, album: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "LARGE", 1000)
    score, busy, most = scorer.score, threading.Semaphore(1), []

    def watch(*sources: object) -> object:
        most.append(busy.acquire(blocking=False))
        try:
            return score(*sources)  # type: ignore[arg-type]
        finally:
            busy.release()

    monkeypatch.setattr(scorer, "score", watch)
    assert sum("error" in record for record in records(scorer, album * 4, workers=4)) == 4
    assert all(most)


def test_the_pixel_limit_holds_for_large_and_small(tiny_model: Path, album: list[Pair]) -> None:
    scorer = Scorer(tiny_model, threads=1, max_pixels=5000)
    (record,) = records(scorer, album[:1])
    assert "want at most 5,000" in record["error"]


def test_the_pixel_limit_holds_for_what_is_in_the_cache(tiny_model: Path, album: list[Pair], tmp_path: Path) -> None:
    with Cache(str(tmp_path / "answers.sqlite")) as cache:
        (known,) = records(Scorer(tiny_model, threads=1), album[:1], cache=cache)
    with Cache(str(tmp_path / "answers.sqlite")) as cache:
        (refused,) = records(Scorer(tiny_model, threads=1, max_pixels=100), album[:1], cache=cache)
    assert "score" in known
    assert "want at most 100" in refused["error"]
