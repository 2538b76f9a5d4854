"""How large an error to expect of one picture, from what a panel's members say of it.

People agree about a ruined picture and about a clean one, and networks that learned from them err least there; they err
most where the members differ, where damage is seen that may or may not matter, where a picture is good in one place and
bad in another. These are a few numbers that a panel has anyway, and the card has a weight for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from iqassay.scoring.model_file import NetworkCard, Width
from iqassay.scoring.tiles import Answers

AS_UNLIKE = 2.0  # thresholds: beyond that, how far away a picture is tells nothing more


def traits(
    said: Sequence[tuple[NetworkCard, Answers]], scores: Sequence[float], merged: Answers, score: float
) -> dict[str, float]:
    """The numbers that a width may depend on, by the names that cards use.

    said: what each member says of a picture, and its card. scores: the members' scores, 0 to 100. merged: their mean,
    as ``Panel.look`` gives it. score: the panel's, 0 to 100.

    Returns:
        spread: ln(2 + the deviation of the members' scores); score, 0 to 1, and its square, curve; none: the
        probability that nothing is wrong; severity: the levels of all damage together, each as much as it is present,
        over 5; map: ln(1 + the deviation of the map); unlike: how far from the training data the farthest member finds
        it, in its thresholds, 0 to 2.
    """
    away = max(answers.unlike / max(card.unlike_threshold, 1e-9) for card, answers in said)
    return {
        "spread": math.log(2 + float(np.std(scores))),
        "score": score / 100,
        "curve": (score / 100) ** 2,
        "none": float(merged.presence[-1]),
        "severity": float(merged.presence[:-1] @ merged.severity) / 5,
        "map": math.log1p(float(np.std(merged.map))),
        "unlike": float(np.clip(away, 0, AS_UNLIKE)) if np.isfinite(away) else AS_UNLIKE,
    }


def expected_error(width: Width, found: dict[str, float]) -> float:
    """The error that is expected of a picture of these traits, in points: within what calibration has seen."""
    log = width.bias + sum(weight * found[name] for name, weight in width.weights.items())
    return math.exp(min(max(log, math.log(width.least)), math.log(width.most)))
