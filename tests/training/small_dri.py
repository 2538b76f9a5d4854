"""A narrow DRI-IQA with a semantic encoder, for tests."""

import pytest
import torch

from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.vision_transformer import MEANING, SHAPES, SIDE, Shape


def dri_with_semantic_encoder():
    """Yields one with a small transformer of CLIP's kind, all of random weights; meanwhile that is a known shape."""
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"patch": 32, "width": 64, "blocks": 4, "grid": SIDE // 32, "exits": (1, 2, 3, 4), "embedding": MEANING}
        scale = {"mean": (0.48, 0.46, 0.41), "deviation": (0.27, 0.26, 0.28), "epsilon": 1e-5, "clip": True}
        patch.setitem(SHAPES, "clip_tiny", Shape(**sizes, **scale, package="", file="", sha256=""))
        torch.manual_seed(0)
        shape = {"encoder": "van_tiny", "vector": 12, "width": 8, "pretrained": False, "restoration": False}
        yield DRI(DRIConfig(**shape, semantic="clip_tiny")).eval()
