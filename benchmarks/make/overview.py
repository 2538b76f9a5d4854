"""The picture of the README: example photos, their spoiled versions and the maps, with what the scorer says of them.

python benchmarks/make/overview.py [-o docs/img/overview.png] [--model mfen]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import iqassay
from iqassay.scoring.heatmap import heatmap

ROOT = Path(__file__).resolve().parents[2]
PAIRS = [("chelsea.jpg", "chelsea-blurred.jpg"), ("coffee.jpg", "coffee-jpeg.jpg")]
WIDTH, HEIGHT, GAP, TEXT = 420, 280, 12, 62  # pixels: a photo, the space between, the two lines under it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mfen", help="a shipped model or an .onnx file")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "img" / "overview.png")
    args = parser.parse_args()
    scorer = iqassay.load(args.model)
    canvas = Image.new("RGB", (3 * WIDTH + 4 * GAP, len(PAIRS) * (HEIGHT + TEXT + GAP) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    large, small = ImageFont.load_default(21), ImageFont.load_default(16)
    for row, names in enumerate(PAIRS):
        top = GAP + row * (HEIGHT + TEXT + GAP)
        cells = []
        for name in names:
            picture = iqassay.read_image(ROOT / "examples" / name)
            verdict = scorer.score(picture)
            title = f"{verdict.score:.0f}   ({verdict.low:.0f} to {verdict.high:.0f})"
            found = ", ".join(f"{d.name} {d.severity:.1f}" for d in verdict.distortions[:1]) or "nothing found"
            cells.append((Image.fromarray(picture.pixels), title, f"{name}: {found}"))
        cells.append((heatmap(picture, verdict.map), "where", "gray is good; yellow, orange, purple: worse and worse"))
        for column, (image, title, note) in enumerate(cells):
            left = GAP + column * (WIDTH + GAP)
            image.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
            canvas.paste(image, (left, top))
            draw.text((left, top + HEIGHT + 6), title, "black", large)
            draw.text((left, top + HEIGHT + 34), note, "#444444", small)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    canvas.convert("P", palette=Image.Palette.ADAPTIVE).save(args.output, optimize=True)


if __name__ == "__main__":
    main()
