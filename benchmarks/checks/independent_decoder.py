"""Do pictures read here look as another decoder shows them? A table of files, and a summary.

    apt install libvips42 && pip install pyvips
    python benchmarks/checks/independent_decoder.py FOLDER... -o table.csv [--every N]

Every file under the folders whose name ends like a picture (or every Nth) goes through
iqassay.pictures.image.read_image and through libvips, which turns it upright and converts its profile to sRGB with
libraries of its own (libtiff, libspng, libheif, ImageMagick, ...). Both are laid over white at 8 bits. "same" is
a mean difference of at most 1.5 levels, and at most one pixel in a hundred that is off by more than 12. What differs is
listed, the worst first; docs/reading-pictures.md explains what remained of the test pictures of Pillow, libvips,
libavif, libheif, TwelveMonkeys, exiftool, image-rs, PngSuite and of JPEG XL's conformance. Exit status 1 when one of
ours ends in anything but a picture or an ImageError. Rows are written as they come.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from iqassay.pictures.formats import OTHERS, SUFFIXES
from iqassay.pictures.image import ImageError, read_image, to_float

ENDINGS = SUFFIXES | {ending for ending, kind in OTHERS.items() if kind.extra}
_pool = ProcessPoolExecutor(1, get_context("spawn"))
MEAN, OFF, SHARE = 1.5, 12, 0.01  # levels, levels, of the pixels
FIELDS = ("file", "outcome", "mean", "off", "here", "there")


def here(path: Path) -> tuple[np.ndarray | None, str]:
    """The pixels as 8-bit levels, and what is said."""
    try:
        picture = read_image(path)
    except ImageError as error:
        return None, str(error).removeprefix(f"{path}: ")
    said = f"{picture.width}x{picture.height} {picture.pixels.dtype}"
    return to_float(picture.pixels) * 255, "; ".join((said, *picture.warnings))


def in_another_process(path: Path) -> tuple[np.ndarray | None, str]:
    """`there`, which may crash."""
    global _pool
    try:
        return _pool.submit(there, path).result(timeout=120)
    except (BrokenProcessPool, TimeoutError) as error:
        for process in list((_pool._processes or {}).values()):
            process.kill()
        _pool.shutdown(wait=False)
        _pool = ProcessPoolExecutor(1, get_context("spawn"))
        return None, f"crashed ({type(error).__name__})"


def there(path: Path) -> tuple[np.ndarray | None, str]:
    import pyvips  # here, for its libheif is not that of pillow-heif, and one process cannot have both

    try:
        image = pyvips.Image.new_from_file(str(path)).autorot()
        if image.get_typeof("icc-profile-data"):
            image = image.icc_transform("srgb", embedded=True, intent="perceptual")
        if image.interpretation != "srgb":
            image = image.colourspace("srgb")
        if image.hasalpha():
            image = image.flatten(background=[255, 255, 255])
        pixels = image.cast("uchar").numpy()
    except pyvips.Error as error:
        return None, " ".join(str(error).split())[-200:]
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return pixels[..., :3].astype(np.float32), f"{pixels.shape[1]}x{pixels.shape[0]}"


def compare(ours: np.ndarray | None, theirs: np.ndarray | None) -> tuple[str, float, float]:
    """The outcome, the mean difference in levels and the share of pixels that are off."""
    if ours is None or theirs is None:
        outcome = "neither" if ours is theirs else "only there" if ours is None else "only here"
        return outcome, float("nan"), float("nan")
    if ours.shape != theirs.shape:
        return "another size", float("nan"), float("nan")
    difference = np.abs(ours - theirs).max(axis=2)
    mean, off = float(difference.mean()), float((difference > OFF).mean())
    return ("same" if mean <= MEAN and off <= SHARE else "differs"), mean, off


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CSV")
    parser.add_argument("--every", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, broken = [], 0
    with arguments.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for folder in arguments.folders:
            found = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in ENDINGS)
            for path in found[:: arguments.every]:
                start = time.perf_counter()
                try:
                    ours, said = here(path)
                except Exception as error:
                    ours, said, broken = None, f"{type(error).__name__}: {error}", broken + 1
                theirs, answer = in_another_process(path)
                outcome, mean, off = compare(ours, theirs)
                rows.append(
                    (f"{folder.name}/{path.relative_to(folder)}", outcome, f"{mean:.2f}", f"{off:.4f}", said, answer)
                )
                writer.writerow(rows[-1])
                file.flush()
                print(f"{rows[-1][0]}: {outcome}, {time.perf_counter() - start:.1f} s", file=sys.stderr)
    for row in sorted(rows, key=lambda row: (row[1], -float(row[3] if row[3] != "nan" else 0))):
        if row[1] not in ("same", "neither"):
            print("\t".join(row))
    counts = Counter(row[1] for row in rows)
    print(f"{len(rows)} files: " + ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common()))
    return 1 if broken or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
