"""The systems as torch modules; needs torch, and for training the extra ``train``.

>>> import iqassay.systems
>>> system = iqassay.systems.load_pretrained("mfen")  # doctest: +SKIP
>>> system.to_score(system(x).score)  # x (B, 3, H, W), RGB in [0, 1] -> (B,), 0 to 100  # doctest: +SKIP
>>> measure = iqassay.systems.loss("yoto")  # doctest: +SKIP
>>> measure(output, target).backward()  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from iqassay.systems.dri import DRI
    from iqassay.systems.fidelity import FidelityLoss
    from iqassay.systems.mfen import MFEN
    from iqassay.systems.yoto_extended import ExtendedYOTO

__all__ = ["load_pretrained", "loss"]


@overload
def load_pretrained(model: Literal["yoto"] = "yoto") -> ExtendedYOTO: ...
@overload
def load_pretrained(model: Literal["mfen"]) -> MFEN: ...
@overload
def load_pretrained(model: Literal["dri"]) -> DRI: ...
@overload
def load_pretrained(model: str | os.PathLike[str]) -> MFEN | ExtendedYOTO | DRI: ...
def load_pretrained(model: str | os.PathLike[str] = "yoto") -> MFEN | ExtendedYOTO | DRI:
    """A trained system as a torch module, in evaluation mode, with the weights of a model file.

    The module is called as ``system(x)``, YOTO also as ``system(x, reference)``, with x (B, 3, H, W), RGB in [0, 1] and
    of any height and width: both are mirrored to a multiple of 32, at least 64, as in scoring. It returns a
    ``Prediction``: ``score`` (B,), raw, higher is better (about (opinion - 60) / 20; ``to_score`` makes 0 to 100 of
    it), ``quality_map`` (B, 1, H/32, W/32) of the mirrored picture, and ``extras``. Answers are the model file's but
    for the order of float32 sums, and gradients reach x and the weights. So ``system.to_score(system(x).score)`` is the
    score of ``iqassay score`` for pictures of up to ``system.card.views.area`` pixels; larger ones are cut into views
    there, and looked at whole here. The module is on the CPU and may be moved.

    To train it further call ``train()``: all parameters learn, those of the encoder too, so freeze what should stay
    (``system.encoder.requires_grad_(False)``). ``iqassay train --start`` takes the weights from
    ``torch.save({"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}, file)``.

    Args:
        model: ``"mfen"``, ``"yoto"`` or ``"dri"``, or the path of an .onnx file with its card beside it.

    Raises:
        ModelFileError: if there is no such model file, or it is damaged.
        ValueError: if its weights cannot be read back.
        ImportError: without torch.
    """
    try:
        from iqassay.systems.pretrained import read_back
    except ModuleNotFoundError as error:
        from iqassay.support.install import install_command

        raise ImportError(f"this needs {error.name}: {install_command('train')}") from error
    from iqassay.scoring.model_file import load_model_file

    return read_back(load_model_file(model))


def loss(model: str | os.PathLike[str] = "yoto", reduction: str = "mean") -> FidelityLoss:
    """A loss for training networks whose output should look like a target: YOTO's distance; see ``FidelityLoss``.

    Args:
        model: ``"yoto"``, or the path of a model file of YOTO.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for a model that takes no reference, or another reduction; otherwise as ``load_pretrained`` does.
    """
    system = load_pretrained(model)  # first: it says what is not installed
    from iqassay.systems.fidelity import FidelityLoss
    from iqassay.systems.yoto_extended import ExtendedYOTO

    if not isinstance(system, ExtendedYOTO) or not system.config.distance:
        raise ValueError(f"got the model {os.fspath(model)!r}, want one of YOTO with its distance: it alone has one")
    return FidelityLoss(system, reduction)
