"""Small YOTOs and pictures for the tests of both: the published network, and what is ours around it."""

import pytest
import torch

from iqassay.systems.vision_transformer import SHAPES, Shape
from iqassay.systems.yoto import YOTO, YOTOConfig
from iqassay.systems.yoto_extended import ExtendedYOTO, ExtendedYOTOConfig

TINY = {"encoder": "van_tiny", "width": 8, "pretrained": False}
PAPER_LIKE = {"pool": (1, 1, 1, 1), "crop": 64, "normalise": False}  # the paper's form, small
ALONE = {"whole_picture": False, "distance": False}  # the published network, and nothing that is ours
MODES = pytest.mark.parametrize("paired", [False, True], ids=["no-reference", "full-reference"])


def tiny(**changes):
    torch.manual_seed(0)
    return YOTO(YOTOConfig(**(TINY | changes))).eval()


def tiny_extended(terms=None, **changes):
    torch.manual_seed(0)
    return ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig(**(TINY | changes)), **(terms or {}))).eval()


def pictures(batch=2, height=64, width=96, seed=0):
    """Two batches of pictures that differ."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 3, height, width, generator=generator)


def shut(attention):
    """Close the gate: GELU(0) is 0, so that nothing is added."""
    torch.nn.init.zeros_(attention.gate.weight)
    torch.nn.init.zeros_(attention.gate.bias)


NEAR = {"encoder": "vit_tiny", "width": 16, "pool": (1, 1, 1, 1), "near": 1, "heads": 2, "pretrained": False}


def tiny_near(monkeypatch, detail="", located=False):
    """A small YOTO among neighbours, on a small vision transformer that is then known, begun by a few pictures; with an
    encoder of detail, if any is named, and a map of its own."""
    from iqassay.training.near_start import start_near

    sizes = {"patch": 14, "width": 64, "blocks": 4, "grid": 5, "exits": (1, 2, 3, 4), "epsilon": 1e-6}
    scale = {"mean": (0.5, 0.5, 0.5), "deviation": (0.25, 0.25, 0.25)}
    monkeypatch.setitem(SHAPES, "vit_tiny", Shape(**sizes, **scale, package="", file="", sha256=""))
    torch.manual_seed(0)
    system = ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig(**NEAR), detail=detail, located=located, sway=0.0)).eval()
    start_near(system, list(torch.rand(4, 1, 3, 160, 160)))
    return system
