"""From raw scores to 0-100 with an honest interval, by pictures that were not trained on."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iqassay.statistics.correlation import plcc, srcc

PICTURES, LEAST = (
    100,
    0.3,
)  # without so many pictures, or with less SRCC, a table from 0 to 100 would only look like one
LEAST_RISE = 0.1  # of the slope of the whole map; without it a third of a raw point could be one score


def refuse_few(pictures: int, force: bool) -> None:
    """Raise ValueError if there are too few pictures to calibrate with, before the work: ``doubts`` comes after it."""
    if pictures < PICTURES and not force:
        raise ValueError(f"--calibrate: got {pictures} pictures of split val, want at least {PICTURES}, or --force")


def doubts(raw: ArrayLike, opinion: ArrayLike, what: str, force: bool) -> list[str]:
    """What speaks against a scale and an interval from these pictures, a sentence each, for the limits of the card.

    what: the pictures, for the sentences. Raises ValueError with the first of them, unless ``force``.
    """
    x, y = (np.asarray(v, np.float64) for v in (raw, opinion))
    found = []
    if len(x) < PICTURES:
        found.append(f"calibrated on {len(x)} {what}, want at least {PICTURES}")
    follows = srcc(x, y) if len(x) > 1 else float("nan")
    if not follows >= LEAST:  # nan too, where all scores are one
        found.append(f"SRCC of scores and opinions on the {what} is {follows:.2f}, want at least {LEAST:.2f}")
    if found and not force:
        raise ValueError(f"{'; '.join(found)}; --force writes it all the same, and its card says so")
    for text in found:
        print(f"iqassay export: {text}", file=sys.stderr, flush=True)
    return found


def measured(name: str, raw: ArrayLike, score: ArrayLike, opinion: ArrayLike) -> dict[str, Any]:
    """A row of the card's ``accuracy``: SRCC of raw scores, PLCC of scores; without one that does not exist, as of
    scores that are all the same: JSON has no word for it."""
    truth = np.asarray(opinion, np.float64)
    found = {"srcc": srcc(raw, truth), "plcc": plcc(score, truth)}
    return {"set": name, "images": len(truth), **{key: round(v, 4) for key, v in found.items() if not np.isnan(v)}}


def calibration_table(
    raw: ArrayLike, opinion: ArrayLike, knots: int = 13, top: tuple[float, float] | None = None
) -> dict[str, list[float]]:
    """An increasing piecewise linear map from raw score to opinion (0..100), as the card's ``calibration``.

    The means of ``knots`` equal groups of pictures in raw order, made monotone by pooling neighbours that disagree, and
    rising by at least ``LEAST_RISE`` of the whole map's slope everywhere, so that what the raw scores tell apart keeps
    its order. The two outer groups are continued, at the slope of their neighbours, one raw unit beyond the first and
    last picture; or upwards to ``top``, (raw, score), where the best possible picture is known.
    """
    x, y = (np.asarray(v, np.float64) for v in (raw, opinion))
    if top is not None:  # what is at the top already would only repeat it
        below = x < top[0] - 1e-3
        x, y = x[below], np.minimum(y[below], top[1])
    order = np.argsort(x, kind="stable")
    groups = np.array_split(order, min(knots, max(2, len(x) // 8)))
    xs, ys = (np.array([v[g].mean() for g in groups]) for v in (x, y))
    rise = LEAST_RISE * max(0.0, ys[-1] - ys[0]) / (xs[-1] - xs[0]) * (xs - xs.mean())
    ys = _monotone(ys - rise) + rise
    if top is not None:
        xs, ys = np.append(xs, top[0]), np.append(ys, top[1])
    for end, inner, extreme in ((0, 1, x.min() - 1), (-1, -2, x.max() + 1))[: 1 if top is not None else 2]:
        slope = (ys[end] - ys[inner]) / (xs[end] - xs[inner])
        at = 0 if end == 0 else len(xs)
        xs, ys = np.insert(xs, at, extreme), np.insert(ys, at, ys[end] + slope * (extreme - xs[end]))
    return {"raw": [round(float(v), 5) for v in xs], "score": [round(float(v), 3) for v in np.clip(ys, 0, 100)]}


def _monotone(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares non-decreasing sequence (pool adjacent violators, equal weights)."""
    blocks: list[list[float]] = []  # [sum, count]
    for value in values:
        blocks.append([float(value), 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    return np.concatenate([np.full(int(count), total / count) for total, count in blocks])


def conformal_interval(
    score: ArrayLike, opinion: ArrayLike, coverage: float = 0.9, knots: int = 5, doubt: ArrayLike = 1.0
) -> dict[str, list[float]]:
    """Half widths below and above the score that cover ``coverage`` of new pictures, as the card's ``interval``.

    Split conformal prediction (Vovk et al. 2005; Lei et al. 2018) in ``knots`` groups by score, each side on its own at
    half the miscoverage a: the ceil((n + 1)(1 - a / 2))-th smallest signed error of n pictures that neither training
    nor the calibration table saw. Valid for pictures like those; no promise for others.

    ``doubt``, above 0, is how large an error is expected of each picture. Errors are divided by it (normalised
    nonconformity, Papadopoulos et al. 2002), so that the half widths are to be multiplied by a new picture's.
    """
    x, y = (np.asarray(v, np.float64) for v in (score, opinion))
    error = (y - x) / np.asarray(doubt, np.float64)
    groups = np.array_split(np.argsort(x, kind="stable"), max(1, min(knots, len(x) // 40)))
    above = [_quantile(error[g], coverage) for g in groups]
    below = [_quantile(-error[g], coverage) for g in groups]
    centres = [round(float(x[g].mean()), 2) for g in groups]
    return {"score": centres, "below": below, "above": above}


def _quantile(errors: NDArray[np.float64], coverage: float) -> float:
    rank = int(np.ceil((len(errors) + 1) * (1 + coverage) / 2))
    return round(max(0.0, float(np.sort(errors)[min(rank, len(errors)) - 1])), 2)
