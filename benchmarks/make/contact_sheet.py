"""Draw docs/img/distortions.jpg: every distortion type at its five levels, on one photo.

    python benchmarks/make/contact_sheet.py [PHOTO] [--out docs/img/distortions.jpg] [--restored | --covered | --drawn]

The default photo is the astronaut of scikit-image (Eileen Collins, NASA, public domain); any photo will do. With
--restored the rows are the restorations of iqassay.data.restored instead, at strengths 0, 1/4, 1/2, 3/4 and 1. With
--covered they are what iqassay.data.coverage adds (docs/img/coverage.jpg is of examples/chelsea.jpg), the middle of
the picture, made small; with --drawn, the contents that iqassay.data.rendered draws.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from iqassay.data.coverage import COVERED, beside, cover_with
from iqassay.data.distortions import KINDS, LEVELS, distort
from iqassay.data.filters import from_pillow, to_pillow
from iqassay.data.rendered import RENDERED, render_content
from iqassay.data.restored import RESTORATIONS, restore
from iqassay.data.targets import target_score

TILE = 150  # side of a tile, pixels: a crop at native size, because shrinking would hide most damage
MARGIN, LABEL, COLUMNS = 4, 14, 2  # two blocks of rows side by side keep the sheet near square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/img/distortions.jpg"))
    parser.add_argument("--restored", action="store_true")
    parser.add_argument("--covered", action="store_true")
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--quality", type=int, default=72)
    arguments = parser.parse_args()

    image = np.asarray(Image.open(arguments.photo or bundled_photo()).convert("RGB"), dtype=np.float32) / 255
    y, x = round(image.shape[0] * 0.07), round(image.shape[1] * 0.30)
    window = (x, y, x + TILE, y + TILE)

    if arguments.covered or arguments.drawn:
        small = draw(covered_rows(middle(image)), 96, 26, 4) if arguments.covered else draw(drawn_rows())
        save(small, arguments)
        return
    rows = []
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

    save(draw(rows), arguments)


def save(sheet: Image.Image, arguments: argparse.Namespace) -> None:
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.out, quality=arguments.quality, optimize=True)
    print(f"{arguments.out}: {sheet.width}x{sheet.height}, {arguments.out.stat().st_size / 1000:.0f} kB")


def middle(image: np.ndarray, side: int = 256) -> np.ndarray:
    """The middle of a photo, shrunk first so that most of it is there: 256x256, as the synthesiser has it."""
    short = min(image.shape[:2])
    y, x = (image.shape[0] - short) // 2, (image.shape[1] - short) // 2
    square = to_pillow(image[y : y + short, x : x + short])
    return from_pillow(square.resize((side, side), Image.Resampling.LANCZOS))


def covered_rows(image: np.ndarray) -> list[list[tuple[str, Image.Image]]]:
    """Strengths 0, 1/2 and 1, labelled with the target and, where it says more, that beside the reference."""
    rows = []
    for name in COVERED:
        row: list[tuple[str, Image.Image]] = []
        for step in range(3):
            made = cover_with(image, name, step / 2, np.random.default_rng(3 + step))
            pair = f"/{made.pair:.0f}" if abs(made.pair - beside(made.score)) > 0.5 else ""
            tile = to_pillow(made.picture).resize((96, 96), Image.Resampling.LANCZOS)
            row.append((f"{name if not row else ''}\n{made.score:.0f}{pair}", tile))
        rows.append(row)
    return rows


def drawn_rows() -> list[list[tuple[str, Image.Image]]]:
    """Five of each kind of drawing, at native size."""
    rows = []
    for name in RENDERED:
        tiles = [to_pillow(render_content(name, 256, np.random.default_rng(i))) for i in range(5)]
        rows.append([(name if i == 0 else "", tile.crop((0, 0, TILE, TILE))) for i, tile in enumerate(tiles)])
    return rows


def bundled_photo() -> Path:
    """scikit-image's own copy of the astronaut, found without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("got no scikit-image, want it installed or a PHOTO named")
    return Path(spec.origin).parent / "data" / "astronaut.png"


def draw(
    rows: list[list[tuple[str, Image.Image]]], tile: int = TILE, label: int = LABEL, columns: int = COLUMNS
) -> Image.Image:
    """A sheet of labelled tiles; the label of each stands above it."""
    per_block = -(-len(rows) // columns)
    step_x, step_y = tile + MARGIN, tile + MARGIN + label
    block_width = len(rows[0]) * step_x + 3 * MARGIN
    sheet = Image.new("RGB", (columns * block_width + MARGIN, per_block * step_y + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        left, top = MARGIN + i // per_block * block_width, MARGIN + i % per_block * step_y
        for j, (text, picture) in enumerate(row):
            pen.text((left + j * step_x, top), text, fill="black")
            sheet.paste(picture, (left + j * step_x, top + label))
    return sheet


if __name__ == "__main__":
    main()
