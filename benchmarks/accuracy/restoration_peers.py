"""Our restorer beside those of others, on the pictures of ``restoration.py``: how many dB each gains.

    python benchmarks/accuracy/restoration_peers.py --pristine FOLDER... [--model dri] [--ffdnet ffdnet_color.pth]
        [--dncnn DnCNN3.mat] [--real-esrgan] [--skimage] [--count 10]

Where to find theirs: ``benchmarks/common/restorers.py``. Real-ESRGAN, which takes the longest by far, is asked of every
twentieth picture. Estimates are rounded to eight bits. Seconds are those of a picture of 256x256 on one thread.
Written: restoration_peers.csv, mean gains with 95 % bootstrap intervals over contents.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from contents import batch, clean_crops, eight_bits, interval
from restoration import STRONG_JPEG, psnr, spoiled

import iqassay

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
import restorers
from provenance import commit, which
from rows import write_rows

MILDEST = 1
SLOW = "Real-ESRGAN"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pristine", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--model", default="dri")
    parser.add_argument("--ffdnet", type=Path, metavar="FILE")
    parser.add_argument("--dncnn", type=Path, metavar="FILE")
    parser.add_argument("--real-esrgan", action="store_true")
    parser.add_argument("--skimage", action="store_true")
    parser.add_argument("--count", type=int, default=10, help="how many contents")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    ours = iqassay.load(args.model, 1)
    asked: dict[str, restorers.Restore] = {
        ours.card.name: lambda picture: ours.restore(batch([picture]))[0][0].transpose(1, 2, 0)
    }
    if args.ffdnet:
        asked["FFDNet"] = restorers.ffdnet(args.ffdnet)
    if args.dncnn:
        asked["DnCNN-3"] = restorers.dncnn(args.dncnn)
    if args.real_esrgan:
        asked[SLOW] = restorers.real_esrgan()
    if args.skimage:
        asked |= {"non-local means": restorers.non_local_means(), "wavelets": restorers.wavelets()}

    gains: dict[tuple[str, str], dict[int, list[float]]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    for content, (clean, rng) in enumerate(clean_crops(args.pristine, args.count)):
        made = {("untouched", "untouched", 0): clean, **spoiled(clean, rng)}
        for i, (what, picture) in enumerate(made.items()):
            for name, restore in asked.items():
                if name == SLOW and (i + content) % 20:
                    continue
                started = time.perf_counter()
                estimate = restore(picture)
                seconds[name].append(time.perf_counter() - started)
                said = psnr(eight_bits(np.clip(estimate, 0, 1)), clean)
                value = said if what[0] == "untouched" else said - psnr(picture, clean)
                for row in rows_with(*what):
                    gains.setdefault((name, row), {}).setdefault(content, []).append(value)
        write_rows(args.output, table(gains, seconds, which(ours.card)))  # a run that is stopped has lost nothing
    for line in table(gains, seconds, which(ours.card)):
        print(*line.values(), sep="  ")


def table(
    gains: dict[tuple[str, str], dict[int, list[float]]], seconds: dict[str, list[float]], model: str
) -> list[dict[str, object]]:
    """A row for every restorer and kind of picture: the mean of the contents' mean gains, and its interval."""
    rows: list[dict[str, object]] = []
    for (name, row), by_content in gains.items():
        means = np.array([np.mean(values) for values in by_content.values()])
        low, high = interval(means)
        numbers = {"gain": means.mean(), "low": low, "high": high, "seconds": np.median(seconds[name])}
        rows.append(
            {"restorer": name, "pictures_of": row, "contents": len(means)}
            | {"pictures": sum(map(len, by_content.values()))}
            | {key: round(float(number), 3) for key, number in numbers.items()}
            | {"model": model, "commit": commit()}
        )
    return rows


def rows_with(group: str, kind: str, level: int) -> Iterator[str]:
    """The rows of the table that a picture is in; "untouched" has the PSNR of the estimate in place of a gain."""
    yield group
    if kind in ("jpeg", "jpeg2000"):
        yield kind
    if kind == "jpeg" and level in STRONG_JPEG:
        yield "jpeg, quality 24 and below"
    if level == MILDEST and group in ("noise", "blur", "codecs"):
        yield f"{group}, mildest"


if __name__ == "__main__":
    main()
