"""What a system from a model file can do beside: put its raw values on the common scale, take pictures of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from iqassay.scoring.model_file import Calibration, NetworkCard
from iqassay.scoring.tiles import padded


class Calibrated:
    """A system whose raw values are put on the scale from 0 to 100 by a card.

    Attributes:
        card: of the model file that ``load_pretrained`` took the weights from; None for a system that was made
            otherwise.
    """

    card: NetworkCard | None = None

    def to_score(self, raw: Tensor, reference: bool = False) -> Tensor:
        """Raw values as scores from 0 to 100, higher is better: those of ``Prediction.score``, or of a quality map.

        Gradients pass: a table is straight between its points, and flat beyond its ends. A system that was trained
        further is no longer what the table was made for.

        Args:
            raw: of any shape and of floats, on any device; the answer has them too.
            reference: they are of pictures beside their references, which have a table of their own.

        Raises:
            ValueError: for a system that was not read from a model file, or reference=True where it takes none.
        """
        if self.card is None:
            raise ValueError("got a system that was not read from a model file, want one that load_pretrained gave")
        if not reference:
            return interpolated(raw, self.card.calibration)
        if self.card.reference is None:
            raise ValueError(f"got reference=True, but {self.card.name!r} takes no reference")
        return interpolated(raw, self.card.reference.calibration)


def interpolated(raw: Tensor, table: Calibration) -> Tensor:
    """Raw values through a table that is piecewise linear, in float64 inside, with the gradient of its slopes."""
    points, scores = (torch.tensor(c, dtype=torch.float64, device=raw.device) for c in (table.raw, table.score))
    if len(points) == 1:
        return raw * 0 + scores.to(raw.dtype)
    x = raw.double().clamp(points[0], points[-1])
    left = torch.bucketize(x.detach(), points[1:-1], right=True)
    slope = (scores[left + 1] - scores[left]) / (points[left + 1] - points[left])
    return (scores[left] + slope * (x - points[left])).to(raw.dtype)


def take_any_size(system: nn.Module) -> None:
    """Let a system take pictures of any height and width, x and reference, by padding them as scoring does."""
    system.register_forward_pre_hook(_pad_all, with_kwargs=True)


def _pad_all(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(map(pad, given)), {name: pad(value) for name, value in named.items()}


def pad(x: Any) -> Any:
    """Pictures (B, C, H, W) mirrored to the right and below, to multiples of 32 and at least 64; other things as they
    are, for the system to refuse."""
    if not isinstance(x, Tensor) or x.ndim != 4:
        return x
    for dimension in (2, 3):
        side = x.shape[dimension]
        if side and (missing := padded(side) - side):
            at = np.pad(np.arange(side), (0, missing), mode="reflect")  # mirrors again where the picture is short
            x = x.index_select(dimension, torch.from_numpy(at).to(x.device))
    return x
