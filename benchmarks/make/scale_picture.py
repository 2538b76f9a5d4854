"""Draw docs/img/scale.svg: the table of the shipped panel, from raw to score, and the anchors it was drawn through.

    python benchmarks/make/scale_picture.py [--card panel.json] [-o docs/img/scale.svg]

Takes nothing but the card. One made before there were anchors shows its table alone.
"""

from __future__ import annotations

import argparse
import html
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIDE, LEFT, TOP, RIGHT = 440, 56, 20, 290  # pixels: of the square, and around it
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f; } .soft { fill: #6e7781; }
.grid { stroke: #d0d7de; } .table { fill: none; stroke: #0b5cad; stroke-width: 2.5; }
.wanted { fill: none; stroke: #c2410c; stroke-width: 1.5; } .got { fill: #c2410c; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .soft { fill: #9198a1; } .grid { stroke: #3d444d; }
  .table { stroke: #6cb6ff; } .wanted { stroke: #ff9d5c; } .got { fill: #ff9d5c; } }
"""


def x(raw: float) -> float:
    return LEFT + SIDE * raw / 100


def y(score: float) -> float:
    return TOP + SIDE * (1 - score / 100)


def drawing(card: dict[str, Any]) -> str:
    """The card's table as SVG."""
    parts = [f'<rect width="{LEFT + SIDE + RIGHT}" height="{TOP + SIDE + 56}" fill="none"/>']
    for value in range(0, 101, 10):
        parts.append(f'<path class="grid" d="M{x(value)} {y(0)}V{y(100)}M{x(0)} {y(value)}H{x(100)}"/>')
        if value % 20 == 0:
            parts.append(f'<text class="soft" x="{x(value)}" y="{y(0) + 18}" text-anchor="middle">{value}</text>')
            parts.append(f'<text class="soft" x="{x(0) - 8}" y="{y(value) + 4}" text-anchor="end">{value}</text>')
    parts.append(f'<text x="{x(50)}" y="{y(0) + 42}" text-anchor="middle">raw: the mean of the members</text>')
    parts.append(f'<text transform="translate(16 {y(50)}) rotate(-90)" text-anchor="middle">score</text>')
    table = zip(card["calibration"]["raw"], card["calibration"]["score"], strict=True)
    parts.append(f'<path class="table" d="M{"L".join(f"{x(raw):.1f} {y(score):.1f}" for raw, score in table)}"/>')
    scale = card.get("scale", {})
    marks = [(one["name"], one["raw"], one["wanted"], one["got"]) for one in scale.get("anchors", []) if one["point"]]
    marks += [
        (f"KADID-10k, level {one['level']}", one["raw"], one["wanted"], one["got"]) for one in scale.get("levels", [])
    ]
    for number, (name, raw, wanted, got) in enumerate(marks, 1):
        at = TOP + 20 + 22 * (number - 1)
        parts.append(f'<circle class="wanted" cx="{x(raw):.1f}" cy="{y(wanted):.1f}" r="6"/>')
        parts.append(f'<circle class="got" cx="{x(raw):.1f}" cy="{y(got):.1f}" r="3"/>')
        parts.append(f'<text x="{x(raw) + 9:.1f}" y="{y(wanted) - 6:.1f}">{number}</text>')
        words = f"{number} {html.escape(name)}: {got:.0f}, wanted {wanted:.0f}"
        parts.append(f'<text x="{LEFT + SIDE + 16}" y="{at}">{words}</text>')
    if marks:
        parts.append(f'<text class="soft" x="{LEFT + SIDE + 16}" y="{y(0)}">ring: wanted; dot: what came out</text>')
    size = f'viewBox="0 0 {LEFT + SIDE + (RIGHT if marks else 24)} {TOP + SIDE + 56}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", type=Path, default=ROOT / "src/iqassay/weights/panel.json")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs/img/scale.svg")
    options = parser.parse_args()
    options.out.write_text(drawing(json.loads(options.card.read_text())))


if __name__ == "__main__":
    main()
