"""Texts of people's own: what is said of a probability."""

import pytest

from iqassay.support.text import odds


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.5, "0.50"),
        (0.991, "0.99"),
        (0.996, "over 0.99"),
        (1.0, "over 0.99"),
        (0.004, "under 0.01"),
        (0.0, "under 0.01"),
    ],
)
def test_no_probability_is_shown_as_certain(probability, said):
    assert odds(probability) == said
