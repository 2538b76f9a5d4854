"""The restoration network of DRI-IQA: what the picture may have looked like before it was spoiled.

A U-shaped network on 2x2 blocks of pixels. A degradation vector scales and shifts what every block sees (the spatial
feature transform of Wang et al., CVPR 2018, with a vector in place of a map). The paper names no network; this one is
small, because it runs for every picture that is scored.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 64, 96)  # at strides 2, 4, 8
BEFORE, DEEP, AFTER = (1, 1), 3, (1, 2)  # blocks: at strides 2 and 4, at stride 8, at strides 4 and 2
CODE = 64  # what the blocks hear of the degradation
SMALL = 0.1  # of an ordinary first weight: what a block adds, and what is added to the picture, begin with little


class Modulation(nn.Module):
    """x (1 + gain(d)) + shift(d), channel by channel; the identity at first. x (B, C, H, W) or (B, N, C), d (B, D)."""

    def __init__(self, vector: int, channels: int) -> None:
        super().__init__()
        self.make = nn.Linear(vector, 2 * channels)
        for parameter in self.make.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, d: Tensor) -> Tensor:
        gain, shift = (v[:, :, None, None] if x.ndim == 4 else v[:, None] for v in self.make(d).chunk(2, 1))
        return x * (1 + gain) + shift


class ResidualBlock(nn.Module):
    """x + conv3x3(relu(modulated conv3x3(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.modulate = Modulation(CODE, channels)
        _begin(self.a)
        _begin(self.b, SMALL)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return x + self.b(F.relu(self.modulate(self.a(x), code)))


class Restorer(nn.Module):
    """``forward(x, d)``: x (B, 3, H, W) RGB in [0, 1], H and W multiples of 8, and its degradation vector d (B, D).

    Returns the estimate (B, 3, H, W), which may leave [0, 1] a little, and the decoder's maps at strides 8, 4, 2:
    (B, 96, H/8, W/8), (B, 64, H/4, W/4), (B, 32, H/2, W/2). Only the direction of d is heard.
    """

    def __init__(self, vector: int, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.channels = (coarse, middle, fine)
        self.code = nn.Sequential(nn.Linear(vector, CODE), nn.ReLU())
        self.enter = nn.Conv2d(12, fine, 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(fine, middle, 2, 2), nn.Conv2d(middle, coarse, 2, 2)])
        self.before = nn.ModuleList(_blocks(c, n) for c, n in zip((fine, middle), BEFORE, strict=True))
        self.up = nn.ModuleList([nn.Conv2d(coarse, 4 * middle, 1), nn.Conv2d(middle, 4 * fine, 1)])
        self.after = nn.ModuleList(_blocks(c, n) for c, n in zip(self.channels, (DEEP, *AFTER), strict=True))
        self.leave = nn.Conv2d(fine, 12, 3, padding=1)
        for convolution in (self.enter, *self.down, *self.up):
            _begin(convolution, 0.5**0.5)  # no ReLU follows
        _begin(self.leave, SMALL)

    def forward(self, x: Tensor, d: Tensor) -> tuple[Tensor, list[Tensor]]:
        code = self.code(d.shape[1] ** 0.5 * F.normalize(d.float(), dim=1))  # of ordinary size, however long d is
        fine = _through(self.before[0], self.enter(F.pixel_unshuffle(x * 2 - 1, 2)), code)  # (B, 32, H/2, W/2)
        middle = _through(self.before[1], self.down[0](fine), code)  # (B, 64, H/4, W/4)
        u = self.down[1](middle)  # (B, 96, H/8, W/8)
        maps = []
        for i, skip in enumerate((None, middle, fine)):
            if skip is not None:
                u = F.pixel_shuffle(self.up[i - 1](u), 2) + skip
            u = _through(self.after[i], u, code)
            maps.append(u)
        return x + F.pixel_shuffle(self.leave(u), 2), maps


def _begin(convolution: nn.Module, size: float = 1.0) -> None:
    """Random weights after He et al. (ICCV 2015), so many times as large, and no bias."""
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    nn.init.kaiming_normal_(convolution.weight)
    convolution.weight.data.mul_(size)
    nn.init.zeros_(convolution.bias)


def _blocks(channels: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(ResidualBlock(channels) for _ in range(count))


def _through(blocks: Sequence[nn.Module] | nn.Module, x: Tensor, code: Tensor) -> Tensor:
    for block in blocks:  # type: ignore[union-attr]
        x = block(x, code)
    return x
