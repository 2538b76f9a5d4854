"""How well a model file agrees with people: SRCC, PLCC and KRCC over a ratings CSV, by the scorer that users run.

    python benchmarks/accuracy.py --csv RATINGS.csv --images DIR --split test --by subset -o scores.csv

The CSV has the columns image and mos (or their usual other names), and optionally split and subset. Prints a Markdown
table with a row for the whole set and one inside each subset, each value with its 95 % bootstrap interval. Subsets
that differ in mean earn correlation over the whole set by that alone, so look at the rows below as well.

--calibrate-scale adds the share of pictures whose mean opinion, put on 0 to 100, lies inside the 90 % interval of the
verdict, and the mean width of that interval in points. The share means something only when the opinions are on the
scale that the model was calibrated to.

Exit status 1 when a picture could not be scored; it is left out of the table and named on standard error.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from speed import which

import iqassay
from iqassay.bench.correlation import bootstrap, krcc, plcc, srcc
from iqassay.data.ratings import read_ratings
from iqassay.folder import score_files
from iqassay.model_file import Card, PanelCard, default_model, find_member, find_model, read_card
from iqassay.scorer import Scorer, placed


@dataclass(frozen=True)
class Row:
    """One picture: what people said (mos on 0 to 100) and what the model said."""

    image: str
    subset: str
    split: str
    mos: float
    score: float
    low: float
    high: float
    raw: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, required=True, metavar="RATINGS.csv")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the pictures (default: the CSV's own)")
    parser.add_argument("--split", default="all", help="rows to take, such as test; all takes every row")
    parser.add_argument("--by", choices=["subset"], help="a row for each subset too")
    parser.add_argument("--model", help="a shipped model, an .onnx file or a panel's .json (default: the package's)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit", type=int, help="every so many-th row, to have about this many: for a quick look")
    parser.add_argument(
        "--calibrate-scale",
        nargs="?",
        const="detect",
        metavar="WORST..BEST",
        help="report interval coverage; WORST and BEST are the opinions that mean 0 and 100 (default: detected)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write a CSV with a row for each picture")
    parser.add_argument(
        "--on-card", metavar="SET", help="put SRCC and PLCC on the model's card under this name of the set"
    )
    args = parser.parse_args()
    try:
        scale = _scale(args.calibrate_scale)
        ratings = read_ratings(args.csv, args.images, scale=scale)
        chosen = ratings.rows if args.split == "all" else ratings.split(args.split).rows
        if args.limit:
            chosen = chosen[:: max(1, len(chosen) // args.limit)]
        if len(chosen) < 3:
            raise ValueError(f"{args.csv}: got {len(chosen)} rows of split {args.split!r}, want 3 or more")
        scorer = iqassay.load(args.model, args.threads)
    except ValueError as error:
        parser.error(str(error))

    path = find_model(args.model or default_model(reference=False))
    files = [path]
    if isinstance(scorer.card, PanelCard):
        files += [find_member(path, name) for name in scorer.card.members]
    cards = [read_card(file) for file in files]
    found, failed = score(scorer, chosen, cards[1:])
    if args.output:
        write(args.output, found[scorer.card.name])
    for file, card in zip(files, cards, strict=True):
        rows = found[card.name]
        if args.on_card:
            put_on_card(file.with_suffix(".json"), args.on_card, rows)
        print(f"\n{which(card)}, {ratings.name}, split {args.split}\n")
        print(table(rows, by_subset=args.by == "subset", coverage=args.calibrate_scale is not None))
    return 1 if failed else 0


def score(scorer: Scorer, chosen: Sequence, members: Sequence[Card]) -> tuple[dict[str, list[Row]], int]:
    """Score every picture; the scored rows by the name of the model, and how many pictures failed.

    members: of a panel, whose records hold what it takes to know how each of them would answer alone.
    """
    found: dict[str, list[Row]] = {card.name: [] for card in (scorer.card, *members)}
    failed, start = 0, time.perf_counter()
    for i, (rating, result) in enumerate(zip(chosen, score_files(scorer, [str(r.image) for r in chosen]), strict=True)):
        verdict = result.verdict
        if verdict is None:
            failed += 1
            print(result.error, file=sys.stderr)
        else:
            answers = {scorer.card.name: (verdict.score, verdict.low, verdict.high, verdict.raw)}
            for card in members:
                answers[card.name] = (*placed(verdict.raws[card.name], card), verdict.raws[card.name])
            for name, (*numbers, raw) in answers.items():
                numbers = [round(v, 4) for v in (rating.score, *numbers)]
                found[name].append(Row(rating.image.name, rating.subset, rating.split, *numbers, round(raw, 6)))
        if i % 100 == 99 or i + 1 == len(chosen):
            pace = (time.perf_counter() - start) / (i + 1)
            print(f"{i + 1} of {len(chosen)} pictures, {pace:.3f} s each", file=sys.stderr, flush=True)
    return found, failed


def put_on_card(file: Path, name: str, rows: Sequence[Row]) -> None:
    """Add the row of a set to a card, or replace it."""
    card = json.loads(file.read_text(encoding="utf-8"))
    score, mos = [r.score for r in rows], [r.mos for r in rows]
    measured = {
        "set": name,
        "images": len(rows),
        "srcc": round(srcc(score, mos), 4),
        "plcc": round(plcc(score, mos), 4),
    }
    card["accuracy"] = [row for row in card["accuracy"] if row["set"] != name] + [measured]
    file.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def table(rows: Sequence[Row], by_subset: bool, coverage: bool) -> str:
    """A Markdown table: the whole set, then each subset."""
    parts = [("whole", list(rows))]
    if by_subset:
        parts += [(name, [r for r in rows if r.subset == name]) for name in sorted({r.subset for r in rows})]
    columns = ["pictures", "count", "SRCC", "PLCC", "KRCC"]
    columns += ["inside the 90 % interval", "its mean width"] if coverage else []
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for name, part in parts:
        score, mos = np.array([r.score for r in part]), np.array([r.mos for r in part])
        cells = [name, str(len(part))]
        for statistic in (srcc, plcc, krcc):
            if len(part) < 3:
                cells.append("too few")
                continue
            low, high = bootstrap(score, mos, statistic)
            cells.append(f"{statistic(score, mos):.3f} ({low:.3f} to {high:.3f})")
        if coverage:
            cells.append(f"{100 * np.mean([r.low <= r.mos <= r.high for r in part]):.1f} %")
            cells.append(f"{np.mean([r.high - r.low for r in part]):.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(Row.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _scale(text: str | None) -> tuple[float, float] | None:
    if text in (None, "detect"):
        return None
    try:
        worst, best = (float(part) for part in text.split(".."))
    except ValueError:
        raise ValueError(f"--calibrate-scale: got {text!r}, want WORST..BEST, such as 0..1") from None
    return worst, best


if __name__ == "__main__":
    sys.exit(main())
