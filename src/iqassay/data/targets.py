"""The score a distorted picture is trained towards: what people would most likely have said, 0..100, higher better.

Two sources are joined. The KADID-10k table says what people think of a type at a level on average. A full-reference
measure says how much this very picture suffered: noise hides in grass and shows in a sky.

The numbers in targets.json come from benchmarks/make/fit_targets.py, which runs our distortions over pristine photos.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iqassay.measures.classical import dss, haarpsi, mdsi

from .distortions import KINDS, LEVELS

# The part of a picture's own deviation (measure-implied minus typical) that is believed. Both spread by about 8 points
# within one type and level; on rated codec pictures they correlate by .64, on other types nobody knows.
OWN_WEIGHT = 0.5


class Tables(NamedTuple):
    measure: np.ndarray  # knots of the map measure -> opinion: increasing, 0..1
    opinion: np.ndarray  # 0..100, non-decreasing, same length
    prior: dict[str, np.ndarray]  # kind -> mean opinion at levels 1..5, 0..100
    implied: dict[str, np.ndarray]  # kind -> mean measure-implied opinion at levels 1..5, 0..100


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The fitted numbers of targets.json."""
    data = json.loads(Path(__file__).with_name("targets.json").read_text())
    return Tables(
        np.array(data["measure"]),
        np.array(data["opinion"]),
        {kind: np.array(data["prior"][kind]) for kind in KINDS},
        {kind: np.array(data["implied"][kind]) for kind in KINDS},
    )


def target_score(
    pristine: np.ndarray, distorted: np.ndarray, chain: Sequence[tuple[str, float]] | None = None
) -> float:
    """The likely mean opinion of `distorted`, made from `pristine` by `chain`: 0..100, higher is better.

    Args:
        pristine: float32 (H, W, 3), sRGB in [0, 1].
        distorted: the same shape.
        chain: the (kind, level) pairs that were applied. One pair: the KADID mean of that kind and level, moved by this
            picture's own measure. Several: mostly the measure, and never above the worst pair's own mean. None or empty
            (a restoration without a KADID name): the measure alone.

    Returns:
        An untouched picture gets about 90, the value KADID's raters gave to pictures with nothing done to them.

    Raises:
        ValueError: on different shapes or an unknown kind or level.
    """
    table = tables()
    implied = implied_opinion(full_reference(pristine, distorted))
    if not chain:
        return implied
    priors = [_at(table.prior, kind, level) for kind, level in chain]
    worst = int(np.argmin(priors))
    # How much the measure errs on the worst member, known from many pictures: some kinds fool it.
    correction = priors[worst] - _at(table.implied, *chain[worst])
    if len(chain) == 1:
        score = priors[0] + OWN_WEIGHT * (implied + correction - priors[0])
    else:
        score = min(implied + 0.5 * correction, priors[worst])
    return float(np.clip(score, 0, table.opinion[-1]))


def implied_opinion(measure: float) -> float:
    """The mean opinion (0..100) that KADID's raters held of pictures with this full-reference measure."""
    table = tables()
    return float(np.interp(measure, table.measure, table.opinion))


def _at(by_kind: dict[str, np.ndarray], kind: str, level: float) -> float:
    if kind not in by_kind or not 1 <= level <= 5:
        raise ValueError(f"got the distortion ({kind!r}, {level}), want a KADID-10k kind and a level 1 to 5")
    return float(np.interp(level, LEVELS, by_kind[kind]))


# --- the full-reference measure --------------------------------------------------------------------------------


def full_reference(pristine: np.ndarray, distorted: np.ndarray) -> float:
    """How alike two pictures look: 1 identical, 0 nothing left in common. About 10 ms at 256x256.

    Two parts of texture and one of shapes and colour, multiplied, by three published measures:
    DSS (Balanov et al., 2015) compares how much each frequency varies from place to place and looks where that went
    worst. It asks for as much texture, not the same pixels, and follows opinions of codecs best; colour it cannot see.
    HaarPSI (Reisenhofer et al., 2018) compares Haar wavelet coefficients and averages where the picture has structure;
    MDSI (Nafchi et al., 2016) compares gradients and chroma and looks at how unevenly they suffered: the mean of both.
    HaarPSI and MDSI look at the picture shrunk by two, DSS at every pixel, whatever the size: crops of one picture must
    be judged at one viewing distance.

    Args:
        pristine, distorted: float32 (H, W, 3), sRGB in [0, 1], at least 8x8, the same shape.

    Raises:
        ValueError: when the shapes differ or are not (H, W, 3).
    """
    if pristine.shape != distorted.shape or pristine.ndim != 3 or pristine.shape[2] != 3 or min(pristine.shape[:2]) < 8:
        raise ValueError(f"got shapes {pristine.shape} and {distorted.shape}, want the same (H, W, 3), at least 8x8")
    shapes = (haarpsi(distorted, pristine) + 1 - 2 * mdsi(distorted, pristine, step=2)) / 2
    return float(np.cbrt(np.clip(shapes, 0, 1) * np.clip(dss(distorted, pristine), 0, 1) ** 2))
