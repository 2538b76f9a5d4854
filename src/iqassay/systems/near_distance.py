"""How far two pictures are apart where YOTO looks at neighbours: what HA and SDA find, and native detail beside it.

Our own part of the full-reference mode, not YOTO's, as ``distance`` is for other encoders. A transformer's patch is a
cell of 32x32 pixels, so it does not see what is small; the maps of the picture itself do. Both kinds of difference
forgive what people do not see: a displacement of a pixel changes neither local means nor local deviations of a low band
much; and a cell counts as far as its difference is visible at all, since on flat areas the tokens of a transformer
change much by noise of one level, which nobody sees. Of the maps only the lowest bands and the colours count:
with all bands the distance followed modelled opinions of synthetic pairs better, and people less from content to
content. All values of one kind are one input, for the same reason: ratings of a few dozen contents teach no more.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from iqassay.systems.distance import CHROMA, LUMA, Monotone, compressed, dct_bands
from iqassay.systems.near_attention import split

CELL = 32  # pixels
SIDE = 8  # of a cell, in places of the plain maps
LEVEL = 1 / 255
FLAT = 1.5 * LEVEL  # the deviation of a band below which it counts as flat
UNSEEN = LEVEL  # the difference of cells, root mean square, that is half seen
# Of the plain maps: the mean of luma; its lowest bands, by the sum of both frequencies; both colours.
SEEN = (0, *(8 * u + v for u in range(8) for v in range(8) if 0 < u + v <= 2), 64, 65)
KINDS = ((0, 1), (1, 6), (6, 8))  # where each of the three begins and ends among these


class NearDistance(Monotone):
    """``differences``: two pictures, and what HA and SDA found -> (B, cells, inputs), 0 where equal;
    ``forward`` is the monotone network on top of them.

    far: how many values HA and SDA give for a cell; heads: how many of them are of one kind, and become their mean.
    """

    energy: Tensor
    seen: Tensor

    def __init__(self, far: int, heads: int = 1, hidden: int = 16) -> None:
        super().__init__(3 * len(KINDS) - 2 + far // heads, hidden)
        self.kinds = far // heads
        self.register_buffer("energy", torch.ones(len(SEEN)))
        self.register_buffer("seen", torch.zeros(()))

    def differences(self, x: Tensor, reference: Tensor, far: Tensor) -> Tensor:
        """x and reference (B, 3, H, W) in [0, 1], far (B, H/32, W/32, K) -> (B, cells, inputs)."""
        maps = [few_maps(pictures) for pictures in (x, reference)]
        if self.training:
            self.learn_scale(maps[1])
        of_heads = split(compressed(far), self.kinds)
        found = torch.cat([self.plain(*maps), of_heads.mean(4)], 3) * visible(x, reference)[..., None]
        n, h, w, k = found.shape
        return found.reshape(n, h * w, k)  # spelt out, because an empty batch leaves nothing to infer -1 from

    def plain(self, x: Tensor, reference: Tensor) -> Tensor:
        """Of luma, its low bands and the colours, the local means (but of the bands), the local deviations, and the
        structure (but of luma): (B, H/32, W/32, 7), each from 0 to about 1. x and reference (B, 8, H/4, W/4): of
        ``few_maps``."""
        ordinary = self.energy[:, None, None]
        floor = 0.02 * ordinary + FLAT**2
        mean_a, mean_b = (F.avg_pool2d(f, SIDE) for f in (x, reference))
        shift = (mean_a - mean_b).square()
        energy_a, energy_b = (
            (F.avg_pool2d(f.square(), SIDE) - m.square()).clamp(min=0) for f, m in ((x, mean_a), (reference, mean_b))
        )
        total = energy_a + energy_b + floor
        texture = ((energy_a + 1e-8).sqrt() - (energy_b + 1e-8).sqrt()).square() / total
        smooth_a, smooth_b = (F.avg_pool2d(f, 2) for f in (x, reference))
        unlike = F.avg_pool2d((smooth_a - smooth_b).square(), SIDE // 2) - shift
        luma, low, colour = (slice(*kind) for kind in KINDS)
        kept = (
            (shift / (shift + 0.5 * ordinary), (luma, colour)),
            (texture, (luma, low, colour)),
            (unlike.clamp(min=0) / total, (low, colour)),
        )
        means = [compressed(found)[:, kind].mean(1) for found, kinds in kept for kind in kinds]
        return torch.stack(means, 3)

    @torch.no_grad()
    def learn_scale(self, maps: Tensor) -> None:
        """Take the ordinary energies from the maps of references, as batch normalisation does."""
        step = max(0.01, 1 / (1 + float(self.seen)))
        self.energy += step * (maps.float().var((0, 2, 3)) + 1e-6 - self.energy)
        self.seen += 1


def few_maps(x: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 8, H/4, W/4): those ``SEEN`` of ``plain_maps``. Luma is in the filters, and the
    colours are of what is pooled: maps of the size of the picture would cost more than all else here."""
    bands, luma = dct_bands(x)[[i for i in SEEN if i < 64], None], x.new_tensor(LUMA)[:, :, None, None]
    colours = F.conv2d(F.avg_pool2d(x, 4), x.new_tensor(CHROMA)[:, :, None, None])
    return torch.cat([F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), bands * luma, stride=4), colours], 1)


def visible(x: Tensor, reference: Tensor) -> Tensor:
    """How much of what differs in a cell can be seen, (B, H/32, W/32), from 0 to 1: half of it where samples of the
    cell and those around it differ by ``UNSEEN``. 0 where all are equal, and so is its gradient.

    Those around it, because tokens see what surrounds them: beside visible damage they count as they are.
    """
    apart = F.avg_pool2d((x - reference).square().mean(1, keepdim=True), CELL) / UNSEEN**2
    seen = F.avg_pool2d(apart, 3, 1, 1, count_include_pad=False)[:, 0].square()
    return seen / (1 + seen)
