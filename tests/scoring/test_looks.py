"""What is no photo is known by its pixels: screenshots, drawings and empty frames; photos are left alone."""

from pathlib import Path

import numpy as np
import pytest
from conftest import write_model
from PIL import Image, ImageDraw

from iqassay.pictures.image import read_image
from iqassay.scoring.looks import DRAWING, FLAT, SCREEN, kind_of
from iqassay.scoring.scorer import Scorer

EXAMPLES = Path(__file__).parents[2] / "examples"


def screen(width: int = 500, height: int = 380) -> Image.Image:
    """Boxes with words in them, as programs draw windows."""
    image = Image.new("RGB", (width, height), (240, 242, 245))
    pen = ImageDraw.Draw(image)
    for i, top in enumerate(range(8, height - 40, 46)):
        for left in range(8, width - 90, 110):
            pen.rectangle((left, top, left + 92, top + 34), fill=(40, 90, 160) if (i + left) % 3 else (255, 255, 255))
            pen.text((left + 6, top + 10), "words here", fill=(20, 20, 20) if not (i + left) % 3 else (250, 250, 250))
    return image


def drawing(width: int = 500, height: int = 380) -> Image.Image:
    """Curves of a pen on paper."""
    image = Image.new("RGB", (width, height), (252, 252, 248))
    pen = ImageDraw.Draw(image)
    rng = np.random.default_rng(0)
    for _ in range(60):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(10, 60)
        pen.ellipse((x - r, y - r * rng.uniform(0.4, 1), x + r, y + r), outline=(30, 30, 40), width=2)
    return image


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize(("made", "kind"), [(screen, SCREEN), (drawing, DRAWING)])
def test_what_is_drawn_is_known_at_any_size_and_depth(made, kind: str, factor: int) -> None:
    pixels = np.asarray(made(500 * factor, 380 * factor))
    assert kind_of(pixels) == kind
    assert kind_of(pixels.astype(np.uint16) * 257) == kind
    assert kind_of(pixels[:70, :90]) in (kind, "", DRAWING, FLAT)  # too little to tell, but no error


def test_a_saved_jpeg_is_still_known(tmp_path: Path) -> None:
    for made, kind in ((screen, SCREEN), (drawing, DRAWING)):
        made().save(tmp_path / "saved.jpg", quality=85)
        assert kind_of(read_image(tmp_path / "saved.jpg").pixels) == kind


def test_photos_are_none_of_it() -> None:
    photos = sorted([*EXAMPLES.glob("*.jpg"), *EXAMPLES.glob("*.png")])
    assert photos
    assert {photo.name: kind_of(read_image(photo).pixels) for photo in photos} == {photo.name: "" for photo in photos}
    rng = np.random.default_rng(1)
    product = np.full((300, 400, 3), 255, np.uint8)  # a soft thing on white
    y, x = np.mgrid[0:300, 0:400]
    ball = (x - 200) ** 2 + (y - 150) ** 2 < 60**2
    product[ball] = (90 + 0.5 * (x - y)[ball][:, None] + rng.normal(0, 4, (ball.sum(), 3))).clip(0, 255)
    assert kind_of(product) == ""


@pytest.mark.parametrize("pixels", [np.zeros((1, 1, 3), np.uint8), np.full((300, 20, 3), 0.5, np.float32)])
def test_one_colour(pixels: np.ndarray) -> None:
    assert kind_of(pixels) == FLAT


def test_the_warning_says_what_it_seems_to_be(tmp_path: Path) -> None:
    scorer = Scorer(write_model(tmp_path), threads=1)  # finds only what is brighter than .9 unlike
    dark = np.asarray(screen()) // 2
    assert scorer.score(dark).warnings == (
        "unlike the training data, perhaps a screenshot or a plot: take the score with care",
    )
    empty = scorer.score(np.full((64, 64, 3), 250, np.uint8))
    assert empty.warnings == ("unlike the training data, perhaps a frame of one colour: take the score with care",)
    noise = np.random.default_rng(0).integers(236, 256, (64, 64, 3)).astype(np.uint8)
    assert scorer.score(noise).warnings == ("unlike the training data: take the score with care",)
