"""Opening by name: a shipped model, a panel, a measure, or somebody's own model file."""

from __future__ import annotations

import os

from iqassay.measures.measure import MEASURES, Measure
from iqassay.pictures.image import MAX_PIXELS
from iqassay.scoring.model_file import PanelCard, default_model, find_model, read_card
from iqassay.scoring.panel import Panel
from iqassay.scoring.scorer import Scorer


def open_scorer(
    model: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    device: str = "cpu",
) -> Scorer:
    """Open a model, a panel or a measure: the name of a shipped model or of a measure such as "ssim", or the path of an
    .onnx file or of a panel's .json; None is the one for pictures without a reference. Raises as `Scorer` does.
    """
    if isinstance(model, str) and model in MEASURES:
        return Measure(model, threads, max_pixels, device)
    path = find_model(default_model(reference=False) if model is None else model, MEASURES)
    return (Panel if isinstance(read_card(path), PanelCard) else Scorer)(path, threads, max_pixels, device)
