"""Full-reference quality as a loss to minimise."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.yoto_extended import TOP, ExtendedYOTO

REDUCTIONS = ("mean", "sum", "none")


class FidelityLoss(nn.Module):
    """How far pictures are from their references, by YOTO's full-reference mode: to be minimised, 0 at identity.

    ``forward(x, reference)``: (B, 3, H, W) each, RGB in [0, 1], any H and W from 33 pixels. Returns TOP - score, not
    negative: a scalar, or (B,) with ``reduction="none"``. One unit is 20 points of the scale from 0 to 100 before
    calibration. The gradient is finite everywhere and zero where x is the reference; it reaches x and the reference,
    never the weights. The module is always in evaluation mode. Use it beside a pixel loss, as other losses on features:
    steps on free pixels alone soon please it without removing the noise.

    Raises:
        ValueError: for another reduction, other shapes, or values that cannot be in [0, 1].
    """

    lower_better = True
    score_range = (0.0, math.inf)

    def __init__(self, system: ExtendedYOTO, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"got reduction {reduction!r}, want one of {', '.join(REDUCTIONS)}")
        self.system, self.reduction = system.requires_grad_(False), reduction
        self.train(False)

    def train(self, mode: bool = True) -> FidelityLoss:
        """Stays in evaluation mode, whatever the network around it does."""
        return super().train(False)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        if x.shape != reference.shape or x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < 33:
            shapes = f"{tuple(x.shape)} and {tuple(reference.shape)}"
            raise ValueError(f"got shapes {shapes}, want the same (B, 3, H, W), H and W at least 33")
        low, high = torch.aminmax(torch.stack([x.detach(), reference.detach()]))
        if low < -1 or high > 2:  # a network's output may overshoot a little; 0..255 is a mistake
            raise ValueError(f"got values from {float(low):.3g} to {float(high):.3g}, want RGB in [0, 1]")
        missing = [max(64, -(-side // 32) * 32) - side for side in x.shape[2:]]
        x, reference = (F.pad(v, (0, missing[1], 0, missing[0]), mode="reflect") for v in (x, reference))
        far = TOP - self.system(x, reference).score
        return far if self.reduction == "none" else far.mean() if self.reduction == "mean" else far.sum()
