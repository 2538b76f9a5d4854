"""The models of a service: each is opened once, when it is first asked for, and shared by all threads."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from iqassay.measures.measure import MEASURES
from iqassay.models.listing import model_record
from iqassay.models.opening import open_scorer
from iqassay.scoring.explanation import RESTORER
from iqassay.scoring.model_file import default_model, find_model, read_card, shipped_models
from iqassay.scoring.panel import Panel
from iqassay.scoring.scorer import Scorer
from iqassay.service.refusal import Refusal
from iqassay.support.text import did_you_mean


class Shelf:
    """The models that requests may ask for, by name; never by path.

    chosen: what is served, the default first, as names or paths; empty is every shipped model, with the default of the
    command line first, and every measure that can be computed here. threads, max_pixels, device: as for `Scorer`.

    Raises as `open_scorer` does, for the default at once and for the others when they are asked for.
    """

    def __init__(
        self, chosen: Sequence[str] = (), threads: int | None = None, max_pixels: int = 1, device: str = "cpu"
    ):
        self._how = threads, max_pixels, device
        self._opening = threading.RLock()
        self._open: dict[str, Scorer] = {}
        measures = list(MEASURES) if importlib.util.find_spec("scipy") else []
        self.records: list[dict[str, Any]] = []  # of the models, as `iqassay models` writes them
        self._sources: dict[str, str] = {}  # the name that requests use -> what is opened
        if chosen:
            for one in chosen:
                if one in MEASURES:
                    self._sources[one] = one
                    continue
                path = find_model(one, MEASURES)
                card = read_card(path)
                self._sources[card.name] = one
                self.records.append(model_record(path, card))
        else:
            first = default_model(reference=False)
            shipped = sorted(shipped_models(), key=lambda found: found[1].name != first)
            self._sources = {card.name: card.name for _, card in shipped}
            self.records = [model_record(path, card) for path, card in shipped]
            self._sources |= {name: name for name in measures}
        self.measures = [name for name in self._sources if name in MEASURES]
        self.default = next(iter(self._sources))
        self._default = self.scorer(None)
        self._shipped = {card.name for _, card in shipped_models()}

    @property
    def names(self) -> list[str]:
        """What requests may ask for, the default first."""
        return list(self._sources)

    def scorer(self, name: str | None) -> Scorer:
        """The model of this name, or the default. Raises Refusal for a name that is not served."""
        name = self.default if name is None else name
        if name not in self._sources:
            hint = did_you_mean(name.lower(), self._sources)
            raise Refusal(422, f"model: got {name[:100]!r}{hint} want one of: {', '.join(self._sources)}")
        with self._opening:
            if name not in self._open:
                self._open[name] = self._member(name) or self._opened(self._sources[name])
            return self._open[name]

    def judge(self, name: str | None, reference: bool) -> Scorer:
        """The same, if it can score as asked: with a reference or without. Raises Refusal."""
        scorer = self.scorer(name)
        if reference and not scorer.takes_reference:
            raise Refusal(422, f"the model {scorer.card.name!r} takes no reference, want one that does")
        if not reference and scorer.needs_reference:
            raise Refusal(
                422, f"the model {scorer.card.name!r} scores against references alone, want one, or another model"
            )
        return scorer

    @property
    def restores(self) -> bool:
        """Whether there is a model that restores, for explanations."""
        return self._default.restores or RESTORER in self._shipped

    def restorer(self) -> Scorer:
        """The model that restores: the default if it does, else the shipped one. Raises Refusal where there is none."""
        if self._default.restores:
            return self._default
        if not self.restores:
            raise Refusal(422, "this service has no model that restores, want /v1/score")
        with self._opening:
            if RESTORER not in self._open:
                self._open[RESTORER] = self._member(RESTORER) or self._opened(RESTORER)
            return self._open[RESTORER]

    def warm_up(self) -> None:
        """Open all that the default needs, and score one picture with it, so that the first request does not wait."""
        picture = np.full((64, 64, 3), 128, np.uint8)
        self._default.score(picture, picture if self._default.needs_reference else None)
        if self.restores:
            self.restorer()

    def _member(self, name: str) -> Scorer | None:
        """What the default has open already, where it is a panel of shipped models."""
        panel = self._open.get(self.default)
        shipped = isinstance(panel, Panel) and self._sources[self.default] == panel.card.name
        return panel.member(name) if isinstance(panel, Panel) and shipped and name in panel.card.members else None

    def _opened(self, source: str) -> Scorer:
        threads, max_pixels, device = self._how
        return open_scorer(source, threads, max_pixels, "cpu" if source in MEASURES else device)
