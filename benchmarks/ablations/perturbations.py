"""What carries the score of a shipped model: each part made to say, of every picture, what it says of another one.

    python benchmarks/ablations/perturbations.py mfen yoto dri [--data CSV[:FOLDER[:WORST..BEST]]]
        [--pairs CSV:FOLDER[:WORST..BEST]] [--limit 200]

A part is replaced twice: by what it says of another picture, and by its mean over all. If the score follows people's
opinions as well as before, the part is inert; if it follows them no longer, the part is load-bearing. All pictures are
seen in one size, the middle of them. --pairs: rated pictures with references, for YOTO. Printed and written: SRCC over
the ``val`` rows (all rows of --pairs), and the change with its 95 % interval over pictures (whole groups together).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from iqassay.data.opening import open_set
from iqassay.data.rating import Rating
from iqassay.pictures.image import to_float
from iqassay.statistics.correlation import srcc
from iqassay.statistics.significance import paired_bootstrap
from iqassay.systems import load_pretrained

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle
from rows import write_rows

# A part: the modules and their methods whose answers are replaced, or, by its number, whose argument.
Place = tuple[nn.Module, str, int | None]


def parts_of(system: Any, paired: bool) -> dict[str, list[Place]]:
    """The parts of a system by their names in its document."""
    match type(system).__name__:
        case "MFEN":
            parts: dict[str, list[Place]] = {"QEN": [(system.qen, "encode", None)]}
            parts |= {"HFEN": [(system.hfen, "forward", None)]} if system.config.hfen else {}
            parts |= {"DAN": [(system.dan, "forward", None)]} if system.config.dan else {}
            return parts | {"local term": [(system.head, "patches", None)]}
        case "DRI":
            parts = {"encoder": [(system.encoder, "encode", None)]}
            parts |= {"degradation vector": [(system.degradation, "forward", None)]}
            parts |= {"restorer": [(system.restorer, "forward", None)]} if system.restorer is not None else {}
            predictors = (system.predictor, *system.others)
            parts |= {"quality vector": [(one.quality, "forward", None) for one in predictors]}
            return parts | ({"linear score": [(system.linear, "forward", None)]} if system.linear is not None else {})
    network = system.network
    parts = {
        "CTR": [(one, "forward", None) for one in network.ctr],
        "HA": [(one, "forward", None) for one in network.ha],
        "SDA": [(one, "forward", None) for one in network.sda.values()],
    }
    if paired:
        parts = {"reference in HA": [(one, "forward", 1) for one in network.ha], **parts}
        if not system.config.distance:
            return parts
        if hasattr(system.distance, "native"):
            parts |= {"native detail": [(system.distance, "native", None)]}
        return parts | {"distance": [(system.distance, "differences", None)]}
    return parts | {"whole picture": [(system, "whole", None)]} if system.config.whole_picture else parts


@torch.inference_mode()
def scores(system: nn.Module, pictures: Sequence[tuple[Tensor, ...]], places: Sequence[Place], others: Any) -> Any:
    """Raw scores of pictures, where a part says what it said ``others(i)``: a list, of each place, of each call."""
    out = []
    for i, picture in enumerate(pictures):
        with ExitStack() as stack:
            for k, (owner, name, argument) in enumerate(places):
                stack.enter_context(patch.object(owner, name, _saying(owner, name, argument, others(i, k))))
            out.append(float(system(*picture).score))
    return np.array(out)


def _saying(owner: nn.Module, name: str, argument: int | None, answers: list | Callable) -> Callable:
    """The method as it is, whose answers, or one argument, a function keeps, or others take the place of."""
    whole = getattr(owner, name)
    queue = iter(answers) if isinstance(answers, list) else None

    def method(*given: Any) -> Any:
        if queue is None:
            said = whole(*given)
            answers(said if argument is None else given[argument])
            return said
        if argument is None:
            return next(queue)
        return whole(*given[:argument], next(queue), *given[argument + 1 :])

    return method


def recorded(system: nn.Module, pictures: Sequence[tuple[Tensor, ...]], places: Sequence[Place]) -> list[list[list]]:
    """What a part says of every picture: of each place, of each call."""
    kept: list[list[list]] = [[[] for _ in places] for _ in pictures]
    scores(system, pictures, places, lambda i, k: kept[i][k].append)
    return kept


def mean_of(answers: Sequence[Any]) -> Any:
    """The mean of answers of one shape: tensors, or lists, tuples and dictionaries of them."""
    first = answers[0]
    if isinstance(first, Tensor):
        return torch.stack(list(answers)).mean(0)
    if isinstance(first, dict):
        return {key: mean_of([one[key] for one in answers]) for key in first}
    return type(first)(mean_of(part) for part in zip(*answers, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data")
    parser.add_argument("--pairs")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--side", type=int, default=384, help="pixels, a multiple of 32")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    if not (args.data or args.pairs):
        parser.error("got neither --data nor --pairs, want one of them")

    found = []
    for argument in filter(None, (args.data, args.pairs)):
        paired = argument is args.pairs
        ratings = open_set(argument)
        rows = ratings.rows if paired else ratings.split("val").rows
        rows = [r for r in rows if not paired or r.reference]
        rows = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, args.limit).astype(int))]
        pictures = [_read(row, paired, args.side) for row in rows]
        opinions, groups = np.array([r.score for r in rows]), [r.group or r.image.name for r in rows]
        for name in args.models:
            system = load_pretrained(name)
            if paired and type(system).__name__ != "ExtendedYOTO":
                continue
            whole = scores(system, pictures, [], None)
            found.append(_row(name, ratings.name, "whole", "", whole, whole, opinions, groups))
            for part, places in parts_of(system, paired).items():
                said = recorded(system, pictures, places)
                away = len(rows) // 2  # of a list by contents, another content
                mean = [
                    [mean_of([one[k][c] for one in said]) for c in range(len(said[0][k]))] for k in range(len(places))
                ]
                for by, others in (
                    ("another's", lambda i, k, said=said, away=away: said[(i + away) % len(said)][k]),
                    ("mean", lambda i, k, mean=mean: mean[k]),
                ):
                    values = scores(system, pictures, places, others)
                    found.append(_row(name, ratings.name, part, by, values, whole, opinions, groups))
    write_rows(args.out, found)


def _row(
    model: str,
    judged: str,
    part: str,
    by: str,
    values: np.ndarray,
    whole: np.ndarray,
    opinions: np.ndarray,
    groups: list[str],
) -> dict:
    value = 0.0 if np.ptp(values) == 0 else srcc(values, opinions)
    row = {"model": model, "judged on": judged, "part": part, "replaced by": by, "srcc": round(value, 4)}
    change = paired_bootstrap(values, whole, opinions, groups=groups) if by and np.ptp(values) else None
    row |= {"change": round(value - srcc(whole, opinions), 4)}
    row |= {"low": round(change.low, 4), "high": round(change.high, 4)} if change else {"low": "", "high": ""}
    print(*row.values(), sep="  ", flush=True)
    return row


def _read(row: Rating, paired: bool, side: int) -> tuple[Tensor, ...]:
    files = [row.image, row.reference] if paired else [row.image]
    return tuple(torch.from_numpy(to_float(middle(file, (side, side)))).permute(2, 0, 1)[None] for file in files)


if __name__ == "__main__":
    main()
