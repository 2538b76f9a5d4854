"""How far untrained tokens of DINOv2 are apart, beside classical measures, on every rated set of pairs.

    python benchmarks/ablations/token_distances.py --set NAME=CSV:FOLDER ... [--toyama Toyama.txt --kodak KODAK]
        [--model yoto] [--work runs/token_distances]

Pictures are looked at through windows of native pixels (``common/rated_pairs.py``), tokens at one for a cell of 32x32
pixels, after the blocks that YOTO's four levels are. Distances, all without any training:

- cosine: 1 - cosine of two tokens at one place, mean over places;
- near1, near2: the least of it among the tokens at most one, or two, cells away;
- deviations: length of the difference of the channels' deviations over the places;
- means: the same of their means.

Written: SRCC over all pictures of a set, and the mean of that inside contents, with 95 % intervals over contents. What
is slow is kept in --work and taken from there.
"""

from __future__ import annotations

import argparse
import csv
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqassay.measures.measure import function_of
from iqassay.statistics.correlation import srcc
from iqassay.systems.encoders import encoder
from iqassay.systems.near_attention import neighbours
from iqassay.systems.vision_transformer import SHAPES, VisionTransformer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rated_pairs import RatedPair, of_table, of_toyama
from rows import write_rows

CLASSICAL = ("psnr", "ssim", "ms-ssim", "haarpsi", "mdsi", "vsi", "dss")
LOWER_IS_BETTER = ("mdsi",)
ENCODER = "dinov2_vit_s14"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=CSV:FOLDER")
    parser.add_argument("--toyama", type=Path)
    parser.add_argument("--kodak", type=Path)
    parser.add_argument("--model", action="append", default=[], help="model of our own to put beside them")
    parser.add_argument("--no-measures", action="store_true", help="leave classical measures out: they are slow")
    parser.add_argument(
        "--only-models",
        action="store_true",
        help="judge --model alone, and leave the other rows of the table as they are",
    )
    parser.add_argument("--work", type=Path, default=Path("runs/token_distances"))
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    sources: dict[str, Callable[[], Iterator[RatedPair]]] = {}
    for text in args.set:
        name, _, rest = text.partition("=")
        table, _, folder = rest.partition(":")
        sources[name] = lambda table=table, folder=folder: of_table(Path(table), Path(folder))
    if args.toyama and args.kodak:
        sources["toyama"] = lambda: of_toyama(args.toyama, args.kodak)
    found = []
    for name, source in sources.items():
        rows = kept(args.work / f"{name}.pkl", lambda source=source: [tuple(row) for row in source()])
        opinions, contents = np.array([row[1] for row in rows]), [row[0] for row in rows]
        said: dict[str, Any] = {}
        if not args.only_models:
            said |= untrained(*kept(args.work / f"{name}_cell.pkl", lambda rows=rows: tokens_of(rows)))
        for measure in () if args.no_measures or args.only_models else CLASSICAL:
            said[measure] = kept(args.work / f"{name}_{measure}.pkl", lambda m=measure, rows=rows: measured(m, rows))
        for model in args.model:
            file = args.work / f"{name}_{Path(model).stem}.pkl"
            said[Path(model).stem] = kept(file, lambda model=model, rows=rows: modelled(model, rows))
        for distance, values in said.items():
            row = {"set": name, "pictures": len(rows), "contents": len(set(contents)), "distance": distance}
            for key, figure in (("all", srcc), ("inside", inside)):
                low, high = interval(np.asarray(values), opinions, contents, figure)
                whole = figure(np.asarray(values), opinions) if key == "all" else inside(values, opinions, contents)
                row |= {key: round(whole, 4), f"{key}_low": round(low, 4), f"{key}_high": round(high, 4)}
            found.append(row)
            print(*row.values(), sep="  ", flush=True)
    if args.only_models:
        with args.out.open(newline="", encoding="utf-8") as stream:
            before = {(row["set"], row["distance"]): row for row in csv.DictReader(stream)}
        found = list((before | {(row["set"], row["distance"]): row for row in found}).values())
    write_rows(args.out, found)


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """What a file of --work holds; made and written if there is none."""
    if not file.exists():
        file.write_bytes(pickle.dumps(make(), protocol=5))
    return pickle.loads(file.read_bytes())


# ------------------------------------------------------------------------------------------------------------- figures


def inside(values: np.ndarray, opinions: np.ndarray, contents: list[str]) -> float:
    """Mean SRCC inside the contents of two pictures and more."""
    return float(np.nanmean(of_each(np.asarray(values), opinions, groups_of(contents))))


def groups_of(contents: list[str]) -> list[np.ndarray]:
    """The rows of every content."""
    return [np.flatnonzero(np.array(contents) == name) for name in dict.fromkeys(contents)]


def of_each(values: np.ndarray, opinions: np.ndarray, groups: list[np.ndarray]) -> list[float]:
    """SRCC inside every content: of two pictures 1 or -1, by their order; NaN where there is no order."""
    found = []
    for g in groups:
        v, o = values[g], opinions[g]
        if len(g) < 2 or np.ptp(o) == 0:
            found.append(np.nan)
        else:
            found.append(srcc(v, o) if len(g) > 2 else float(np.sign((v[1] - v[0]) * (o[1] - o[0]))))
    return found


def interval(
    values: np.ndarray, opinions: np.ndarray, contents: list[str], figure: Callable, draws: int = 500
) -> tuple[float, float]:
    """95 % interval of a figure over contents, drawn with replacement."""
    rng, groups = np.random.default_rng(0), groups_of(contents)
    each, out = of_each(values, opinions, groups), []
    for _ in range(draws):
        drawn = rng.integers(len(groups), size=len(groups))
        at = np.concatenate([groups[i] for i in drawn])
        if figure is inside:
            out.append(np.nanmean([each[i] for i in drawn]))
        elif len(at) > 2:  # fewer have no correlation
            out.append(srcc(values[at], opinions[at]))
    return float(np.nanquantile(out, 0.025)), float(np.nanquantile(out, 0.975))


# -------------------------------------------------------------------------------------------------------------- tokens


@torch.inference_mode()
def tokens_of(rows: list[tuple]) -> tuple[list[tuple], dict]:
    """(content, opinion, tokens (windows, 4, places, C) float16, grid) of every picture; and those of the references
    by content."""
    network = encoder(ENCODER).eval()
    assert isinstance(network, VisionTransformer)

    def look(windows: np.ndarray) -> np.ndarray:
        height, width = (side // 32 * 32 for side in windows.shape[1:3])
        x = torch.from_numpy(np.ascontiguousarray(windows[:, :height, :width])).permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", torch.bfloat16):
            maps = [torch.stack(network.cells(one[None]), 1)[0].flatten(2).transpose(1, 2) for one in x]
        return torch.stack(maps).float().numpy().astype(np.float16)

    references: dict = {}
    found = []
    for content, opinion, pictures, beside, _ in rows:
        if (content,) not in references:
            references[content,] = look(beside)
        grid = (pictures.shape[1] // 32, pictures.shape[2] // 32)
        found.append((content, opinion, look(pictures), grid))
    return found, references


@torch.inference_mode()
def untrained(pictures: list[tuple], references: dict) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values (N,), higher is better, of every distance of tokens."""
    said: dict[str, list[float]] = {}
    for content, _, own, grid in pictures:
        here: dict[str, list[float]] = {}
        for window, beside in zip(own, references[content,], strict=True):
            for block, a, b in zip(SHAPES[ENCODER].exits, window, beside, strict=True):
                for name, value in apart(*(torch.from_numpy(t).float().unflatten(0, grid) for t in (a, b))).items():
                    here.setdefault(f"{name} after block {block}", []).append(value)
        for name, values in here.items():
            said.setdefault(name, []).append(-float(np.mean(values)))
    yield from ((name, np.array(values)) for name, values in said.items())


def apart(x: Tensor, reference: Tensor) -> dict[str, float]:
    """How far two maps of tokens (h, w, C) are apart."""
    a, b = (torch.nn.functional.normalize(t, dim=2)[None] for t in (x, reference))
    here = {f"near{radius}" if radius else "cosine": _least(a, b, radius) for radius in (0, 1, 2)}
    flat = [t.flatten(0, 1) for t in (x, reference)]
    here["deviations"] = float((flat[0].std(0) - flat[1].std(0)).norm())
    here["means"] = float((flat[0].mean(0) - flat[1].mean(0)).norm())
    return here


def _least(x: Tensor, reference: Tensor, radius: int) -> float:
    alike = (reference[:, :, :, None] * neighbours(x, radius)).sum(4)
    return float((1 - alike.amax(3)).mean())


# ------------------------------------------------------------------------------------------------------ others' answers


def measured(name: str, rows: list[tuple]) -> np.ndarray:
    """A classical measure's mean over the windows of every pair, higher is better."""
    function, sign = function_of(name), -1 if name in LOWER_IS_BETTER else 1
    pairs = [zip(row[2], row[3], strict=True) for row in rows]
    return np.array([sign * np.mean([function(a, b) for a, b in one]) for one in pairs])


def modelled(model: str, rows: list[tuple]) -> np.ndarray:
    """Raw scores of a model of our own, which bends references to what lies beside them."""
    from iqassay.models.opening import open_scorer

    scorer = open_scorer(model)
    pairs = [zip(row[2], row[3], strict=True) for row in rows]
    return np.array([np.mean([scorer.score(a, b).raw for a, b in one]) for one in pairs])


if __name__ == "__main__":
    main()
