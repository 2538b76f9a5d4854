"""How far two pictures are apart where YOTO looks at neighbours: what HA and SDA find, and native detail beside it.

Our own part of the full-reference mode, not YOTO's, as ``distance`` is for other encoders. A transformer's patch is a
cell of 32x32 pixels, so it does not see what is small; the maps of the picture itself do. Both kinds of difference
forgive what people do not see: a displacement of a pixel changes neither local means nor local deviations of a band
much, and structure is compared in the lowest bands and in colours alone; a level of difference on a flat area is below
``FLAT``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from iqassay.systems.distance import PLAIN, Monotone, compressed

SIDE = 8  # of a cell, in places of the plain maps
LEVEL = 1 / 255
FLAT = 1.5 * LEVEL  # the deviation of a band below which it counts as flat
# Luma's bands up to this frequency, and both colours, are compared in structure too.
LOW = (*(8 * u + v for u in range(8) for v in range(8) if 0 < u + v <= 2), 64, 65)


class NearDistance(Monotone):
    """``differences``: two sets of plain maps, and what HA and SDA found -> (B, cells, inputs), 0 where equal;
    ``forward`` is the monotone network on top of them.

    far: how many values HA and SDA give for a cell.
    """

    energy: Tensor
    seen: Tensor

    def __init__(self, far: int, hidden: int = 64) -> None:
        super().__init__(2 * PLAIN + len(LOW) + far, hidden)
        self.register_buffer("energy", torch.ones(PLAIN))
        self.register_buffer("seen", torch.zeros(()))

    def differences(self, x: Tensor, reference: Tensor, far: Tensor) -> Tensor:
        """x and reference (B, 66, H/4, W/4) of ``plain_maps``, far (B, H/32, W/32, K) -> (B, cells, inputs)."""
        if self.training:
            self._learn_scale(reference)
        found = torch.cat([self.plain(x, reference), compressed(far)], 3)
        n, h, w, k = found.shape
        return found.reshape(n, h * w, k)  # spelt out, because an empty batch leaves nothing to infer -1 from

    def plain(self, x: Tensor, reference: Tensor) -> Tensor:
        """Local means, local deviations, and the structure of low bands and colours: (B, H/32, W/32, K), each from 0
        to about 1."""
        ordinary = self.energy[:, None, None]
        floor = 0.02 * ordinary + FLAT**2
        mean_a, mean_b = (F.avg_pool2d(f, SIDE) for f in (x, reference))
        shift = (mean_a - mean_b).square()
        energy_a, energy_b = (
            (F.avg_pool2d(f.square(), SIDE) - m.square()).clamp(min=0) for f, m in ((x, mean_a), (reference, mean_b))
        )
        total = energy_a + energy_b + floor
        texture = ((energy_a + 1e-8).sqrt() - (energy_b + 1e-8).sqrt()).square() / total
        low = torch.tensor(LOW, device=x.device)
        smooth_a, smooth_b = (F.avg_pool2d(f.index_select(1, low), 2) for f in (x, reference))
        unlike = F.avg_pool2d((smooth_a - smooth_b).square(), SIDE // 2) - shift.index_select(1, low)
        unlike = unlike.clamp(min=0) / total.index_select(1, low)
        found = torch.cat([shift / (shift + 0.5 * ordinary), texture, unlike], 1)
        return compressed(found).permute(0, 2, 3, 1)

    @torch.no_grad()
    def _learn_scale(self, maps: Tensor) -> None:
        step = max(0.01, 1 / (1 + float(self.seen)))
        self.energy += step * (maps.float().var((0, 2, 3)) + 1e-6 - self.energy)
        self.seen += 1
