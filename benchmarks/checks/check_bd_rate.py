"""BD-rate beside independent code, the package bjontegaard (pip install bjontegaard), on random curves:

    python benchmarks/checks/check_bd_rate.py

Prints the largest difference in points of per cent, and fails above 0.01.
"""

from __future__ import annotations

import sys

import bjontegaard
import numpy as np

from iqassay.statistics.bd_rate import bd_rate

CURVES = 500


def main() -> int:
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(CURVES):
        curves = []
        for _ in range(2):
            count = rng.integers(4, 12)
            rates = np.exp(np.sort(rng.uniform(-3, 2, count)))
            curves.append((rates, np.sort(rng.uniform(20, 95, count))))
        (rate_a, quality_a), (rate_b, quality_b) = curves
        wanted = bjontegaard.bd_rate(
            rate_a, quality_a, rate_b, quality_b, method="pchip", require_matching_points=False
        )
        got = bd_rate(list(zip(rate_a, quality_a, strict=True)), list(zip(rate_b, quality_b, strict=True)))
        worst = max(worst, abs(got - wanted) / max(1, abs(wanted)))
    print(f"{CURVES} pairs of curves: largest relative difference {worst:.2g}")
    return int(worst > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
