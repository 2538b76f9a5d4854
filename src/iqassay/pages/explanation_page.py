"""An explanation as one self-contained page for people, beside its data: index.html, explain.json and estimate.png."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iqassay.pages.embedded import Colours, fit, gradient, heat_colours, jpeg
from iqassay.pages.templates import render
from iqassay.pictures.image import Picture
from iqassay.scoring.explanation import Difference, Explanation
from iqassay.scoring.heatmap import heatmap
from iqassay.scoring.verdict import Verdict
from iqassay.scoring.words import meaning
from iqassay.support.errors import UsageError
from iqassay.support.files import make_folder, replace_file, write_whole

PAGE, DATA, ESTIMATE = "index.html", "explain.json", "estimate.png"
LONG_SIDE = 1600  # pixels: the most of a picture on the page
MAP_SIDE = 1024  # pixels: the same of a map; and larger pictures get a close-up
CLOSE_UP = (480, 640)  # pixels: its short and its long side
MAP_QUALITY = 75  # of its JPEG
LITTLE = 0.5  # of 255: a smaller mean change cannot be seen
# How far two pictures are apart, 0 to 255 -> red, green, blue. An absolute scale, so that maps of different pictures
# compare, and one that doubles from step to step: damage of 4 and of 40 shall both be seen. Lightness rises throughout.
APART = (
    (0, 0.06, 0.07, 0.12),
    (1, 0.12, 0.13, 0.30),
    (2, 0.13, 0.22, 0.45),
    (4, 0.12, 0.39, 0.55),
    (8, 0.20, 0.60, 0.56),
    (16, 0.62, 0.79, 0.38),
    (32, 1.00, 0.95, 0.70),
)
LIMITS = (
    "The estimate is a guess by a small network: it shows what the model takes for damage. It is no restoration tool.",
    "Names of damage are resemblances to the 25 kinds of KADID-10k; other damage gets the name that comes nearest.",
    "The score is about technical quality. Composition, faces, beauty and truth it does not judge.",
    "A difference smaller than the interval is no difference. The maps are the models' opinion, on a coarse grid.",
)


def write_page(explanation: Explanation, folder: str | os.PathLike[str]) -> str:
    """Write index.html, explain.json and estimate.png to a folder, which is made if need be; returns the page's path.

    Each file is replaced as a whole, the page last. Raises UsageError when the folder cannot be made or a file of it is
    the picture or its reference, OSError when a file cannot be written.
    """
    folder = os.fspath(folder)
    check_folder(folder, explanation.path, explanation.reference_path)
    data = {**explanation.record(), "meaning": meaning(explanation.verdict.score), "estimate": ESTIMATE}
    data |= {"limits": list(LIMITS)}
    said = json.dumps(data, ensure_ascii=False, allow_nan=False)
    estimate = Image.fromarray(explanation.estimate)
    # An explicit level: the best compression takes four times as long and saves a tenth.
    replace_file(os.path.join(folder, ESTIMATE), lambda out: estimate.save(out, "PNG", compress_level=3))
    write_whole(os.path.join(folder, DATA), said.encode("utf-8", "backslashreplace"))
    write_whole(os.path.join(folder, PAGE), page(explanation).encode())
    return os.path.join(folder, PAGE)


def check_folder(folder: str, *inputs: str) -> None:
    """Make the folder, and see that no file that is written there is one of the inputs. Raises UsageError."""
    make_folder("-o", folder)
    for name in (PAGE, DATA, ESTIMATE):
        for path in (os.path.join(folder, name), os.path.join(folder, f"{name}.partial")):
            if os.path.exists(path) and any(os.path.exists(one) and os.path.samefile(path, one) for one in inputs):
                raise UsageError(
                    f"-o {folder}: its {os.path.basename(path)} is one of the pictures, want another folder"
                )


def page(explanation: Explanation) -> str:
    """The page as HTML. Everything is in it; nothing is loaded from elsewhere."""
    verdict, against = explanation.verdict, explanation.reference_verdict
    pixels, losses = layers(explanation), []
    if against and explanation.loss and explanation.remaining_loss:
        for name, found in (("picture", explanation.loss), ("restored estimate", explanation.remaining_loss)):
            losses.append((name, _decibel(found.psnr), found.mean))
    size = explanation.estimate.shape[:2]
    return render(
        "pages/explanation_page.html",
        title=os.path.basename(explanation.path) or "picture",
        beside=os.path.basename(explanation.reference_path) or "its reference",
        verdict=verdict,
        against=against,
        nearest=explanation.nearest,
        whole=_shown(pixels, 0, 0, *size),
        near=_shown(pixels, *close_up(explanation.change, *size)) if max(size) > MAP_SIDE else None,
        change=explanation.change.mean,
        LITTLE=LITTLE,
        losses=losses,
        maps=maps(explanation),
        heat_colours=heat_colours(),
        apart_colours=Colours(gradient(rgb for _, *rgb in APART), ("0", "1", "2", "4", "8", "16", "32+")),
        limits=LIMITS,
        models=_models(explanation),
    )


@dataclass(frozen=True)
class Shown:
    """The same part of several pictures: where it lies and how large it is, in pixels, and each as a data URI."""

    top: int
    left: int
    height: int
    width: int
    images: dict[str, str]


def _shown(pixels: dict[str, np.ndarray], top: int, left: int, height: int, width: int) -> Shown:
    parts = {name: whole[top : top + height, left : left + width] for name, whole in pixels.items()}
    images = {name: jpeg(fit(part, LONG_SIDE)) for name, part in parts.items()}
    return Shown(top, left, height, width, images)


def _models(explanation: Explanation) -> list[str]:
    """What each model was asked for."""
    verdict, against, restorer = explanation.verdict, explanation.reference_verdict, explanation.restorer
    members = f" ({', '.join(verdict.raws)})" if len(verdict.raws) > 1 else ""
    models = [f"{verdict.model} {verdict.version}{members}: score, damage, quality map"]
    if against:
        models.append(f"{against.model} {against.version}: score and map against the reference")
    return [*models, f"{restorer.name} {restorer.version}: restored estimate, nearest damage"]


def _decibel(psnr: float) -> str:
    return f"{psnr:.2f} dB" if math.isfinite(psnr) else "the same picture"


def layers(explanation: Explanation) -> dict[str, np.ndarray]:
    """The pictures that lie on each other, by name: the picture, its restored estimate and its reference, if any."""
    pixels = {"picture": explanation.picture.pixels, "estimate": explanation.estimate}
    return pixels if explanation.reference is None else {**pixels, "reference": explanation.reference.pixels}


def maps(explanation: Explanation) -> dict[str, str]:
    """The maps, by name, each as a data URI: where quality is lost and what the restorer changed; beside a reference
    also the first against it, and how the two differ.
    """
    picture, against = explanation.picture, explanation.reference_verdict
    found = {"quality": _quality_map(picture, explanation.verdict), "change": _apart_map(explanation.change)}
    if against and explanation.loss:
        found |= {"against": _quality_map(picture, against), "loss": _apart_map(explanation.loss)}
    return found


def _quality_map(picture: Picture, verdict: Verdict) -> str:
    return jpeg(heatmap(picture, verdict.map, MAP_SIDE), MAP_QUALITY)


def _apart_map(found: Difference) -> str:
    return jpeg(apart_image(found), MAP_QUALITY)


def apart_image(found: Difference) -> Image.Image:
    """A difference in colours, one pixel for each of its squares."""
    at, *channels = np.array(APART).T
    mixed = np.stack([np.interp(found.map, at, channel) for channel in channels], axis=-1)
    return Image.fromarray(np.rint(mixed * 255).astype(np.uint8))


def close_up(change: Difference, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width, in pixels, of the part of a picture that changed most."""
    short, long = CLOSE_UP
    tall, wide = (min(height, short), min(width, long)) if width >= height else (min(height, long), min(width, short))
    rows, columns = max(1, tall // change.cell), max(1, wide // change.cell)
    sums = np.pad(change.map.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
    inside: NDArray[np.floating] = (
        sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    )
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return min(int(top) * change.cell, height - tall), min(int(left) * change.cell, width - wide), tall, wide
