"""The table of 432 pictures by a neural codec: Kodak's 24 photos at nine rates of two ways to learn it.

    python benchmarks/make/neural_codecs.py RECONSTRUCTED KODAK [-o neural_codecs.csv]

RECONSTRUCTED is the folder ``Reconstructed images`` of the public repository JooyoungLeeETRI/CA_Entropy_Model (Lee, Cho
and Beack, "Context-adaptive entropy model for end-to-end optimized image compression", ICLR 2019), whose codec learned
for squared error and for MS-SSIM; KODAK has the photos (1.png ...). No people rated them: ``mos`` is the target that
synthetic pictures without a named distortion have (`docs/distortions.md`), 0 to 100. The 14 photos of the Toyama set
are ``val``, so that who learns from the others has seen no content of it.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from iqassay.data.targets import target_score
from iqassay.pictures.image import read_image, to_float

TOYAMA = {1, 3, 5, 6, 7, 8, 12, 13, 16, 20, 21, 22, 23, 24}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reconstructed", type=Path)
    parser.add_argument("kodak", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("neural_codecs.csv"))
    args = parser.parse_args()
    files = sorted(args.reconstructed.glob("*/*/kodim*.png"))
    if not files:
        parser.error(f"got no */*/kodim*.png in {args.reconstructed}, want the folder 'Reconstructed images'")
    with args.out.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("image", "mos", "ref", "group", "subset", "split"))
        for file in files:
            photo = int(file.stem.removeprefix("kodim"))
            reference = args.kodak / f"{photo}.png"
            target = target_score(*(to_float(read_image(path).pixels) for path in (reference, file)))
            image, learned_for = file.relative_to(args.reconstructed), file.parts[-3].split()[0]
            split = "val" if photo in TOYAMA else "train"
            table.writerow((image.as_posix(), round(target, 2), reference.resolve(), file.stem, learned_for, split))


if __name__ == "__main__":
    main()
