"""The interval of a panel: how wide, by what its members say of a picture; made to hold nine in ten opinions.

On one half of the rated pictures the logarithm of the error to expect is fitted, linear in the traits of
``scoring.width``, as the scale s of a Laplace distribution: the mean of abs(error) / s + ln(s) is smallest, which is
convex in ln(s). On the other half the errors, divided by it, make the half widths by split conformal prediction, as
for one model (``calibrate.conformal_interval``).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iqassay.scoring.model_file import TRAITS, Width
from iqassay.scoring.panel import narrowed
from iqassay.scoring.width import expected_error
from iqassay.training.calibrate import conformal_interval

Floats = NDArray[np.float64]
WIDEST = 50.0  # points: an interval over half of the scale says nothing
GROUPS = 3  # by score: half widths on either side, which the width alone knows nothing of
RIDGE = 0.02  # on the weights of traits in their deviations
COVERAGE = 0.9


def fit_width(error: Floats, traits: dict[str, Floats]) -> Width:
    """The width that goes best with these errors (N,), by these traits (N,) each. A trait that is the same everywhere
    has no weight.
    """
    from scipy.optimize import minimize

    names = [name for name in TRAITS if name in traits and np.std(traits[name]) > 1e-6]
    x = np.stack([traits[name] for name in names], axis=1) if names else np.zeros((len(error), 0))
    centre, scale = x.mean(0), x.std(0)
    z, size = (x - centre) / scale, np.maximum(np.abs(error), 0.1)

    def loss(free: Floats) -> tuple[float, Floats]:
        log = free[0] + z @ free[1:]
        ratio = size * np.exp(-np.clip(log, -10, 10))
        value = (ratio + log).mean() + RIDGE * (free[1:] ** 2).sum()
        slope = 1 - ratio
        return float(value), np.append(slope.mean(), z.T @ slope / len(size) + 2 * RIDGE * free[1:])

    start = np.append(np.log(size.mean()), np.zeros(len(names)))
    free = minimize(loss, start, jac=True, method="L-BFGS-B").x
    weights = free[1:] / scale
    low, high = np.exp(np.quantile(free[0] + z @ free[1:], [0.01, 0.99]))
    return Width(
        bias=round(float(free[0] - weights @ centre), 4),
        weights={name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)},
        least=round(float(low), 3),
        most=round(float(high), 3),
    )


def fit_interval(
    score: Floats, truth: Floats, traits: dict[str, Floats], fitted: slice, conformed: slice
) -> dict[str, Any]:
    """The card's ``interval``: the width fitted on one part of the pictures, the half widths made on the other."""
    width = fit_width((truth - score)[fitted], {name: values[fitted] for name, values in traits.items()})
    doubt = expected(width, traits)
    halves = conformal_interval(score[conformed], truth[conformed], COVERAGE, GROUPS, doubt[conformed])
    return {**halves, "width": dataclasses.asdict(width), "widest": WIDEST}


def expected(width: Width, traits: dict[str, Floats]) -> Floats:
    """The error to expect of each picture, (N,)."""
    rows = (dict(zip(traits, row, strict=True)) for row in zip(*traits.values(), strict=True))
    return np.array([expected_error(width, row) for row in rows])


def ends(interval: dict[str, Any], score: Floats, traits: dict[str, Floats]) -> tuple[Floats, Floats]:
    """The ends of each picture's interval by a card's ``interval``, (N,) each; none counts as unlike."""
    doubt = expected(Width(**interval["width"]), traits)
    below, above = (np.interp(score, interval["score"], interval[side]) * doubt for side in ("below", "above"))
    low, high = np.maximum(0, score - below), np.minimum(100, score + above)
    both = [narrowed(*three, interval["widest"]) for three in zip(score, low, high, strict=True)]
    return np.array([one for one, _ in both]), np.array([other for _, other in both])


def on_scale_of(opinion: Floats, score: Floats) -> Floats:
    """Opinions of another scale, moved and stretched so that their mean and deviation are those that scores leave room
    for: by the line that scores follow.
    """
    slope, offset = np.polyfit(score, opinion, 1)
    return (opinion - offset) / slope if abs(slope) > 1e-9 else np.full_like(opinion, score.mean())


def coverage_text(what: str, low: Floats, high: Floats, truth: Floats, subset: NDArray[Any] | None = None) -> str:
    """How many opinions intervals hold, all and of each subset, and how wide they are."""
    inside = (truth >= low) & (truth <= high)
    wide = high - low
    text = f"{what}: the interval holds {inside.mean():.1%}; mean width {wide.mean():.1f}, widest {wide.max():.1f}"
    for name in sorted(set(subset.tolist())) if subset is not None else ():
        at = subset == name
        text += f"; {name} {inside[at].mean():.1%} of {at.sum()} at {wide[at].mean():.1f}"
    return text
