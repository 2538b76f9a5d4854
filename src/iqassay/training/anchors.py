"""One table from raw to score, drawn through anchors: pictures of which it is known where on the scale they belong.

Opinions alone do not make a scale: every set of ratings has its own idea of 100, and a table fitted to them by least
squares says 80 of the best there is and 30 of an empty frame. So the table is the solution of one least-squares problem
with several kinds of anchors, each of which a non-decreasing table can be held to whatever its other points are:

* median: half of these pictures score above the wanted number, half below (clean professional photos: 90), and the best
  twentieth from `BEST` on, so that the top of the scale is used;
* mean: each of these groups has the mean that its people gave it (KADID-10k's types at their levels);
* at most: none of these pictures scores more (empty frames: 10);
* apart: the middle half of these pictures spreads over so many points at least (ordinary photos: 20);
* opinions: rated photos, in between.

Anchors can contradict each other, since a table does not change ranks: where frames rank above ruined photos, no table
puts only the frames down. Then the table is a compromise by the weights, and ``placed`` says which anchor it misses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
KNOTS = 21
SLOPE = 0.5  # points a raw point: what the table rises everywhere at least, or good photos would differ by nothing
SMOOTH = 5.0  # of the bends of the table, beside an anchor of weight 1
BEST = 97.0
WORTH_A_WORD, TOO_LOW = 0.01, 5.0  # share of the rated photos, and points below what people gave them
MOVED = 8.0  # points by which a fifth of the rated photos may be away from their opinions without a word
# Two scales of opinions agree up to here, "fair" on the five words of both; above, professional photos set the scale.
FAIR = 50.0
STEEPEST = 2.0  # points of ours for a point of opinion: more than that is no other use of words, but other ranks


@dataclasses.dataclass(frozen=True)
class Anchor:
    """Pictures and what is known of their scores.

    raw: (N,). wanted: points, one for all pictures, or for "mean" one for each group, and for "opinions" one for each
    picture. group: (N,) numbers from 0, for "mean". weight: of the mean square of its misses, beside the others'.
    """

    name: str
    kind: Literal["median", "mean", "at most", "apart", "opinions"]
    raw: Floats
    wanted: Floats
    weight: float
    group: NDArray[np.intp] | None = None


@dataclasses.dataclass(frozen=True)
class Placed:
    """How a table meets an anchor: the points that it gives where ``wanted`` ones were asked for, in one number each;
    and whether that is near enough.
    """

    anchor: Anchor
    wanted: float
    got: float
    met: bool

    def record(self) -> dict[str, Any]:
        """For the card: numbers, and what they are. raw: the median; point: whether wanted and got are scores there."""
        return {
            "name": self.anchor.name,
            "kind": self.anchor.kind,
            "pictures": len(self.anchor.raw),
            "weight": round(self.anchor.weight, 3),
            "raw": round(float(np.median(self.anchor.raw)), 2),
            "point": self.anchor.kind in ("median", "at most"),
            "wanted": round(self.wanted, 2),
            "got": round(self.got, 2),
        }

    def __str__(self) -> str:
        words = {
            "median": "their median",
            "mean": "their means are off by",
            "at most": "nine in ten have at most",
            "apart": "the middle half lies over",
            "opinions": "their opinions are off by",
        }[self.anchor.kind]
        return (
            f"{self.anchor.name} ({len(self.anchor.raw)} pictures, weight {self.anchor.weight:g}): {words} "
            f"{self.got:.1f} points, wanted {self.wanted:.1f}{'' if self.met else ': MISSED'}"
        )


def fit_table(anchors: Sequence[Anchor]) -> dict[str, list[float]]:
    """The increasing piecewise linear table, from raw 0..100 to score 0..100, that meets the anchors best, as the
    card's ``calibration``.

    The heights of its steps, above the least slope, are what is looked for, none below 0; so are what lies between the
    last one and 100, and by how much an "at most" or "apart" is met more than asked. All that is wanted is linear in
    these, and non-negative least squares finds the one best solution.
    """
    from scipy.optimize import nnls

    knots = _knots(np.concatenate([anchor.raw for anchor in anchors]))
    widths = np.diff(knots)
    rows: list[Floats] = []
    wanted: list[Floats] = []
    slack: list[int] = []  # which rows have a number of their own that makes up for less, 1, or for more, -1

    def row(coefficients: Floats, want: Floats, weight: float, more: int = 0) -> None:
        """Lines (n, unknowns) whose values should be ``want``, together of this weight."""
        share = np.sqrt(weight / len(want))
        rows.append(share * coefficients)
        wanted.append(share * (want - coefficients[:, 1:] @ (SLOPE * widths)))
        slack.extend([more] * len(want))

    for anchor in anchors:
        at = _shares(anchor.raw, knots)  # a score is at @ (start, steps)
        if anchor.kind == "opinions":
            row(at, anchor.wanted, anchor.weight)
        elif anchor.kind == "median":
            row(_shares(np.median(anchor.raw, keepdims=True), knots), anchor.wanted, anchor.weight)
            row(_shares(np.quantile(anchor.raw, [0.95]), knots), np.array([BEST]), anchor.weight / 4)
        elif anchor.kind == "mean":
            assert anchor.group is not None
            row(group_means(at, anchor.group), anchor.wanted, anchor.weight)
        elif anchor.kind == "at most":
            tenths = _shares(np.quantile(anchor.raw, np.linspace(0.05, 0.95, 10)), knots)
            row(tenths, np.full(10, anchor.wanted[0]), anchor.weight, more=1)
        else:
            low, high = _shares(np.quantile(anchor.raw, [0.25, 0.75]), knots)
            row((high - low)[None], anchor.wanted, anchor.weight, more=-1)
    bends = np.zeros((len(widths) - 1, 1 + len(widths)))  # differences of the slopes, in points over the whole range
    for i in range(len(bends)):
        bends[i, 1 + i], bends[i, 2 + i] = -1 / widths[i], 1 / widths[i + 1]
    bends *= (widths[1:] + widths[:-1])[:, None] / 2  # a bend between near knots is a small one
    row(bends, np.zeros(len(bends)), SMOOTH)
    row(np.ones((1, 1 + len(widths))), np.array([100.0]), 1e6, more=1)  # the last one and what is left are 100

    free = np.flatnonzero(slack)
    extra = np.zeros((len(slack), len(free)))
    scale = np.concatenate([np.full(len(r), np.abs(r).max()) for r in rows])  # so that no column is tiny
    extra[free, np.arange(len(free))] = np.array(slack)[free] * scale[free]
    q, r = np.linalg.qr(np.hstack([np.concatenate(rows), extra]))  # as many lines as unknowns, the same problem
    solved, _ = nnls(r, q.T @ np.concatenate(wanted), maxiter=10_000)
    scores = solved[0] + np.append(0, np.cumsum(solved[1 : 1 + len(widths)] + SLOPE * widths))
    scores = np.round(np.clip(scores, 0, 100), 3)
    return {"raw": [round(float(v), 5) for v in knots], "score": [float(v) for v in scores]}


def placed(anchors: Sequence[Anchor], table: dict[str, list[float]]) -> list[Placed]:
    """How a table meets each anchor. Of "at most" nine in ten pictures count, of "mean" and "opinions" the root of the
    mean square of the misses; near enough is 3 points, 1 of a limit, and 10 for the groups of "mean".
    """
    found = []
    for anchor in anchors:
        score = np.interp(anchor.raw, table["raw"], table["score"])
        want = float(anchor.wanted[0])
        if anchor.kind == "median":
            got = float(np.median(score))
            met = abs(got - want) <= 3
        elif anchor.kind == "at most":
            got = float(np.quantile(score, 0.9))
            met = got <= want + 1
        elif anchor.kind == "apart":
            got = float(np.subtract(*np.quantile(score, [0.75, 0.25])))
            met = got >= want - 1
        else:
            means = score if anchor.group is None else group_means(score, anchor.group)
            off = means - anchor.wanted
            want, got = 0.0, float(np.sqrt((off**2).mean()))
            met = anchor.kind == "opinions" or got <= 10
        found.append(Placed(anchor, want, got, met))
    return found


def missed(found: Sequence[Placed], table: dict[str, list[float]]) -> list[str]:
    """A sentence for each anchor that the table misses, what was wanted, what came out, and what the ranks have to do
    with it; and for each that it meets, or half meets, at the cost of rated photos that rank with it.
    """
    photos = next((one.anchor for one in found if one.anchor.kind == "apart"), None)
    rated = next((one.anchor for one in found if one.anchor.kind == "opinions"), None)
    others = photos or rated
    said = []
    for one in found:
        anchor, middle = one.anchor, float(np.median(one.anchor.raw))
        want = {"median": "a median of", "at most": "at most", "apart": "a middle half over"}.get(anchor.kind, "off by")
        text = f"the scale misses its anchor '{anchor.name}': got {one.got:.0f}, want {want} {one.wanted:.0f} points"
        if anchor.kind == "at most" and rated is not None:
            low = rated.raw <= middle
            if not one.met:
                text += f"; half of these rank above {low.mean():.0%} of the rated photos"
                text += ", which no increasing table can part" if low.any() else ""
                said.append(text)
            score = float(np.interp(rated.raw[low], table["raw"], table["score"]).mean()) if low.any() else 0.0
            opinion = float(rated.wanted[low].mean()) if low.any() else 0.0
            if low.mean() >= WORTH_A_WORD and opinion - score > TOO_LOW:
                said.append(
                    f"for the anchor '{anchor.name}' the scale gives {low.mean():.0%} of the rated photos, which rank "
                    f"below it, {score:.0f} points on average where people gave {opinion:.0f}"
                )
        elif not one.met:
            if anchor.kind == "median" and others is not None:
                share = float((others.raw >= middle).mean())
                text += (
                    f"; {share:.0%} of the {others.name} rank above half of these, which no increasing table can part"
                )
            said.append(text)
    if rated is not None and len(rated.raw) >= 5:  # which fifth of them, by rank, pays most for the other anchors
        scores = np.interp(rated.raw, table["raw"], table["score"])
        fifths = np.array_split(np.argsort(rated.raw, kind="stable"), 5)
        worst = max(fifths, key=lambda at: abs(float((scores - rated.wanted)[at].mean())))
        given, wanted = float(scores[worst].mean()), float(rated.wanted[worst].mean())
        if abs(given - wanted) > MOVED:
            said.append(
                f"for its anchors the scale gives a fifth of the rated photos {given:.0f} points on average where "
                f"people gave {wanted:.0f}"
            )
    return said


def on_our_scale(opinion: Floats, professional: float | None) -> Floats:
    """Opinions of a rated set, 0..100, as points of our scale: piecewise linear through ``opinion_table``."""
    table = opinion_table(professional)
    return np.interp(opinion, table["opinion"], table["score"])


def opinion_table(professional: float | None) -> dict[str, list[float]]:
    """What opinions of 0..100 are on our scale, given the opinion that is expected of the median professional photo.

    Nobody rated the professional photos beside the others, so the models stand between: the opinion that a picture of
    their rank has on average is called 90. People hardly use the upper end of five words: half of BIQ2021's photos lie
    between 70 and 81 of 100. Up to 50, "fair", both scales are one, as KADID-10k's and BIQ2021's are. Without
    professional photos, or where they rank so low that opinions would be stretched more than twofold, opinions are
    left as they are.
    """
    if professional is None or not FAIR + (90 - FAIR) / STEEPEST <= professional <= 90:
        return {"opinion": [0, 100], "score": [0, 100]}
    return {"opinion": [0, FAIR, round(professional, 2), 100], "score": [0, FAIR, 90, 100]}


def group_means(values: Floats, group: NDArray[np.intp]) -> Floats:
    """The means over the pictures of each group, whose numbers start from 0: (N, ...) -> (groups, ...)."""
    return np.stack([values[group == number].mean(0) for number in range(int(group.max()) + 1)])


def _knots(raw: Floats) -> Floats:
    """From 0 to 100, as close as pictures are, and nowhere closer than a point."""
    inner = np.quantile(raw, np.linspace(0, 1, KNOTS - 2))
    kept = [0.0]
    for value in inner:
        if value >= kept[-1] + 1 and value <= 99:
            kept.append(float(np.round(value, 5)))
    return np.array([*kept, 100.0])


def _shares(raw: Floats, knots: Floats) -> Floats:
    """(N, 1 + steps): how much of the start and of each step between knots lies at or below a raw value."""
    inside = np.clip((np.asarray(raw)[:, None] - knots[:-1]) / np.diff(knots), 0, 1)
    return np.hstack([np.ones((len(inside), 1)), inside])
