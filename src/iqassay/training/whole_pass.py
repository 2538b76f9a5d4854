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

from iqassay.pictures.bend import bend
from iqassay.pictures.image import read_image, to_float
from iqassay.scoring import tiles
from iqassay.scoring.square import shrunk_to_square
from iqassay.support.parallel import in_order
from iqassay.systems.pretrained import of_fours
from iqassay.systems.vision_transformer import SIDE
from iqassay.training.export import GROUP, SMALLEST, fours, to_onnx
from iqassay.training.optimise import optimise
from iqassay.training.sets import MARGIN

TOGETHER = 16  # pictures in a batch on a GPU
VIEW_AREA = 307_200  # pixels: up to here a picture is looked at whole and at native size, as the scorer does


def whole_view(source: Path | np.ndarray) -> np.ndarray:
    """The picture as the scorer's whole or global view, (1, 3, H, W) float32."""
    return _shown(read_image(source).pixels)


def _shown(pixels: np.ndarray) -> np.ndarray:
    size = tiles.global_size(pixels.shape[0], pixels.shape[1], VIEW_AREA)
    view = to_float(pixels) if size == pixels.shape[:2] else tiles.shrink(pixels, *size)
    return np.ascontiguousarray(tiles.pad(view).transpose(2, 0, 1)[None])


def whole_views(sources: Sequence[Path | np.ndarray]) -> list[np.ndarray]:
    """A picture, or a picture and its reference, as ``whole_view`` has them; the reference bent as the scorer does."""
    pictures = [read_image(source) for source in sources]
    return [_shown(one.pixels) for one in (bend(*pictures) if len(pictures) == 2 else pictures)]


def square_views(source: Path | np.ndarray, views: int = 1) -> np.ndarray:
    """The picture as a semantic encoder sees it, (views, 3, 224, 224) float32: the whole of it, then parts with random
    margins left out, of which every second is mirrored. A picture has always the same ones."""
    pixels = read_image(source).pixels
    height, width = pixels.shape[:2]
    chance = np.random.default_rng(int(pixels[::16, ::16].sum()))
    squares = [shrunk_to_square(pixels, SIDE)]
    for number in range(1, views):
        top, left, bottom, right = (chance.uniform(0, MARGIN / 2, 4) * (height, width, height, width)).astype(int)
        part = shrunk_to_square(np.ascontiguousarray(pixels[top : height - bottom, left : width - right]), SIDE)
        squares.append(part[..., ::-1] if number % 2 else part)
    return np.concatenate(squares)


def look(
    network: nn.Module,
    sources: Sequence[tuple[Path | np.ndarray, ...]],
    square: bool = False,
    device: str = "cpu",
    views: int = 1,
) -> Iterator[list]:
    """What a network says of whole pictures, or of pairs of them, one after another: its outputs, each (views, ...).

    square: it is a semantic encoder, of which torch computes in bfloat16, with weights rounded as they are in a model
    file. device: of torch; on "cpu" onnxruntime computes, which is faster there but for such an encoder. views: of each
    picture, of which such an encoder speaks, see ``square_views``.
    """
    by_torch = square or device != "cpu"
    answers = _by_torch(network, sources, square, device, views) if by_torch else _by_onnxruntime(network, sources)
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
        return session.run(None, dict(zip(inputs, whole_views(source), strict=True)))

    return in_order(ask, sources, os.cpu_count() or 1)


def _by_torch(
    network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]], square: bool, device: str, views: int = 1
) -> Iterator[list]:
    """Pictures of one size that follow each other go together."""
    network = copy.deepcopy(network).eval()
    if square:
        round_to_fours(network)
    network.to(device)
    half = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=square)

    def seen_of(source: tuple[Path | np.ndarray, ...]) -> list[np.ndarray]:
        return [square_views(one, views) for one in source] if square else whole_views(source)

    def ask(waiting: list[list[np.ndarray]]) -> Iterator[list]:
        parts = [torch.from_numpy(np.concatenate(part)).to(device) for part in zip(*waiting, strict=True)]
        with torch.inference_mode(), half, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            answer = [output.float().cpu().numpy() for output in network(*parts)]
        for i in range(len(waiting)):
            yield [output[i * views : (i + 1) * views] for output in answer]

    waiting: list[list[np.ndarray]] = []
    for seen in in_order(seen_of, sources, os.cpu_count() or 1):
        if waiting and (len(waiting) == TOGETHER or waiting[0][0].shape != seen[0].shape):
            yield from ask(waiting)
            waiting = []
        waiting.append(seen)
    yield from ask(waiting)


def round_to_fours(network: nn.Module) -> None:
    """Round the large matrices of linear layers as ``in_fours`` stores them, in place."""
    for part in network.modules():
        if isinstance(part, nn.Linear) and part.weight.numel() >= SMALLEST and part.in_features % GROUP == 0:
            packed, scale = (torch.from_numpy(v) for v in fours(part.weight.detach().numpy()))
            part.weight.data = of_fours(packed, scale.float())
