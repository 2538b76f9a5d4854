"""Where quality is lost: a map that is learned by itself, so that the score does not have to agree with it.

What makes a good score of a whole picture says little of its parts: a part is best told by how it differs from the
rest of the same picture, and from what lies beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import Standardise

WIDTH, ROUNDS = 128, 4


class Locator(nn.Module):
    """``forward(cells, rows, columns)``: what an encoder says of every cell of 32x32 pixels of a picture, (B, N, K),
    row by row, for any number of rows and columns.

    Returns how much better each cell is than the mean of the picture's, (B, 1, rows, columns), in units of the raw
    score. A cell is told by itself, by how it differs from the mean of all, and, in ``ROUNDS`` rounds, by the cells
    around it: where damage ends its neighbours do not go together, and what is dark may simply be dark.
    """

    def __init__(self, inputs: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.scale = Standardise(inputs)
        self.drop = nn.Dropout(dropout)
        self.itself, self.beside = nn.Linear(inputs, WIDTH), nn.Linear(inputs, WIDTH, bias=False)
        self.around = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(ROUNDS))
        self.all = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 1, bias=False) for _ in range(ROUNDS))
        self.middle, self.leave = nn.Conv2d(WIDTH, WIDTH, 1), nn.Conv2d(WIDTH, 1, 1)

    def forward(self, cells: Tensor, rows: int, columns: int) -> Tensor:
        z = self.drop(self.scale(cells.float()).clamp(-6, 6))
        hidden = F.relu(self.itself(z) + self.beside(z - z.mean(1, keepdim=True)))
        hidden = hidden.transpose(1, 2).reshape(cells.shape[0], WIDTH, rows, columns)
        for around, everywhere in zip(self.around, self.all, strict=True):
            mean = hidden.mean((2, 3), keepdim=True)
            hidden = hidden + F.relu(around(self.drop(hidden)) + everywhere(mean))
        found = self.leave(F.relu(self.middle(self.drop(hidden))))
        return found - found.mean((2, 3), keepdim=True)


def cells_of(maps: Sequence[Tensor]) -> Tensor:
    """Maps at strides 4, 8, 16 and 32, (B, C_i, H/s, W/s) -> what they say of every cell of 32x32 pixels, (B, N, K):
    the mean of every channel, and of the first three levels the deviation."""
    sides = (8, 4, 2, 1)
    means = [cell_means(f, side) for f, side in zip(maps, sides, strict=True)]
    squares = [cell_means(f.square(), side) for f, side in zip(maps[:3], sides, strict=False)]
    spread = [((s - m.square()).clamp(min=0) + 1e-6).sqrt() for s, m in zip(squares, means, strict=False)]
    return torch.cat([*means, *spread], 2)


def cell_means(f: Tensor, side: int) -> Tensor:
    """(B, C, H, W) -> the means of cells of ``side`` x ``side``, (B, N, C)."""
    f = F.avg_pool2d(f, side) if side > 1 else f
    n, c, h, w = f.shape
    # Sizes are spelt out, because an empty batch leaves nothing to infer -1 from, and channels go last before, because
    # onnxruntime puts -1 where it finds all other sizes in their old places.
    return f.permute(0, 2, 3, 1).reshape(n, h * w, c)
