"""Rated pairs as windows of native pixels, for ``iqassay train yoto``: a set of its own for each, with whole contents
kept for validation.

    python benchmarks/make/cut_pairs.py OUT --set NAME=CSV:FOLDER ... [--toyama Toyama.txt --kodak KODAK] [--fold 0/4]

Every set becomes OUT/NAME.csv (image, reference, mos, split) and PNG files in OUT/NAME. A window has the opinion of its
picture. --fold K/N: of every N contents, by name, the K-th is for validation; those of one group count as one.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rated_pairs import RatedPair, of_table, of_toyama


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=CSV:FOLDER")
    parser.add_argument("--toyama", type=Path)
    parser.add_argument("--kodak", type=Path)
    parser.add_argument("--fold", default="0/4")
    args = parser.parse_args()
    fold, folds = (int(part) for part in args.fold.split("/"))
    for text in args.set:
        name, _, rest = text.partition("=")
        table, _, folder = rest.partition(":")
        write(args.out, name, of_table(Path(table), Path(folder)), fold, folds)
    if args.toyama and args.kodak:
        write(args.out, "toyama", of_toyama(args.toyama, args.kodak), fold, folds)


def write(out: Path, name: str, pairs: Iterable[RatedPair], fold: int, folds: int) -> None:
    """The windows of a set, and its table."""
    (out / name).mkdir(parents=True, exist_ok=True)
    rows, contents, groups = [], list[str](), list[str]()
    for number, pair in enumerate(pairs):
        if pair.content not in contents:
            contents.append(pair.content)
        if pair.group not in groups:
            groups.append(pair.group)
        place = contents.index(pair.content)
        for window, (picture, reference) in enumerate(zip(pair.pictures, pair.references, strict=True)):
            files = f"{name}/{number}_{window}.png", f"{name}/ref{place}_{window}.png"
            Image.fromarray(picture).save(out / files[0], compress_level=1)
            if not (out / files[1]).exists():
                Image.fromarray(reference).save(out / files[1], compress_level=1)
            split = "val" if groups.index(pair.group) % folds == fold else "train"
            rows.append({"image": files[0], "reference": files[1], "mos": pair.opinion, "split": split})
    if not rows:
        raise SystemExit(f"{name}: got no pair of one size, want some")
    with (out / f"{name}.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{name}: {len(rows)} windows of {len(contents)} contents")


if __name__ == "__main__":
    main()
