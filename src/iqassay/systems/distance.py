"""How far two pictures are apart, from their feature pyramids, cell by cell: zero exactly where they are the same.

    [1] Ding et al., "DISTS", TPAMI 2020: means for texture, correlations for structure, on feature maps.
    [2] Balanov et al., "... based on DCT subband similarity", ICIP 2015: energies of 8x8 DCT bands.

Our own part of the full-reference mode, not YOTO's. In every cell of 32x32 pixels and every channel three differences
are taken: of the local means; of the local deviations, by which texture replaced by texture of the same energy does not
count; and of structure (1 - SSIM's contrast-structure term), by which it does. A monotone network makes one number of
them: its weights are not negative, so more of any difference never brings two pictures closer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-3  # under the root that compresses a difference: keeps the gradient finite where pictures are the same
FLOOR = 0.05  # energy, in units of a channel's ordinary energy, below which two textures count as the same
LUMA = ((0.299, 0.587, 0.114),)  # of RGB
CHROMA = ((-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))  # blue, red
PLAIN = 66  # channels of the picture itself: 64 DCT bands of luma, two of chroma


def plain_maps(x: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 66, H/4, W/4): the 8x8 DCT of luma at every fourth pixel, and the chroma."""
    y, c = (F.conv2d(x, x.new_tensor(rows)[:, :, None, None]) for rows in (LUMA, CHROMA))
    bands = dct_bands(x)[:, None]
    return torch.cat([F.conv2d(F.pad(y, (2, 2, 2, 2), mode="reflect"), bands, stride=4), F.avg_pool2d(c, 4)], 1)


def dct_bands(like: Tensor) -> Tensor:
    """The 64 bands of the 8x8 DCT, (64, 8, 8), of the type and on the device of ``like``."""
    n = torch.arange(8, device=like.device, dtype=like.dtype)
    basis = torch.cos(math.pi / 8 * (n[None] + 0.5) * n[:, None]) / 2  # (frequency, place)
    basis = basis * torch.where(n == 0, math.sqrt(0.5), 1.0)[:, None]
    return torch.einsum("uy,vx->uvyx", basis, basis).reshape(64, 8, 8)


def compressed(difference: Tensor) -> Tensor:
    """sqrt(d + e) - sqrt(e), written so that it is exactly 0 where d is, with a finite gradient there."""
    return difference / ((difference + EPSILON).sqrt() + math.sqrt(EPSILON))


class Monotone(nn.Module):
    """Differences (..., inputs), not negative -> a distance (...,), 0 where all are 0, which no difference lowers."""

    def __init__(self, inputs: int, hidden: int = 64) -> None:
        super().__init__()
        self.first, self.direct = nn.Parameter(torch.empty(hidden, inputs)), nn.Parameter(torch.empty(inputs))
        self.bias, self.second = (nn.Parameter(torch.empty(hidden)) for _ in range(2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start anew: random weights that count every difference about as much as any other."""
        hidden, inputs = self.first.shape
        nn.init.uniform_(self.first, 0, 4 / inputs)
        nn.init.uniform_(self.direct, 0, 2 / inputs)
        nn.init.uniform_(self.second, 0, 2 / hidden)
        with torch.no_grad():
            self.bias.copy_(torch.linspace(0, 2, hidden))

    def forward(self, differences: Tensor) -> Tensor:
        hidden = F.softplus(F.linear(differences, self.first.abs(), -self.bias)) - F.softplus(-self.bias)
        hidden = hidden / (1 + hidden)
        return (F.linear(hidden, self.second.abs()[None]) + F.linear(differences, self.direct.abs()[None])).squeeze(-1)


class Distance(Monotone):
    """Pyramids of two pictures -> the distance of every cell, (B, H/32 * W/32), not negative, zero for equal pyramids.

    ``differences`` has no parameters but the ordinary mean and deviation of every channel, which it learns as batch
    normalisation does; ``forward`` is the monotone network on top of it.
    """

    mean: Tensor
    energy: Tensor
    seen: Tensor

    def __init__(self, channels: tuple[int, ...], hidden: int = 64) -> None:
        channels = (PLAIN, *channels)
        super().__init__(3 * sum(channels[:-1]) + channels[-1], hidden)  # the last level has one value in a cell
        self.channels = channels
        self.register_buffer("mean", torch.zeros(sum(channels)))
        self.register_buffer("energy", torch.ones(sum(channels)))
        self.register_buffer("seen", torch.zeros(()))

    def differences(self, x: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
        """Two pyramids of five maps, plain_maps first -> (B, cells, inputs), from 0 to about 1.4, 0 where equal."""
        if self.training:
            self._learn_scale(reference)
        means = self.mean.split(self.channels)
        energies = self.energy.split(self.channels)
        out = []
        for a, b, mean, energy, side in zip(x, reference, means, energies, (8, 8, 4, 2, 1), strict=True):
            scale = energy.rsqrt()[:, None, None]
            a, b = ((f - mean[:, None, None]) * scale for f in (a, b))
            mean_a, mean_b = (F.avg_pool2d(f, side) if side > 1 else f for f in (a, b))
            shift = (mean_a - mean_b).square()
            found = [shift / (shift + 0.5)]
            if side > 1:
                energy_a, energy_b = (
                    (F.avg_pool2d(f.square(), side) - m.square()).clamp(min=0) for f, m in ((a, mean_a), (b, mean_b))
                )
                # Half the energy of the difference, by itself: a covariance would lose the small ones to rounding.
                unlike = F.avg_pool2d((a - b).square(), side) - shift
                total = energy_a + energy_b + FLOOR
                texture = ((energy_a + 1e-6).sqrt() - (energy_b + 1e-6).sqrt()).square()
                found += [texture / total, unlike.clamp(min=0) / total]
            out += [compressed(d) for d in found]
        cells = torch.cat(out, 1).permute(0, 2, 3, 1)
        n, h, w, k = cells.shape
        return cells.reshape(n, h * w, k)  # spelt out, because an empty batch leaves nothing to infer -1 from

    @torch.no_grad()
    def _learn_scale(self, maps: Sequence[Tensor]) -> None:
        mean = torch.cat([f.float().mean((0, 2, 3)) for f in maps])
        energy = torch.cat([f.float().var((0, 2, 3)) for f in maps]) + 1e-6
        step = max(0.01, 1 / (1 + float(self.seen)))
        self.mean += step * (mean - self.mean)
        self.energy += step * (energy - self.energy)
        self.seen += 1
