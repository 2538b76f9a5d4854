"""The YOTO that ships: the published network, and around it what is ours and not the paper's.

- Without a reference, a regression on whole-picture statistics is added to the paper's score (``whole_picture``).
- With one, the score is TOP less a distance between the two pictures, which the paper's head weighs cell by cell
  (``distance``), so that a picture scores TOP as a copy of itself and less as a copy of any other.
- Distortions are read from the encoder's statistics. That is no part of YOTO and teaches the network nothing. Where it
  looks at neighbours, those of a picture with a reference are read from how the two differ (``change``): they name it.

Without either term the answers are the published network's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import DistortionHead, Prediction, Regressor, pool_statistics
from iqassay.systems.calibrated import Calibrated
from iqassay.systems.change import CHANGE, change
from iqassay.systems.distance import PLAIN, Distance, plain_maps
from iqassay.systems.encoders import Encoder, encoder
from iqassay.systems.locator import Locator, cells_of
from iqassay.systems.near_distance import NearDistance, in_the_light_of
from iqassay.systems.yoto import YOTO, Cells, YOTOConfig, check_pair, halves

TOP = 2.0  # raw score of a picture that is its own reference: 100 on the common scale of (opinion - 60) / 20


@dataclass
class ExtendedYOTOConfig:
    """What to build: the network, and the two terms of our own. The defaults are what ships.

    Attributes:
        detail: beside a vision transformer whose attention looks at neighbours, an encoder of what its patches are too
            coarse for: without a reference the whole picture is described by it, at full and at half size, and the
            distortions are read from it; "": by the transformer's tokens.
        located: without a reference the map is a locator's, which sees the encoder of detail; without, it is the head's
            quality of cells.
        sway: how far a cell's quality may scale its distance, by exp(-sway) to exp(sway); 0 leaves it to the cell's
            weight.
    """

    network: YOTOConfig = field(default_factory=YOTOConfig)
    whole_picture: bool = True
    distance: bool = True
    detail: str = ""
    located: bool = False
    sway: float = 1.4


class ExtendedYOTO(Calibrated, nn.Module):
    """The whole system: ``forward(x, reference=None) -> Prediction``.

    x and reference are (B, 3, H, W), RGB in [0, 1], H and W multiples of 32, aligned pixel by pixel. With a reference
    the score says how good x is as a copy of it, at most TOP, which identical pictures get; without one, how good x
    looks. extras, in both modes: ``statistics`` (of what ``outlook`` says), ``kind`` and ``severity`` of x.

    Args:
        weights: as of ``YOTO``.

    Raises:
        ValueError: for another shape, or a size that the paper's configuration does not take.
    """

    def __init__(self, config: ExtendedYOTOConfig | None = None, weights: str | Path | None = None) -> None:
        super().__init__()
        config = config or ExtendedYOTOConfig()
        self.network = YOTO(config.network, weights)
        self.config = replace(config, network=self.network.config)
        channels, width = self.network.encoder.channels, config.network.width
        if config.detail and not config.network.near:
            raise ValueError(f"got detail {config.detail!r} without near, want it beside a vision transformer alone")
        self.detail = encoder(config.detail, config.network.pretrained) if config.detail else None
        if config.located and not config.detail:
            raise ValueError("got located without detail, want an encoder of detail, by which damage is found")
        if self.detail is not None:
            channels = self.detail.channels
        self.locator = Locator(2 * sum(channels) - channels[-1]) if config.located else None
        if config.whole_picture:
            smaller = 2 * sum(channels) if self.detail is not None or not config.network.near else 0
            native = 2 * PLAIN if config.network.near else 0
            self.regressor = Regressor(2 * sum(channels) + smaller + native + 8 * width)
        self.distortions = DistortionHead(2 * sum(channels))
        self.distance: Distance | NearDistance
        self.changes: DistortionHead | None = None
        if config.distance and config.network.near:
            self.distance = NearDistance((4 + len(self.network.sda)) * config.network.heads, config.network.heads)
            self.changes = DistortionHead(CHANGE)
        elif config.distance:
            self.distance = Distance(channels)
        self.register_load_state_dict_pre_hook(_take_older_names)

    @property
    def encoder(self) -> Encoder:
        """The network's."""
        return self.network.encoder

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Prediction:
        check_pair(x, reference)
        if reference is None:
            seen = self.see(x)
            tokens = self.network.tokens(seen[1:])
            levels = self.network.merged(tokens, tokens, x.new_zeros(()))
            described, smaller = self.described(x, seen), self.smaller(x)
            raw, quality_map = self.without_reference(x, seen, levels, self.network.head(levels), described, smaller)
            extras = self.distortions(pool_statistics(described).detach())
        else:
            both, cells, far = self.see_both(x, reference)
            raw, quality_map = self.with_reference(*both, cells, far)
            seen, smaller = tuple(both[0]), self.smaller(x) if self.detail is not None else []
            if self.changes is None:
                extras = self.distortions(pool_statistics(self.described(x, seen)).detach())
            else:
                extras = self.changes(change(x, reference).detach())
        return Prediction(raw, quality_map, {"statistics": self.outlook(seen, smaller), **extras})

    def beside(self, x: Sequence[Tensor], r: Sequence[Tensor], paired: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """The merged tokens of every level, and how far HA and SDA see x from r where they look at neighbours."""
        if self.config.network.near:
            return self.network.matched(x, r, paired)
        return self.network.merged(x, r, paired), None

    def see(self, x: Tensor) -> tuple[Tensor, ...]:
        """The pyramid of a batch: ``itself``, then the encoder's at strides 4, 8, 16, 32; near: all at 32."""
        return self.itself(x, False), *self.network.encode(x)

    def see_both(self, x: Tensor, reference: Tensor) -> tuple[tuple[list[Tensor], list[Tensor]], Cells, Tensor | None]:
        """The pyramids of pictures and of their references, as the distance wants them; the head's answers; and ``far``
        of ``beside``."""
        pyramid = self.network.encode(torch.cat([self.lit(x, reference), reference]))
        levels, far = self.beside(*halves(self.network.tokens(pyramid)), x.new_ones(()))
        ours, theirs = halves(pyramid)
        both = [self.itself(x, True), *ours], [self.itself(reference, True), *theirs]
        return both, self.network.head(levels), far

    def lit(self, x: Tensor, reference: Tensor) -> Tensor:
        """What the encoder sees of pictures that have references."""
        return in_the_light_of(x, reference) if self.config.distance and self.config.network.near else x

    def itself(self, x: Tensor, paired: bool) -> Tensor:
        """Plain maps of pictures, for the distance; of pairs among neighbours the pictures, since it needs none."""
        return plain_maps(x) if self.config.distance and not (paired and self.config.network.near) else x

    def described(self, x: Tensor, seen: Sequence[Tensor]) -> list[Tensor]:
        """What the encoder of detail, or else the network's, says of x at full size: four maps."""
        return list(seen[1:]) if self.detail is None else list(self.detail.encode(x))

    def cells(self, x: Tensor) -> Tensor:
        """What the locator sees of pictures, (B, N, K). Raises ValueError without an encoder of detail."""
        if self.detail is None:
            raise ValueError("got a YOTO without detail, want one with an encoder of detail, by which damage is found")
        return cells_of(self.detail.encode(x))

    def smaller(self, x: Tensor) -> list[Tensor]:
        """What the encoder of detail, or else the network's, says of x at half size; nothing by a transformer."""
        own = self.config.whole_picture and not self.config.network.near
        coarse = self.detail or (self.encoder if own else None)
        return [] if coarse is None else list(coarse.encode(F.avg_pool2d(x, 2)))

    def outlook(self, seen: Sequence[Tensor], smaller: Sequence[Tensor]) -> Tensor:
        """Statistics by which x is told from what training has seen (B, D): of the encoder of detail at half size,
        which is cheap enough for pictures with references too; without it of the network's."""
        return pool_statistics(list(seen[1:] if self.detail is None else smaller))

    # ---- without a reference

    def without_reference(
        self,
        x: Tensor,
        seen: Sequence[Tensor],
        levels: Sequence[Tensor],
        cells: Cells,
        described: Sequence[Tensor],
        smaller: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Raw score (B,) and map (B, 1, H/32, W/32): the paper's, and the whole-picture term; or the locator's map."""
        score = patch = cells.mean()
        if self.config.whole_picture:
            score = self.regressor(self.whole(x, seen, levels, described, smaller), patch)
        if self.locator is None:
            local = (cells.quality - patch[:, None, None])[:, None]
        else:
            local = self.locator(cells_of(described), *described[-1].shape[2:])
        return score, local + score[:, None, None, None]

    def whole(
        self,
        x: Tensor,
        seen: Sequence[Tensor],
        levels: Sequence[Tensor],
        described: Sequence[Tensor],
        smaller: Sequence[Tensor],
    ) -> Tensor:
        """What the regressor sees, (B, D): what x is ``described`` by, the same at half size, and statistics of merged
        tokens; where it looks at neighbours, of the picture's plain maps too."""
        rest = [t.permute(0, 3, 1, 2) for t in levels]
        if self.config.network.near:
            rest.insert(0, seen[0] if self.config.distance else plain_maps(x))
        return pool_statistics([*described, *smaller, *rest])

    def kept(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the regressor sees of a picture without a reference: (B, D), and the paper's score (B,)."""
        seen = self.see(x)
        tokens = self.network.tokens(seen[1:])
        levels = self.network.merged(tokens, tokens, x.new_zeros(()))
        whole = self.whole(x, seen, levels, self.described(x, seen), self.smaller(x))
        return whole, self.network.head(levels).mean()

    def readable(self, statistics: Tensor, *_: Tensor) -> Tensor:
        """Of what is ``kept``, what the distortions are read from: the statistics at full size, which come first."""
        return statistics[:, : self.distortions.scale.num_features]

    # ---- with one

    def with_reference(
        self, seen: Sequence[Tensor], reference: Sequence[Tensor], cells: Cells, far: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Raw score (B,) and map (B, 1, H/32, W/32): TOP less the distance of the cells, which the head weighs. far: of
        ``beside``."""
        if not self.config.distance:
            return cells.mean(), cells.quality[:, None]
        score, local = self.graded(self.differences(seen, reference, far), _answers(cells))
        return score, local.reshape(cells.quality.shape)[:, None]

    def compared(self, x: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
        """What the score with a reference is made of: the cells' differences (B, cells, K), and their qualities and
        weights (B, cells, 2); and what the change is read from, (B, D), if it is."""
        both, cells, far = self.see_both(x, reference)
        found = self.differences(*both, far), _answers(cells)
        if self.changes is None:
            return found
        return *found, change(x, reference)

    def differences(self, seen: Sequence[Tensor], reference: Sequence[Tensor], far: Tensor | None) -> Tensor:
        """What the distance is made of, (B, cells, K)."""
        if isinstance(self.distance, NearDistance):
            assert far is not None
            return self.distance.differences(seen, reference, far)
        return self.distance.differences(seen, reference)

    def graded(self, differences: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Score (B,) and local scores (B, cells) from what ``compared`` returns: the distance of a cell, scaled by
        exp(-sway tanh(s)) and weighed by w, the head's two answers."""
        s, w = answers.unbind(2)
        far = self.distance(differences) * torch.exp(-self.config.sway * torch.tanh(s))
        mean = (far * w).sum(1) / w.sum(1)
        if isinstance(self.distance, NearDistance):  # what is of no one cell counts where they differ
            more = self.distance.native(differences)
            far = far * (1 + more / (mean + 1e-6))[:, None]
            mean = mean + more
        return TOP - mean, TOP - far


def _answers(cells: Cells) -> Tensor:
    return torch.stack([cells.quality.flatten(1), cells.weight.flatten(1)], 2)


def _take_older_names(module: nn.Module, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    rename(weights, prefix)


def rename(weights: dict[str, Tensor], prefix: str = "") -> None:
    """Model files and checkpoints of 0.1.0 name the network's weights without ``network.`` before them: put it there.

    Changes weights, in which the system's names begin with the prefix; leaves today's names alone.
    """
    own_terms = ("network", "regressor", "distortions", "distance", "detail", "changes", "locator")
    terms = tuple(f"{prefix}{own}." for own in own_terms)
    for key in [key for key in weights if key.startswith(prefix) and not key.startswith(terms)]:
        weights[f"{prefix}network.{key.removeprefix(prefix)}"] = weights.pop(key)
