"""Weights of an encoder from a file, in the layouts in which they are published.

VAN: that of its authors' repository. Swin: Microsoft's, timm's, which has each merging of patches in the stage after
it, and transformers', of any version. The encoder's own layout does for both. A classifier's last layers are left out.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]

_VAN = (  # ours -> the authors'; stages count from 1 there, and are numbered below
    (r"levels\.(\d+)\.0\.0\.", r"patch_embed<\1>.proj."),
    (r"levels\.(\d+)\.0\.1\.", r"patch_embed<\1>.norm."),
    (r"levels\.(\d+)\.\d+\.(weight|bias)$", r"norm<\1>.\2"),
    (r"levels\.(\d+)\.(\d+)\.", r"block<\1>.[\2]."),
    (r"attend\.0\.", "attn.proj_1."),
    (r"attend\.2\.near\.", "attn.spatial_gating_unit.conv0."),
    (r"attend\.2\.far\.", "attn.spatial_gating_unit.conv_spatial."),
    (r"attend\.2\.mix\.", "attn.spatial_gating_unit.conv1."),
    (r"attend\.3\.", "attn.proj_2."),
    (r"mlp\.0\.", "mlp.fc1."),
    (r"mlp\.1\.", "mlp.dwconv.dwconv."),
    (r"mlp\.3\.", "mlp.fc2."),
    (r"\.scale([12])$", r".layer_scale_\1"),
)
_SWIN = (  # transformers' -> Microsoft's, but for queries, keys and values, which it has in one
    (r"^backbone\.", ""),
    (r"^swin\.", ""),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.", "layers."),
    (r"^layernorm\.", "norm."),
    (r"^hidden_states_norms\.stage4\.", "norm."),
    (r"\.attention\.(self\.query|q_proj)\.", ".attn.q."),
    (r"\.attention\.(self\.key|k_proj)\.", ".attn.k."),
    (r"\.attention\.(self\.value|v_proj)\.", ".attn.v."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.attention\.(self|relative_position_bias)\.relative_position_bias_table", ".attn.relative_position_bias_table"),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)


def van_name(key: str) -> str:
    """What the authors call a weight of our VAN."""
    name = _renamed(key, _VAN)
    name = re.sub(r"<(\d+)>", lambda found: str(int(found[1]) + 1), name)
    return re.sub(r"\[(\d+)\]", lambda found: str(int(found[1]) - 1), name)  # the first of a level is its embedding


def swin_name(key: str) -> str:
    """What Microsoft calls a weight of transformers' Swin, if queries, keys and values were three there too."""
    return _renamed(key, _SWIN)


def swin_parts(state: Weights) -> Weights:
    """A state dict of any of the three layouts under the names of ``swin_name``."""
    later = "layers.3.downsample.reduction.weight" in state  # timm's
    found: Weights = {}
    for key, value in state.items():
        name = swin_name(key)
        if later and (stage := re.match(r"layers\.(\d+)\.downsample\.", name)):
            name = f"layers.{int(stage[1]) - 1}.downsample.{name[stage.end() :]}"
        if ".attn.qkv." in name:
            found |= {name.replace("qkv", part): rows for part, rows in zip("qkv", value.chunk(3), strict=True)}
        else:
            found[name] = value
    return found


def _renamed(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, name in rules:
        key = re.sub(pattern, name, key)
    return key


def load_file(
    encoder: nn.Module,
    file: str | Path,
    called: Callable[[str], str],
    parts: Callable[[Weights], Weights] = dict,
    optional: str = r"$^",
) -> str:
    """Fill an encoder with the weights of a file. Returns the file's sha256.

    called: the published name of a weight; parts: makes those names of a file's; optional: a pattern of names that may
    be missing, whose weights stay as they are.

    Raises:
        ValueError: if the file cannot be read, or lacks a weight, or has it in another shape.
    """
    try:
        content = Path(file).read_bytes()
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        for inside in ("state_dict", "model"):
            state = state.get(inside, state)
        state = {key.removeprefix("module."): value for key, value in state.items() if isinstance(value, Tensor)}
    except (OSError, EOFError, AttributeError, RuntimeError, ValueError, pickle.UnpicklingError):
        raise ValueError(f"{file}: cannot be read, want a state dict, as torch.save writes it") from None
    own, weights = encoder.state_dict(), {}
    found = state if set(own) <= set(state) else parts(state)
    for key, value in own.items():
        name = key if found is state else called(key)
        given = found.get(name)
        if given is not None and (*given.shape, 1, 1) == tuple(value.shape):
            given = given[:, None, None]  # a scale of channels
        if given is None or given.shape != value.shape:
            if re.match(optional, name):
                continue
            got = "no" if given is None else f"{tuple(given.shape)} for"
            raise ValueError(f"{file}: got {got} {name}, want {tuple(value.shape)}: weights of another encoder?")
        weights[key] = given
    encoder.load_state_dict(weights, strict=False)
    return hashlib.sha256(content).hexdigest()
