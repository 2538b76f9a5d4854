"""DRI-IQA: two representations that interact, of degradation and of quality, with the help of a restorer; no-reference.

    [1] Yue et al., "Dual-Representation Interaction Driven Image Quality Assessment with Restoration Assistance",
        WACV 2025, arXiv 2411.17390: the parts and what each is for.
    [2] Lin, Yue et al., "Dual Degradation Representation for Joint Deraining and Low-Light Enhancement", TCSVT: the
        authors' own ratio loss, and representations that are learned first and then kept.
    [3] Wang et al., "Unsupervised Degradation Representation Learning" (DASR), CVPR 2021: the contrast it learns by.

An interpretation: of the paper [1] little more than the abstract is public. Our choices are in docs/dri.md; its figures
are not claimed. All below the line is trained first, on pairs of pictures and references, and then kept as it is.

                 tokens of f -> scaled by d -> fused with u -> quality vector q <--- rounds ---> degradation vector d
                   |                            |                 m      |                              |
    score, map <---+----------------------------+-----------------+------+------------------------------+
    ------------------------------------------------------------------------------------------------------------------
    x -> E_q encoder -> f1..f4     x, f1..f4 -> E_d degradation encoder -> d     x, d -> R restorer -> estimate, u1..u3
    the whole picture, shrunk to a square -> E_s semantic encoder -> m, what it shows
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import (
    N_KINDS,
    AttentionalFusion,
    DistortionHead,
    GatedAttention,
    Prediction,
    Regressor,
    Standardise,
    pool_statistics,
    shrink_to,
)
from iqassay.systems.calibrated import Calibrated
from iqassay.systems.degradation import DegradationEncoder
from iqassay.systems.encoders import check_picture_batch, encoder, origin
from iqassay.systems.linear_score import LinearScore, beside
from iqassay.systems.locator import Locator, cell_means, cells_of
from iqassay.systems.restorer import Modulation, Restorer
from iqassay.systems.vision_transformer import MEANING, SIDE, VisionTransformer

LEVELS = 5  # of KADID-10k, for each distortion
KEPT = 0.5  # of what a surely generated picture's score as a photo is above or below the usual one


@dataclass
class DRIConfig:
    """What to build. The defaults are what ships; ``DRIConfig.paper()`` is as near to the paper as is known.

    restoration, interaction, two_vectors are the switches of the ablation: without one of them its part does not exist.
    The fourth, the representation loss, is a matter of training.

    Attributes:
        assistance: the restorer tells the predictor of the degradation; without, its estimate is for people alone.
        semantic: a vision transformer with an embedding, "clip_vit_b16", on which the quality vector stands beside the
            tokens; "": none.
        predictors: so many, alike but for what they began with, whose mean is the answer: each is wrong in its own way.
        linear: weight of a linear regression beside that mean, 0 to 1; 0: there is none.
        located: the map is a locator's; without, it is the predictors' quality of cells.
        pretrained: ask for pretrained encoders; a system's own ``config`` says whether all of them are.
        encoder_sha256: of the file that their weights are of, which a system says too.
    """

    encoder: str = "efficientnet_lite2"
    vector: int = 256  # of the degradation encoder
    width: int = 128  # of both vectors in the predictor, and of a token
    rounds: int = 2
    restoration: bool = True
    assistance: bool = True
    interaction: bool = True
    two_vectors: bool = True
    semantic: str = ""
    predictors: int = 1
    linear: float = 0.0
    located: bool = False
    dropout: float = 0.5  # of the regressor's hidden layers and of the meaning; 0.6 of it for tokens and vectors
    pretrained: bool = True
    encoder_sha256: str = ""

    @classmethod
    def paper(cls) -> DRIConfig:
        """Swin-T, vectors of 256; random weights."""
        return cls("swin_t", width=256, pretrained=False)

    @property
    def assisted(self) -> bool:
        """Whether there is a restorer that the predictor hears."""
        return self.restoration and self.assistance


@dataclass
class Seen:
    """What the kept parts say of a batch of pictures: all that the predictor sees of them.

    S are the encoder's channels, C4 those of its last level, N cells of 32x32 pixels (in training fewer are kept of
    each picture), R what the restorer's decoder and its changes have in a cell; these two are there if it assists,
    and the meaning with a semantic encoder.
    """

    described: Tensor  # (B, 6S): statistics of the encoder at full, half and quarter size
    cells: Tensor  # (B, N, 2S - C4): the encoder's maps, their means and deviations in every cell
    degradation: Tensor  # (B, D): the degradation vector
    restored: Tensor | None = None  # (B, N, R): the restorer's decoder, and what it changed, in every cell
    changes: Tensor | None = None  # (B, 2R): statistics of the same over the whole picture
    meaning: Tensor | None = None  # (B, 512): what the whole picture shows

    def tensors(self) -> tuple[Tensor, ...]:
        """Those that are there, in this order."""
        parts = (self.described, self.cells, self.degradation, self.restored, self.changes, self.meaning)
        return tuple(part for part in parts if part is not None)

    def numbers(self) -> Tensor:
        """What is said of the whole picture and of no cell: (B, D)."""
        return torch.cat([part for part in self.tensors() if part.ndim == 2], 1)

    @classmethod
    def of(cls, *tensors: Tensor) -> Seen:
        """What has these ``tensors()``: three that are always there, the restorer's two, the semantic encoder's one."""
        described, cells, degradation, *rest = tensors
        meaning = rest.pop() if len(rest) % 2 else None
        restored, changes = rest or (None, None)
        return cls(described, cells, degradation, restored, changes, meaning)


@dataclass
class Predicted:
    """What the predictor makes of it: the raw score (B,); the two vectors after their interaction, (B, C) each, the
    second with ``two_vectors`` only; the quality and the weight of every cell, (B, N) each."""

    score: Tensor
    quality: Tensor
    degradation: Tensor | None
    local: Tensor
    weight: Tensor

    @property
    def vectors(self) -> list[Tensor]:
        """One or both of the vectors, that of quality first."""
        return [self.quality] if self.degradation is None else [self.quality, self.degradation]

    def patch(self) -> Tensor:
        """The weighted mean of the cells' quality, (B,)."""
        return _weighted(self.local, self.weight)

    @classmethod
    def together(cls, said: Sequence[Predicted]) -> Predicted:
        """The mean of what several predictors say; the vectors are the first one's, since each has a space of its
        own."""
        score, local, weight = (
            torch.stack([getattr(one, name) for one in said]).mean(0) for name in ("score", "local", "weight")
        )
        return replace(said[0], score=score, local=local, weight=weight)


class Interaction(nn.Module):
    """One round: q attends to d and the picture's tokens, d to q and the restorer's tokens. (B, 1, C) each.

    A vector stands beside the tokens as often as there are tokens: the second stage of training sees a few cells of a
    picture, the scorer hundreds, and the other vector's share of the attention must not depend on that.
    """

    def __init__(self, width: int, two_vectors: bool) -> None:
        super().__init__()
        self.quality = GatedAttention(width)
        self.degradation = GatedAttention(width) if two_vectors else None
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 if two_vectors else 1))

    def forward(self, q: Tensor, d: Tensor | None, tokens: Tensor, restored: Tensor) -> tuple[Tensor, Tensor | None]:
        beside = tokens if d is None else torch.cat([d.expand_as(tokens), tokens], 1)
        found = self.norms[0](self.quality(q, q, beside))
        if d is None or self.degradation is None:
            return found, None
        return found, self.norms[1](self.degradation(d, d, torch.cat([q.expand_as(restored), restored], 1)))


class Predictor(nn.Module):
    """All that is above the line, for any number of cells N: ``forward(seen) -> Predicted``.

    The score is a regression on the whole picture plus the weighted mean of the cells' quality.
    """

    def __init__(self, config: DRIConfig, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.config = config
        described, cells, vector, *rest = sizes
        meaning = rest.pop() if config.semantic else 0
        self.scales = nn.ModuleList(Standardise(n) for n in sizes)
        width = config.width
        self.drop = drop = nn.Dropout(0.6 * config.dropout)
        self.forget = nn.Dropout(config.dropout)  # of what a picture shows: by it training pictures are known by heart
        self.embed = nn.Linear(cells, width)
        if config.two_vectors:
            self.degradation = nn.Linear(vector, width)
        self.quality = nn.Linear(2 * width + (0 if config.two_vectors else vector) + meaning, width)
        if config.interaction and config.two_vectors:
            self.modulate = Modulation(width, width)
        if config.assisted:
            self.embed_restored = nn.Linear(rest[0], width)
            self.fuse = AttentionalFusion(width)
        rounds = config.rounds if config.interaction else 0
        self.rounds = nn.ModuleList(Interaction(width, config.two_vectors) for _ in range(rounds))
        vectors = (2 if config.two_vectors else 1) * width
        self.cells = nn.Sequential(nn.Linear(width + vectors, 64), nn.ReLU(), drop, nn.Linear(64, 2))
        inputs = described + sum(rest[1:]) + meaning + 2 * width + vectors
        self.regressor = Regressor(inputs, dropout=config.dropout, scaled=False)

    def forward(self, seen: Seen) -> Predicted:
        parts = zip(self.scales, seen.tensors(), strict=True)
        seen = Seen.of(*(scale(part.float()).clamp(-6, 6) for scale, part in parts))
        tokens = self.embed(self.drop(seen.cells))  # (B, N, C)
        d = self.degradation(seen.degradation) if self.config.two_vectors else None
        if d is not None and self.config.interaction:
            tokens = self.modulate(tokens, d)
        beside = tokens
        if seen.restored is not None:
            beside = self.embed_restored(self.drop(seen.restored))
            maps = (v.transpose(1, 2)[..., None] for v in (tokens, beside))  # (B, C, N, 1)
            tokens = self.fuse(*maps)[..., 0].transpose(1, 2)
        meaning = [] if seen.meaning is None else [self.forget(seen.meaning)]
        q = self.quality(torch.cat([_pooled(tokens), *([seen.degradation] if d is None else []), *meaning], 1))
        q, d = self.drop(q)[:, None], None if d is None else self.drop(d)[:, None]
        for interact in self.rounds:
            q, d = interact(q, d, tokens, beside)
        vectors = [q] if d is None else [q, d]
        everywhere = [v.expand(-1, tokens.shape[1], -1) for v in vectors]
        s, w = self.cells(torch.cat([tokens, *everywhere], 2)).float().unbind(2)
        w = torch.sigmoid(w) + 1e-3
        changes = [] if seen.changes is None else [seen.changes]
        whole = torch.cat([seen.described, *changes, *meaning, _pooled(tokens), *(v[:, 0] for v in vectors)], 1)
        score = self.regressor(whole, _weighted(s, w))
        return Predicted(score, q[:, 0], None if d is None else d[:, 0], s, w)


class Generated(nn.Module):
    """Of the meaning (B, 512) of whole pictures and what is described of them, (B, 6S): how probable it is that a
    generator made them, (B,), and what people then find of them, in raw score (B,): an axis of its own, which is added
    to what is ``KEPT`` of the score as a photo. Of photos it says nothing of use.
    """

    def __init__(self, described: int) -> None:
        super().__init__()
        self.scale = Standardise(MEANING + described)
        self.sure = nn.Linear(MEANING + described, 1)
        self.appeal = nn.Linear(MEANING, 1)  # of meanings of length 1, as the teacher's heads

    def forward(self, meaning: Tensor, described: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.scale(torch.cat([meaning, described], 1).float()).clamp(-6, 6)
        return torch.sigmoid(self.sure(seen))[:, 0], self.appeal(F.normalize(meaning, dim=1))[:, 0]


def blended(score: Tensor, sure: Tensor, appeal: Tensor) -> Tensor:
    """The raw scores of pictures that are generated as surely as that, by their scores as photos and what people find
    of them, (B,) each."""
    return score + sure * (appeal - (1 - KEPT) * score)


def _weighted(s: Tensor, w: Tensor) -> Tensor:
    return (s * w).sum(1) / w.sum(1)


def _pooled(tokens: Tensor) -> Tensor:
    """Mean and deviation over the tokens: (B, N, C) -> (B, 2C)."""
    return pool_statistics([tokens.transpose(1, 2)[..., None]])


class DRI(Calibrated, nn.Module):
    """The whole system: ``forward(x, reference=None, meaning=None) -> Prediction``.

    x is (B, 3, H, W), RGB in [0, 1], H and W multiples of 32, at least 64; meaning (B, 512) is what ``understand`` says
    of the whole pictures that x are parts of, where there is a semantic encoder: by default x are whole. extras beside
    the usual: ``estimate`` (B, 3, H, W) in [0, 1], the restored picture (x itself without a restorer); ``nearness`` (B,
    126), cosine similarity of the degradation to ``known`` ones: 25 types at 5 levels each, type by type, and "none";
    with a semantic encoder ``generated`` (B,), how probable it is that the whole picture was made by a generator.

    Args:
        weights: a file for the encoder, see ``encoder_weights``.

    Raises:
        ValueError: for another shape, or if a reference is given: DRI-IQA uses references in training alone.
    """

    known: Tensor

    def __init__(self, config: DRIConfig | None = None, weights: str | Path | None = None) -> None:
        super().__init__()
        config = config or DRIConfig()
        self.encoder = encoder(config.encoder, config.pretrained, weights)
        self.config = replace(config, **origin(self.encoder))
        self.degradation = DegradationEncoder(self.encoder.channels, config.vector)
        self.restorer = Restorer(config.vector) if config.restoration else None
        self.semantic = VisionTransformer(config.semantic, config.pretrained) if config.semantic else None
        if self.semantic is not None and self.semantic.shape.embedding != MEANING:
            raise ValueError(f"got {config.semantic!r} as semantic encoder, want clip_vit_b16, which has an embedding")
        channels = self.encoder.channels
        total = sum(channels)
        self.generated = Generated(6 * total) if self.semantic is not None else None
        sizes = [6 * total, 2 * total - channels[-1], config.vector]
        numbers = 6 * total + config.vector  # of the whole picture
        if self.restorer is not None and config.assisted:
            changes = sum(self.restorer.channels) + 3 + total
            sizes += [changes, 2 * changes]
            numbers += 2 * changes
        if self.semantic is not None:
            sizes.append(MEANING)
            numbers += MEANING
        self.predictor = Predictor(config, tuple(sizes))
        self.others = nn.ModuleList(Predictor(config, tuple(sizes)) for _ in range(config.predictors - 1))
        self.linear = LinearScore(numbers) if config.linear else None
        self.locator = Locator(sizes[1]) if config.located else None
        self.distortions = DistortionHead(config.vector)
        self.register_buffer("known", torch.zeros(N_KINDS * LEVELS + 1, 128))

    def forward(self, x: Tensor, reference: Tensor | None = None, meaning: Tensor | None = None) -> Prediction:
        if reference is not None:
            raise ValueError("got a reference, but DRI-IQA scores pictures by themselves")
        seen, estimate = self.see(x)
        if self.semantic is not None:
            seen.meaning = self.understand(shrink_to(x, SIDE)) if meaning is None else meaning
        said = self.predict(seen)
        score, generated = said.score, {}
        if self.generated is not None:
            sure, appeal = self.generated(seen.meaning, seen.described)
            score, generated = blended(score, sure, appeal), {"generated": sure}
        rows, columns = x.shape[2] // 32, x.shape[3] // 32
        if self.locator is None:
            local = (said.local - said.patch()[:, None]).reshape(-1, 1, rows, columns)
        else:
            local = self.locator(seen.cells, rows, columns)
        extras = {
            **generated,
            "statistics": _at_full_size(seen.described),
            **self.distortions(self.readable(*seen.tensors()).detach()),
            "vectors": torch.stack(said.vectors, 1),  # (B, 2, C), quality first
            "degradation": seen.degradation,
            "estimate": estimate.clamp(0, 1),
            "nearness": self.degradation.embed(seen.degradation) @ self.known.T,
        }
        return Prediction(score, local + score[:, None, None, None], extras)

    def predict(self, seen: Seen) -> Predicted:
        """The mean of what all predictors make of it, and in its score what the linear one says."""
        said = Predicted.together([one(seen) for one in (self.predictor, *self.others)])
        if self.linear is None:
            return said
        return replace(said, score=beside(said.score, self.linear(seen.numbers()), self.config.linear))

    def understand(self, square: Tensor) -> Tensor:
        """What whole pictures show, shrunk to squares (B, 3, 224, 224): (B, 512).

        Raises:
            ValueError: without a semantic encoder.
        """
        if self.semantic is None:
            raise ValueError("got a DRI-IQA without a semantic encoder, want one with")
        return self.semantic.embed(self.semantic.tokens(square)[-1])

    def see(self, x: Tensor) -> tuple[Seen, Tensor]:
        """What the kept parts but the semantic encoder say of x, for the predictor, and the estimate (B, 3, H, W)."""
        check_picture_batch(x)
        f = self.encoder.encode(x)
        # Mirrored at its borders, or at a quarter a side of 64 would be less than the encoder can halve five times.
        quarter = F.pad(F.avg_pool2d(x, 4), (8, 8, 8, 8), mode="reflect")
        smaller = [*self.encoder.encode(F.avg_pool2d(x, 2)), *self.encoder.encode(quarter)]
        described = pool_statistics([*f, *smaller])
        d = self.degradation(x, _at_full_size(described))
        cells = cells_of(f)
        if self.restorer is None or not self.config.assistance:
            return Seen(described, cells, d), self.restored(x, d)
        estimate, u = self.restorer(x, d)
        after = self.encoder.encode(estimate.clamp(0, 1))
        changes = [*u, (estimate - x).abs(), *((a - b).abs() for a, b in zip(f, after, strict=True))]
        sides = (4, 8, 16, 32, 8, 4, 2, 1)
        restored = torch.cat([cell_means(g, s) for g, s in zip(changes, sides, strict=True)], 2)
        return Seen(described, cells, d, restored, pool_statistics(changes)), estimate

    def restored(self, x: Tensor, degradation: Tensor) -> Tensor:
        """The restored pictures (B, 3, H, W) in [0, 1], x themselves without a restorer, by degradation vectors
        (B, D)."""
        return (x if self.restorer is None else self.restorer(x, degradation)[0]).clamp(0, 1)

    def cells(self, x: Tensor) -> Tensor:
        """What the locator sees of pictures, (B, N, K)."""
        return cells_of(self.encoder.encode(x))

    def kept(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the second stage of training keeps of a picture: the tensors of ``Seen``, but for its meaning."""
        return self.see(x)[0].tensors()

    def numbers(self, *kept: Tensor) -> Tensor:
        """Of what is ``kept``, what the linear score is linear in, (B, D)."""
        return Seen.of(*kept).numbers()

    def readable(self, *kept: Tensor) -> Tensor:
        """Of what is ``kept``, what the distortions are read from: the degradation vector, which has heard all that the
        encoder says at full size."""
        return Seen.of(*kept).degradation


def _at_full_size(described: Tensor) -> Tensor:
    """Of statistics at full, half and quarter size, the first."""
    return described[:, : described.shape[1] // 3]
