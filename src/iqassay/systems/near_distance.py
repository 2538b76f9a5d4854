"""How far two pictures are apart where YOTO looks at neighbours: what HA and SDA find, and how tokens vary nearby.

Our own part of the full-reference mode, not YOTO's, as ``distance`` is for other encoders. HA says how far a token of
the reference is from the nearest one; beside it, of the encoder's own tokens, how much they vary among the neighbours
of a cell, which says whether there is as much texture as there was, wherever it has gone. For native detail, which
patches are too coarse for, the whole pair loses by ``subband_difference``, at a fixed weight (docs/yoto.md: as one more
input of the network it helped nothing). A cell counts as far as its difference is visible at all, since on flat areas
the tokens of a transformer change much by noise of one level, which nobody sees. All values of one kind are one input,
because ratings of a few dozen contents teach no more.

People adapt to light, and tokens do not: so x is first put in the light of its reference (``in_the_light_of``), and how
far that was is two inputs of their own, the same for every cell. Without it a picture that was brightened lost as much
as one that was ruined.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from iqassay.systems.distance import Monotone, compressed
from iqassay.systems.near_attention import split
from iqassay.systems.subbands import subband_difference

CELL = 32  # pixels
LEVELS = 4
LIGHT = 2  # inputs
FAINT = 4 / 255  # the deviation of the cells' means below which a picture says nothing of its contrast
TEXTURE = 4.0  # what a difference of textures as large as an ordinary texture counts, in units of what HA finds
NATIVE = 1.0  # what a loss of all native detail takes from the raw score
UNSEEN = 1 / 255  # the difference of cells, root mean square, that is half seen


class NearDistance(Monotone):
    """``differences``: two pictures, their tokens, and what HA and SDA found -> (B, cells, inputs), 0 where equal;
    ``forward`` is the monotone network on top of them.

    far: how many values HA and SDA give for a cell; heads: how many of them are of one kind, and become their mean.
    """

    energy: Tensor

    def __init__(self, far: int, heads: int = 1, hidden: int = 16) -> None:
        self.kinds = far // heads
        super().__init__(self.kinds + LEVELS + LIGHT, hidden)
        self.register_buffer("energy", torch.ones(LEVELS))  # of the ordinary texture of each level

    def differences(self, x: Sequence[Tensor], reference: Sequence[Tensor], far: Tensor) -> Tensor:
        """x and reference: the pictures (B, 3, H, W) in [0, 1], then the encoder's maps, (B, C, H/32, W/32) a level, of
        x in the light of its reference; far (B, H/32, W/32, K) -> (B, cells, inputs + 1): the last is that of native
        detail, the same for every cell."""
        found = [split(compressed(far), self.kinds).mean(4)]
        for a, b, energy in zip(x[1:], reference[1:], self.energy, strict=True):
            apart = (texture(a) - texture(b)).square().sum(1)
            found.append(compressed(TEXTURE * apart / energy)[..., None])
        for change in light(x[0], reference[0]):
            found.append(compressed(change.square()).expand_as(found[-1]))
        together = torch.cat(found, 3) * visible(x[0], reference[0])[..., None]
        native = compressed(subband_difference(in_the_light_of(x[0], reference[0]), reference[0]))[:, None, None, None]
        together = torch.cat([together, native.expand_as(together[..., :1])], 3)
        n, h, w, k = together.shape
        return together.reshape(n, h * w, k)  # spelt out, because an empty batch leaves nothing to infer -1 from

    def forward(self, differences: Tensor) -> Tensor:
        return super().forward(differences[..., :-1])

    def native(self, differences: Tensor) -> Tensor:
        """What native detail adds to the distance of the whole pictures, (B,)."""
        return NATIVE * differences[:, 0, -1]

    @torch.no_grad()
    def learn_scale(self, pyramids: Sequence[Sequence[Tensor]]) -> None:
        """Take the ordinary energies from the encoder's maps of clean pictures."""
        for level in range(LEVELS):
            cells = [texture(maps[level]).square().sum(1).flatten() for maps in pyramids]
            self.energy[level] = torch.cat(cells).mean()


def light(x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """How much brighter the reference is than x (-1 to 1), and the logarithm of how much more contrast it has (at most
    2 times, at least a half), (B, 1, 1, 1) each: by the line that leads from the cells' means of x to its own."""
    a, b = (F.avg_pool2d(picture, CELL).mean(1, keepdim=True) for picture in (x, reference))
    brighter = b.mean((2, 3), keepdim=True) - a.mean((2, 3), keepdim=True)
    a, b = (means - means.mean((2, 3), keepdim=True) for means in (a, b))
    along, own = ((means * a).mean((2, 3), keepdim=True) + FAINT**2 for means in (b, a))
    return brighter, (along / own).clamp(0.5, 2).log()


def in_the_light_of(x: Tensor, reference: Tensor) -> Tensor:
    """x with the brightness and the contrast of its reference, (B, 3, H, W); x itself, to the last bit, if they are
    the same."""
    brighter, contrast = light(x, reference)
    return x + (contrast.exp() - 1) * (x - x.mean((1, 2, 3), keepdim=True)) + brighter


def texture(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> the deviation of every channel over each cell and the eight around it, of the same shape; at an
    edge its cells are repeated."""
    around = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    mean = F.avg_pool2d(around, 3, 1)
    return ((F.avg_pool2d(around.square(), 3, 1) - mean.square()).clamp(min=0) + 1e-6).sqrt()


def visible(x: Tensor, reference: Tensor) -> Tensor:
    """How much of what differs in a cell can be seen, (B, H/32, W/32), from 0 to 1: half of it where samples of the
    cell and those around it differ by ``UNSEEN``. 0 where all are equal, and so is its gradient.

    Those around it, because tokens see what surrounds them: beside visible damage they count as they are.
    """
    apart = F.avg_pool2d((x - reference).square().mean(1, keepdim=True), CELL) / UNSEEN**2
    seen = F.avg_pool2d(apart, 3, 1, 1, count_include_pad=False)[:, 0].square()
    return seen / (1 + seen)
