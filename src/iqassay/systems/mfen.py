"""MFEN: a multi-task feature enhancement network for no-reference image quality assessment.

    [1] Yu et al., arXiv 2411.07556 (2024): the four parts and what each is for.
    [2] Chen et al., "Drop an Octave", ICCV 2019: octave convolution.
    [3] Dai et al., "Attentional Feature Fusion", WACV 2021: the fusion.
    [4] Guo et al., "Visual Attention Network", CVMJ 2023: the paper's backbone.

An interpretation: the paper gives the parts (HFEN, QEN, DAN, attention-based fusion) but neither their depths and
widths nor the losses. Our choices are listed in docs/mfen.md; the paper's figures are not claimed.

         x ----> QEN  encoder ------------> q1..q4 --+---------------------+
         |                                           |
         +-----> HFEN octave convolutions -> h1..h4 -+--> fusion at every level -> z1..z4 -> head -> score, map
         |                                           |
         +-----> DAN  encoder ------------> d1..d4 --+
                        |
                        +--> which distortions, and how strong
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import (
    FUSIONS,
    STRIDES,
    DistortionHead,
    OctaveConv,
    Prediction,
    QualityHead,
    Regressor,
    pool_statistics,
    shrink_to,
)
from iqassay.systems.calibrated import Calibrated
from iqassay.systems.encoders import Encoder, check_picture_batch, encoder, origin, run_levels
from iqassay.systems.linear_score import LinearScore, beside
from iqassay.systems.locator import Locator, cells_of


@dataclass
class MFENConfig:
    """What to build. The defaults are what ships; ``MFENConfig.paper()`` is as near to the paper as is known.

    hfen, dan, fusion are the switches of the ablation: without ``hfen`` or ``dan`` the part does not exist at all.

    Attributes:
        high_pass: see ``HFEN``; cards and recipes that do not say are of networks without it.
        view: side in pixels of the square to which the whole picture is shrunk for the QEN; 0: the QEN sees it as it
            is, as in cards and recipes that do not say. The HFEN and the DAN always see native pixels.
        linear: weight of a linear regression beside the head's, 0 to 1; 0: there is none.
        located: the map is a locator's; without, it is the head's quality of patches.
        pretrained: ask for pretrained encoders; a system's own ``config`` says whether all of them are.
        encoder_sha256: of the file that their weights are of, which a system says too.
    """

    encoder: str = "efficientnet_lite0"
    dan_encoder: str = "efficientnet_lite0"
    dan_shared: int = 0  # how many early levels the DAN takes from the QEN; 0 for a pyramid wholly its own
    hfen: bool = True
    high_pass: bool = True
    dan: bool = True
    fusion: str = "attention"  # or "concat", "sum"
    view: int = 224
    width: int = 512  # of the head
    linear: float = 0.0
    located: bool = False
    dropout: float = 0.5
    pretrained: bool = True
    encoder_sha256: str = ""

    @classmethod
    def paper(cls) -> MFENConfig:
        """VAN-B2 for quality, VAN-B0 with a pyramid of its own for distortions; random weights."""
        return cls(encoder="van_b2", dan_encoder="van_b0", view=0, pretrained=False)


class HFEN(nn.Module):
    """High-frequency extraction: a stem and four octave convolutions, of which only the high halves are handed on.

    The low half lives inside, feeding the next octave convolution, and is dropped at every level's exit [1].

    high_pass: the stem sees the picture less a blur of itself, and from the second octave convolution on the high half
    goes down as its ``detail``, so that nothing but detail reaches an exit. Without, as in the model files of before,
    every level pools first and passes low frequencies on.
    """

    sharp: Tensor

    def __init__(
        self, widths: tuple[int, ...], channels: int = 32, alpha: float = 0.25, high_pass: bool = True
    ) -> None:
        super().__init__()
        high = channels - round(channels * alpha)
        if high_pass:
            self.register_buffer("sharp", _less_its_blur())
        self.high_pass = high_pass
        # Without a bias anywhere, a picture without detail says nothing at all, and a fainter one says it more faintly.
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=not high_pass), nn.LeakyReLU(0.2))
        last = len(widths) - 1
        self.octaves = nn.ModuleList(
            # The stem's maps are of detail already, and rectified: at their size its mean says as much, for less time.
            OctaveConv(channels, channels, alpha if i else 0.0, alpha, 2, i < last, detail=high_pass and i > 0)
            for i in range(len(widths))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(high) for _ in widths)
        self.exits = nn.ModuleList(nn.Conv2d(high, width, 1, bias=not high_pass) for width in widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        high, low = self.stem(self.detail(x) if self.high_pass else x * 2 - 1), None  # (B, 32, H/2, W/2)
        out = []
        for octave, norm, leave in zip(self.octaves, self.norms, self.exits, strict=True):
            high, low = octave(high, low)  # (B, 24, H/s, W/s), (B, 8, H/2s, W/2s)
            high, low = F.leaky_relu(norm(high), 0.2), None if low is None else F.leaky_relu(low, 0.2)
            out.append(leave(high))  # (B, C_i, H/s, W/s)
        return out

    def detail(self, x: Tensor) -> Tensor:
        """The picture less its blur, (B, 3, H, W)."""
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), self.sharp, groups=3)


def _less_its_blur() -> Tensor:
    """The kernels (3, 1, 5, 5) that take a binomial blur from each channel of a picture, times 8: photos then deviate
    by about a half, as they do before."""
    row = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    kernel = -torch.outer(row, row)
    kernel[2, 2] += 1
    return (8 * kernel).repeat(3, 1, 1, 1)


class DAN(nn.Module):
    """Distortion-aware network: its own pyramid, which says what is wrong and how strong it is.

    The first ``shared`` levels may be taken from the QEN's pyramid: both start from the same pretrained weights, and
    recipes that keep those levels fixed would compute the same maps twice. A small convolution makes them its own.
    """

    def __init__(self, name: str, pretrained: bool, shared: int, weights: str | Path | None = None) -> None:
        super().__init__()
        whole = encoder(name, pretrained, weights)
        self.normalise, self.channels, self.shared = whole.normalise, whole.channels, shared
        self.levels = whole.levels[shared:]
        self.pretrained = whole.pretrained
        self.own = nn.ModuleList(_own_view(c) for c in whole.channels[:shared])
        self.head = DistortionHead(2 * sum(whole.channels))

    def forward(self, x: Tensor, maps: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        early = [own(f) for own, f in zip(self.own, maps[: self.shared], strict=True)]
        deep = run_levels(self.levels, maps[self.shared - 1] if self.shared else self.normalise(x))
        maps = early + deep
        return maps, self.head(pool_statistics(maps))


def _own_view(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class MFEN(Calibrated, nn.Module):
    """The whole system: ``forward(x, reference=None) -> Prediction``.

    x is (B, 3, H, W), RGB in [0, 1], H and W multiples of 32.

    Args:
        weights: a file for the encoder, and for the DAN's if it is of the same name; see ``encoder_weights``.

    Raises:
        ValueError: for another shape, or if a reference is given (MFEN is a no-reference system).
    """

    def __init__(self, config: MFENConfig | None = None, weights: str | Path | None = None) -> None:
        super().__init__()
        config = config or MFENConfig()
        if config.fusion not in FUSIONS:
            raise ValueError(f"got fusion {config.fusion!r}, want one of {sorted(FUSIONS)}")
        if config.view % 32 or config.view < 0:
            raise ValueError(f"got a view of {config.view} pixels, want a multiple of 32, or 0 for none")
        if config.view and config.dan_shared:
            raise ValueError(f"got a view of {config.view} pixels and a DAN that shares levels, want one or the other")
        self.qen = encoder(config.encoder, config.pretrained, weights)
        widths = self.qen.channels
        fuse = FUSIONS[config.fusion]
        if config.hfen:
            self.hfen = HFEN(widths, high_pass=config.high_pass)
            self.fuse_high = nn.ModuleList(fuse(c) for c in widths)
        if config.dan:
            if config.dan_shared and config.dan_encoder != config.encoder:
                raise ValueError(
                    f"got DAN encoder {config.dan_encoder!r} sharing levels of {config.encoder!r}, want the same"
                )
            same = weights if config.dan_encoder == config.encoder else None
            self.dan = DAN(config.dan_encoder, config.pretrained, config.dan_shared, same)
            pairs = zip(self.dan.channels, widths, strict=True)
            self.adapt = nn.ModuleList(
                nn.Sequential(nn.Conv2d(d, c, 1, bias=False), nn.BatchNorm2d(c)) for d, c in pairs
            )
            self.fuse_distortion = nn.ModuleList(fuse(c) for c in widths)
        described = 2 * sum(widths) + (2 * sum(self.dan.channels) if config.view and config.dan else 0)
        self.head = QualityHead(widths, described, config.width, config.dropout)
        self.linear = LinearScore(2 * sum(widths) + described + 1) if config.linear else None
        self.locator = Locator(2 * sum(widths) - widths[-1]) if config.located else None
        began = origin(self.qen)
        began["pretrained"] &= not config.dan or self.dan.pretrained
        self.config = replace(config, **began)

    def forward(
        self, x: Tensor, reference: Tensor | None = None, whole: Tensor | None = None, place: Tensor | None = None
    ) -> Prediction:
        """In training x may be a crop: then whole (B, 3, V, V) is the picture that it is of, shrunk as ``shrink_to``
        does, and place (B, 4) where it lies there: left, top, right and bottom, from 0 to 1."""
        check_picture_batch(x)
        if reference is not None:
            raise ValueError("got a reference, but MFEN is a no-reference system")
        maps, extras = self.fused(x, whole, place)
        local, patch = self.head.patches(maps)
        score = self.answer(torch.cat([pool_statistics(maps), extras["described"]], 1), patch)
        if self.locator is None:
            local = local - patch[:, None, None, None]
        else:
            local = self.locator(cells_of(maps), *maps[-1].shape[2:])
        return Prediction(score, local + score[:, None, None, None], extras)

    def fused(
        self, x: Tensor, whole: Tensor | None = None, place: Tensor | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The fused pyramid z1..z4, (B, C_i, H/s, W/s), the statistics of the pyramids, and the distortion heads'
        answers."""
        view = self.config.view
        seen = self.qen.encode(x if not view else shrink_to(x, view) if whole is None else whole)
        extras = {"statistics": pool_statistics(seen)}
        extras["described"] = extras["statistics"]
        q, (height, width) = seen, x.shape[2:]
        if view:
            q = [over(f, height // s, width // s, place) for f, s in zip(seen, STRIDES, strict=True)]
        maps = q
        if self.config.hfen:
            maps = [fuse(q, h) for fuse, q, h in zip(self.fuse_high, q, self.hfen(x), strict=True)]
        if self.config.dan:
            distortion_maps, answers = self.dan(x, q)
            extras |= answers
            if view:
                extras["described"] = torch.cat([extras["statistics"], pool_statistics(distortion_maps)], 1)
            adapted = [adapt(d) for adapt, d in zip(self.adapt, distortion_maps, strict=True)]
            maps = [fuse(z, d) for fuse, z, d in zip(self.fuse_distortion, maps, adapted, strict=True)]
        return maps, extras

    def statistics(self, x: Tensor) -> Tensor:
        """What the QEN says of a picture, (B, D): by it the strange are told from the ordinary."""
        return pool_statistics(self.qen.encode(shrink_to(x, self.config.view) if self.config.view else x))

    def kept(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the regressor sees of a picture: statistics (B, D), and the patches' mean (B,)."""
        maps, extras = self.fused(x)
        return torch.cat([pool_statistics(maps), extras["described"]], 1), self.head.patches(maps)[1]

    def cells(self, x: Tensor) -> Tensor:
        """What the locator sees of pictures, (B, N, K)."""
        return cells_of(self.fused(x)[0])

    def answer(self, statistics: Tensor, patch: Tensor) -> Tensor:
        """The raw score (B,) of what is ``kept``."""
        score = self.regressor(statistics, patch)
        if self.linear is None:
            return score
        return beside(score, self.linear(self.numbers(statistics, patch)), self.config.linear)

    def numbers(self, statistics: Tensor, patch: Tensor) -> Tensor:
        """Of what is ``kept``, what the linear score is linear in, (B, D)."""
        return torch.cat([statistics, patch[:, None]], 1)

    @property
    def regressor(self) -> Regressor:
        """The global term of the head, which the second stage of training trains alone."""
        return self.head.regressor

    @property
    def encoder(self) -> Encoder:
        """The encoder that the statistics are of."""
        return self.qen


def over(maps: Tensor, height: int, width: int, place: Tensor | None) -> Tensor:
    """What maps (B, C, h, w) of whole pictures say of each cell of crops of them, (B, C, height, width), bilinearly.

    place: see ``MFEN.forward``; None: the crop is the whole picture.
    """
    if place is None:
        return F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
    left, top, right, bottom = place[:, :, None].unbind(1)
    across = left + (right - left) * (torch.arange(width, device=maps.device) + 0.5) / width  # (B, width)
    down = top + (bottom - top) * (torch.arange(height, device=maps.device) + 0.5) / height
    grid = torch.stack(
        [across[:, None].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], 3
    )  # (B, height, width, 2)
    return F.grid_sample(maps, 2 * grid - 1, mode="bilinear", padding_mode="border", align_corners=False)
