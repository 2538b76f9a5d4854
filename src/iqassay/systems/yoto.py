"""YOTO: one network for image quality assessment with and without a reference.

    [1] Yun & Lin, "You Only Train Once", arXiv 2310.09560 (v2, 2024), and its official code, read for facts.
    [2] Yang et al., "MANIQA", CVPR-W 2022: attention over channels, the patch-weighted head.
    [3] Ali et al., "XCiT", NeurIPS 2021: attention over channels for any number of tokens (the light configuration).

        x ---> encoder ---> tokens of 4 levels --> CTR --> HA (query: reference, key and value: x) --+
                  | shared                                 |                                         +--> merge --> head
    reference --> encoder ---> tokens ----------> CTR -----+      SDA: shallow tokens of x           |
                                                                  attend to deep tokens of x --------+

Without a reference, x takes its place: the same weights then do self-attention, and nothing is computed twice. A
segment embedding tells the two streams apart. ``YOTOConfig.paper()`` is the published network with the faults of its
release mended (docs/yoto.md lists them); the default is a light one for CPUs, with two terms of our own behind
``statistics``: a regression on whole-picture statistics without a reference, a distance with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import DistortionHead, GatedAttention, Prediction, Regressor, pool_statistics
from iqassay.systems.distance import Distance, plain_maps
from iqassay.systems.encoders import check_picture_batch, encoder

TOP = 2.0  # raw score of a picture that is its own reference: 100 on the common scale of (opinion - 60) / 20
ADAPTERS = ("attention", "difference", "concat")


@dataclass
class YOTOConfig:
    """What to build. The defaults are what ships; ``YOTOConfig.paper()`` is the published network.

    adapter ("attention" is HA), sda, windows, segments, statistics are the switches of the ablation.
    """

    encoder: str = "efficientnet_lite0"
    width: int = 64  # of a token
    pool: tuple[int, int, int, int] = (4, 2, 1, 1)  # each level's map is pooled by this into tokens
    crop: int | None = None  # pixels: the only size that the paper's attention over channels takes; None: any size
    adapter: str = "attention"
    sda: bool = True
    windows: bool = True
    segments: bool = True
    statistics: bool = True
    sway: float = 1.4  # how far s may scale the distance of a cell: by exp(-sway) to exp(sway); 0 leaves it to w
    dropout: float = 0.1
    pretrained: bool = True

    @classmethod
    def paper(cls) -> YOTOConfig:
        """Swin-T, width 768, every position a token, crops of 224; random weights."""
        return cls("swin_t", 768, (1, 1, 1, 1), 224, statistics=False, pretrained=False)


class ChannelAttention(nn.Module):
    """CTR: every channel attends to every channel. (B, N, C) -> (B, N, C); the skip is added once.

    With ``tokens`` the paper's: a channel is described by its N values, q, k, v = Linear(N, N), so only N = ``tokens``
    will do. Without it, XCiT's: q, k, v = Linear(C, C), and channels are compared by their correlation over however
    many tokens there are.
    """

    def __init__(self, width: int, tokens: int | None, dropout: float) -> None:
        super().__init__()
        inner = tokens or width
        self.q, self.k, self.v = (nn.Linear(inner, inner) for _ in range(3))
        self.gate = nn.Linear(inner, 1 if tokens else width)
        self.drop = nn.Dropout(dropout)
        self.sharpness = None if tokens else nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.sharpness is None:
            channels = x.transpose(1, 2)  # (B, C, N)
            found = F.scaled_dot_product_attention(self.q(channels), self.k(channels), self.v(channels))
            return (channels + F.gelu(self.gate(channels)) * self.drop(found)).transpose(1, 2)
        q, k = (F.normalize(f(x).transpose(1, 2), dim=2) for f in (self.q, self.k))  # (B, C, N)
        weights = (self.sharpness * 4 * (q @ k.transpose(1, 2))).softmax(2)  # (B, C, C)
        found = (weights @ self.v(x).transpose(1, 2)).transpose(1, 2)
        return x + F.gelu(self.gate(x.mean(1, keepdim=True))) * self.drop(found)


class HierarchicalAttention(nn.Module):
    """HA, the adapter of one level: tokens of x see those of the reference, (B, h, w, C) each.

    Query from the reference's stream, key and value from x: over the whole level, then inside a 2x2 grid of windows.
    """

    def __init__(self, config: YOTOConfig, windows: bool) -> None:
        super().__init__()
        width = config.width
        self.adapter = config.adapter
        self.segment = nn.Parameter(0.02 * torch.randn(2, width)) if config.segments else None
        if config.adapter == "attention":
            self.whole = GatedAttention(width, config.dropout)
            self.local = GatedAttention(width, config.dropout) if windows and config.windows else None
        else:
            self.mix = nn.Linear(width if config.adapter == "difference" else 2 * width, width)

    def forward(self, x: Tensor, r: Tensor, paired: Tensor) -> Tensor:  # (B, h, w, C) each
        if self.segment is not None:
            # x is always row 0; the reference is row 1, and row 0 when x stands in for it
            r = r + self.segment[0] + paired * (self.segment[1] - self.segment[0])
            x = x + self.segment[0]
        if self.adapter == "difference":
            return x + self.mix(x - r)
        if self.adapter == "concat":
            return x + self.mix(torch.cat([x, r], 3))
        a, b = x.flatten(1, 2), r.flatten(1, 2)
        x = self.whole(a, b, a).reshape(x.shape)
        if self.local is not None:
            a, b = cut(x, (2, 2)), cut(r, (2, 2))
            x = paste(self.local(a, b, a), x, (2, 2))
        return x


class YOTO(nn.Module):
    """The whole system: ``forward(x, reference=None) -> Prediction``.

    x and reference are (B, 3, H, W), RGB in [0, 1], H and W multiples of 32, aligned pixel by pixel. With a reference
    the score says how good x is as a copy of it, at most TOP, which identical pictures get; without one, how good x
    looks. extras, in both modes: ``statistics``, ``kind`` and ``severity`` of x (none of them without ``statistics``).

    Raises:
        ValueError: for another shape, or a size that the paper's configuration does not take.
    """

    def __init__(self, config: YOTOConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or YOTOConfig()
        if config.adapter not in ADAPTERS:
            raise ValueError(f"got adapter {config.adapter!r}, want one of {', '.join(ADAPTERS)}")
        self.encoder = encoder(config.encoder, config.pretrained)
        width, channels = config.width, self.encoder.channels
        # A pooled token holds the mean and the deviation of its patch: texture is what pooling would lose.
        lifted = [c * (2 if p > 1 else 1) for c, p in zip(channels, config.pool, strict=True)]
        # The stages of the paper's encoder end in normalisations of their own.
        self.norms = nn.ModuleList(nn.LayerNorm(c) if config.statistics else nn.Identity() for c in lifted)
        self.embed = nn.ModuleList(nn.Linear(c, width) for c in lifted)
        sides = [config.crop and config.crop // (4 * 2**i * p) for i, p in enumerate(config.pool)]
        self.ctr = nn.ModuleList(ChannelAttention(width, s and s * s, config.dropout) for s in sides)
        self.ha = nn.ModuleList(HierarchicalAttention(config, i < 3) for i in range(4))
        pairs = list(combinations(range(4), 2)) if config.sda else []  # (shallow, deep)
        self.sda = nn.ModuleDict({f"{i}{j}": GatedAttention(width, config.dropout) for i, j in pairs})
        self.merge = nn.ModuleList(nn.LayerNorm(width) for _ in range(4 + len(pairs)))
        self.local, self.weight = (
            nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(width // 2, 1))
            for _ in range(2)
        )
        if config.statistics:
            self.regressor = Regressor(4 * sum(channels) + 8 * width)
            self.distortions = DistortionHead(2 * sum(channels))
            self.distance = Distance(channels)

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Prediction:
        check_picture_batch(x)
        if reference is None:
            seen: Sequence[Tensor] = self.see(x)
            tokens = self.tokens(seen)
            cells = self.cells(tokens, tokens, x.new_zeros(()))
            raw, quality_map = self.without_reference(self.statistics(x, seen), *cells)
            return Prediction(raw, quality_map, self.causes(seen))
        if reference.shape != x.shape:
            raise ValueError(
                f"got x of shape {tuple(x.shape)} and reference of {tuple(reference.shape)}, want the same"
            )
        both = self.see(torch.cat([x, reference]))
        seen, other = halves(both)
        raw, quality_map = self.with_reference(seen, other, *self.cells(*halves(self.tokens(both)), x.new_ones(())))
        return Prediction(raw, quality_map, self.causes(seen))

    def see(self, x: Tensor) -> tuple[Tensor, ...]:
        """The pyramid of a batch: plain maps (for the distance), then the encoder's at strides 4, 8, 16, 32."""
        side = self.config.crop
        if side and x.shape[2:] != (side, side):
            raise ValueError(f"got pictures of {x.shape[3]}x{x.shape[2]} pixels, want crops of {side}x{side}")
        return plain_maps(x) if self.config.statistics else x, *self.encoder.encode(x)

    def causes(self, seen: Sequence[Tensor]) -> dict[str, Tensor]:
        """``statistics``, ``kind`` and ``severity`` of x. Naming distortions is no part of YOTO: this reads the
        encoder's statistics and teaches the network nothing."""
        if not self.config.statistics:
            return {}
        described = pool_statistics(list(seen[1:]))
        return {"statistics": described, **self.distortions(described.detach())}

    def readable(self, statistics: Tensor, *_: Tensor) -> Tensor:
        """Of what is ``kept``, what the distortions are read from: the encoder's own statistics, which come first."""
        return statistics[:, : self.distortions.scale.num_features]

    def tokens(self, seen: Sequence[Tensor]) -> list[Tensor]:
        """Each level's map -> tokens (B, h, w, width): pooled to mean and deviation, normalised, embedded, then CTR."""
        out = []
        for i, (f, pool) in enumerate(zip(seen[1:], self.config.pool, strict=True)):
            if pool > 1:
                mean = F.avg_pool2d(f, pool)
                spread = (F.avg_pool2d(f.square(), pool) - mean.square()).clamp(min=0)
                f = torch.cat([mean, (spread + 1e-6).sqrt()], 1)
            t = self.ctr[i](self.embed[i](self.norms[i](f.flatten(2).transpose(1, 2))))
            out.append(t.reshape(-1, f.shape[2], f.shape[3], self.config.width))
        return out

    def cells(self, x: Sequence[Tensor], r: Sequence[Tensor], paired: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the attention says, from the tokens of x and of the reference (``paired`` 1) or of x again (0).

        Quality s and weight w of every cell, (B, H/32, W/32), and what the merged tokens hold, (B, 8 width).
        """
        merged = [[norm(ha(a, b, paired))] for norm, ha, a, b in zip(self.merge, self.ha, x, r, strict=False)]
        grid = (x[3].shape[1], x[3].shape[2])
        for norm, (pair, attend) in zip(self.merge[4:], self.sda.items(), strict=True):
            i, j = int(pair[0]), int(pair[1])
            shallow, deep = cut(x[i], grid), cut(x[j], grid)  # (B * cells, tokens of a cell, C)
            merged[i].append(norm(paste(attend(shallow, shallow, deep), x[i], grid)))
        levels = [torch.stack(parts).mean(0) for parts in merged]
        s = w = x[3].new_zeros(())
        for t in levels:
            local, weight = self.local(t), torch.sigmoid(self.weight(t)) + 1e-3
            inside = [cut(v, grid).sum(1).reshape(-1, *grid) for v in (local * weight, weight)]
            s, w = s + inside[0], w + inside[1]
        held = pool_statistics([t.permute(0, 3, 1, 2) for t in levels])
        return s / w, w, held

    def statistics(self, x: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """Encoder statistics of x and of x at half its size, (B, D): what the whole-picture term sees beside tokens."""
        if not self.config.statistics:
            return x.new_zeros(len(x), 0)
        return pool_statistics([*seen[1:], *self.encoder.encode(F.avg_pool2d(x, 2))])

    def without_reference(self, described: Tensor, s: Tensor, w: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Raw score (B,) and map (B, 1, H/32, W/32): the patches' weighted mean and the whole-picture term."""
        patch = (s * w).sum((1, 2)) / w.sum((1, 2))
        if not self.config.statistics:
            return patch, s[:, None]
        score = self.regressor(torch.cat([described, held], 1), patch)
        return score, (s + (score - patch)[:, None, None])[:, None]

    def kept(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the regressor sees of a picture without a reference: (B, D), and the patches' weighted mean (B,)."""
        seen = self.see(x)
        tokens = self.tokens(seen)
        s, w, held = self.cells(tokens, tokens, x.new_zeros(()))
        return torch.cat([self.statistics(x, seen), held], 1), (s * w).sum((1, 2)) / w.sum((1, 2))

    def compared(self, x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """What the score with a reference is made of: the cells' differences (B, cells, K), and their qualities and
        weights (B, cells, 2)."""
        both = self.see(torch.cat([x, reference]))
        s, w, _ = self.cells(*halves(self.tokens(both)), x.new_ones(()))
        return self.distance.differences(*halves(both)), torch.stack([s.flatten(1), w.flatten(1)], 2)

    def with_reference(
        self, seen: Sequence[Tensor], reference: Sequence[Tensor], s: Tensor, w: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Raw score (B,) and map (B, 1, H/32, W/32): TOP less the distance of the cells, which the attention weighs."""
        if not self.config.statistics:
            return (s * w).sum((1, 2)) / w.sum((1, 2)), s[:, None]
        found = self.distance.differences(seen, reference)
        score, local = self.graded(found, torch.stack([s.flatten(1), w.flatten(1)], 2))
        return score, local.reshape(s.shape)[:, None]

    def graded(self, differences: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Score (B,) and local scores (B, cells) from what ``compared`` returns: the distance of a cell, scaled by
        exp(-sway tanh(s)) and weighed by w, the attention's two answers."""
        s, w = answers.unbind(2)
        far = self.distance(differences) * torch.exp(-self.config.sway * torch.tanh(s))
        return TOP - (far * w).sum(1) / w.sum(1), TOP - far


def halves(maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Maps of a batch of pictures and then their references -> the pictures' and the references'."""
    return [f.chunk(2)[0] for f in maps], [f.chunk(2)[1] for f in maps]


def cut(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, h, w, C) -> (B * rows * columns, tokens of a part, C) on a ``grid`` of (rows, columns) parts."""
    (_, h, w, c), (rows, columns) = tokens.shape, grid
    parts = tokens.reshape(-1, rows, h // rows, columns, w // columns, c).transpose(2, 3)
    return parts.reshape(-1, (h // rows) * (w // columns), c)


def paste(parts: Tensor, like: Tensor, grid: tuple[int, int]) -> Tensor:
    """The inverse of ``cut``: parts of a map of the shape of ``like``."""
    (_, h, w, c), (rows, columns) = like.shape, grid
    tokens = parts.reshape(-1, rows, columns, h // rows, w // columns, c).transpose(2, 3)
    return tokens.reshape(-1, h, w, c)
