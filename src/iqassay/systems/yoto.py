"""YOTO: one network for image quality assessment with and without a reference, as it was published.

    [1] Yun & Lin, "You Only Train Once", arXiv 2310.09560 (v2, 2024), and its official code, read for facts.
    [2] Yang et al., "MANIQA", CVPR-W 2022: attention over channels, the patch-weighted head.
    [3] Ali et al., "XCiT", NeurIPS 2021: attention over channels for any number of tokens (the light configuration).

        x ---> encoder ---> tokens of 4 levels --> CTR --> HA (query: reference, key and value: x) --+
                  | shared                                 |                                         +--> merge --> head
    reference --> encoder ---> tokens ----------> CTR -----+      SDA: shallow tokens of x           |
                                                                  attend to deep tokens of x --------+

Without a reference, x takes its place: the same weights then do self-attention, and nothing is computed twice. A
segment embedding tells the two streams apart. ``YOTOConfig.paper()`` is the published network with the faults of its
release mended (docs/yoto.md lists them); the default is a light one for CPUs. Everything here is the paper's; the terms
of our own that the shipped model adds around it stand in ``yoto_extended.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import GatedAttention, Prediction
from iqassay.systems.encoders import check_picture_batch, encoder, origin
from iqassay.systems.near_attention import NearAttention
from iqassay.systems.vision_transformer import VisionTransformer

ADAPTERS = ("attention", "difference", "concat")


@dataclass
class YOTOConfig:
    """What to build. The defaults are the network of the shipped model; ``YOTOConfig.paper()`` is the published one.

    adapter ("attention" is HA), sda, windows and segments are the switches of the ablation.

    Attributes:
        normalise: a LayerNorm of each level's tokens before they are embedded; the stages of the paper's encoder end in
            normalisations of their own.
        near: with a vision transformer, HA and SDA look at tokens at most so many cells away, with ``heads`` heads,
            instead of at whole levels and windows: ``near_attention``. Then every level has one token for a cell of
            32x32 pixels.
        pretrained: ask for pretrained encoders; a system's own ``config`` says whether all of them are.
        encoder_sha256: of the file that their weights are of, which a system says too.
    """

    encoder: str = "efficientnet_lite0"
    width: int = 64  # of a token
    pool: tuple[int, int, int, int] = (4, 2, 1, 1)  # each level's map is pooled by this into tokens
    crop: int | None = None  # pixels: the only size that the paper's attention over channels takes; None: any size
    adapter: str = "attention"
    sda: bool = True
    windows: bool = True
    segments: bool = True
    normalise: bool = True
    near: int = 0  # tokens; 0: HA and SDA are the paper's
    heads: int = 1
    dropout: float = 0.1
    pretrained: bool = True
    encoder_sha256: str = ""

    @classmethod
    def paper(cls) -> YOTOConfig:
        """Swin-T, width 768, every position a token, crops of 224; random weights."""
        return cls("swin_t", 768, (1, 1, 1, 1), 224, normalise=False, pretrained=False)


@dataclass
class Cells:
    """What the head says of every cell of 32x32 pixels: quality and weight, (B, H/32, W/32) each."""

    quality: Tensor
    weight: Tensor

    def __getitem__(self, pictures: slice) -> Cells:
        """Those of some pictures of the batch."""
        return Cells(self.quality[pictures], self.weight[pictures])

    def mean(self) -> Tensor:
        """The weighted mean over the cells, (B,): the paper's score."""
        return (self.quality * self.weight).sum((1, 2)) / self.weight.sum((1, 2))


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


class NearHA(nn.Module):
    """HA among neighbours: ``forward(x, r, paired)``, (B, h, w, C) each -> the stream, and how far each token of r is
    from what it finds in x, (B, h, w, heads). The segment embedding tells what follows which mode it is in."""

    def __init__(self, config: YOTOConfig) -> None:
        super().__init__()
        self.segment = nn.Parameter(0.02 * torch.randn(2, config.width)) if config.segments else None
        self.near = NearAttention(config.width, config.heads, config.near, True, config.dropout)

    def forward(self, x: Tensor, r: Tensor, paired: Tensor) -> tuple[Tensor, Tensor]:
        stream, far = self.near(x, r, x)
        if self.segment is not None:
            stream = stream + self.segment[0] + paired * (self.segment[1] - self.segment[0])
        return stream, far


class YOTO(nn.Module):
    """The published system: ``forward(x, reference=None) -> Prediction``.

    x and reference are (B, 3, H, W), RGB in [0, 1], H and W multiples of 32, aligned pixel by pixel. The score says how
    good x is, as a copy of the reference where there is one; higher is better, on no scale of its own.

    Args:
        weights: a file for the encoder, see ``encoder_weights``.

    Raises:
        ValueError: for another shape, or a size that the paper's configuration does not take.
    """

    def __init__(self, config: YOTOConfig | None = None, weights: str | Path | None = None) -> None:
        super().__init__()
        config = config or YOTOConfig()
        if config.adapter not in ADAPTERS:
            raise ValueError(f"got adapter {config.adapter!r}, want one of {', '.join(ADAPTERS)}")
        if config.near and (config.adapter != "attention" or any(p > 1 for p in config.pool) or config.crop):
            raise ValueError("got near for another adapter, pooled tokens or crops, want it for attention alone")
        self.encoder = encoder(config.encoder, config.pretrained, weights)
        if config.near and not isinstance(self.encoder, VisionTransformer):
            raise ValueError(f"got near for the encoder {config.encoder!r}, want it for a vision transformer")
        self.config = replace(config, **origin(self.encoder))
        width, channels = config.width, self.encoder.channels
        # A pooled token holds the mean and the deviation of its patch: texture is what pooling would lose.
        lifted = [c * (2 if p > 1 else 1) for c, p in zip(channels, config.pool, strict=True)]
        self.norms = nn.ModuleList(nn.LayerNorm(c) if config.normalise else nn.Identity() for c in lifted)
        self.embed = nn.ModuleList(nn.Linear(c, width) for c in lifted)
        sides = [config.crop and config.crop // (4 * 2**i * p) for i, p in enumerate(config.pool)]
        self.ctr = nn.ModuleList(ChannelAttention(width, s and s * s, config.dropout) for s in sides)
        pairs = list(combinations(range(4), 2)) if config.sda else []  # (shallow, deep)
        if config.near:
            self.ha = nn.ModuleList(NearHA(config) for _ in range(4))
            nears = (NearAttention(width, config.heads, config.near, False, config.dropout) for _ in pairs)
            self.sda = nn.ModuleDict({f"{i}{j}": near for (i, j), near in zip(pairs, nears, strict=True)})
        else:
            self.ha = nn.ModuleList(HierarchicalAttention(config, i < 3) for i in range(4))
            self.sda = nn.ModuleDict({f"{i}{j}": GatedAttention(width, config.dropout) for i, j in pairs})
        self.merge = nn.ModuleList(nn.LayerNorm(width) for _ in range(4 + len(pairs)))
        self.local, self.weight = (
            nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(width // 2, 1))
            for _ in range(2)
        )

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Prediction:
        check_pair(x, reference)
        if reference is None:
            tokens = self.tokens(self.encode(x))
            cells = self.head(self.merged(tokens, tokens, x.new_zeros(())))
        else:
            both = self.tokens(self.encode(torch.cat([x, reference])))
            cells = self.head(self.merged(*halves(both), x.new_ones(())))
        return Prediction(cells.mean(), cells.quality[:, None], {})

    def encode(self, x: Tensor) -> list[Tensor]:
        """The encoder's pyramid, at strides 4, 8, 16 and 32; near: all at 32."""
        side = self.config.crop
        if side and x.shape[2:] != (side, side):
            raise ValueError(f"got pictures of {x.shape[3]}x{x.shape[2]} pixels, want crops of {side}x{side}")
        if self.config.near and isinstance(self.encoder, VisionTransformer):
            return list(self.encoder.cells(x))
        return list(self.encoder.encode(x))

    def tokens(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """Each level's map -> tokens (B, h, w, width): pooled to mean and deviation, normalised, embedded, then CTR."""
        return self.embedded(self.pooled(pyramid))

    def pooled(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """Each level's map -> the mean and, where it is pooled, the deviation of every token's patch, (B, C, h, w)."""
        out = []
        for f, pool in zip(pyramid, self.config.pool, strict=True):
            if pool > 1:
                mean = F.avg_pool2d(f, pool)
                spread = (F.avg_pool2d(f.square(), pool) - mean.square()).clamp(min=0)
                f = torch.cat([mean, (spread + 1e-6).sqrt()], 1)
            out.append(f)
        return out

    def embedded(self, pooled: Sequence[Tensor]) -> list[Tensor]:
        """What ``pooled`` gave -> tokens (B, h, w, width)."""
        out = []
        for i, f in enumerate(pooled):
            t = self.ctr[i](self.embed[i](self.norms[i](f.flatten(2).transpose(1, 2))))
            out.append(t.reshape(-1, f.shape[2], f.shape[3], self.config.width))
        return out

    def merged(self, x: Sequence[Tensor], r: Sequence[Tensor], paired: Tensor) -> list[Tensor]:
        """HA and SDA, from the tokens of x and of the reference (``paired`` 1) or of x again (0): (B, h, w, width) a
        level, the mean of its HA and of all SDA whose shallow level it is, each normalised."""
        if self.config.near:
            return self.matched(x, r, paired)[0]
        levels = [[norm(ha(a, b, paired))] for norm, ha, a, b in zip(self.merge, self.ha, x, r, strict=False)]
        grid = (x[3].shape[1], x[3].shape[2])
        for norm, (pair, attend) in zip(self.merge[4:], self.sda.items(), strict=True):
            i, j = int(pair[0]), int(pair[1])
            shallow, deep = cut(x[i], grid), cut(x[j], grid)  # (B * cells, tokens of a cell, C)
            levels[i].append(norm(paste(attend(shallow, shallow, deep), x[i], grid)))
        return [torch.stack(parts).mean(0) for parts in levels]

    def matched(self, x: Sequence[Tensor], r: Sequence[Tensor], paired: Tensor) -> tuple[list[Tensor], Tensor]:
        """``merged`` among neighbours, and how far x is from r as HA sees it, (B, h, w, (levels + pairs) heads), 0
        where x is r: what each token of r finds in x; and, for every pair, what SDA's answers for r find in those for
        x. So the reference comes in through HA's query alone."""
        found = [ha(a, b, paired) for ha, a, b in zip(self.ha, x, r, strict=True)]
        levels = [[norm(stream)] for norm, (stream, _) in zip(self.merge, found, strict=False)]
        far = [one for _, one in found]
        for norm, (pair, attend) in zip(self.merge[4:], self.sda.items(), strict=True):
            i, j = int(pair[0]), int(pair[1])
            stream, deep = attend(x[i], x[i], x[j])
            levels[i].append(norm(stream))
            far.append(self.ha[i](deep, attend(r[i], r[i], r[j])[1], paired)[1])
        return [torch.stack(parts).mean(0) for parts in levels], torch.cat(far, 3)

    def head(self, levels: Sequence[Tensor]) -> Cells:
        """A local quality and a weight of every merged token, gathered in the cells of the deepest level."""
        grid = (levels[3].shape[1], levels[3].shape[2])
        s = w = levels[3].new_zeros(())
        for t in levels:
            local, weight = self.local(t), torch.sigmoid(self.weight(t)) + 1e-3
            inside = [cut(v, grid).sum(1).reshape(-1, *grid) for v in (local * weight, weight)]
            s, w = s + inside[0], w + inside[1]
        return Cells(s / w, w)


def check_pair(x: Tensor, reference: Tensor | None) -> None:
    """Raise ValueError unless x is a batch of pictures and the reference, if there is one, of the same shape."""
    check_picture_batch(x)
    if reference is not None and reference.shape != x.shape:
        raise ValueError(f"got x of shape {tuple(x.shape)} and reference of {tuple(reference.shape)}, want the same")


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
