"""Draw docs/img/distortions.jpg: every distortion type at its five levels, on one photo.

    python benchmarks/make/contact_sheet.py [PHOTO] [--out docs/img/distortions.jpg] [--restored]

The default photo is the astronaut of scikit-image (Eileen Collins, NASA, public domain); any photo will do. With
--restored the rows are the restorations of iqassay.data.restored instead, at strengths 0, 1/4, 1/2, 3/4 and 1.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from iqassay.data.distortions import KINDS, LEVELS, distort
from iqassay.data.filters import to_pillow
from iqassay.data.restored import RESTORATIONS, restore
from iqassay.data.targets import target_score

TILE = 150  # side of a tile, pixels: a crop at native size, because shrinking would hide most damage
MARGIN, LABEL, COLUMNS = 4, 14, 2  # two blocks of rows side by side keep the sheet near square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/img/distortions.jpg"))
    parser.add_argument("--restored", action="store_true")
    parser.add_argument("--quality", type=int, default=72)
    arguments = parser.parse_args()

    image = np.asarray(Image.open(arguments.photo or bundled_photo()).convert("RGB"), dtype=np.float32) / 255
    y, x = round(image.shape[0] * 0.07), round(image.shape[1] * 0.30)
    window = (x, y, x + TILE, y + TILE)

    rows: list[list[tuple[str, Image.Image]]] = []
    for name in RESTORATIONS if arguments.restored else KINDS:
        row = []
        for level in LEVELS:
            rng = np.random.default_rng(level)
            if arguments.restored:
                picture, chain = restore(image, name, (level - 1) / 4, rng), None
            else:
                picture, chain = distort(image, name, level, rng), [(name, float(level))]
            score = target_score(image, picture, chain)
            row.append((f"{level}: {score:.0f}", to_pillow(picture).crop(window)))
        rows.append([(f"{name}  {row[0][0]}", row[0][1]), *row[1:]])

    sheet = draw(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.out, quality=arguments.quality, optimize=True)
    print(f"{arguments.out}: {sheet.width}x{sheet.height}, {arguments.out.stat().st_size / 1000:.0f} kB")


def bundled_photo() -> Path:
    """scikit-image's own copy of the astronaut, found without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("got no scikit-image, want it installed or a PHOTO named")
    return Path(spec.origin).parent / "data" / "astronaut.png"


def draw(rows: list[list[tuple[str, Image.Image]]]) -> Image.Image:
    """A sheet of labelled tiles; the label of each stands above it."""
    per_block = -(-len(rows) // COLUMNS)
    step_x, step_y = TILE + MARGIN, TILE + MARGIN + LABEL
    block_width = len(LEVELS) * step_x + 3 * MARGIN
    sheet = Image.new("RGB", (COLUMNS * block_width + MARGIN, per_block * step_y + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        left, top = MARGIN + i // per_block * block_width, MARGIN + i % per_block * step_y
        for j, (label, tile) in enumerate(row):
            pen.text((left + j * step_x, top), label, fill="black")
            sheet.paste(tile, (left + j * step_x, top + LABEL))
    return sheet


if __name__ == "__main__":
    main()
