"""Blocks that more than one system is made of; C, H, W are those of the feature map at hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (4, 8, 16, 32)  # of the four maps of an encoder
N_KINDS = 25  # the distortion types of KADID-10k; one more class stands for "none"


@dataclass
class Prediction:
    """What every system answers.

    score (B,): raw quality, higher is better. quality_map (B, 1, H/32, W/32): the same unit, cell by cell. extras:
    ``kind`` (B, 26), logits over 25 distortion types and "none", and ``severity`` (B, 25) in [0, 5] (KADID-10k levels)
    where the system has them, ``statistics`` (B, D) of the encoder's pyramid, and what a system's own docstring names.
    """

    score: Tensor
    quality_map: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)


class OctaveConv(nn.Module):
    """Octave convolution: a high-frequency half at full and a low-frequency half at half resolution that exchange.

        y_H = W_hh * x_H + up2(W_lh * x_L)        y_L = W_ll * x_L + W_hl * avgpool2(x_H)

    Chen et al., "Drop an Octave" (ICCV 2019). Kernel 3, no bias, 2x2 average pooling, nearest upsampling; at stride 2
    both inputs are pooled first. ``alpha`` is the share of channels in the low half, which is not made without
    ``keep_low``.

    detail: at stride 2 the high half goes down as what pooling would lose, in every 2x2 the mean absolute difference
    from their mean, and only what pooling keeps goes to the low half. Ours; without it the high half is a low-pass.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        alpha_in: float,
        alpha_out: float,
        stride: int = 1,
        keep_low: bool = True,
        detail: bool = False,
    ) -> None:
        super().__init__()
        low_in, low_out = round(c_in * alpha_in), round(c_out * alpha_out)
        high_in, high_out = c_in - low_in, c_out - low_out

        def conv(n: int, m: int) -> nn.Conv2d:
            return nn.Conv2d(n, m, 3, padding=1, bias=False)

        self.stride, self.detail = stride, detail
        self.hh = conv(high_in, high_out)
        self.lh = conv(low_in, high_out) if low_in else None
        self.hl = conv(high_in, low_out) if keep_low else None
        self.ll = conv(low_in, low_out) if low_in and keep_low else None

    def forward(self, high: Tensor, low: Tensor | None) -> tuple[Tensor, Tensor | None]:
        smooth = high
        if self.stride == 2:
            smooth = F.avg_pool2d(high, 2)
            high = difference_from(smooth, high) if self.detail else smooth
            low = None if low is None else F.avg_pool2d(low, 2)
        y_high = self.hh(high)  # (B, C_high, H, W)
        if self.lh is not None:
            y_high = y_high + F.interpolate(self.lh(low), size=y_high.shape[-2:], mode="nearest")
        if self.hl is None:
            return y_high, None
        y_low = self.hl(F.avg_pool2d(smooth, 2))  # (B, C_low, H/2, W/2)
        return y_high, y_low if self.ll is None else y_low + self.ll(low)


def difference_from(smooth: Tensor, x: Tensor) -> Tensor:
    """How far the values of every 2x2 of x (B, C, H, W) are from their mean, ``smooth``: (B, C, H/2, W/2), not less
    than 0."""
    return F.avg_pool2d((x - F.interpolate(smooth, size=x.shape[-2:], mode="nearest")).abs(), 2)


class AttentionalFusion(nn.Module):
    """Fuse two maps by attention: s = a + b; w = sigmoid(local(s) + global(s)); out = w a + (1 - w) b.

    Dai et al., "Attentional Feature Fusion" (WACV 2021), the multi-scale channel attention with reduction r = 4.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.local, self.glob = (_bottleneck(channels, max(channels // reduction, 4)) for _ in range(2))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # both (B, C, H, W)
        s = a + b
        w = torch.sigmoid(self.local(s) + self.glob(s.mean((2, 3), keepdim=True)))
        return b + w * (a - b)


class ConcatFusion(nn.Module):
    """The plain alternative: concatenate and mix by a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.mix(torch.cat([a, b], 1))


class SumFusion(nn.Module):
    """The plainest alternative: add."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


FUSIONS = {"attention": AttentionalFusion, "concat": ConcatFusion, "sum": SumFusion}


def _bottleneck(channels: int, narrow: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, narrow, 1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(inplace=True),
        nn.Conv2d(narrow, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


def pool_statistics(maps: list[Tensor]) -> Tensor:
    """Mean and deviation of every channel of every map, side by side: (B, C_i, h, w) each -> (B, 2 sum C_i)."""
    out = []
    for f in maps:
        mean = f.mean((2, 3))
        variance = (f - mean[:, :, None, None]).square().mean((2, 3))
        out += [mean, (variance + 1e-6).sqrt()]  # the small term keeps the gradient finite on a flat picture
    return torch.cat(out, 1)


class Standardise(nn.BatchNorm1d):
    """Batch normalisation of the last dimension, without weights. Written out in evaluation: the exporter wants to know
    shapes for its own."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.running_mean is None or self.running_var is None:
            return super().forward(x.flatten(0, -2)).reshape(x.shape)
        return (x - self.running_mean) * torch.rsqrt(self.running_var + self.eps)


class Regressor(nn.Module):
    """A score (B,) from statistics (B, D) and the patches' mean (B,): the regression head of VCRNet and MAMIQA without
    their inception blocks.

    Two hidden layers of PReLU and dropout. The inputs are standardised, if they are not already (``scaled``), and held
    within six deviations, so that a strange picture cannot run away with the score.
    """

    def __init__(self, inputs: int, width: int = 512, dropout: float = 0.5, scaled: bool = True) -> None:
        super().__init__()
        self.scale = Standardise(inputs) if scaled else nn.Identity()
        self.layers = nn.Sequential(
            nn.Dropout(0.4 * dropout),
            nn.Linear(inputs, width),
            nn.PReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.PReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, 1),
        )

    def forward(self, statistics: Tensor, patch: Tensor) -> Tensor:
        return self.layers(self.scale(statistics.float()).clamp(-6, 6)).squeeze(1) + patch

    @property
    def scales(self) -> list[nn.Module]:
        """What standardises each input, in order, as far as they are standardised."""
        return [self.scale]


class DistortionHead(nn.Module):
    """Which distortions, and how strong: logits (B, 26) and severities (B, 25) in [0, 5] from statistics (B, D)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(inputs)
        self.trunk = nn.Sequential(nn.Dropout(0.2), nn.Linear(inputs, 256), nn.ReLU(inplace=True))
        self.kind = nn.Linear(256, N_KINDS + 1)
        self.severity = nn.Linear(256, N_KINDS)

    def forward(self, statistics: Tensor) -> dict[str, Tensor]:
        v = self.trunk(self.scale(statistics).float())
        return {"kind": self.kind(v), "severity": 5 * torch.sigmoid(self.severity(v))}


class QualityHead(nn.Module):
    """Score and quality map from fused maps at strides 4, 8, 16, 32 and from the encoder's own statistics.

    A local quality s and a weight w for every cell of the stride-32 grid, and a global term from the mean and
    deviation of every channel of every level, fused and not:

        score = global + sum(s w) / sum(w)          map = score + s - sum(s w) / sum(w)

    so that the weighted mean of the map is the score: ``regressor`` is asked with what ``patches`` says. The patch
    weighting is MANIQA's and YOTO's.
    """

    def __init__(self, channels: tuple[int, ...], statistics: int, width: int = 512, dropout: float = 0.5) -> None:
        super().__init__()
        total = sum(channels)
        self.regressor = Regressor(2 * total + statistics, width, dropout)
        self.cells = nn.Sequential(nn.Conv2d(total, 64, 1), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.local = nn.Conv2d(64, 2, 1)

    def patches(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Local quality (B, 1, H/32, W/32) and its weighted mean (B,)."""
        grid = [F.avg_pool2d(f, 2**k) if k else f for f, k in zip(maps, (3, 2, 1, 0), strict=True)]
        s, w = self.local(self.cells(torch.cat(grid, 1))).float().split(1, 1)
        w = torch.sigmoid(w) + 1e-3
        return s, (s * w).sum((1, 2, 3)) / w.sum((1, 2, 3))


class GatedAttention(nn.Module):
    """Single-head attention added through a gate: x + g softmax(q k^T / sqrt(C)) v, with g = GELU(Linear(x)).

    q is made of ``query``, k and v of ``source``. YOTO's adapter and its shallow-to-deep attention are this block with
    different streams and windows.
    """

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.gate = nn.Linear(width, 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, query: Tensor, source: Tensor) -> Tensor:  # (B, N, C), (B, N, C), (B, M, C)
        found = F.scaled_dot_product_attention(self.q(query), self.k(source), self.v(source))
        return x + F.gelu(self.gate(x)) * self.drop(found)


def shrink_to(x: Tensor, side: int) -> Tensor:
    """(B, 3, H, W) -> (B, 3, side, side), whatever the proportions, by a triangle as wide as the shrinking asks for.

    The same values as ``F.interpolate(..., mode="bilinear", antialias=True)`` and Pillow's bilinear ``resize``, by two
    products of matrices, which every runtime has.
    """

    def weights(length: int) -> Tensor:  # (side, length), rows of sum 1
        step = torch.as_tensor(length / side, device=x.device)  # when exported, of any length
        middle = (torch.arange(side, device=x.device) + 0.5) * step
        far = (torch.arange(length, device=x.device) + 0.5 - middle[:, None]).abs()
        near = (1 - far / step.clamp(min=1)).clamp(min=0)
        return near / near.sum(1, keepdim=True)

    return weights(x.shape[2]) @ (x @ weights(x.shape[3]).T)
