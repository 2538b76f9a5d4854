"""Photos that no training on these folders has seen, as clean crops, and intervals over them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from iqassay.data.synthetic import SyntheticConfig, eight_bit_photo, make, pristine_files
from iqassay.training.sets import held_out

SEED = 2026  # training makes its pictures with seed 0 and those it validates on with seed 1, unless told otherwise


def clean_crops(folders: list[Path], count: int) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    """One crop of each of so many held-out photos, evenly spread, (256, 256, 3) float32 in steps of 1/255, and a source
    of chance for what is done to it."""
    held = held_out(pristine_files(folders))
    chosen = [held[i] for i in np.linspace(0, len(held) - 1, min(count, len(held))).astype(int)]
    for i, file in enumerate(chosen):
        photo = eight_bit_photo(file)
        if photo.width * photo.height > 1_500_000:  # as training does
            photo = photo.reduce(2)
        rng = np.random.default_rng([SEED, i])
        yield eight_bits(make(photo, SyntheticConfig(untouched=1), rng)[1]), rng
        print(f"{i + 1} of {len(chosen)} contents", file=sys.stderr, flush=True)


def eight_bits(picture: np.ndarray) -> np.ndarray:
    """As a file would keep it."""
    return np.rint(picture * 255).astype(np.float32) / 255


def batch(pictures: list[np.ndarray]) -> np.ndarray:
    """(H, W, 3) each -> (B, 3, H, W)."""
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))


def interval(by_content: np.ndarray, rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over contents; by_content (N,) is the mean of each."""
    drawn = np.random.default_rng(0).integers(len(by_content), size=(rounds, len(by_content)))
    low, high = np.quantile(by_content[drawn].mean(1), (0.025, 0.975))
    return float(low), float(high)
