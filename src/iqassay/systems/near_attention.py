"""Attention among neighbours on the grid of cells: how YOTO's HA and SDA look at a vision transformer's tokens.

The published network attends over whole levels and over windows of them. A transformer's tokens have done so already;
what is left to find is where in the picture the content of a reference's token has gone, and it has not gone far. So a
token attends to the tokens at most ``radius`` cells away, with several heads, and attention is what it is at its
plainest: matching. Weights fall with the squared distance of unit vectors, and what the best match lacks is an answer
of its own, which is exactly zero where a token finds itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRST_SHARPNESS = 8.0
FIRST_STEP = 0.02  # what a match one cell away costs, in units of far, where 1 is a right angle


class NearAttention(nn.Module):
    """x + g softmax(-b |q - k|^2 / 2 + place) v over neighbours, g = GELU(Linear(x)), and how far the nearest is.

    forward(x, query, source): (B, h, w, C) each -> the stream (B, h, w, C), and a second answer.

    tied: q and k are made by one matrix, so that a token of the query finds itself in an equal source: HA. The second
    answer is how far it is from what it finds, (B, h, w, heads): of every head the least of |q - k|^2 / 2, which is
    1 - cosine, over the neighbours in the source, those beside its own place a little farther. Without it q and k are
    of two levels that have nothing in common: SDA. The second answer is what was found, (B, h, w, C).
    """

    def __init__(self, width: int, heads: int, radius: int, tied: bool, dropout: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"got a width of {width} for {heads} heads, want a multiple")
        self.heads, self.radius = heads, radius
        self.k = nn.Linear(width, width)
        self.q = None if tied else nn.Linear(width, width)
        self.v, self.gate = nn.Linear(width, width), nn.Linear(width, 1)
        places = (2 * radius + 1) ** 2
        self.sharpness = nn.Parameter(torch.full((heads,), FIRST_SHARPNESS))
        self.place = nn.Parameter(torch.zeros(places, heads))
        if tied:
            self.step = nn.Parameter(torch.full((heads,), FIRST_STEP))
        steps = [abs(i) + abs(j) for i in range(-radius, radius + 1) for j in range(-radius, radius + 1)]
        self.register_buffer("steps", torch.tensor(steps, dtype=torch.float32)[:, None], persistent=False)
        self.drop = nn.Dropout(dropout)
        with torch.no_grad():  # it starts as the matching of tokens as they are
            for linear in (self.k, self.v, *([] if self.q is None else [self.q])):
                linear.weight.copy_(torch.eye(width))
                linear.bias.zero_()

    steps: Tensor

    def forward(self, x: Tensor, query: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        q = self._unit((self.k if self.q is None else self.q)(query))
        k, v = self._unit(self.k(source)), self.v(source)
        apart = split(q[:, :, :, None] - neighbours(k, self.radius), self.heads).square().sum(5) / 2
        weights = (self.place - self.sharpness.abs() * apart).softmax(3)  # (B, h, w, places, heads)
        found = (weights[..., None] * split(neighbours(v, self.radius), self.heads)).sum(3).reshape(v.shape)
        stream = x + F.gelu(self.gate(x)) * self.drop(found)
        return stream, (apart + self.step.abs() * self.steps).amin(3) if self.q is None else found

    def _unit(self, x: Tensor) -> Tensor:
        heads = split(x, self.heads)
        return (heads * torch.rsqrt(heads.square().sum(4, keepdim=True) + 1e-6)).reshape(x.shape)


def split(x: Tensor, parts: int) -> Tensor:
    """(..., C) -> (..., parts, C / parts).

    Not by ``unflatten``: sizes read from what it returns would be constants in a traced graph. C is one, or else
    runtimes would infer it, which an empty batch does not allow.
    """
    *rest, c = x.shape
    return x.reshape(*rest, parts, int(c) // parts)


def neighbours(x: Tensor, radius: int) -> Tensor:
    """(B, h, w, C) -> (B, h, w, places, C): the tokens up to ``radius`` cells away from each, row by row; those at an
    edge repeated."""
    b, h, w, c = x.shape
    steps = torch.arange(-radius, radius + 1, device=x.device)
    rows, columns = ((torch.arange(n, device=x.device)[:, None] + steps).clamp(min=0).clamp(max=n - 1) for n in (h, w))
    places = rows[:, None, :, None] * w + columns[:, None, :]  # (h, w, 2 radius + 1, 2 radius + 1)
    found = x.reshape(b, h * w, int(c)).index_select(1, places.flatten())
    return found.reshape(b, h, w, (2 * radius + 1) ** 2, int(c))
