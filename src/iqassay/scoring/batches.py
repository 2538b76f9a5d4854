"""One picture or several, in whatever form programs hold them: what a Scorer is called with.

Tensors are those of torch, which is not imported here: whoever has one has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from iqassay.pictures.image import Picture

SLACK = 1e-6  # beyond 0 and 1: 1.0000001 comes out of honest arithmetic
ONE = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, Picture)


def sources_in(given: Any) -> tuple[Iterator[Any], bool]:
    """What to score, in forms that `read_image` takes, and whether several were given (an empty batch is several).

    given: a path, the bytes of a file, a Pillow image, a Picture; an array (H, W) or (H, W, C), or several as
    (N, H, W, C); a tensor of torch (C, H, W), or several as (N, C, H, W), C 1 or 3, RGB, uint8 or floats in [0, 1], on
    any device; or a list or another iterable of any of these, which is read as it is needed.

    Raises ValueError for a tensor of another shape, type or range: at once, or in its place in an iterable.
    """
    if is_tensor(given):
        pictures = arrays_of(given)
        return iter(pictures), given.ndim == 4
    if isinstance(given, np.ndarray):
        return (iter(given), True) if given.ndim == 4 else (iter([given]), False)
    if isinstance(given, Iterable) and not isinstance(given, ONE):
        return map(_one, given), True
    return iter([given]), False  # what is no picture at all is for `read_image` to refuse


def _one(given: Any) -> Any:
    if not is_tensor(given):
        return given
    pictures = arrays_of(given)
    if len(pictures) != 1:
        raise ValueError(f"got a tensor of shape {tuple(given.shape)} in a list, want one picture, (3, H, W)")
    return pictures[0]


def is_tensor(given: Any) -> bool:
    """Whether this is a tensor of torch, or of what looks like it."""
    return all(hasattr(given, name) for name in ("detach", "cpu", "permute", "is_floating_point"))


def arrays_of(tensor: Any) -> list[np.ndarray]:
    """A tensor (C, H, W) or (N, C, H, W) -> N arrays (H, W, C), with no gradient. Raises ValueError as `sources_in`."""
    shape = tuple(tensor.shape)
    if len(shape) not in (3, 4) or shape[-3] not in (1, 3):
        raise ValueError(f"got a tensor of shape {shape}, want (N, 3, H, W) or (3, H, W)")
    kind = str(tensor.dtype)
    if not tensor.is_floating_point() and kind != "torch.uint8":
        raise ValueError(f"got a tensor of {kind}, want floats in [0, 1] or torch.uint8")
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and kind not in ("torch.float32", "torch.float64"):
        tensor = tensor.float()  # numpy has no bfloat16
    samples = tensor.permute(*range(len(shape) - 3), -2, -1, -3).contiguous().numpy()
    if samples.dtype != np.uint8 and samples.size:
        low, high = samples.min(), samples.max()
        if not (low >= -SLACK and high <= 1 + SLACK):  # written so that NaN fails
            found = f"{low:.4g} to {high:.4g}" if np.isfinite([low, high]).all() else "not-a-number or infinity"
            raise ValueError(f"got a tensor of {kind} from {found}, want RGB in [0, 1]: {_advice(low, high)}")
    return list(samples) if len(shape) == 4 else [samples]


def _advice(low: float, high: float) -> str:
    """What may have been meant."""
    if low >= 0 and 2 < high <= 255:
        return "divide values from 0 to 255 by 255"
    if -1 - SLACK <= low < -0.5 and high <= 1 + SLACK:
        return "bring values from -1 to 1 there by (x + 1) / 2"
    return "an output that overshoots a little wants clamp(0, 1)"
