"""What becomes of odd files: a table of file -> picture or error.

    python benchmarks/checks/odd_files.py FOLDER...

Every file under the folders, whatever its name, goes through iqassay.pictures.image.read_image. Exit status 1 when one
of them raised anything but ImageError, or took longer than a minute. Made for collections of difficult files such as
the test-images of image-rs (https://github.com/image-rs/image/tree/main/tests/images) and the JPEG XL conformance files
(https://github.com/libjxl/conformance).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from iqassay.pictures.image import ImageError, read_image

SLOW = 60.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    counts: Counter[str] = Counter()
    for folder in parser.parse_args().folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            start = time.perf_counter()
            try:
                picture = read_image(path)
                height, width, _ = picture.pixels.shape
                outcome, text = (
                    "picture",
                    f"{width}x{height} {picture.pixels.dtype} {'; '.join(picture.warnings)}".rstrip(),
                )
            except ImageError as error:
                outcome, text = "ImageError", str(error).removeprefix(f"{path}: ")
            except Exception as error:
                outcome, text = "OTHER EXCEPTION", f"{type(error).__name__}: {error}"
            seconds = time.perf_counter() - start
            if seconds > SLOW:
                outcome = "SLOW"
            counts[outcome] += 1
            print(f"{path.relative_to(folder)}\t{outcome}\t{1000 * seconds:.0f} ms\t{text}")
    print(
        f"{counts.total()} files: " + ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common()),
        file=sys.stderr,
    )
    return 1 if not counts or counts.keys() - {"picture", "ImageError"} else 0


if __name__ == "__main__":
    sys.exit(main())
