"""What a Scorer is called with: one picture or several, in whatever form programs hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iqassay.pictures.image import ImageError, read_image
from iqassay.scoring.batches import arrays_of, sources_in
from iqassay.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(pair_model: Path) -> Scorer:
    return Scorer(pair_model, threads=2)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Three pictures, (3, 66, 80, 3) bytes, each lighter than the one before."""
    noise = np.random.default_rng(0).integers(0, 60, (3, 66, 80, 3))
    return (noise + np.array([10, 80, 150]).reshape(3, 1, 1, 1)).astype(np.uint8)


def test_one_picture_has_a_verdict_whatever_it_comes_in(scorer: Scorer, images: np.ndarray, tmp_path: Path) -> None:
    picture = images[0]
    file = tmp_path / "a.png"
    Image.fromarray(picture).save(file)
    want = scorer.score(picture)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    forms = [picture, tensor, file, str(file), file.read_bytes(), Image.fromarray(picture), read_image(picture)]
    for form in forms:
        assert scorer(form) == want
        assert scorer([form]) == [want]
        assert scorer(form, form).score == 98
    for floats in (tensor / 255, (tensor / 255).double(), (tensor / 255).requires_grad_(True)):
        assert scorer(floats).score == pytest.approx(want.score, abs=1e-4)
    assert scorer((tensor / 255).to(torch.bfloat16)).score == pytest.approx(want.score, abs=0.5)
    gray = scorer(tensor[:1])
    assert gray == scorer.score(picture[:, :, 0])


def test_a_batch_never_changes_a_score(scorer: Scorer, images: np.ndarray) -> None:
    alone = [scorer.score(picture) for picture in images]
    assert alone[0] != alone[1]
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert scorer(images) == scorer(batch) == scorer(list(images)) == scorer(list(batch)) == alone
    assert scorer(batch[1:]) == alone[1:]
    assert scorer(iter(images)) == alone
    assert scorer([]) == scorer(batch[:0]) == []
    beside = images[::-1]
    pairs = [scorer.score(picture, reference) for picture, reference in zip(images, beside, strict=True)]
    assert scorer(batch, batch.flip(0)) == scorer(images, list(beside)) == pairs


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.rand(2, 3, 40, 40) * 255, r"got a tensor of torch\.float32 from .* want RGB in \[0, 1\]: divide values"),
        (torch.rand(3, 40, 40) * 2 - 1, r"want RGB in \[0, 1\]: bring values from -1 to 1 there by \(x \+ 1\) / 2"),
        (torch.rand(3, 40, 40) * 1.1, r"an output that overshoots a little wants clamp\(0, 1\)"),
        (torch.full((1, 3, 40, 40), float("nan")), r"from not-a-number or infinity, want RGB in \[0, 1\]"),
        (torch.zeros(2, 3, 40, 40, dtype=torch.int64), r"got a tensor of torch\.int64, want floats in \[0, 1\]"),
        (torch.zeros(2, 40, 40, 3), r"got a tensor of shape \(2, 40, 40, 3\), want \(N, 3, H, W\) or \(3, H, W\)"),
        (torch.zeros(40, 40), r"got a tensor of shape \(40, 40\), want"),
        (torch.zeros(1, 1, 3, 40, 40), r"got a tensor of shape \(1, 1, 3, 40, 40\), want"),
    ],
)
def test_tensors_that_are_no_pictures_are_refused(scorer: Scorer, tensor: torch.Tensor, said: str) -> None:
    for given in (tensor, [tensor]):
        with pytest.raises(ValueError, match=said) as caught:
            scorer(given)
        assert "\n" not in str(caught.value)


def test_rounding_just_beyond_the_range_is_no_mistake() -> None:
    tensor = torch.tensor([0.0, 1.0, 1.0000005, -0.0000005]).reshape(1, 1, 2, 2)
    assert arrays_of(tensor)[0].shape == (2, 2, 1)


def test_pictures_and_references_that_do_not_go_together(scorer: Scorer, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="got one reference for several pictures, want one for each"):
        scorer(images, images[0])
    with pytest.raises(ValueError, match="got several references for one picture, want one for each"):
        scorer(images[0], images)
    with pytest.raises(ValueError, match="got 2 references but more pictures"):
        scorer(images, images[:2])
    with pytest.raises(ValueError, match="want one picture"):
        scorer([torch.zeros(2, 3, 40, 40)])
    with pytest.raises(ImageError, match="got NoneType, want a path"):
        scorer(None)
    with pytest.raises(ImageError, match="channels-first"):
        scorer(images.transpose(0, 3, 1, 2))


def test_an_iterable_is_read_as_it_is_needed() -> None:
    taken = []
    given, several = sources_in(taken.append(k) or k for k in range(5))  # type: ignore[func-returns-value]
    assert several
    assert next(given) == 0
    assert taken == [0]
