"""How differently two pictures carry the frequencies of native pixels: zero where they are the same.

After Balanov et al., "Image quality assessment based on DCT subband similarity" (DSS), ICIP 2015: in every frequency of
the 8x8 DCT of blocks of luma, how alike the local deviations are; the worst twentieth of the blocks counts. Ours: a
neighbourhood is 7x7 blocks in place of 3x3, and the course of the blocks' means does not count, because both blame what
has only moved by a pixel. A transformer's patches are too coarse for what this sees.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from iqassay.systems.distance import LUMA, dct_bands

BLOCK = 8  # pixels
REACH = 3  # blocks to each side that a neighbourhood has, and its sigma
MEANS, OTHERS = 1000.0, 300.0  # variances, of luma in 0..255, below which two count as alike: of the means, of the rest
# The eye's falling sensitivity to the frequencies, of a sigma of 1.55; below a hundredth they do not count.
SENSITIVITY = [math.exp(-((u + 0.5) ** 2 + (v + 0.5) ** 2) / (2 * 1.55**2)) for u in range(8) for v in range(8)]
SEEN = [i for i, sensitivity in enumerate(SENSITIVITY) if sensitivity >= 0.01]  # the blocks' mean is the first
WEIGHTS = [SENSITIVITY[i] / sum(SENSITIVITY[i] for i in SEEN) for i in SEEN]


def subband_difference(x: Tensor, reference: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1], H and W at least 64 -> (B,), from 0 to 1.

    Where the two are the same it is exactly 0, and so is its gradient.
    """
    a, b = (_deviations(picture) for picture in (x, reference))  # (B, bands, H/8, W/8)
    constant = x.new_tensor([MEANS] + [OTHERS] * (len(SEEN) - 1))[:, None, None]
    apart = (a - b).square() / (a.square() + b.square() + constant)
    n, k, h, w = apart.shape
    blocks = apart.permute(0, 2, 3, 1).reshape(n, h * w, k)  # spelt out: an empty batch leaves nothing to infer -1 from
    return blocks.topk((h * w + 10) // 20, 1).values.mean(1) @ x.new_tensor(WEIGHTS)


def _deviations(x: Tensor) -> Tensor:
    """Of each frequency that counts, among the blocks near each block."""
    luma = F.conv2d(255 * x, x.new_tensor(LUMA)[:, :, None, None])
    found = F.conv2d(luma, dct_bands(x)[SEEN][:, None], stride=BLOCK)
    row = x.new_tensor([math.exp(-(i**2) / (2 * REACH**2)) for i in range(-REACH, REACH + 1)])
    kernel = (torch.outer(row, row) / row.sum().square()).repeat(len(SEEN), 1, 1, 1)

    def nearby(maps: Tensor) -> Tensor:  # zeros beyond the border, for both pictures alike
        return F.conv2d(maps, kernel, padding=REACH, groups=len(SEEN))

    return ((nearby(found.square()) - nearby(found).square()).clamp(min=0) + 1e-3).sqrt()
