"""Models and measures as metrics in the manner of pyiqa; needs torch. docs/from-pyiqa.md puts the two side by side.

>>> import iqassay
>>> metric = iqassay.create_metric("ssim")  # doctest: +SKIP
>>> metric(x, reference)  # (N, 3, H, W) each, RGB in [0, 1] -> (N, 1); or two paths, or two lists  # doctest: +SKIP
>>> metric.lower_better, metric.score_range  # doctest: +SKIP
(False, (-1.0, 1.0))
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from iqassay.measures.measure import MEASURES, Measure
from iqassay.models.names import DIFFERS, meant
from iqassay.models.opening import open_scorer
from iqassay.scoring.batches import is_tensor
from iqassay.scoring.scorer import Scorer

try:
    import torch
    from torch import Tensor, nn
except ModuleNotFoundError as error:
    raise ImportError(f"this needs {error.name}: pip install torch") from None

if TYPE_CHECKING:
    from iqassay.systems.fidelity import FidelityLoss


class Metric(nn.Module):
    """A model or a measure, called with a batch of pictures: ``metric(x)`` or ``metric(x, reference)``.

    x, reference: tensors (N, 3, H, W) or (3, H, W), RGB, floats in [0, 1] or uint8, on any device; or paths, Pillow
    images, arrays, or lists of these; as many references as pictures. Returns (N, 1) float32, where the tensor is, with
    no gradient. A model says its score from 0 to 100, a measure its own value in its own unit and direction (for the
    score of that see ``scorer``). Each picture is scored by itself, so a batch never changes a value.

    Attributes:
        name: of the model or measure.
        scorer: the Scorer behind it, for intervals, maps and named damage.
        lower_better: whether a lower value is the better one.
        score_range: the ends of the values, lowest first; that of NIQE, which has no upper end, stops where every
            picture is ruined.
        differs: how pyiqa's of the same name differs, if it does.

    Raises:
        ValueError: by a call, for tensors of another shape, type or range; for a reference that the model does not take
            or a measure lacks; for another number of references than pictures.
        ImageError: by a call, for a file that cannot be read, or pictures that differ in size or cannot be measured.
    """

    name: str
    scorer: Scorer
    lower_better: bool
    score_range: tuple[float, float]
    differs: str

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.scorer = scorer
        self.name = scorer.card.name
        self.differs = DIFFERS.get(self.name, "") if isinstance(scorer, Measure) else ""
        ends: tuple[float, float] = scorer.score_range
        self.lower_better = scorer.lower_is_better
        if isinstance(scorer, Measure):
            ends = (MEASURES[self.name].worst, MEASURES[self.name].best)
            self.lower_better = ends[1] < ends[0]
        self.score_range = (float(min(ends)), float(max(ends)))

    def extra_repr(self) -> str:
        """What printing it shows."""
        return f"{self.name!r}, lower_better={self.lower_better}, score_range={self.score_range}"

    def forward(self, x: Any, reference: Any = None) -> Tensor:
        said = self.scorer(x, reference)
        verdicts = said if isinstance(said, list) else [said]
        values = [verdict.raw if isinstance(self.scorer, Measure) else verdict.score for verdict in verdicts]
        where = x.device if is_tensor(x) else None
        return torch.tensor(values, dtype=torch.float32, device=where).reshape(-1, 1)


def create_metric(
    name: str | os.PathLike[str],
    as_loss: bool = False,
    device: str | torch.device | None = None,
    loss_reduction: str = "mean",
) -> Metric | FidelityLoss:
    """A metric by its name, as ``iqassay.create_metric`` says."""
    known = meant(name)
    if as_loss:
        from iqassay.systems import loss

        if known in MEASURES:
            raise ValueError(f"got as_loss with {name!r}, which has no gradient, want 'yoto', which is made for it")
        return loss(known, loss_reduction).to(device or "cpu")
    metric = Metric(open_scorer(known, device=str(device or "cpu")))
    if metric.name == "brisque" and metric.differs:  # a program that takes it for the other one would be wrong unseen
        warnings.warn(f"brisque: {metric.differs}", UserWarning, stacklevel=3)
    return metric
