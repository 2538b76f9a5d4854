"""How each published set says what its pictures are: one function a set, each yielding its rows.

Scores and deviations are on the set's own scale, and split is "" where the authors give none: ``datasets.py`` sees to
the rest. group: the reference's name without its ending, in lower case; for photos the file name; for AGIQA-3K the
number of the prompt. level is 1 to 5. Each function says what is particular to its set.

Raise ValueError, without the set's name, for a label file that is missing or says something else; KeyError for one
without a column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from iqassay.data.label_files import Files, read_mat, read_xlsx
from iqassay.data.rating import Rating
from iqassay.data.ratings import number, read_table
from iqassay.data.splits import hashed_split


def _parts(pattern: str, name: str) -> tuple[str, ...]:
    """What a file name says."""
    found = re.fullmatch(pattern, name, re.IGNORECASE)
    if found is None:
        raise ValueError(f"got the picture {name!r}, want names like {pattern}")
    return found.groups()


_LIVE = {  # in the order of the labels: folder, pictures, what was done
    "jp2k": (227, "jpeg2000"),
    "jpeg": (233, "jpeg"),
    "wn": (174, "white_noise"),
    "gblur": (174, "gaussian_blur"),
    "fastfading": (174, "fast_fading"),
}
_LIVE_VOTES = 24  # "about two dozen"


def live(files: Files) -> Iterator[Rating]:
    """Release 2, with the realigned opinions. Untouched pictures (orgs), all of opinion 0, are left out. What dmos_std
    holds (1 to 5 of 100) are standard errors of the means, not deviations of opinions.
    """
    opinions = files.label("dmos_realigned.mat")
    dmos, errors, untouched = (read_mat(opinions, name) for name in ("dmos_new", "dmos_std", "orgs"))
    references = read_mat(files.label("refnames_all.mat"), "refnames_all")
    pictures = [(f"{folder}/img{i + 1}.bmp", kind) for folder, (count, kind) in _LIVE.items() for i in range(count)]
    for values in (dmos, errors, untouched, references):
        if len(values) != len(pictures):
            raise ValueError(f"got {len(values)} values in a label file, want {len(pictures)}")
    for i, (picture, kind) in enumerate(pictures):
        if not untouched[i]:
            yield Rating(
                files[picture],
                dmos[i],
                files[f"refimgs/{references[i]}"],
                Path(references[i]).stem.lower(),
                split="",
                distortion=kind,
                deviation=errors[i] * math.sqrt(_LIVE_VOTES),
                votes=_LIVE_VOTES,
            )


_CSIQ = {  # in the table, in file names, here
    "noise": ("AWGN", "white_noise"),
    "blur": ("BLUR", "gaussian_blur"),
    "contrast": ("contrast", "contrast_change"),
    "fnoise": ("fnoise", "pink_noise"),
    "jpeg": ("JPEG", "jpeg"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
}


def csiq(files: Files) -> Iterator[Rating]:
    columns = ("image", "dst_type", "dst_lev", "dmos_std", "dmos")
    for row in read_xlsx(files.label("csiq.DMOS.xlsx"), columns):
        image, table_kind, level = row["image"], row["dst_type"].lower(), number(row["dst_lev"], row["image"])
        if table_kind not in _CSIQ:
            raise ValueError(f"got the distortion {table_kind!r}, want one of {', '.join(_CSIQ)}")
        file_kind, kind = _CSIQ[table_kind]
        picture = f"{image}.{file_kind}.{level:g}.png"
        yield Rating(
            files[picture],
            number(row["dmos"], picture),
            files[f"src_imgs/{image}.png"],
            image.lower(),
            split="",
            distortion=kind,
            level=level,
            deviation=number(row["dmos_std"], picture),
        )


_TID_KINDS = (
    "white_noise",
    "color_noise",
    "pink_noise",
    "masked_noise",
    "high_frequency_noise",
    "impulse_noise",
    "quantization_noise",
    "gaussian_blur",
    "denoise",
    "jpeg",
    "jpeg2000",
    "jpeg_errors",
    "jpeg2000_errors",
    "non_eccentricity_patch",
    "color_block",
    "mean_shift",
    "contrast_change",
    "color_saturation",
    "multiplicative_noise",
    "comfort_noise",
    "noisy_compression",
    "dithering",
    "chromatic_aberration",
    "sparse_sampling",
)
_TID_VOTES = 985 / 25  # observers, each of one reference: 39 on average


def tid2013(files: Files) -> Iterator[Rating]:
    """What mos_std.txt holds (0.06 to 0.3 on 0..9) are standard errors of the means, not deviations of opinions."""
    errors = files.label("mos_std.txt").read_text().split()
    lines = [line.split() for line in files.label("mos_with_names.txt").read_text().splitlines() if line.strip()]
    if len(errors) != len(lines):
        raise ValueError(f"got {len(errors)} lines in mos_std.txt, want {len(lines)} as in mos_with_names.txt")
    for (mos, name), error in zip(lines, errors, strict=True):
        reference, kind, level = _parts(r"(i\d\d)_(0[1-9]|1\d|2[0-4])_([1-5])\.bmp", name)
        yield Rating(
            files[f"distorted_images/{name}"],
            number(mos, name),
            files[f"reference_images/{reference}.bmp"],
            reference.lower(),
            split="",
            distortion=_TID_KINDS[int(kind) - 1],
            level=int(level),
            deviation=number(error, name) * math.sqrt(_TID_VOTES),
            votes=_TID_VOTES,
        )


def kadid10k(files: Files) -> Iterator[Rating]:
    """Its DMOS are opinions of the difference, 5 for none: higher is better. The column var holds deviations, not
    variances: the first, 0.496 at a mean of 4.57, is that of 17 fives and 13 fours, and 30 votes explain nearly all.
    """
    from iqassay.data.distortions import KINDS  # which are KADID's, in its order

    for row in read_table(files.label("dmos.csv")):
        name = row["dist_img"]
        reference, kind, level = _parts(r"(i\d\d)_(0[1-9]|1\d|2[0-5])_(0[1-5])\.png", name)
        yield Rating(
            files[f"images/{name}"],
            number(row["dmos"], name),
            files[f"images/{row['ref_img']}"],
            reference.lower(),
            split="",
            distortion=KINDS[int(kind) - 1],
            level=int(level),
            deviation=number(row["var"], name),
            votes=30,
        )


def pipal(files: Files) -> Iterator[Rating]:
    """The training part, one label file a reference; opinions on validation and test are not public. Scores are Elo
    ratings. The distortion is the class that file names give: 00 traditional, 01 to 06 restoration algorithms.
    """
    files.label("A0001.txt")
    for labels in files.matching(r"a\d{4}\.txt"):
        for line in labels.read_text().split():
            name, _, elo = line.partition(",")
            reference, kind = _parts(r"(a\d{4})_(\d\d)_\d\d\.bmp", name)
            yield Rating(
                files[name],
                number(elo, name),
                files[f"{reference}.bmp"],
                reference.lower(),
                split="",
                distortion=kind,
            )


def livec(files: Files) -> Iterator[Rating]:
    """Without the seven pictures that its raters were trained on (t1 to t7)."""
    names, opinions, deviations = (
        read_mat(files.label(f"{name}.mat"), name)
        for name in ("AllImages_release", "AllMOS_release", "AllStdDev_release")
    )
    if not len(names) == len(opinions) == len(deviations):
        raise ValueError(f"got {len(names)} names, {len(opinions)} opinions and {len(deviations)} deviations")
    for name, mos, deviation in zip(names, opinions, deviations, strict=True):
        if not name.lower().startswith("t"):
            yield Rating(files[f"Images/{name}"], mos, group=name, split="", deviation=deviation)


_KONIQ_SPLITS = {"training": "train", "validation": "val", "test": "test"}


def koniq10k(files: Files) -> Iterator[Rating]:
    """The opinions that papers use, of 1 to 100, from z-scores; deviations are of the raw votes, 1 to 5. The split of
    the authors stands in koniq10k_distributions_sets.csv of their code; the file beside the pictures has none.
    """
    with_split = "koniq10k_distributions_sets.csv"
    table = files[with_split]
    mos, split = ("mos", "set") if table.is_file() else ("mos_zscore", "")
    for row in read_table(table if split else files.label("koniq10k_scores_and_distributions.csv")):
        name = row["image_name"]
        yield Rating(
            files[f"1024x768/{name}"],
            number(row[mos], name),
            group=name,
            split=_KONIQ_SPLITS[row[split]] if split else "",
            deviation=number(row["sd"], name) * 99 / 4,
            votes=number(row["c_total"], name),
        )


def spaq(files: Files) -> Iterator[Rating]:
    for row in read_xlsx(files.label("MOS and Image attribute scores.xlsx"), ("image name", "mos")):
        name = row["image name"]
        yield Rating(files[f"TestImage/{name}"], number(row["mos"], name), group=name, split="")


def flive(files: Files) -> Iterator[Rating]:
    """Whole pictures; opinions on their patches are not read. The test set are the pictures of more than 640 pixels,
    which have a table of their own; the table of the others says which validate.
    """
    test = {row["name_image"] for row in read_table(files.label("labels640.csv"))}
    others = read_table(files.label("labels=640_padded.csv"))
    val = {row["name_image"] for row in others if row["is_valid"].lower() in ("true", "1")}
    for row in read_table(files.label("labels_image.csv")):
        name = row["name"]
        folder, _, file = name.rpartition("/")
        yield Rating(
            files[name],
            number(row["mos"], name),
            group=file,
            split="test" if name in test else "val" if name in val else "train",
            subset=file.partition("__")[0] if "__" in file else folder,
        )


def biq2021(files: Files) -> Iterator[Rating]:
    """The authors give train and test; a tenth of train, by a hash, becomes val."""
    for split in ("train", "test"):
        for row in read_table(files.label(f"{split} (Images and MOS).csv")):
            name = row["image name"]
            val = split == "train" and hashed_split(name) == "val"
            yield Rating(
                files[f"Images/{name}"],
                number(row["mos"], name),
                group=name,
                split="val" if val else split,
                subset=name[:4],
                votes=30,
            )


def agiqa3k(files: Files) -> Iterator[Rating]:
    """The opinions of quality; those of how well a picture fits its prompt are not read. subset: who made it."""
    for row in read_table(files.label("data.csv")):
        name = row["name"]
        maker, prompt = _parts(r"(.+)_(\d{3})\.jpg", name)
        yield Rating(
            files[name],
            number(row["mos_quality"], name),
            group=prompt,
            split="",
            subset=maker,
            deviation=number(row["std_quality"], name),
            votes=21,
        )
