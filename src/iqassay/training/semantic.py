"""The stage ``--stage semantic``: DRI-IQA's semantic encoder learns what people find of whole pictures.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022: the changes, of low rank.
    Ilharco et al., "Editing Models with Task Arithmetic", ICLR 2023: the changes of several runs add up.

What the encoder knows from four hundred million pictures is worth more than any rated set. So the matrices of its last
blocks change by products of low rank alone, and what it says of a picture is to stay near what it said before: of rated
pictures, of synthetic ones, and of generated ones, of which nobody's opinion is asked here. What the first blocks say
of a picture does not change and is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.systems.blocks import Regressor
from iqassay.systems.vision_transformer import MEANING, VisionTransformer
from iqassay.training.checkpoints import UNREADABLE, checkpoint_weights

Layer = TypeVar("Layer", bound=nn.Module)


class Beginning(nn.Module):
    """Whole pictures shrunk to squares (B, 3, 224, 224) -> the tokens after the first blocks of a semantic encoder
    (B, 1 + N, C), and what all of it says of them, (B, 512)."""

    def __init__(self, semantic: VisionTransformer, fixed: int) -> None:
        super().__init__()
        self.semantic, self.fixed = semantic, fixed

    def forward(self, square: Tensor) -> tuple[Tensor, ...]:
        semantic = self.semantic
        x = begun = semantic.begin(square)
        for number, block in enumerate(semantic.blocks, 1):
            x = block(x)
            begun = x if number == self.fixed else begun
        return begun, semantic.embed(x)


class Changed(nn.Module):
    """A linear layer whose matrix (N, K) changes by ``up`` (N, R) times ``down`` (R, K), nothing at first."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + F.linear(F.linear(x, self.down), self.up)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The layer, with the change added to its matrix."""
        self.layer.weight.add_(self.up @ self.down)
        return self.layer


class Understanding(nn.Module):
    """What is trained: the blocks of a semantic encoder after the first ``fixed`` ones, and a regressor of this stage's
    own. ``forward(tokens, before)``, of what ``Beginning`` says of pictures, returns raw scores (B,), and one minus the
    mean cosine of what the encoder says now and what it said before.

    bf16: compute in bfloat16.
    """

    scales: tuple[nn.Module, ...] = ()  # nothing is standardised

    def __init__(self, semantic: VisionTransformer, fixed: int, rank: int, width: int, bf16: bool) -> None:
        super().__init__()
        self.bf16 = bf16
        self.blocks = semantic.blocks[fixed:].requires_grad_(False)
        self.after, self.projection = semantic.after.requires_grad_(False), semantic.projection.requires_grad_(False)
        for block in self.blocks:
            for part, name, layer in _layers(block, nn.Linear):
                setattr(part, name, Changed(layer, rank))
        self.regressor = Regressor(MEANING, width)

    def forward(self, tokens: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.bf16):
            for block in self.blocks:
                tokens = block(tokens)
            meaning = self.projection(self.after(tokens[:, 0]))
        meaning = meaning.float()
        moved = (1 - F.cosine_similarity(meaning, before, dim=1)).mean()
        return self.regressor(meaning, meaning.new_zeros(len(meaning))), moved

    def merge(self) -> None:
        """Put the changed layers back into the encoder as plain ones."""
        for block in self.blocks:
            for part, name, layer in _layers(block, Changed):
                setattr(part, name, layer.merged())


def add_changes(semantic: VisionTransformer, runs: Sequence[Path], strength: float) -> None:
    """Add to an encoder, as its package has it, ``strength`` times what each of these runs of the stage changed.

    runs: checkpoints of them.

    Raises:
        ValueError: if one is none.
    """
    packaged = semantic.state_dict()
    summed = {key: value.clone() for key, value in packaged.items()}
    for run in runs:
        try:
            weights = checkpoint_weights(run)
            for key, value in packaged.items():
                summed[key] += strength * (weights[f"semantic.{key}"] - value)
        except UNREADABLE:
            raise ValueError(f"{run}: has no such semantic encoder, want best.ckpt of --stage semantic") from None
    semantic.load_state_dict(summed)


def _layers(block: nn.Module, kind: type[Layer]) -> list[tuple[nn.Module, str, Layer]]:
    """The layers of a kind in a block: what each is part of, and what it is called there."""
    named = ((part, name, layer) for part in block.modules() for name, layer in part.named_children())
    return [(part, name, layer) for part, name, layer in named if isinstance(layer, kind)]
