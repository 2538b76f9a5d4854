"""The restoration network of DRI-IQA: what the picture may have looked like before it was spoiled.

A U-shaped network on 2x2 blocks of pixels. A degradation vector scales and shifts every level of the decoder (the
spatial feature transform of Wang et al., CVPR 2018, with a vector in place of a map). The paper names no network; this
one is small, because it runs for every picture that is scored.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 64, 96)  # at strides 2, 4, 8


class ResidualBlock(nn.Module):
    """x + conv3x3(relu(conv3x3(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(F.relu(self.a(x)))


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


class Restorer(nn.Module):
    """``forward(x, d)``: x (B, 3, H, W) RGB in [0, 1], H and W multiples of 8, and its degradation vector d (B, D).

    Returns the estimate (B, 3, H, W), which may leave [0, 1] a little, and the decoder's maps at strides 8, 4, 2:
    (B, 96, H/8, W/8), (B, 64, H/4, W/4), (B, 32, H/2, W/2). Before training the estimate is x.
    """

    def __init__(self, vector: int, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.channels = (coarse, middle, fine)
        self.enter = nn.Conv2d(12, fine, 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(fine, middle, 2, 2), nn.Conv2d(middle, coarse, 2, 2)])
        self.before = ResidualBlock(middle)
        self.deep = nn.ModuleList(ResidualBlock(coarse) for _ in range(3))
        self.up = nn.ModuleList([nn.Conv2d(coarse, 4 * middle, 1), nn.Conv2d(middle, 4 * fine, 1)])
        self.modulate = nn.ModuleList(Modulation(vector, c) for c in self.channels)
        self.after = nn.ModuleList([ResidualBlock(middle), ResidualBlock(fine)])
        self.leave = nn.Conv2d(fine, 12, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, d: Tensor) -> tuple[Tensor, list[Tensor]]:
        d = F.normalize(d.float(), dim=1)  # a step of training on hundreds of long inputs would shake every map
        fine = F.relu(self.enter(F.pixel_unshuffle(x * 2 - 1, 2)))  # (B, 32, H/2, W/2)
        middle = self.before(F.relu(self.down[0](fine)))  # (B, 64, H/4, W/4)
        u = F.relu(self.down[1](middle))  # (B, 96, H/8, W/8)
        maps = []
        for i, skip in enumerate((None, middle, fine)):
            if skip is not None:
                u = F.pixel_shuffle(self.up[i - 1](u), 2) + skip
            u = self.modulate[i](u, d)
            for block in self.deep if i == 0 else [self.after[i - 1]]:
                u = block(u)
            maps.append(u)
        return x + F.pixel_shuffle(self.leave(u), 2), maps
