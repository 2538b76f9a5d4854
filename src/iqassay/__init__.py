"""iqassay: how good a picture looks, why, and where. Offline.

>>> import iqassay
>>> verdict = iqassay.score("photo.jpg")  # doctest: +SKIP
>>> verdict.score, verdict.low, verdict.high  # 0 to 100, higher is better; a 90 % interval  # doctest: +SKIP

Importing the package loads nothing heavy: numpy, Pillow and onnxruntime come with the first picture.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iqassay.image import ImageError, Picture, read_image
    from iqassay.model_file import ModelFileError
    from iqassay.scorer import Scorer, Source
    from iqassay.verdict import Distortion, Verdict

__version__ = "0.1.0"
__all__ = [
    "Distortion",
    "ImageError",
    "ModelFileError",
    "Picture",
    "Scorer",
    "Verdict",
    "__version__",
    "load",
    "read_image",
    "score",
]

_HOME = {
    "Distortion": "verdict",
    "ImageError": "image",
    "ModelFileError": "model_file",
    "Picture": "image",
    "Scorer": "scorer",
    "Verdict": "verdict",
    "read_image": "image",
}
_scorers: dict[str, Scorer] = {}
_lock = threading.Lock()


def score(picture: Source, model: str = "mfen") -> Verdict:
    """Score one picture from 0 to 100, higher is better: a path, the bytes of a file, a Pillow image or an array.

    The model is opened at the first call and kept. Safe to call from several threads. Raises ImageError when the
    picture cannot be read and ModelFileError when the model cannot; both are ValueErrors.
    """
    with _lock:
        if model not in _scorers:
            _scorers[model] = load(model)
        scorer = _scorers[model]
    return scorer.score(picture)


def load(model: str = "mfen", threads: int | None = None) -> Scorer:
    """Open a model: the name of a shipped one or the path of an .onnx file. Raises ModelFileError."""
    from iqassay.scorer import Scorer

    return Scorer(model, threads)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"iqassay.{_HOME[name]}"), name)
    raise AttributeError(f"module 'iqassay' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
