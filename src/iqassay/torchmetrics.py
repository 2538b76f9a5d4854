"""The score as a metric of torchmetrics; needs the extra ``train``.

>>> from iqassay.torchmetrics import QualityScore
>>> quality = QualityScore()  # doctest: +SKIP
>>> quality.update(images)  # (B, 3, H, W), RGB: uint8, or floats in [0, 1]  # doctest: +SKIP
>>> quality.compute()  # doctest: +SKIP
tensor(71.3025)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from iqassay.models.opening import open_scorer
from iqassay.scoring.model_file import default_model
from iqassay.scoring.scorer import Scorer
from iqassay.support.install import install_command

try:
    import torch
    from torch import Tensor
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ModuleNotFoundError as error:
    raise ImportError(f"this needs {error.name}: {install_command('train')}") from None

REDUCTIONS = ("mean", "none")
# Scores are added up in millionths of a point: whole numbers give one sum in any order, where float32 drifts, and
# float64 is not to be had on every device.
STEPS = 1_000_000


class QualityScore(Metric):
    """The quality of pictures from 0 to 100, higher is better: the very numbers of ``iqassay score``.

    ``update(images)``, or with ``reference=True`` ``update(images, references)``: tensors (B, 3, H, W) on any device,
    RGB, uint8 or floats in [0, 1]; references of the same shape, aligned pixel by pixel. ``compute()`` returns the mean
    score of all pictures so far, a float32 scalar, or with ``reduction="none"`` their scores (N,) in order; before the
    first picture the mean is NaN. Only sums are kept, or scores with "none", never the pictures, so that memory does
    not grow and processes of a distributed run add up.

    Args:
        model: the name of a shipped model or of a measure such as "ssim", or the path of a model file; None is the one
            that ``iqassay.score`` takes: "panel", with a reference "yoto".
        threads: with how many threads and where onnxruntime computes, see ``Scorer``; the tensors' own device does not
            matter, and no gradient comes back (``iqassay.systems.loss`` has one).
        device: see ``threads``.
        kwargs: of every metric, see ``torchmetrics.Metric``.

    Raises:
        ValueError: for another reduction, or a model that takes no reference or cannot do without; by ``update`` for
            shapes, types or values that are not as above, which leave the metric as it was.
        ModelFileError: if the model cannot be used.
        ImportError: at import, without torch and torchmetrics.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 100.0

    which: Tensor
    total: Tensor
    count: Tensor
    scores: list[Tensor]

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        reference: bool = False,
        reduction: Literal["mean", "none"] = "mean",
        threads: int | None = None,
        device: str = "cpu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if reduction not in REDUCTIONS:
            raise ValueError(f"got reduction {reduction!r}, want one of {', '.join(REDUCTIONS)}")
        self.reference, self.reduction = reference, reduction
        scorer = open_scorer(default_model(reference) if model is None else model, threads, device=device)
        self.opened = Opened(scorer)
        if reference and not scorer.takes_reference:
            raise ValueError(f"got the model {scorer.card.name!r} and reference=True, want one that takes references")
        if scorer.needs_reference and not reference:
            raise ValueError(f"got the measure {scorer.card.name!r}, which compares: want reference=True with it")
        # Of metrics whose first batches leave equal states, as identical pairs do for every model, a MetricCollection
        # computes one alone: this state tells them apart.
        self.add_state("which", torch.tensor(2 * int(scorer.identity[:14], 16) + reference), dist_reduce_fx="max")
        if reduction == "none":
            self.add_state("scores", [], dist_reduce_fx="cat")
        else:
            self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")
            self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, images: Tensor, references: Tensor | None = None) -> None:
        """Score (B, 3, H, W) pictures, beside as many references if the metric was made for them."""
        if self.reference != (references is not None):
            got, want = ("none", "some") if self.reference else ("some", "none")
            raise ValueError(f"references: got {got}, want {want}, since the metric has reference={self.reference}")
        pictures, beside = arrays(images, "images"), None
        if references is not None:
            if references.shape != images.shape:
                shapes = f"{tuple(images.shape)} and references of {tuple(references.shape)}"
                raise ValueError(f"got images of shape {shapes}, want the same")
            beside = arrays(references, "references")
        scores = [verdict.score for verdict in self.opened.scorer.score_many(pictures, beside)]
        if self.reduction == "none":
            self.scores.append(torch.tensor(scores, device=self.device, dtype=torch.float32))
        else:
            self.total += sum(round(score * STEPS) for score in scores)
            self.count += len(scores)

    def compute(self) -> Tensor:
        """The mean score, or with ``reduction="none"`` all scores (N,)."""
        return dim_zero_cat(self.scores) if self.reduction == "none" else self.total / self.count / STEPS

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw the value of ``compute()``, or one or several given as ``val``: (figure, axes). Needs matplotlib."""
        return self._plot(val, ax)


@dataclass
class Opened:
    """An open model that copies of a metric share."""

    scorer: Scorer

    def __deepcopy__(self, memo: dict[int, Any]) -> Opened:
        return self


def arrays(images: Tensor, name: str) -> list[Any]:
    """(B, 3, H, W) uint8 or floats -> B arrays (H, W, 3) as the scorer reads them, which sees to the range."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"got {name} of shape {tuple(images.shape)}, want (B, 3, H, W)")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"got {name} of {images.dtype}, want torch.uint8, or floats in [0, 1]")
    images = images.detach().cpu()
    images = images if images.dtype == torch.uint8 else images.float()
    return list(images.permute(0, 2, 3, 1).contiguous().numpy())
