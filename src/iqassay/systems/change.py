"""What was done to a picture, as numbers, when its reference is there: how plain statistics of the two differ.

Our own part of YOTO's full-reference mode, from which the change is named. A reader of an encoder's statistics of the
two names it less often right, and running the encoder for it was two fifths of the cost of a pair (docs/yoto.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from iqassay.systems.distance import PLAIN, plain_maps

VISIBLE, LARGE = 1 / 255, 0.1  # how far two samples are apart: at all, and much
DARK, LIGHT = 0.01, 0.99  # samples below and above are nearly black and nearly white
HALF_A_LEVEL = 1 / 510
BLOCK = 8  # pixels: the side of a block of JPEG
SMALL = 1e-3  # below this deviation a map of a picture in [0, 1] counts as flat
CHANGE = 5 * PLAIN + 8 * 3 + 2 * 3 + 2  # how many numbers describe a change


def change(x: Tensor, reference: Tensor) -> Tensor:
    """(B, 3, H, W) each, RGB in [0, 1], H and W multiples of 32 -> (B, CHANGE); the same for every picture beside
    itself.

    Of the 64 DCT bands of luma and the two of chroma: how their means and (in logarithm) their deviations differ, how
    large the difference of the two pictures is, how unevenly it is spread, and how much of the structure is lost. Of
    the samples of each colour: how they differ in mean and size, how many differ at all and much, the change of the
    darkest, of the lightest, and of the shares that are nearly black and nearly white. Of neighbouring samples: the
    change of the share that are equal, and of the steps at the edges of blocks, wherever their grid lies.
    """
    a, b = plain_maps(x), plain_maps(reference)
    around = [maps - maps.mean((2, 3), keepdim=True) for maps in (a, b)]
    apart = around[0] - around[1]
    energies = [maps.square().mean((2, 3)) for maps in around]
    common = (around[0] * around[1]).mean((2, 3))
    size = apart.square().mean((2, 3)).sqrt()
    bands = [
        (a - b).mean((2, 3)),
        logarithm(energies[0].sqrt()) - logarithm(energies[1].sqrt()),
        logarithm(size),
        apart.abs().mean((2, 3)) / (size + SMALL),
        1 - (2 * common + SMALL**2) / (energies[0] + energies[1] + SMALL**2),
    ]
    differ = x - reference
    samples = [differ, differ.abs(), (differ.abs() > VISIBLE).to(x.dtype), (differ.abs() > LARGE).to(x.dtype)]
    ends = [
        x.amin((2, 3)) - reference.amin((2, 3)),
        x.amax((2, 3)) - reference.amax((2, 3)),
        *(((x > at).to(x.dtype) - (reference > at).to(x.dtype)).mean((2, 3)) for at in (DARK, LIGHT)),
    ]
    near = [mine - theirs for mine, theirs in zip(equal_neighbours(x), equal_neighbours(reference), strict=True)]
    steps = _block_steps(x) - _block_steps(reference)
    return torch.cat([*bands, *(s.mean((2, 3)) for s in samples), *ends, *near, steps], 1)


def logarithm(deviations: Tensor) -> Tensor:
    return (deviations + SMALL).log()


def equal_neighbours(x: Tensor) -> list[Tensor]:
    """The shares of samples that are equal to the one below, and to the one to the right, (B, 3) each."""
    steps = x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]
    return [(s.abs() < HALF_A_LEVEL).to(x.dtype).mean((2, 3)) for s in steps]


def _block_steps(x: Tensor) -> Tensor:
    """How much larger than the mean the steps of luma from column to column are at one of the places that lie a block
    apart, in logarithm, and that mean, (B, 2)."""
    luma = x.mean(1)
    steps = (luma[:, :, 1:] - luma[:, :, :-1]).abs().mean(1)
    places = torch.stack([(10 * steps[:, place::BLOCK].mean(1)).log1p() for place in range(BLOCK)], 1)
    mean = places.mean(1)
    return torch.stack([places.amax(1) - mean, mean], 1)
