"""The picture of the README: what the scorer says of example photos, and where one is damaged, beside its original.

python benchmarks/make/overview.py [-o docs/img/overview.jpg]

The scores of the first row are those of `iqassay score examples/`. In the second row three boxes of a photo are
blurred, packed as a poor JPEG and made noisy; the map is that of `iqassay score --ref --map`.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import iqassay
from iqassay.scoring.heatmap import heatmap
from iqassay.scoring.verdict import Verdict

ROOT = Path(__file__).resolve().parents[2]
ALONE = ["coffee.jpg", "coffee-jpeg.jpg", "chelsea-blurred.jpg"]
BESIDE = "chelsea.jpg"
BOXES = [(0.06, 0.10, 0.34, 0.50), (0.62, 0.08, 0.94, 0.45), (0.36, 0.60, 0.70, 0.95)]  # left, top, right, bottom
WIDTH, HEIGHT, GAP, TEXT = 420, 280, 12, 62  # pixels: a photo, the space between, the two lines under it


def damaged_in_boxes(photo: Image.Image) -> Image.Image:
    """The photo with a box blurred, one packed as JPEG of quality 6, and one with noise of 35 levels."""
    packed = io.BytesIO()
    photo.save(packed, "JPEG", quality=6)
    noise = np.random.default_rng(0).normal(0, 35, (photo.height, photo.width, 3))
    noisy = np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8)
    made = photo.copy()
    versions = [photo.filter(ImageFilter.GaussianBlur(5)), Image.open(packed), Image.fromarray(noisy)]
    for version, (left, top, right, bottom) in zip(versions, BOXES, strict=True):
        x, y = round(left * photo.width), round(top * photo.height)
        made.paste(version.crop((x, y, round(right * photo.width), round(bottom * photo.height))), (x, y))
    return made


def title(verdict: Verdict) -> str:
    return f"{verdict.score:.0f}   ({verdict.low:.0f} to {verdict.high:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "img" / "overview.jpg")
    args = parser.parse_args()
    scorer = iqassay.load()
    first = []
    for name in ALONE:
        picture = iqassay.read_image(ROOT / "examples" / name)
        verdict = scorer.score(picture)
        found = ", ".join(f"{d.name} {d.severity:.1f}" for d in verdict.distortions[:1]) or "no damage found"
        first.append((Image.fromarray(picture.pixels), title(verdict), f"{name}: {found}"))
    photo = Image.open(ROOT / "examples" / BESIDE).convert("RGB")
    damaged = damaged_in_boxes(photo)
    verdict = iqassay.score(damaged, reference=photo)
    map_of = heatmap(iqassay.read_image(damaged), verdict.map)
    second = [
        (photo, "an original", BESIDE),
        (damaged, title(verdict), "three parts damaged; beside the original (the same: 100)"),
        (map_of, "where", "gray: as good; yellow, orange, purple: worse and worse"),
    ]
    canvas = Image.new("RGB", (3 * WIDTH + 4 * GAP, 2 * (HEIGHT + TEXT + GAP) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    large, small = ImageFont.load_default(21), ImageFont.load_default(16)
    for row, cells in enumerate((first, second)):
        top = GAP + row * (HEIGHT + TEXT + GAP)
        for column, (image, said, note) in enumerate(cells):
            left = GAP + column * (WIDTH + GAP)
            canvas.paste(image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), (left, top))
            draw.text((left, top + HEIGHT + 6), said, "black", large)
            draw.text((left, top + HEIGHT + 34), note, "#444444", small)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(args.output, quality=90, subsampling=0)


if __name__ == "__main__":
    main()
