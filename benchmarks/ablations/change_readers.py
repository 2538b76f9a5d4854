"""What the change from a reference to a picture is best read from, and what it costs.

    python benchmarks/ablations/change_readers.py --clean FOLDER [--count 3000] [--seeds 3] [-o change_readers.csv]

Pairs are rendered from clean photos, of contents to learn from and of others to judge by. The same reader is fitted on
differences of statistics of the two pictures: of EfficientNet-Lite0 as ImageNet left it, of DINOv2's tokens at YOTO's
four levels, of plain maps (``systems/change.py``, which ships), and of these with some of their numbers left out.
Written: how often the first guess names a distortion that is there, mean and deviation over seeds, and milliseconds for
a pair of 512x384 on one thread, in torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iqassay.pictures.image import to_float
from iqassay.systems.blocks import DistortionHead, pool_statistics
from iqassay.systems.change import change
from iqassay.systems.distance import PLAIN
from iqassay.systems.encoders import encoder
from iqassay.training.distortion_reader import fit_distortions
from iqassay.training.recipes import Recipe
from iqassay.training.sets import synthetic_sets

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rows import write_rows

Reader = Callable[[Tensor, Tensor], Tensor]
BATCH = 8
# Which numbers of ``change`` are of what, by its order.
PARTS = {
    "bands": slice(0, 5 * PLAIN),
    "samples": slice(5 * PLAIN, 5 * PLAIN + 24),
    "neighbours and blocks": slice(5 * PLAIN + 24, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", type=Path, required=True)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    rendered = {"synthetic": [args.clean], "synthetic_count": args.count, "synthetic_size": 288}
    recipe = Recipe("yoto", stage="head", **rendered, batch=256, steps=60, epochs=5, lr=0.001, decay=0.3)
    made = synthetic_sets(recipe)[:2]
    pictures, references, kind, severity = (
        np.concatenate([getattr(part, name) for part in made]) for name in ("pixels", "reference", "kind", "severity")
    )
    pairs = types.SimpleNamespace(name="pairs", kind=kind, severity=severity, train=len(made[0]))
    rows: list[dict] = []

    def fit(name: str, numbers: Tensor, cost: float) -> None:
        right = []
        for seed in range(args.seeds):
            head = DistortionHead(numbers.shape[1])
            found = fit_distortions(dataclasses.replace(recipe, seed=seed), head, [numbers], [pairs])
            right += found.values()
        row = {"read from": name, "numbers": numbers.shape[1], "right": f"{np.mean(right):.3f}"}
        rows.append(row | {"deviation": f"{np.std(right):.3f}", "milliseconds": f"{cost:.0f}" if cost else ""})
        print(rows[-1], flush=True)

    for name, reader in readers().items():
        told = []
        for start in range(0, len(pictures), BATCH):
            part = slice(start, start + BATCH)
            told.append(said(reader, *(to_batch(pixels[part]) for pixels in (pictures, references))))
        numbers = torch.cat(told)
        fit(name, numbers, cost_of(reader))
    for part, columns in PARTS.items():  # of the last, which is the plain maps'
        kept = torch.ones(numbers.shape[1], dtype=torch.bool)
        kept[columns] = False
        fit(f"{name}, without {part}", numbers[:, kept], 0)
    write_rows(args.out, rows)


def readers() -> dict[str, Reader]:
    lite = encoder("efficientnet_lite0").eval().to(memory_format=torch.channels_last)
    tokens = encoder("dinov2_vit_s14").eval()

    def differ(network: torch.nn.Module) -> Reader:
        def told(x: Tensor, reference: Tensor) -> Tensor:
            ours, theirs = pool_statistics(list(network.encode(torch.cat([x, reference])))).chunk(2)
            return ours - theirs

        return told

    return {"EfficientNet-Lite0": differ(lite), "tokens of DINOv2": differ(tokens), "plain maps": change}


def to_batch(pixels: np.ndarray) -> Tensor:
    batch = torch.from_numpy(to_float(pixels)).permute(0, 3, 1, 2)
    return batch.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def said(reader: Reader, x: Tensor, reference: Tensor) -> Tensor:
    return reader(x, reference)


def cost_of(reader: Reader, repeats: int = 5) -> float:
    """Milliseconds, the least of some, for a pair of 512x384."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pair = torch.rand(2, 1, 3, 384, 512).unbind(0)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        said(reader, *pair)
        times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return 1000 * min(times)


if __name__ == "__main__":
    main()
