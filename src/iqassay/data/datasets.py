"""The published rated sets: what is known of each, and how to read one from the folder that its authors distribute.

``read_dataset("kadid10k", folder)`` finds label files and pictures in the folder and in folders inside, whatever the
case of their names, and refuses a set that is not whole. What each set says, and how: ``readers.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from iqassay.data import readers
from iqassay.data.label_files import Files
from iqassay.data.rating import Rating, Ratings
from iqassay.data.ratings import rescaled
from iqassay.data.splits import hashed_split
from iqassay.support.text import did_you_mean


@dataclass(frozen=True)
class Dataset:
    """What is known of a published set.

    name: for the command line and file names. home: where it is to be had. paper: what to cite. labels: a label file
    that every copy has, from the folder that holds the set. pictures: how many are rated; references: how many
    different ones they have, 0 for photos. scale: that of the opinions, (worst, best); the best is the lower one where
    they are differences (DMOS). read: its rows, with scores and deviations still on that scale.
    """

    name: str
    title: str
    home: str
    paper: str
    labels: str
    pictures: int
    references: int
    scale: tuple[float, float]
    read: Callable[[Files], Iterable[Rating]]


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "live",
            "LIVE (release 2)",
            "https://live.ece.utexas.edu/research/Quality/subjective.htm",
            "Sheikh, Sabir and Bovik, A statistical evaluation of recent full reference IQA algorithms, 2006",
            "dmos_realigned.mat",
            779,
            29,
            (112, -3),  # realigned opinions go beyond 0..100
            readers.live,
        ),
        Dataset(
            "csiq",
            "CSIQ",
            "https://s2.smu.edu/~eclarson/csiq.html",
            "Larson and Chandler, Most apparent distortion: full-reference image quality assessment, 2010",
            "csiq.DMOS.xlsx",
            866,
            30,
            (1, 0),
            readers.csiq,
        ),
        Dataset(
            "tid2013",
            "TID2013",
            "https://www.ponomarenko.info/tid2013.htm",
            "Ponomarenko et al., Image database TID2013: peculiarities, results and perspectives, 2015",
            "mos_with_names.txt",
            3000,
            25,
            (0, 9),
            readers.tid2013,
        ),
        Dataset(
            "kadid10k",
            "KADID-10k",
            "https://database.mmsp-kn.de/kadid-10k-database.html",
            "Lin, Hosu and Saupe, KADID-10k: a large-scale artificially distorted IQA database, 2019",
            "dmos.csv",
            10_125,
            81,
            (1, 5),
            readers.kadid10k,
        ),
        Dataset(
            "pipal",
            "PIPAL (training part)",
            "https://www.jasongt.com/projectpages/pipal.html",
            "Gu et al., PIPAL: a large-scale image quality assessment dataset for perceptual image restoration, 2020",
            "Train_Label/A0001.txt",
            23_200,
            200,
            (900, 1850),  # Elo ratings have no ends: those of this part, rounded outwards
            readers.pipal,
        ),
        Dataset(
            "livec",
            "LIVE in the Wild",
            "https://live.ece.utexas.edu/research/ChallengeDB/",
            "Ghadiyaram and Bovik, Massive online crowdsourced study of subjective and objective picture quality, 2016",
            "Data/AllMOS_release.mat",
            1162,
            0,
            (0, 100),
            readers.livec,
        ),
        Dataset(
            "koniq10k",
            "KonIQ-10k",
            "https://database.mmsp-kn.de/koniq-10k-database.html",
            "Hosu, Lin, Sziranyi and Saupe, KonIQ-10k: an ecologically valid database for deep learning of BIQA, 2020",
            "koniq10k_scores_and_distributions.csv",
            10_073,
            0,
            (1, 100),
            readers.koniq10k,
        ),
        Dataset(
            "spaq",
            "SPAQ",
            "https://github.com/h4nwei/SPAQ",
            "Fang et al., Perceptual quality assessment of smartphone photography, 2020",
            "Annotations/MOS and Image attribute scores.xlsx",
            11_125,
            0,
            (0, 100),
            readers.spaq,
        ),
        Dataset(
            "flive",
            "FLIVE (whole pictures)",
            "https://github.com/baidut/PaQ-2-PiQ",
            "Ying et al., From patches to pictures (PaQ-2-PiQ): mapping the perceptual space of picture quality, 2020",
            "labels_image.csv",
            39_810,
            0,
            (0, 100),
            readers.flive,
        ),
        Dataset(
            "biq2021",
            "BIQ2021",
            "https://github.com/nisarahmedrana/BIQ2021",
            "Ahmed and Asif, BIQ2021: a large-scale blind image quality assessment database, 2022",
            "Test (Images and MOS).csv",
            12_000,
            0,
            (0, 1),
            readers.biq2021,
        ),
        Dataset(
            "agiqa3k",
            "AGIQA-3K",
            "https://github.com/lcysyzxdxc/AGIQA-3k-Database",
            "Li et al., AGIQA-3K: an open database for AI-generated image quality assessment, 2023",
            "data.csv",
            2982,
            0,
            (0, 5),
            readers.agiqa3k,
        ),
    )
}


def find_dataset(name: str) -> Dataset:
    """The published set of a name, as here or as in papers. Raises ValueError, with a hint, for another name."""
    key = re.sub(r"[\W_]", "", name).lower()
    if key in DATASETS:
        return DATASETS[key]
    hint = did_you_mean(key, DATASETS)
    raise ValueError(f"there is no set {name!r}{hint} want one of: {', '.join(DATASETS)}; or a CSV file")


def read_dataset(name: str | Dataset, folder: str | Path, pictures: bool = True) -> Ratings:
    """Read a published set as its authors distribute it.

    Rows keep the split of the authors; where they give none, a hash of the group says who is in train, val and test
    (80/10/10), so that the set can be trained on at once. The ten splits of the protocol: ``splits.split_ratings``.

    Args:
        name: that of a set in ``DATASETS``, or facts of one's own.
        folder: where it was unpacked, or a folder one above or below.
        pictures: see that every picture and reference is there; without, the opinions alone are of use.

    Returns:
        Ratings of the set's name, with scores of 0 to 100, higher is better.

    Raises:
        ValueError: in one line, for an unknown name; for a label file or a picture that is missing, and where the set
            is to be had; for a count that is not the set's; for labels of another scale.
    """
    dataset = find_dataset(name) if isinstance(name, str) else name
    source = f"; from {dataset.home}"
    try:
        files = _files(Path(folder), dataset.labels)
        rows = tuple(row if row.split else replace(row, split=hashed_split(row.group)) for row in dataset.read(files))
    except KeyError as error:
        raise ValueError(f"{dataset.title}: got labels without {error}{source}") from None
    except ValueError as error:
        raise ValueError(f"{dataset.title}: {error}{source}") from None
    references = len({row.group for row in rows if row.reference is not None})
    if (len(rows), references) != (dataset.pictures, dataset.references):
        raise ValueError(
            f"{dataset.title}: got labels of {len(rows):,} pictures with {references} references, "
            f"want {dataset.pictures:,} with {dataset.references}{source}"
        )
    ratings = rescaled(Ratings(dataset.name, rows, dataset.scale, files.folder), dataset.title, pictures, source)
    low, high = min(row.score for row in rows), max(row.score for row in rows)
    worst, best = dataset.scale
    if high - low < abs(best - worst) / 3:
        raise ValueError(
            f"{dataset.title}: got scores {low:g} to {high:g}, want them to use more than a third of the scale "
            f"{worst:g}..{best:g}: labels of another scale?"
        )
    return ratings


def _files(folder: Path, labels: str) -> Files:
    """The files of the folder; of the one above it, when that is the one that holds the set."""
    if not folder.is_dir():
        raise ValueError(f"got no folder {folder}")
    files = Files(folder)
    if not files[labels.rpartition("/")[2]].is_file():
        above = Files(folder.absolute().parent, labels.count("/"))
        place = above[labels].relative_to(above.folder).as_posix()
        if above[labels].is_file() and place.lower() == labels.lower():
            return Files(above.folder)
    return files
