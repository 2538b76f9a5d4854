"""What a network says of whole pictures, seen as the scorer sees them, by onnxruntime on all cores."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from torch import nn

from iqassay.pictures.image import read_image, to_float
from iqassay.scoring import tiles
from iqassay.scoring.square import shrunk_to_square
from iqassay.systems.vision_transformer import SIDE
from iqassay.training.export import in_fours, to_onnx
from iqassay.training.optimise import optimise

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


def look(network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]], square: bool = False) -> Iterator[list]:
    """What a network says of whole pictures, or of pairs of them, one after another, by onnxruntime on all cores.

    square: it is a semantic encoder, and its weights are stored as they are in a model file.
    """
    inputs = ("square",) if square else ("image", "reference")[: len(sources[0])]
    view = square_view if square else whole_view
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(network.eval(), inputs=inputs)
    if square:
        in_fours(graph)
    graph = optimise(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def ask(source: tuple[Path | np.ndarray, ...]) -> list:
        return session.run(None, dict(zip(inputs, map(view, source), strict=True)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, answer in enumerate(pool.map(ask, sources)):
            yield answer
            if i % 500 == 0:
                print(f"{i} of {len(sources)} pictures", file=sys.stderr, flush=True)
