"""Does the restorer restore? PSNR and our full-reference score of pictures and of their estimates, on unseen contents.

    python benchmarks/accuracy/restoration.py --pristine FOLDER... [--model dri] [--judge yoto] [--count 30]

Crops of 256x256 of the photos that training on these folders holds out. Each is spoiled by every type of noise, blur
and codec at its five levels, and by chains of one blur, one noise and one codec or of two of them, all at one level; it
is made half as large and enlarged again by several kernels, and saved as WebP; the untouched crop is restored too. PSNR
in dB, of all channels together; identical pictures have none. Intervals are 95 % bootstrap intervals of the mean gain,
over contents. Prints Markdown and writes benchmarks/accuracy/restoration.csv.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import asdict, dataclass, fields
from math import nan
from pathlib import Path

import numpy as np
from contents import SEED, batch, clean_crops, eight_bits, interval

import iqassay
from iqassay.data.distortions import LEVELS, PARAMETERS, apply_chain, distort
from iqassay.data.resampling import CODECS as FORMATS
from iqassay.data.resampling import resample
from iqassay.training.restoration import BLUR, CODECS, NOISE

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import commit, which

GROUPS = {"noise": NOISE, "blur": BLUR, "codecs": CODECS}
ENLARGED = (("box", "bilinear"), ("box", "bicubic"), ("bicubic", "bicubic"), ("lanczos", "lanczos"))  # down, up
STRONG_JPEG = tuple(level for level, quality in zip(LEVELS, PARAMETERS["jpeg"], strict=True) if quality <= 24)


@dataclass(frozen=True)
class Restored:
    """One picture: PSNR in dB and score of it and of its estimate, both beside the clean picture."""

    content: int
    group: str
    kind: str
    level: int  # 0: nothing was done
    psnr: float
    psnr_estimate: float
    score: float
    score_estimate: float


@dataclass(frozen=True)
class Row:
    """Means over pictures, the gains with their intervals; improved: share of pictures whose estimate is better."""

    pictures_of: str
    level: str
    pictures: int
    psnr: float
    psnr_estimate: float
    psnr_gain: float
    psnr_low: float
    psnr_high: float
    psnr_improved: float
    score: float
    score_estimate: float
    score_gain: float
    score_low: float
    score_high: float
    score_improved: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pristine", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--model", default="dri", help="what restores: a shipped model or an .onnx file")
    parser.add_argument("--judge", default="yoto", help="what scores beside the clean picture")
    parser.add_argument("--count", type=int, default=30, help="how many contents")
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    try:
        restorer, judge = (iqassay.load(name, args.threads) for name in (args.model, args.judge))
    except ValueError as error:
        parser.error(str(error))

    found: list[Restored] = []
    for content, (clean, rng) in enumerate(clean_crops(args.pristine, args.count)):
        made = {("untouched", "untouched", 0): clean, **spoiled(clean, rng)}
        named = list(made.items())
        for some in (named[i : i + 5] for i in range(0, len(named), 5)):
            estimates = restorer.restore(batch([picture for _, picture in some]))[0]
            for ((*what,), picture), estimate in zip(some, estimates.transpose(0, 2, 3, 1), strict=True):
                pair = [picture, eight_bits(estimate)]
                scores = [
                    judge.score(np.rint(p * 255).astype(np.uint8), np.rint(clean * 255).astype(np.uint8)).score
                    for p in pair
                ]
                found.append(Restored(content, *what, *(psnr(p, clean) for p in pair), *scores))

    rows = rows_of(found)
    print(markdown(rows))
    where = {"model": which(restorer.card), "judge": which(judge.card), "commit": commit()}
    print("\n" + ", ".join(f"{key} {value}" for key, value in where.items()) + f", seed {SEED}")
    with args.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*(f.name for f in fields(Row)), *where])
        writer.writeheader()
        for row in rows:
            writer.writerow(where | {k: "" if v != v else v for k, v in asdict(row).items()})


def spoiled(clean: np.ndarray, rng: np.random.Generator) -> dict[tuple[str, str, int], np.ndarray]:
    """(group, type, level) -> picture: every type at every level, and five chains at each level."""
    made = {}
    for group, kinds in GROUPS.items():
        for kind in kinds:
            made |= {(group, kind, level): distort(clean, kind, level, rng) for level in LEVELS}
    for level in LEVELS:
        for parts in (("blur", "noise", "codecs"), ("blur", "noise"), ("blur", "codecs"), ("noise", "codecs")):
            chain = [(str(rng.choice(GROUPS[part])), float(level)) for part in parts]
            made["chains", " + ".join(parts), level] = apply_chain(clean, chain, rng)
    for down, up in ENLARGED:
        made["half size", f"{down}, {up}", 1] = resample(clean, down, up, 2)
    for level in LEVELS:
        made["webp", "webp", level] = FORMATS["webp"](clean, (level - 1) / (len(LEVELS) - 1), rng)
    return {what: eight_bits(picture) for what, picture in made.items()}


def psnr(picture: np.ndarray, reference: np.ndarray) -> float:
    """dB; nan for identical pictures."""
    error = float(np.mean((picture - reference) ** 2, dtype=np.float64))
    return -10 * np.log10(error) if error else nan


def rows_of(found: list[Restored]) -> list[Row]:
    """All of each group, its types, and both at each level; of JPEG also all that is strong."""
    rows = []
    for group in dict.fromkeys(one.group for one in found):
        some = [one for one in found if one.group == group]
        parts = {group: some} | {one.kind: [other for other in some if other.kind == one.kind] for one in some}
        rows += [row(name, "all", part) for name, part in parts.items()]
        for name, part in parts.items():
            by_level = {level: [one for one in part if one.level == level] for level in LEVELS}
            rows += [row(name, str(level), at) for level, at in by_level.items() if at and len(at) < len(part)]
    strong = [one for one in found if one.kind == "jpeg" and one.level in STRONG_JPEG]
    rows.append(row("jpeg", "quality 24 and below", strong))
    return rows


def row(name: str, level: str, some: list[Restored]) -> Row:
    content = np.array([one.content for one in some])
    numbers = []
    for measure in ("psnr", "score"):
        before = np.array([getattr(one, measure) for one in some])
        after = np.array([getattr(one, f"{measure}_estimate") for one in some])
        gain = after - before
        low, high = interval(np.array([gain[content == c].mean() for c in np.unique(content)]))
        improved = float(np.mean(gain > 0)) if np.isfinite(gain).all() else nan
        numbers += [before.mean(), np.nanmean(after), gain.mean(), low, high, improved]
    return Row(name, level, len(some), *(round(float(v), 3) for v in numbers))


def markdown(rows: list[Row]) -> str:
    """The table of all levels together, then that of the groups by level."""
    lines = []
    for by_level in (False, True):
        columns = ["PSNR", "of the estimate", "gain, dB", "improved", "score", "of the estimate", "gain", "improved"]
        lines += ["", "| pictures | count | " + " | ".join(columns) + " |", "|" + "---|" * 10]
        for r in rows:
            if (r.level != "all") != by_level:
                continue
            at = f", level {r.level}" if r.level.isdigit() else f", {r.level}"
            cells = [r.pictures_of + (at if by_level else ""), str(r.pictures)]
            cells += [
                _cell(r.psnr),
                _cell(r.psnr_estimate),
                _cell(r.psnr_gain, r.psnr_low, r.psnr_high),
                _share(r.psnr_improved),
            ]
            cells += [
                _cell(r.score),
                _cell(r.score_estimate),
                _cell(r.score_gain, r.score_low, r.score_high),
                _share(r.score_improved),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float, low: float = nan, high: float = nan) -> str:
    return "" if value != value else f"{value:.2f}" + (f" ({low:.2f} to {high:.2f})" if low == low else "")


def _share(value: float) -> str:
    return "" if value != value else f"{100 * value:.0f} %"


if __name__ == "__main__":
    main()
