"""Rated sets of noisy pictures, made on the spot, for the tests of training."""

import numpy as np
from PIL import Image


def smooth(rng):
    """A picture of 96x80 without detail."""
    grid = Image.fromarray((rng.random((9, 9, 3)) * 255).astype(np.uint8))
    return np.asarray(grid.resize((96, 80), Image.Resampling.BICUBIC))


def make_rated(folder):
    """24 noise pictures, the more noise the lower the score, in train and val."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(24):
        picture = smooth(rng)
        noisy = picture + rng.normal(0, 2 * i, picture.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{100 - 4 * i},{'val' if i % 4 == 0 else 'train'}\n")
    (folder / "set.csv").write_text("image,mos,split\n" + "".join(rows))
    return folder


def make_paired(folder):
    """16 pictures with noise, each with its reference, the more noise the lower the score, in train and val."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(16):
        clean = smooth(rng)
        noisy = clean + rng.normal(0, 3 + 3 * i, clean.shape)
        for name, pixels in ((f"{i}.png", noisy), (f"clean-{i}.png", clean)):
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
        rows.append(f"{i}.png,clean-{i}.png,{95 - 5 * i},{'val' if i % 4 == 0 else 'train'}\n")
    (folder / "pairs.csv").write_text("image,ref,mos,split\n" + "".join(rows))
    return folder
