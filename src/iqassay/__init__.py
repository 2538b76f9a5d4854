"""iqassay: how good a picture looks, why, and where. Offline.

>>> import iqassay
>>> verdict = iqassay.score("photo.jpg")  # doctest: +SKIP
>>> verdict.score, verdict.low, verdict.high  # 0 to 100, higher is better; a 90 % interval  # doctest: +SKIP
>>> verdict = iqassay.score("small.jpg", reference="original.png")  # doctest: +SKIP
>>> iqassay.compare("a.jpg", "b.jpg").better  # doctest: +SKIP
>>> scores = [verdict.score for verdict in iqassay.load().score_many(paths)]  # doctest: +SKIP

Importing the package loads nothing heavy: numpy, Pillow and onnxruntime come with the first picture.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, overload

from iqassay.scoring.lock import MadeOnce
from iqassay.support.version import __version__

if TYPE_CHECKING:
    import torch

    from iqassay.metric import Metric
    from iqassay.models.names import list_models
    from iqassay.pictures.image import read_image
    from iqassay.pictures.picture import ImageError, Picture
    from iqassay.scoring.comparison import Comparison
    from iqassay.scoring.explanation import Explanation
    from iqassay.scoring.model_file import ModelFileError
    from iqassay.scoring.panel import Panel
    from iqassay.scoring.scorer import Scorer, Source
    from iqassay.scoring.verdict import Distortion, Verdict
    from iqassay.systems.fidelity import FidelityLoss

# From 1.29 on onnxruntime reports to its makers over the network, and puts an identifier into the home folder, unless
# this is set before it is loaded. Offline is offline.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Comparison",
    "Distortion",
    "Explanation",
    "ImageError",
    "ModelFileError",
    "Panel",
    "Picture",
    "Scorer",
    "Verdict",
    "__version__",
    "compare",
    "create_metric",
    "explain",
    "list_models",
    "load",
    "read_image",
    "score",
]

_HOME = {
    "Comparison": "scoring.comparison",
    "Distortion": "scoring.verdict",
    "Explanation": "scoring.explanation",
    "ImageError": "pictures.picture",
    "ModelFileError": "scoring.model_file",
    "Panel": "scoring.panel",
    "Picture": "pictures.picture",
    "Scorer": "scoring.scorer",
    "Verdict": "scoring.verdict",
    "list_models": "models.names",
    "read_image": "pictures.image",
}
_scorers: MadeOnce[str, Scorer] = MadeOnce()


def score(picture: Source, reference: Source | None = None, model: str | None = None, align: str = "fail") -> Verdict:
    """Score one picture from 0 to 100, higher is better: a path, the bytes of a file, a Pillow image or an array.

    The model is opened at the first call and kept. Safe to call from several threads.

    Args:
        reference: the picture as it should look, in any of these forms.
        align: what to do when the two differ in size, "fail", "resize" (the picture to the reference's size) or "crop"
            (both to their common middle).
        model: the name of a shipped one or the path of an .onnx file; None is the shipped one that suits.

    Raises:
        ImageError: when a picture cannot be read or the sizes differ.
        ModelFileError: when the model cannot be used; both are ValueErrors.
    """
    return _scorer(model, reference is not None).score(picture, reference, align)


def compare(
    a: Source, b: Source, reference: Source | None = None, model: str | None = None, align: str = "fail"
) -> Comparison:
    """Which of two pictures looks better, by how much, and how sure that is. The rest is as for `score`."""
    from iqassay.scoring import comparison

    return comparison.compare(_scorer(model, reference is not None), a, b, reference, align)


def explain(
    picture: Source, reference: Source | None = None, model: str | None = None, align: str = "fail"
) -> Explanation:
    """Why a picture has its score: beside the verdict, a restored estimate of it and the nearest known degradations.

    Args:
        model: gives the verdict; the estimate is DRI-IQA's. The rest is as for `score`.
    """
    from iqassay.scoring import explanation

    scorers = _scorer(model, False), _scorer(explanation.RESTORER, False)
    return explanation.explain(picture, *scorers, reference, align)


def load(model: str | None = None, threads: int | None = None, device: str = "cpu") -> Scorer:
    """Open a model or a panel of models: the name of a shipped one, or the path of an .onnx file or of a panel's .json;
    None is the one for pictures without a reference.

    Args:
        threads: how many to compute with; None means as many as this process may use.
        device: "cpu", "auto" for the best there is, or one that the installed onnxruntime has: "cuda", "cuda:1", ...

    Raises:
        ModelFileError: when the model cannot be used.
        ValueError: for a bad number or device; a device that is missing or does not start is an error, never the CPU
            instead.
    """
    from iqassay.models.opening import open_scorer

    return open_scorer(model, threads, device=device)


@overload
def create_metric(
    name: str | os.PathLike[str],
    as_loss: Literal[False] = False,
    device: str | torch.device | None = None,
    loss_reduction: str = "mean",
) -> Metric: ...
@overload
def create_metric(
    name: str | os.PathLike[str],
    as_loss: Literal[True],
    device: str | torch.device | None = None,
    loss_reduction: str = "mean",
) -> FidelityLoss: ...
def create_metric(
    name: str | os.PathLike[str],
    as_loss: bool = False,
    device: str | torch.device | None = None,
    loss_reduction: str = "mean",
) -> Metric | FidelityLoss:
    """A model or a measure in the manner of pyiqa, called as `metric(x)` or `metric(x, reference)`.

    Tensors (N, 3, H, W), RGB in [0, 1], or paths give (N, 1); `metric.lower_better` and `metric.score_range` say what
    that means, see `Metric`.

    Args:
        name: one that `list_models` lists, also as pyiqa writes it ("ms_ssim"), or the path of an .onnx file. Where
            pyiqa's of that name differs, `metric.differs` says how, and docs/from-pyiqa.md; for brisque, whose
            direction is the other one, a UserWarning does.
        as_loss: give the `FidelityLoss` instead, to be minimised, which only "yoto" has.
        device: where it computes, for models "cpu" or what the installed onnxruntime has ("cuda"), for a loss any of
            torch's; None is the CPU.
        loss_reduction: of a loss, "mean", "sum" or "none".

    Raises:
        ModelFileError: for a name that is not known.
        ValueError: for a loss that there is none of or another device.
        ImportError: without torch.
    """
    from iqassay import metric

    return metric.create_metric(name, as_loss, device, loss_reduction)


def _scorer(model: str | None, reference: bool) -> Scorer:
    if model is None:
        from iqassay.scoring.model_file import default_model

        model = default_model(reference)
    name = model  # which stays what it is while it is opened
    return _scorers.of(name, lambda: load(name))


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"iqassay.{_HOME[name]}"), name)
    if name in ("metric", "systems", "torchmetrics"):  # the torch side
        return import_module(f"iqassay.{name}")
    raise AttributeError(f"module 'iqassay' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
