"""Rated pictures with their references, as windows of native pixels: never shrunk, for some are rated at native 4K."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from toyama import made_again

from iqassay.pictures.image import read_image, to_float

SIDES = (384, 512)  # of a window, rows and columns


class RatedPair(NamedTuple):
    """A rated picture: the content that it shows, its opinion (higher is better), windows of it and of its reference,
    (N, H, W, 3) uint8, the same places of both, and the group of contents that look alike.
    """

    content: str
    opinion: float
    pictures: np.ndarray
    references: np.ndarray
    group: str


def of_table(table: Path, folder: Path, windows: int = 2) -> Iterator[RatedPair]:
    """The rows of a CSV with ``image``, ``ref`` and ``mos`` that have a reference of their own size."""
    places: dict[str, list[tuple[int, int]]] = {}
    read: dict[str, np.ndarray] = {}
    with table.open(newline="", encoding="utf-8") as stream:
        rows = sorted((row for row in csv.DictReader(stream) if row["ref"]), key=lambda row: row["ref"])
    for row in rows:
        if row["ref"] not in read:
            read = {row["ref"]: _eight_bits(folder / row["ref"])}  # one at a time: they may be large
            places[row["ref"]] = busiest(read[row["ref"]], windows)
        reference, picture = read[row["ref"]], _eight_bits(folder / row["image"])
        if max(abs(a - b) for a, b in zip(picture.shape, reference.shape, strict=True)) > 1:
            continue
        height, width = (min(a, b) for a, b in zip(picture.shape[:2], reference.shape[:2], strict=True))
        at = [(min(top, height - SIDES[0]), min(left, width - SIDES[1])) for top, left in places[row["ref"]]]
        at = [(max(0, top), max(0, left)) for top, left in at]
        group = row.get("group") or row["ref"]
        yield RatedPair(row["ref"], float(row["mos"]), _cut(picture, at), _cut(reference, at), group)


def of_toyama(table: Path, kodak: Path) -> Iterator[RatedPair]:
    """The Toyama set made again, whole pictures."""
    for rated in made_again(table, kodak):
        both = (np.rint(part * 255).astype(np.uint8)[None] for part in (rated.picture, rated.reference))
        yield RatedPair(rated.photo, rated.opinion, *both, rated.photo)


def busiest(reference: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Top and left of so many windows, apart from each other, where the picture has most detail."""
    luma = reference.mean(2, dtype=np.float32)
    detail = np.abs(np.diff(luma, axis=1))[:-1, :] + np.abs(np.diff(luma, axis=0))[:, :-1]
    tops, lefts = (range(0, max(1, length - side + 1), side) for length, side in zip(luma.shape, SIDES, strict=True))
    found = {(t, x): float(detail[t : t + SIDES[0], x : x + SIDES[1]].mean()) for t in tops for x in lefts}
    return sorted(found, key=lambda at: -found[at])[:count]


def _cut(pixels: np.ndarray, places: list[tuple[int, int]]) -> np.ndarray:
    return np.stack([pixels[top : top + SIDES[0], left : left + SIDES[1]] for top, left in places])


def _eight_bits(file: Path) -> np.ndarray:
    pixels = read_image(file).pixels
    return pixels if pixels.dtype == np.uint8 else np.rint(to_float(pixels) * 255).astype(np.uint8)
