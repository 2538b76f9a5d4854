"""Distorted pictures of known make: type, level, reference and a calibrated score, from a folder of clean photos.

Picture ``i`` of a set depends on the set's seed and ``i`` alone. They are rendered once, by several processes, into one
file in a cache folder, because a distortion costs as much as a training step.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from iqassay.data.coverage import COVERED, SHARES, UNTOUCHED, beside, colourless_alone, cover
from iqassay.data.distortions import KINDS, apply_chain, distort, random_chain
from iqassay.data.rendered import draw_content
from iqassay.data.restored import restore_chain
from iqassay.data.targets import tables, target_score
from iqassay.pictures.image import SUFFIXES, read_image, to_float

UNKNOWN = -1.0
# Drawn contents keep this much of a photo's score: an untouched one gets 85. Plots and pages are clean, not beautiful.
DRAWN = 85 / UNTOUCHED
# A rendered set is made anew when anything that decides what is in it has changed.
_MAKERS = (
    "synthetic.py",
    "distortions.py",
    "restored.py",
    "coverage.py",
    "extremes.py",
    "frames.py",
    "resampling.py",
    "structure.py",
    "rendered.py",
    "filters.py",
    "targets.py",
    "targets.json",
    "../measures/classical.py",
)


@dataclass(frozen=True)
class SyntheticConfig:
    """How many pictures of which size, and the shares of untouched, chained and restored ones.

    The rest has one distortion.

    Restored pictures (codecs, enlargements, cleaned noise) carry a score but no distortion type. ``kinds`` are the
    types that may appear; experiments on unseen distortions train on some and look at the others.

    ``covered`` is a share of all pictures, taken before the others: those of `coverage`, what people feed beside
    damaged photos, of these ``families``. Of these, a share of ``rendered`` has a content drawn by ourselves; half of
    the drawn ones then go the way of photos: untouched, restored, chained or with one distortion.
    """

    count: int = 10_000
    size: int = 256
    seed: int = 0
    untouched: float = 0.06
    chained: float = 0.2
    restored: float = 0.42
    covered: float = 0.0
    rendered: float = 0.2
    families: tuple[str, ...] = tuple(SHARES)
    kinds: tuple[str, ...] = KINDS


@dataclass(frozen=True)
class SyntheticSet:
    """pixels and reference (N, S, S, 3) uint8, what was made and what it was made from; score (N,) 0..100;
    kind (N, 26), sum 1, and severity (N, 25), 0..5, or UNKNOWN. pair (N,): the score beside the reference, where it is
    not simply that alone in other units.
    """

    pixels: np.ndarray
    reference: np.ndarray
    score: np.ndarray
    kind: np.ndarray
    severity: np.ndarray
    pair: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.score)

    @property
    def pair_score(self) -> np.ndarray:
        """The score beside the reference, (N,) 0..100: 100 for a picture that is its own reference.

        KADID's raters gave 90 to pictures with nothing done to them; with the reference known, that is the top.
        """
        return np.minimum(100, self.score * (100 / tables().opinion[-1])) if self.pair is None else self.pair


def pristine_files(folders: list[Path]) -> list[Path]:
    """The pictures below the folders, sorted.

    Raises:
        ValueError: if there are none.
    """
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(
            f"got no pictures in {', '.join(map(str, folders)) or 'no folder'}, want a folder of clean photos"
        )
    return files


def contents(files: list[Path], config: SyntheticConfig) -> np.ndarray:
    """Which photo each picture of a set is made from: numbers of ``files``, (count,)."""
    return np.random.default_rng([config.seed, 0]).integers(len(files), size=config.count)


def render(files: list[Path], config: SyntheticConfig, cache: Path, processes: int = 0) -> SyntheticSet:
    """The set for these photos, from ``cache`` when it has been rendered before. By so many processes; 0: all cores."""
    digest = hashlib.sha256(repr((config, [(f.name, f.stat().st_size) for f in files])).encode())
    if config.covered:
        digest.update(repr(tuple(COVERED)).encode())  # some entries depend on what is installed
    for name in _MAKERS:
        digest.update((Path(__file__).parent / name).read_bytes())
    key, processes = digest.hexdigest()[:16], processes or os.cpu_count() or 1
    done = cache / f"synthetic-{key}"
    if not (done / "labels.npz").exists():
        done.mkdir(parents=True, exist_ok=True)
        shape = (config.count, 2, config.size, config.size, 3)  # picture, reference
        np.lib.format.open_memmap(done / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape).flush()
        # A share of the contents for each task, so that no photo is decoded twice.
        owner = contents(files, config)
        shares = np.array_split(np.arange(len(files)), min(len(files), 16 * processes))
        tasks = [(done / "pixels.npy", {i: files[i] for i in share.tolist()}, owner, config) for share in shares]
        labels = np.zeros((config.count, 1 + 26 + 25 + 1), np.float32)
        with ProcessPoolExecutor(processes) as pool:
            for rows in pool.map(_render_share, tasks):
                for i, row in rows.items():
                    labels[i] = row
        np.savez(done / "labels.npz", labels=labels)
    labels = np.load(done / "labels.npz")["labels"]
    pixels = np.load(done / "pixels.npy", mmap_mode="r")
    pair = labels[:, 52] if config.covered else None
    return SyntheticSet(pixels[:, 0], pixels[:, 1], labels[:, 0], labels[:, 1:27], labels[:, 27:52], pair)


def _render_share(task: tuple[Path, dict[int, Path], np.ndarray, SyntheticConfig]) -> dict[int, np.ndarray]:
    """Render the pictures of some contents into the file; the labels of each, by its number."""
    file, photos, owner, config = task
    pixels = np.load(file, mmap_mode="r+")
    rows: dict[int, np.ndarray] = {}
    for content, path in photos.items():
        photo = eight_bit_photo(path)
        if photo.width * photo.height > 1_500_000:
            photo = photo.reduce(2)  # hides what grain and sharpening a large photo has
        for i in np.flatnonzero(owner == content).tolist():
            made = make_pair(photo, config, np.random.default_rng([config.seed, 1 + i]))
            pixels[i] = np.rint(np.stack([made.picture, made.reference]) * 255)
            rows[i] = np.concatenate([made.labels, [np.float32(made.pair)]])
    return rows


def eight_bit_photo(path: Path) -> Image.Image:
    """A picture read by the one decoding policy (``read_image``), as 8-bit RGB. Raises ImageError."""
    pixels = read_image(path).pixels
    return Image.fromarray(pixels if pixels.dtype == np.uint8 else np.rint(to_float(pixels) * 255).astype(np.uint8))


class Made(NamedTuple):
    """One picture and its reference, (S, S, 3) float32 in [0, 1]; labels (52,): score, 26 kind shares, 25 severities;
    and the score beside the reference.
    """

    picture: np.ndarray
    reference: np.ndarray
    labels: np.ndarray
    pair: float


def make(
    photo: Image.Image, config: SyntheticConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One picture and its reference, (S, S, 3) float32 in [0, 1], and its labels (52,): score, 26 kind shares, 25
    severities.
    """
    made = make_pair(photo, config, rng)
    return made.picture, made.reference, made.labels


def make_pair(photo: Image.Image, config: SyntheticConfig, rng: np.random.Generator) -> Made:
    """`make`, with the score beside the reference too."""
    if not config.covered or rng.random() >= config.covered:
        return _distorted(_random_crop(photo, config.size, rng), config, rng)
    drawn = rng.random() < config.rendered
    clean = draw_content(config.size, rng) if drawn else _random_crop(photo, config.size, rng)
    if drawn and rng.random() < 0.5:
        made = _distorted(clean, config, rng)
    else:
        _, covered = cover(clean, rng, config.kinds, config.families)
        chain = None if covered.kind is None else [(covered.kind, covered.level)] if covered.kind != "none" else []
        labels = _labels(covered.score, chain)
        made = Made(covered.picture, covered.reference, labels, covered.pair)
    if drawn:
        made.labels[0] *= DRAWN
    return made


def _distorted(clean: np.ndarray, config: SyntheticConfig, rng: np.random.Generator) -> Made:
    """A clean picture as it is, restored, or distorted by one kind or a chain."""
    dice = rng.random()
    chain: list[tuple[str, float]] | None
    if dice < config.untouched:
        picture, chain = clean, []
        score = UNTOUCHED
    elif dice < config.untouched + config.restored:
        (picture, _), chain = restore_chain(clean, rng), None
        score = target_score(clean, picture)
    else:
        longest = 3 if dice < config.untouched + config.restored + config.chained else 1
        chain = [(k, level) for k, level in random_chain(rng, longest) if k in config.kinds]
        if longest == 1 or not chain:
            chain = [(config.kinds[int(rng.integers(len(config.kinds)))], float(rng.uniform(1, 5)))]
        picture = distort(clean, *chain[0], rng) if len(chain) == 1 else apply_chain(clean, chain, rng)
        score = target_score(clean, picture, chain)
    labels = _labels(score, chain)
    pair = beside(float(labels[0]))
    if config.covered and chain and len(chain) == 1 and chain[0][0] == "color_saturation_1":
        labels[0] = colourless_alone(score, chain[0][1])
    return Made(picture, clean, labels, pair)


def _labels(score: float, chain: list[tuple[str, float]] | None) -> np.ndarray:
    """Labels (52,): score, kind shares, severities. No chain: no kind is known; an empty one: "none"."""
    kind, severity = np.zeros(len(KINDS) + 1, np.float32), np.full(len(KINDS), UNKNOWN, np.float32)
    if chain is None:
        kind[:] = UNKNOWN
    elif not chain:
        kind[-1] = 1
    for name, level in chain or ():
        kind[KINDS.index(name)], severity[KINDS.index(name)] = 1 / len(chain or ()), level
    return np.concatenate([[np.float32(score)], kind, severity])


def _random_crop(photo: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """A crop of the photo, often shrunk first: contents at several scales."""
    short = min(photo.size)
    shrink = float(np.clip(rng.uniform(0.8, 2.0), 1.0, max(1.0, short / size)))
    if short < size:
        shrink = short / size
    width, height = (max(size, round(side / shrink)) for side in photo.size)
    if (width, height) != photo.size:
        photo = photo.resize((width, height), Image.Resampling.LANCZOS)
    left, top = int(rng.integers(width - size + 1)), int(rng.integers(height - size + 1))
    crop = np.asarray(photo.crop((left, top, left + size, top + size)), np.float32) / 255
    return crop[:, ::-1].copy() if rng.random() < 0.5 else crop
