"""Panel: several models look at one picture, and what they say becomes one Verdict.

Their scores are on one scale already, so the panel's is their weighted mean, put through a table of its own; how far
they lie apart, and what they say of the picture, sets the width of the interval (`width.py`). A member that can tell a
generated picture lets other weights count for one. The members are model files beside the panel's card, or shipped
ones; the card names each with its sha256, because table and interval hold for these very files.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from iqassay.pictures.image import MAX_PIXELS, Picture
from iqassay.scoring.device import find_device
from iqassay.scoring.lock import MadeOnce
from iqassay.scoring.looks import GENERATED, drawn, kind_of
from iqassay.scoring.model_file import (
    Card,
    ModelFileError,
    NetworkCard,
    PanelCard,
    Weights,
    address,
    default_model,
    default_threads,
    find_member,
    find_model,
    load_model_file,
    read_card,
)
from iqassay.scoring.scorer import (
    UNLIKE,
    Scorer,
    calibrated,
    check_numbers,
    distortions,
    doubts,
    placed,
    raw_value,
    unlike,
)
from iqassay.scoring.tiles import Answers, look_together
from iqassay.scoring.verdict import Verdict
from iqassay.scoring.width import expected_error, traits
from iqassay.support.parallel import in_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqassay.scoring.scorer import Source


class Panel(Scorer):
    """Several models that score together, used as one Scorer. Each is opened when a picture first needs it.

    Args:
        model: the name of a shipped panel or the path of a panel's card. The rest is as for Scorer.

    Raises:
        ModelFileError: when the card or a member cannot be used; a member's damaged file shows when it is opened.
    """

    card: PanelCard  # type: ignore[assignment]  # what tells networks apart, its members have each for themselves

    def __init__(
        self,
        model: str | os.PathLike[str],
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
        device: str = "cpu",
    ) -> None:
        check_numbers(threads=threads, max_pixels=max_pixels)
        self.device = find_device(device)
        path = find_model(model)
        card = read_card(path)
        if not isinstance(card, PanelCard):
            raise ModelFileError(f"{os.fspath(model)!r} is one model, want a panel of several")
        self.card = card
        self._source = address(path)
        self.max_pixels = max_pixels
        self._threads = threads
        self._files = member_files(path, card.members, card.distortions)
        self._grader = next((name for name, (_, found) in self._files.items() if found.reference is not None), None)
        shares = card.weights.ordinary, card.weights.generated
        self._alone = [name for name in card.members if any(share[name] for share in shares)]
        self._opened: MadeOnce[str, Scorer] = MadeOnce()

    def __repr__(self) -> str:
        return f"Panel({self.card.name!r}, version {self.card.version}, of {', '.join(self.card.members)})"

    @property
    def takes_reference(self) -> bool:
        """Whether a member can score a picture against its reference."""
        return self._grader is not None

    def asked(self, reference: bool) -> tuple[str, ...]:
        """The names of the models whose raw values a verdict has, beside a reference or without one."""
        return (self._for_pairs().card.name,) if reference else tuple(self._alone)

    @property
    def restores(self) -> bool:
        """No: a member that does is asked by its own name."""
        return False

    def score(self, picture: Source, reference: Source | None = None, align: str = "fail") -> Verdict:
        """Score one picture; sources and errors as for `Scorer.score`.

        Args:
            reference: beside one, the member that takes references speaks for the panel and names itself in the
                Verdict.
        """
        if reference is not None:
            return self._for_pairs().score(picture, reference, align)
        picture = self.read(picture)
        said = self._ask(picture)
        raws = {card.name: raw_value(answers, card) for card, answers in said}
        merged = merge(said, self.card.weights)
        raw = float(merged.score)
        score, low, high = placed(raw, self.card, expected_of(said, merged, self.card))
        apart = float(np.std([float(calibrated(answers.score, card)) for card, answers in said]))
        differ = self.card.unlike_spread is not None and apart > self.card.unlike_spread
        tell = any(answers.generated is not None for _, answers in said)
        generated = _generated(said) > 0.5 if tell else differ
        looks = drawn(picture.pixels), GENERATED if generated else ""
        warnings = [*picture.warnings, *(doubt for card, one in said for doubt in doubts(picture, one, card, *looks))]
        if differ:
            warnings.append(unlike(kind_of(picture.pixels, looks[1])))
        if not any(warning.startswith(UNLIKE) for warning in warnings):
            low, high = narrowed(score, low, high, self.card.interval.widest)
        return Verdict(
            score=score,
            low=low,
            high=high,
            distortions=distortions(merged, self.card),
            map=np.clip(merged.map + (score - raw), 0, 100).astype(np.float32),
            raw=raw,
            raws=raws,
            model=self.card.name,
            version=self.card.version,
            warnings=tuple(dict.fromkeys(warnings)),
        )

    def look(self, picture: Source, reference: Source | None = None) -> Answers:
        """What the members say of a whole picture, on average, before the panel's own table.

        Score and map are from 0 to 100; `unlike` is above 0 when a member finds the picture unlike its training data.

        Raises as `score` does.

        Args:
            reference: of the picture's size; the answer is that of the member that takes one.
        """
        if reference is not None:
            return self._for_pairs().look(picture, reference)
        return merge(self._ask(self.read(picture)), self.card.weights)

    def member(self, name: str) -> Scorer:
        """One of the members, by its name, to be asked alone; opened when it is first needed, and the panel's own."""
        return self._opened.of(name, lambda: self._open(name))

    def _ask(self, picture: Picture) -> list[tuple[NetworkCard, Answers]]:
        """What each member with a share in the score says, and its card."""
        missing = [name for name in self._alone if name not in self._opened]
        if (
            len(missing) > 1 and (self._threads or default_threads()) > 1
        ):  # side by side, since a file opens in one thread
            list(in_order(self.member, missing, len(missing)))
        members = [self.member(name) for name in self._alone]
        said: dict[str, Answers] = {}
        cuts = [replace(member.card.views, global_weight=0) for member in members]
        for views in dict.fromkeys(cuts):  # that our own members share
            alike = [member for member, cut in zip(members, cuts, strict=True) if cut == views]
            networks = [member.network_for(picture.pixels) for member in alike]
            weights = [member.card.views.global_weight for member in alike]
            callers = alike[0]._session.callers
            answers = look_together(picture.pixels, views, networks, callers=callers, global_weights=weights)
            said |= zip((member.card.name for member in alike), answers, strict=True)
        return [(member.card, said[member.card.name]) for member in members]

    def _cards(self) -> list[Card]:
        return [self.card, *(card for _, card in self._files.values())]

    def _for_pairs(self) -> Scorer:
        if self._grader is None:
            good = default_model(reference=True)
            raise ValueError(f"the model {self.card.name!r} takes no reference, want one that does, such as {good!r}")
        return self.member(self._grader)

    def _open(self, name: str) -> Scorer:
        path, card = self._files[name]
        file = load_model_file(path, check=False)
        if file.card != card:
            raise ModelFileError(f"the model file {str(path)!r} was replaced while its panel was in use")
        return Scorer(file, self._threads, self.max_pixels, self.device)


def member_files(
    panel: Path, members: dict[str, str], distortions: tuple[str, ...]
) -> dict[str, tuple[Path, NetworkCard]]:
    """The model file of each member, by its name, with its card; nothing is opened.

    panel: the panel's card, which may be still to be written. members: name -> sha256.

    Raises ModelFileError for a member that is missing or that does not fit.
    """
    found = {}
    for name, digest in members.items():
        path = find_member(panel, name)
        card = read_card(path)
        where = f"the panel {str(panel)!r} cannot use its member {str(path)!r}: "
        if not isinstance(card, NetworkCard):
            raise ModelFileError(f"{where}got the card of a panel, want that of a model file")
        if card.sha256 != digest:
            raise ModelFileError(f"{where}got sha256 {card.sha256[:12]}..., want {digest[:12]}...")
        if card.name != name:
            raise ModelFileError(f"{where}got the name {card.name!r} on its card, want {name!r}")
        if card.distortions != distortions:
            raise ModelFileError(f"{where}got other distortions than the panel's")
        found[name] = path, card
    return found


def shares(said: Sequence[tuple[NetworkCard, Answers]], weights: Weights) -> list[float]:
    """What each member counts for a picture, 1 in all: by how probable it is that it was generated."""
    sure = _generated(said)
    return [(1 - sure) * weights.ordinary[card.name] + sure * weights.generated[card.name] for card, _ in said]


def _generated(said: Sequence[tuple[NetworkCard, Answers]]) -> float:
    """How probable it is that the picture was generated, by the member that finds it the most so; else 0."""
    return max((float(answers.generated) for _, answers in said if answers.generated is not None), default=0.0)


def expected_of(said: Sequence[tuple[NetworkCard, Answers]], merged: Answers, card: PanelCard) -> float:
    """How large an error is to be expected of a picture, in the units of the card's interval."""
    scores = [float(calibrated(answers.score, member)) for member, answers in said]
    if card.interval.width is None:
        assert card.interval.spread is not None
        return float(np.std(scores)) + card.interval.spread
    score = float(calibrated(merged.score, card))
    return expected_error(card.interval.width, traits(said, scores, merged, score))


def narrowed(score: float, low: float, high: float, widest: float) -> tuple[float, float]:
    """The interval, or where it is wider than so many points, one of that width around the score, with the same
    shares on both sides.
    """
    share = min(1.0, widest / (high - low)) if high > low else 1.0
    return score - share * (score - low), score + share * (high - score)


def merge(said: Sequence[tuple[NetworkCard, Answers]], weights: Weights) -> Answers:
    """The members together: score and map by their weights, the rest on average. A severity counts as much as its
    member finds the distortion present.

    All maps of a picture have one grid, since that depends on its size alone.
    """
    counted = shares(said, weights)
    presence = np.stack([answers.presence for _, answers in said])  # (members, kinds + 1)
    severity = np.stack([answers.severity for _, answers in said])  # (members, kinds)
    share = presence[:, :-1]
    return Answers(
        score=np.dot(counted, [calibrated(answers.score, card) for card, answers in said]),
        map=np.tensordot(counted, [calibrated(answers.map, card) for card, answers in said], 1),
        presence=presence.mean(0),
        severity=(share * severity).sum(0) / np.maximum(share.sum(0), 1e-12),
        unlike=np.max([answers.unlike - card.unlike_threshold for card, answers in said]),
        generated=np.asarray(_generated(said)),
    )
