"""Measures as models: `iqassay score --model ssim --ref original.png`, and all else that a Scorer can do.

A measure has no weights. What it says is put on the scale from 0 to 100 by a table of its own in measures.json, which
benchmarks/make/calibrate_measures.py makes; the tables never tie, so that a measure's order of pictures is kept.
"""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iqassay.pictures.image import MAX_PIXELS, ImageError
from iqassay.scoring.model_file import Calibration, Card, Interval, ModelFileError
from iqassay.scoring.scorer import Scorer, check_numbers
from iqassay.scoring.tiles import Answers, block_means
from iqassay.support.errors import UsageError
from iqassay.support.install import install_command

if TYPE_CHECKING:
    from iqassay.scoring.scorer import Source

CALIBRATION = Path(__file__).with_name("measures.json")
VERSION = "1"  # of the definitions and the tables together: raise it when what a measure says changes
MAP_SIDE = 64  # cells along the longer side of a map


@dataclass(frozen=True)
class Known:
    """A measure: the module beside this one that has it, which variant it is, the ends of what it can say, and what
    it was trained on, if it was.
    """

    module: str
    variant: str
    worst: float
    best: float
    trained_on: tuple[str, ...] = ()

    @property
    def reference(self) -> bool:
        """Whether it compares a picture with its reference; else it looks at a picture alone."""
        return self.module != "natural"


MEASURES = {
    "psnr": Known("classical", "PSNR in dB over all three channels, 100 at most", 0, 100),
    "psnr-y": Known("luma", "PSNR-Y in dB: of luma (BT.601, 16 to 235), as in super-resolution; 100 at most", 0, 100),
    "ssim": Known("classical", "SSIM of luma, shrunk by round(shorter side / 256) as in the authors' program", -1, 1),
    "ssim-y": Known("luma", "SSIM-Y: of luma (BT.601, 16 to 235), not shrunk, as in super-resolution", -1, 1),
    "ms-ssim": Known("classical", "MS-SSIM of luma, five scales, at least 161 pixels a side", 0, 1),
    "gmsd": Known("classical", "GMSD of luma, shrunk by two; lower is better", 1, 0),
    "haarpsi": Known("classical", "HaarPSI with chroma, shrunk by two", 0, 1),
    "mdsi": Known("classical", "MDSI by sum, shrunk by round(shorter side / 256); lower is better", 1, 0),
    "vsi": Known("classical", "VSI, shrunk by round(shorter side / 256)", 0, 1),
    "dss": Known("classical", "DSS of luma, not shrunk", -1, 1),
    "niqe": Known(
        "natural",
        "NIQE with a model of natural photos of our own; lower is better",
        1000,
        0,
        ("clean photos of CID22 and CLIC 2025, without opinions",),
    ),
    "brisque": Known(
        "natural",
        "BRISQUE-like: its features, with a regressor of our own; higher is better",
        0,
        100,
        ("BIQ2021, official training set, laboratory MOS", "synthetic pictures with modelled opinions"),
    ),
}

# What the calibration comes from, and the limits that follow.
_OF_PAIRS = (
    "for the calibration: synthetic pairs of BIQ2021, CID22, CLIC 2025 and PASCAL VOC photos with modelled opinions",
    (
        "Calibrated on modelled opinions of synthetic pictures of 256x256 pixels, not on people.",
        "Pictures and references must be aligned pixel by pixel; a shift or a warp counts as damage.",
    ),
)
_OF_PHOTOS = (
    "for the calibration: BIQ2021 validation photos, laboratory MOS",
    ("Calibrated on photographs; drawings, screenshots and scans are another matter.",),
)


@dataclass(frozen=True)
class MeasureCard(Card):
    """What a measure says of itself."""

    interval: Interval
    takes_reference: bool
    unlike_threshold: float = math.inf  # a measure knows of no training data that a picture could be unlike


class Measure(Scorer):
    """A measure used as a Scorer. Raw values are the measure's own, in its own unit and direction.

    name: one of MEASURES. threads: accepted and without effect, since numpy alone decides on them. max_pixels: larger
    pictures are refused before they are decoded. device: "cpu" or "auto", which is the same here.

    A full-reference measure raises ValueError where there is no reference, a no-reference one where there is. Pictures
    that cannot be measured, as too small ones, raise ImageError.

    Raises ModelFileError for an unknown name, and where scipy is not installed.
    """

    card: MeasureCard  # type: ignore[assignment]
    registers = False  # a published definition compares place by place

    def __init__(
        self, name: str, threads: int | None = None, max_pixels: int = MAX_PIXELS, device: str = "cpu"
    ) -> None:
        check_numbers(threads=threads, max_pixels=max_pixels)
        if device not in ("cpu", "auto"):
            raise UsageError(f"device: got {device!r}, want cpu: a measure knows no other")
        self.device = "cpu"
        self._source, self._threads = name, threads
        if name not in MEASURES:
            raise ModelFileError(f"there is no measure {name!r}, want one of: {', '.join(MEASURES)}")
        self.card = card_of(name)
        self.needs_reference = self.card.takes_reference  # a measure does either, never both
        self.max_pixels = max_pixels
        self._measure = function_of(name, with_map=True) or function_of(name)

    def __repr__(self) -> str:
        return f"Measure({self.card.name!r})"

    @property
    def takes_reference(self) -> bool:
        """Whether the measure compares a picture with its reference."""
        return self.card.takes_reference

    @property
    def restores(self) -> bool:
        """No measure does."""
        return False

    def look(self, picture: Source, reference: Source | None = None) -> Answers:
        """The raw value of a picture and, for measures that have one, a map on the same scale: local dissimilarity,
        so multiplied that its mean is that of the whole picture. reference: of the picture's size. Raises as `score`.
        """
        self._tables(reference is not None)
        pixels = [self.read(source).pixels for source in (picture, reference) if source is not None]
        best = MEASURES[self.card.name].best
        try:
            found = self._measure(*pixels)
        except ValueError as error:
            raise ImageError(str(error)) from None
        raw, similarity = found if isinstance(found, tuple) else (found, None)
        if len(pixels) == 2 and np.array_equal(pixels[0], pixels[1]):
            raw = float(best)  # without the last digit's rounding
        local = np.full((1, 1), raw)
        if similarity is not None:
            loss = block_means(1 - similarity, math.ceil(max(similarity.shape) / MAP_SIDE))
            if loss.mean() > 0:
                local = best + (raw - best) * loss / loss.mean()
        of_no_kind = {"presence": np.ones(1), "severity": np.zeros(0)}
        return Answers(np.asarray(raw), local, **of_no_kind, unlike=np.asarray(-math.inf))

    def _tables(self, full_reference: bool) -> MeasureCard:  # type: ignore[override]
        if full_reference != self.card.takes_reference:
            raise ValueError(
                f"the measure {self.card.name!r} takes no reference, want the picture alone"
                if full_reference
                else f"the measure {self.card.name!r} compares a picture with its reference, want one"
            )
        return self.card


def function_of(name: str, with_map: bool = False) -> Any:
    """The function of a measure: pixels (H, W, 3), and those of the reference if it takes one -> float. with_map: that
    which returns a map too; None where there is none.

    Raises ModelFileError where scipy is not installed.
    """
    try:
        module = importlib.import_module(f"iqassay.measures.{MEASURES[name].module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "iqassay":
            raise
        raise ModelFileError(
            f"{name} needs {error.name}, which is not installed: want {install_command('bench')}"
        ) from None
    function = name.replace("-", "_")
    return getattr(module, f"{function}_with_map", None) if with_map else getattr(module, function)


def card_of(name: str) -> MeasureCard:
    """The card of a measure. Raises ModelFileError when measures.json has no table for it."""
    known = MEASURES[name]
    tables = _calibrations().get(name)
    if tables is None:
        raise ModelFileError(f"the measure {name!r} is not calibrated: want a table of it in {CALIBRATION.name}")
    data, limits = _OF_PAIRS if known.reference else _OF_PHOTOS
    return MeasureCard(
        name=name,
        version=VERSION,
        summary=known.variant,
        system="a classical measure, without learned weights" if known.reference else "natural scene statistics",
        licence={"code": "Apache-2.0", "weights": "Apache-2.0", "data": "not included"},
        training_data=(*known.trained_on, data),
        accuracy=(),
        distortions=(),
        calibration=Calibration(**{key: tuple(values) for key, values in tables["calibration"].items()}),
        limits=limits,
        interval=Interval(**{key: tuple(values) for key, values in tables["interval"].items()}),
        takes_reference=known.reference,
    )


@lru_cache(maxsize=1)
def _calibrations() -> dict[str, dict[str, dict[str, list[float]]]]:
    return json.loads(CALIBRATION.read_text(encoding="utf-8")) if CALIBRATION.exists() else {}
