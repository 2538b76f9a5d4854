"""What a network says of whole pictures, seen as the scorer sees them: by onnxruntime on all cores, or by torch on a
GPU."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from iqassay.pictures.image import read_image, to_float
from iqassay.scoring import tiles
from iqassay.scoring.square import shrunk_to_square
from iqassay.support.parallel import in_order
from iqassay.systems.pretrained import of_fours
from iqassay.systems.vision_transformer import SIDE
from iqassay.training.export import GROUP, SMALLEST, fours, to_onnx
from iqassay.training.optimise import optimise

TOGETHER = 16  # pictures in a batch on a GPU
VIEW_AREA = 307_200  # pixels: up to here a picture is looked at whole and at native size, as the scorer does


def whole_view(source: Path | np.ndarray) -> np.ndarray:
    """The picture as the scorer's whole or global view, (1, 3, H, W) float32."""
    pixels = read_image(source).pixels
    size = tiles.global_size(pixels.shape[0], pixels.shape[1], VIEW_AREA)
    view = to_float(pixels) if size == pixels.shape[:2] else tiles.shrink(pixels, *size)
    return np.ascontiguousarray(tiles.pad(view).transpose(2, 0, 1)[None])


def square_view(source: Path | np.ndarray) -> np.ndarray:
    """The picture as a semantic encoder sees it, (1, 3, 224, 224) float32."""
    return shrunk_to_square(read_image(source).pixels, SIDE)


def look(
    network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]], square: bool = False, device: str = "cpu"
) -> Iterator[list]:
    """What a network says of whole pictures, or of pairs of them, one after another.

    square: it is a semantic encoder, and its weights are rounded as they are in a model file. device: of torch; on
    "cpu" onnxruntime computes, which is faster there but for a semantic encoder, of which torch computes in bfloat16.
    """
    by_torch = square or device != "cpu"
    answers = _by_torch(network, sources, square, device) if by_torch else _by_onnxruntime(network, sources)
    for i, answer in enumerate(answers):
        yield answer
        if i % 500 == 0:
            print(f"{i} of {len(sources)} pictures", file=sys.stderr, flush=True)


def _by_onnxruntime(network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]]) -> Iterator[list]:
    inputs = ("image", "reference")[: len(sources[0])]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = optimise(to_onnx(network.eval(), inputs=inputs))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def ask(source: tuple[Path | np.ndarray, ...]) -> list:
        return session.run(None, dict(zip(inputs, map(whole_view, source), strict=True)))

    return in_order(ask, sources, os.cpu_count() or 1)


def _by_torch(
    network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]], square: bool, device: str
) -> Iterator[list]:
    """Pictures of one size that follow each other go together."""
    view = square_view if square else whole_view
    network = copy.deepcopy(network).eval()
    if square:
        round_to_fours(network)
    network.to(device)
    half = torch.autocast("cpu", torch.bfloat16, enabled=square and device == "cpu")

    def ask(waiting: list[list[np.ndarray]]) -> Iterator[list]:
        parts = [torch.from_numpy(np.concatenate(part)).to(device) for part in zip(*waiting, strict=True)]
        with torch.inference_mode(), half, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            answer = [output.float().cpu().numpy() for output in network(*parts)]
        for i in range(len(waiting)):
            yield [output[i : i + 1] for output in answer]

    waiting: list[list[np.ndarray]] = []
    for views in in_order(lambda source: [view(one) for one in source], sources, os.cpu_count() or 1):
        if waiting and (len(waiting) == TOGETHER or waiting[0][0].shape != views[0].shape):
            yield from ask(waiting)
            waiting = []
        waiting.append(views)
    yield from ask(waiting)


def round_to_fours(network: nn.Module) -> None:
    """Round the large matrices of linear layers as ``in_fours`` stores them, in place."""
    for part in network.modules():
        if isinstance(part, nn.Linear) and part.weight.numel() >= SMALLEST and part.in_features % GROUP == 0:
            packed, scale = (torch.from_numpy(v) for v in fours(part.weight.detach().numpy()))
            part.weight.data = of_fours(packed, scale.float())
