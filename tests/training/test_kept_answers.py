"""A long pass over pictures can be stopped: what was answered is kept by content and by model."""

import numpy as np
import pytest
from conftest import write_model
from PIL import Image

from iqassay.pictures.image import ImageError
from iqassay.scoring.scorer import Scorer
from iqassay.training.kept_answers import kept_answers

SMALL = {"area": 307200, "window": 384, "max_windows": 4, "global_weight": 0.5}


@pytest.fixture
def asked(monkeypatch):
    """How often models looked at a picture."""
    count = []
    look = Scorer.look
    monkeypatch.setattr(Scorer, "look", lambda self, *given: (count.append(self.card.name), look(self, *given))[1])
    return count


def test_what_was_answered_is_not_asked_again(tmp_path, asked):
    bright, dark = (Scorer(write_model(tmp_path, name, name=name, views=SMALL), threads=1) for name in "ab")
    Image.new("RGB", (64, 64), (51,) * 3).save(tmp_path / "one.png")
    pictures = [tmp_path / "one.png", np.full((70, 90, 3), 102, np.uint8)]
    first = kept_answers([bright], pictures, tmp_path / "cache")
    assert asked == ["a", "a"]
    assert [round(float(said[0].score), 3) for said in first] == [0.2, 0.4]
    (tmp_path / "one.png").rename(tmp_path / "other.png")
    again = kept_answers([bright], [tmp_path / "other.png", pictures[1].copy()], tmp_path / "cache")
    assert asked == ["a", "a"]
    for said, before in zip(again, first, strict=True):
        for name in ("score", "map", "presence", "severity", "unlike"):
            assert np.array_equal(getattr(said[0], name), getattr(before[0], name)), name
    assert dark.card.sha256 == bright.card.sha256  # one graph: what it says is known, whatever its card is called
    kept_answers([dark], [tmp_path / "other.png", np.zeros((64, 64, 3), np.uint8)], tmp_path / "cache")
    assert asked == ["a", "a", "b"]
    other = Scorer(write_model(tmp_path, "c", name="c", views={**SMALL, "area": 4096}), threads=1)
    kept_answers([other], [pictures[1]], tmp_path / "cache")
    assert asked == ["a", "a", "b", "c"]  # but not of one that looks at other parts


def test_a_pass_that_breaks_off_keeps_what_it_has(tmp_path, asked):
    scorer = Scorer(write_model(tmp_path, name="a"), threads=1)
    good = [np.full((64, 64, 3), value, np.uint8) for value in range(3)]
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ImageError):
        kept_answers([scorer], [*good, tmp_path / "bad.png"], tmp_path / "cache")
    done = len(asked)
    kept_answers([scorer], good, tmp_path / "cache")
    assert len(asked) == done == 3
