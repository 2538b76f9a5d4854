"""The logistic curves that are fitted between a score and the MOS.

For a given middle and width of the curve the rest is a linear regression, so only those two are searched for: over a
coarse grid, then by Nelder-Mead from its best points. No start values are asked for, and either direction is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from iqassay.statistics.draws import Floats


@dataclass(frozen=True)
class Logistic:
    """A fitted curve from predicted scores to MOS; call it with scores of any shape.

    Four parameters: b2 + (b1 - b2) / (1 + exp(-(x - b3) / b4)), b4 > 0: b1 is the level for the highest scores, b2 for
    the lowest, so a score that points the wrong way has b1 < b2.
    Five: b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5.
    """

    parameters: tuple[float, ...]

    def __call__(self, predicted: ArrayLike) -> Floats:
        x = np.asarray(predicted, np.float64)
        if len(self.parameters) == 4:
            top, bottom, middle, width = self.parameters
            return np.asarray(bottom + (top - bottom) * expit((x - middle) / width))
        height, slope, middle, tilt, offset = self.parameters
        return np.asarray(height * (expit(slope * (x - middle)) - 0.5) + tilt * x + offset)


def fit(x: Floats, y: Floats, line: bool) -> Logistic:
    """The curve with the least squared error: of five parameters with a line beside it, of four without.

    x, y: (n,), finite.
    """
    (u, x_mean, x_unit), (v, y_mean, y_unit) = standard(x), standard(y)
    if x_unit == 0 or y_unit == 0:
        return Logistic((0.0, 1.0, x_mean, 0.0, y_mean) if line else (y_mean, y_mean, x_mean, 1.0))
    rest = v - u * (u @ v) / (u @ u) if line else v

    def bend(middle: float, log_width: float) -> Floats:
        """The sigmoid, without what a constant (and a line) can do already."""
        curve = expit((u - middle) / np.exp(log_width))
        curve = curve - curve.mean()
        return curve - u * (u @ curve) / (u @ u) if line else curve

    # Wide curves are straight lines, which four parameters need: else they could be worse than the regression line.
    # With a line beside it, a wide curve is a cubic at best, and what is left of it is rounding.
    widest = np.log(10.0 if line else 1000.0)

    def unexplained(point: Floats) -> float:
        middle, log_width = point
        margin = 3 * np.exp(log_width)  # a middle further out changes little: the curve is an exponential there
        if not (-5 <= log_width <= widest and u.min() - margin <= middle <= u.max() + margin):
            return 0.0
        curve = bend(middle, log_width)
        power = curve @ curve
        return float(-((curve @ rest) ** 2) / power) if power > 1e-16 * len(u) else 0.0

    widths = np.append(np.linspace(-3.0, 2.0, 6), widest)
    grid = [np.array([m, w]) for w in widths for m in np.quantile(u, [0.02, 0.2, 0.4, 0.6, 0.8, 0.98])]
    starts = sorted(grid, key=unexplained)[: 3 if line else 2]
    options = {"xatol": 1e-5, "fatol": 1e-9 * len(u)}
    found = [minimize(unexplained, start, method="Nelder-Mead", options=options).x for start in starts]
    middle, log_width = min([*found, *starts], key=unexplained)

    # The linear rest in standard units, then everything in the units of x and y.
    curve, width = bend(middle, log_width), float(np.exp(log_width))
    height = float(curve @ rest / (curve @ curve)) if curve.any() else 0.0
    left = v - height * expit((u - middle) / width)
    slope = float(u @ left / (u @ u)) if line else 0.0
    top, bottom, tilt = y_unit * height, y_mean + y_unit * float(left.mean()), y_unit * slope / x_unit
    middle, width = float(x_mean + x_unit * middle), x_unit * width
    if line:
        return Logistic((top, 1 / width, middle, tilt, bottom + top / 2 - tilt * x_mean))
    return Logistic((bottom + top, bottom, middle, width))


def standard(values: Floats) -> tuple[Floats, float, float]:
    """(values in standard units, mean, standard deviation), without overflow; deviation 0 for a constant."""
    span = float(np.ptp(values))
    if span == 0:
        return np.zeros_like(values), float(values[0]), 0.0
    centred = values / span - np.mean(values / span)
    deviation = float(np.std(centred))
    return centred / deviation, float(np.mean(values / span) * span), deviation * span
