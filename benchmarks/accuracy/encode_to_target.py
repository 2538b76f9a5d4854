"""What it saves to encode each photo to one score rather than all at one quality:

    python benchmarks/accuracy/encode_to_target.py PHOTOS [--count 20] [--target 80] [--side 384] [--model yoto]

For each codec, the bytes of the photos at a fixed quality of 90 beside those of the smallest file of each that reaches
the target (`iqassay encode`), and how far the scores lie apart at the fixed quality. Writes encode_to_target.csv, a row
a photo and codec, beside this script, and prints the sums. PHOTOS is a folder of clean photos, such as Kodak's;
--side shrinks them to so many pixels, so that it takes minutes.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from iqassay.folders.encoding import smallest, try_quality
from iqassay.folders.finding import find_pictures
from iqassay.models.opening import open_scorer
from iqassay.pictures.encoders import USUAL
from iqassay.pictures.image import Picture, read_image
from iqassay.scoring.tiles import shrink_to
from iqassay.support.progress import with_bar

FIXED = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--target", type=float, default=80)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--model", default="yoto")
    arguments = parser.parse_args()
    scorer = open_scorer(arguments.model)
    paths = list(find_pictures([str(arguments.photos)]))[: arguments.count]
    rows = []
    for path in with_bar(paths, len(paths)):
        shown = shrink_to(read_image(path).pixels, arguments.side)
        original = Picture(np.rint(shown * 255).astype(np.uint8))
        for codec in USUAL:
            fixed, _ = try_quality(original, codec, FIXED, scorer)
            found = smallest(original, codec, arguments.target, scorer).point
            if found is None:
                print(f"{Path(path).name}: {codec} does not reach {arguments.target:g}")
                continue
            sizes = original.width, original.height, fixed.bytes, found.bytes
            rows.append((Path(path).name, codec, *sizes, fixed.score, found.score, found.quality))
    table = Path(__file__).with_suffix(".csv")
    with table.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            (
                "photo",
                "codec",
                "width",
                "height",
                f"bytes_{FIXED}",
                "bytes_target",
                f"score_{FIXED}",
                "score",
                "quality",
            )
        )
        writer.writerows(rows)
    model = f"{scorer.card.name} {scorer.card.version}"
    print(f"{len(paths)} photos of at most {arguments.side} pixels, to {arguments.target:g} by {model}")
    print(f"codec  bytes at {FIXED}  bytes at {arguments.target:g}  saved  scores at {FIXED}  qualities that reach it")
    for codec in USUAL:
        mine = [row for row in rows if row[1] == codec]
        if mine:
            before, after = (sum(row[at] for row in mine) for at in (4, 5))
            scores, found = ([row[at] for row in mine] for at in (6, 8))
            print(
                f"{codec:<5} {before:12,} {after:12,}  {100 * (1 - after / before):4.1f} %  "
                f"{min(scores):.1f} to {max(scores):.1f}    {min(found)} to {max(found)}"
            )


if __name__ == "__main__":
    main()
