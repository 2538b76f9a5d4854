"""What a fixed network says once of every picture, kept in files, so that a second run only reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.whole_pass import look


def keep(
    folder: Path,
    network: nn.Module,
    sources: Sequence[tuple[Path | np.ndarray, ...]],
    cells: int,
    square: bool = False,
    device: str = "cpu",
    views: int = 1,
) -> list[np.ndarray]:
    """Every output of a network for whole pictures, or pairs of them, as arrays (N, ...) in files of ``folder``; with
    several views (N, views, ...).

    square, device, views: see ``look``. Of a table of cells, (1, any number, K), so many evenly spread rows are kept,
    in float16. What was stopped goes on.
    """
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        count = folder / "count"  # of the pictures that are safely in the files
        start = int(count.read_text()) if count.exists() else 0
        arrays: list[np.ndarray] = []
        for i, answer in enumerate(look(network, sources[start:], square, device, views), start + 1):
            rows = [np.stack([_thinned(view, cells) for view in output]) for output in answer]
            rows = rows if views > 1 else [row[0] for row in rows]
            arrays = arrays or [
                np.lib.format.open_memmap(
                    folder / f"{k}.npy", "r+" if start else "w+", r.dtype, (len(sources), *r.shape)
                )
                for k, r in enumerate(rows)
            ]
            for array, row in zip(arrays, rows, strict=True):
                array[i - 1] = row
            if i % 500 == 0 or i == len(sources):
                for array in arrays:
                    array.flush()  # type: ignore[attr-defined]
                (count if i < len(sources) else folder / "done").write_text(str(i))
    return [np.load(folder / f"{k}.npy", mmap_mode="c") for k in range(len(list(folder.glob("*.npy"))))]


def _thinned(output: np.ndarray, cells: int) -> np.ndarray:
    if output.ndim < 2:
        return output
    return output[thinned(len(output), cells)].astype(np.float16)


def thinned(length: int, cells: int) -> np.ndarray:
    """Which rows of a table of cells are kept: so many, evenly spread."""
    return np.linspace(0, length - 1, cells).astype(int)


def fingerprint(system: nn.Module, sources: Sequence[Path | np.ndarray]) -> str:
    """Names what a system, or an encoder, says of these pictures, whatever the heads that the second stage trains, and
    but for a semantic encoder, which is named by itself."""
    trained: tuple[str, ...] = (
        "regressor.",
        "head.regressor.",
        "predictor.",
        "others.",
        "linear.",
        "locator.",
        "distortions.",
        "changes.",
        "known",
        "semantic.",
        "generated.",
    )
    if isinstance(system, ExtendedYOTO) and system.config.distance:
        trained += tuple(f"distance.{key}" for key, _ in system.distance.named_parameters())
    digest = hashlib.sha256()
    for key, tensor in system.state_dict().items():
        if not key.startswith(trained):
            digest.update(tensor.numpy().tobytes())
    for source in sources:
        digest.update(str(source).encode() if isinstance(source, Path) else source[::16, ::16].tobytes())
    return digest.hexdigest()[:12]
