"""E_d, the degradation encoder of DRI-IQA: of a picture, a vector that says what was done to it.

A degradation is a matter of statistics, not of place: of what an encoder's levels say, and of plain statistics of the
picture at native size, which an encoder's first strides are too coarse for. The vector is linear in both; what it and
the embedding learn by is the contrast of degradations (Wang et al., DASR, CVPR 2021, who learn a network of its own
for it; ours tells fewer types apart that way, docs/dri.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import Standardise
from iqassay.systems.change import BLOCK, DARK, LIGHT, equal_neighbours, logarithm
from iqassay.systems.distance import PLAIN, plain_maps

SPECK = 0.2  # how far a sample lies from the mean of the nine around it that noise of impulses has struck
CELL = 8  # of plain maps: 32 pixels
STATISTICS = 4 * PLAIN + 8 * 3 + 2 * 3 + 4  # how many plain ones there are


class DegradationEncoder(nn.Module):
    """``forward(x, pooled)``: pictures (B, 3, H, W) in [0, 1] and the ``pool_statistics`` of an encoder's maps of them
    -> vectors d (B, D).

    channels: of the maps. ``embed`` makes of d what contrast compares.
    """

    def __init__(self, channels: Sequence[int], vector: int, embedding: int = 128) -> None:
        super().__init__()
        inputs = 2 * sum(channels) + STATISTICS
        self.scale = Standardise(inputs)
        self.vector = nn.Linear(inputs, vector)
        self.project = nn.Sequential(nn.Linear(vector, vector), nn.LeakyReLU(0.1), nn.Linear(vector, embedding))

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        return self.of(self.statistics(x, pooled))

    def statistics(self, x: Tensor, pooled: Tensor) -> Tensor:
        """What the vector is made of, (B, inputs)."""
        return torch.cat([pooled, plain_statistics(x)], 1)

    def of(self, statistics: Tensor, drop: float = 0.0) -> Tensor:
        """The vectors (B, D) of ``statistics``, of which in training a share is dropped."""
        return self.vector(F.dropout(self.scale(statistics.float()).clamp(-6, 6), drop, self.training))

    def embed(self, d: Tensor) -> Tensor:
        """z (B, 128) of length 1: the inner product of two is how alike two degradations are, from -1 to 1."""
        return F.normalize(self.project(d).float(), dim=1)


def plain_statistics(x: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], H and W multiples of 32 -> (B, STATISTICS).

    Of the 64 DCT bands of luma and the two of chroma: mean, deviation and how evenly it is spread (both in logarithm),
    and the mean logarithm of the energy of cells, which the quiet ones decide, where noise shows. Of the samples of
    each colour: mean, deviation, darkest, lightest, the shares that are nearly black and nearly white, what is left
    without the grey, and the share of specks. Of neighbouring samples: the share that are equal; and the steps at the
    edges of blocks, wherever their grid lies, across and down.
    """
    maps = plain_maps(x)
    around = maps - maps.mean((2, 3), keepdim=True)
    deviation = _root(around.square())
    energy = F.avg_pool2d(maps.square(), CELL)
    bands = [
        maps.mean((2, 3)),
        logarithm(deviation),
        logarithm(around.abs().mean((2, 3))),
        (energy + 1e-7).log().mean((2, 3)),
    ]
    colour = x - x.mean(1, keepdim=True)
    specks = (x[:, :, 1:-1, 1:-1] - F.avg_pool2d(x, 3, 1)).abs() > SPECK
    samples = [
        x.mean((2, 3)),
        _root((x - x.mean((2, 3), keepdim=True)).square()),
        x.amin((2, 3)),
        x.amax((2, 3)),
        (x < DARK).to(x.dtype).mean((2, 3)),
        (x > LIGHT).to(x.dtype).mean((2, 3)),
        _root(colour.square()),
        specks.to(x.dtype).mean((2, 3)),
    ]
    luma = x.mean(1)
    steps = [_block_steps(luma), _block_steps(luma.transpose(1, 2))]
    return torch.cat([*bands, *samples, *equal_neighbours(x), *steps], 1)


def _root(squares: Tensor) -> Tensor:
    """Of their means; with a finite gradient where all are zero."""
    return (squares.mean((2, 3)) + 1e-8).sqrt()


def _block_steps(luma: Tensor) -> Tensor:
    """Of (B, H, W), how much larger than their mean the steps from column to column are at one of the places that lie a
    block apart, and that mean, both in logarithm, (B, 2)."""
    steps = (luma[:, :, 1:] - luma[:, :, :-1]).abs().mean(1)
    places = torch.stack([steps[:, place::BLOCK].mean(1) for place in range(BLOCK)], 1) + 1e-4
    mean = places.mean(1)
    return torch.stack([(places.amax(1) / mean).log(), mean.log()], 1)
