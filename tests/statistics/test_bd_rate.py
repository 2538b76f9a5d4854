"""BD-rate: what is known in closed form comes out, and what cannot be said is NaN."""

from __future__ import annotations

import math

import pytest

from iqassay.statistics.bd_rate import bd_rate

pytest.importorskip("scipy")
ANCHOR = [(0.1, 30.0), (0.2, 45.0), (0.5, 62.0), (1.0, 75.0), (2.0, 88.0)]


@pytest.mark.parametrize("share", [0.8, 1.0, 1.5])
def test_a_codec_that_always_needs_so_much_has_that_rate(share: float) -> None:
    other = [(share * rate, quality) for rate, quality in ANCHOR]
    assert bd_rate(ANCHOR, other) == pytest.approx(100 * (share - 1))
    assert bd_rate(other, ANCHOR) == pytest.approx(100 * (1 / share - 1))


def test_straight_lines_have_the_mean_of_their_distance() -> None:
    """Over quality 0 to 3 the logarithm of the rate grows by 1 or by 2 a point, from the same start: the mean of the
    difference is 1.5.
    """
    slow, fast = ([(math.exp(slope * quality), float(quality)) for quality in range(4)] for slope in (1, 2))
    assert bd_rate(slow, fast) == pytest.approx(100 * math.expm1(1.5))


def test_order_does_not_matter_and_a_larger_file_that_is_no_better_is_left_out() -> None:
    other = [(0.8 * rate, quality) for rate, quality in reversed(ANCHOR)]
    assert bd_rate(ANCHOR, [*other, (1.9, 70.0)]) == pytest.approx(-20)


def test_what_has_nothing_in_common_has_no_rate() -> None:
    assert math.isnan(bd_rate(ANCHOR, [(rate, quality + 80) for rate, quality in ANCHOR]))
    assert math.isnan(bd_rate(ANCHOR, ANCHOR[:3]))
    with pytest.raises(ValueError, match="want all above 0"):
        bd_rate(ANCHOR, [(0.0, 1.0), *ANCHOR])
