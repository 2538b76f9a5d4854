"""Where quality is lost: a map that is learned by itself, so that the score does not have to agree with it.

What makes a good score of a whole picture says little of its parts: a part is best told by how it differs from the
rest of the same picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import Standardise

WIDTH = 128


class Locator(nn.Module):
    """``forward(cells)``: what an encoder says of every cell of 32x32 pixels of a picture, (B, N, K), for any N.

    Returns how much better each cell is than the mean of the picture's, (B, N), in units of the raw score.
    """

    def __init__(self, inputs: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.scale = Standardise(inputs)
        self.drop = nn.Dropout(dropout)
        self.itself, self.beside = nn.Linear(inputs, WIDTH), nn.Linear(inputs, WIDTH, bias=False)
        self.middle, self.leave = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, cells: Tensor) -> Tensor:
        z = self.drop(self.scale(cells.float()).clamp(-6, 6))
        hidden = F.relu(self.itself(z) + self.beside(z - z.mean(1, keepdim=True)))
        found = self.leave(F.relu(self.middle(self.drop(hidden))))[..., 0]
        return found - found.mean(1, keepdim=True)


def cells_of(maps: list[Tensor]) -> Tensor:
    """Maps at strides 4, 8, 16 and 32, (B, C_i, H/s, W/s) -> what they say of every cell of 32x32 pixels, (B, N, K):
    the mean of every channel, and of the first three levels the deviation."""
    sides = (8, 4, 2, 1)
    means = [cell_means(f, side) for f, side in zip(maps, sides, strict=True)]
    squares = [cell_means(f.square(), side) for f, side in zip(maps[:3], sides, strict=False)]
    spread = [((s - m.square()).clamp(min=0) + 1e-6).sqrt() for s, m in zip(squares, means, strict=False)]
    return torch.cat([*means, *spread], 2)


def cell_means(f: Tensor, side: int) -> Tensor:
    """(B, C, H, W) -> the means of cells of ``side`` x ``side``, (B, N, C)."""
    return (F.avg_pool2d(f, side) if side > 1 else f).flatten(2).transpose(1, 2)
