"""What HFEN's high-pass costs MFEN: CPU seconds of the whole forward pass with it and without, in turn.

    python benchmarks/speed/high_pass.py [--rounds 20] [-o high_pass.csv]

Two untrained networks of the default configuration, one thread, a picture of 512x384; once as torch modules, once as
the graphs that model files hold. Every round runs both, one after the other. The least time of each counts, and it is
the process's own: what else the machine does can only add to it. Ends with 1 if it costs more than a tenth.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from iqassay.systems.mfen import MFEN, MFENConfig
from iqassay.training.export import OUTPUTS, Deployed, halve_weights, to_onnx
from iqassay.training.optimise import optimise

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import commit, machine

LIMIT = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the numbers as CSV")
    args = parser.parse_args()
    torch.set_num_threads(1)
    picture = torch.rand(1, 3, 384, 512, generator=torch.Generator().manual_seed(0))
    systems = {on: MFEN(MFENConfig(high_pass=on)).eval() for on in (False, True)}
    graphs = {on: session(system) for on, system in systems.items()}
    rows = []
    with torch.no_grad():
        for what, ways in (
            ("torch", {on: lambda system=system: system(picture) for on, system in systems.items()}),
            ("graph", {on: lambda g=g: g.run(None, {"image": picture.numpy()}) for on, g in graphs.items()}),
        ):
            least = in_turn(ways, args.rounds)
            rows.append({"what": what, "without": round(least[False], 4), "with": round(least[True], 4),
                         "more": round(least[True] / least[False] - 1, 4), "rounds": args.rounds,
                         "commit": commit(), "machine": machine()})  # fmt: skip
            print(
                f"{what}: {least[False]:.4f} s without, {least[True]:.4f} s with, {rows[-1]['more']:+.1%}", flush=True
            )
    if args.output:
        with args.output.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return int(any(row["more"] > LIMIT for row in rows))


def session(system: MFEN) -> onnxruntime.InferenceSession:
    """A network's graph as a model file has it, on one thread."""
    statistics = system.dan.head.scale.num_features
    graph = to_onnx(Deployed(system, torch.zeros(statistics), torch.eye(statistics)[:, :48]).eval(), OUTPUTS)
    halve_weights(graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(optimise(graph).SerializeToString(), options, ["CPUExecutionProvider"])


def in_turn(ways: dict[bool, Callable[[], object]], rounds: int) -> dict[bool, float]:
    """The least CPU seconds of each, over rounds of both; which comes first changes from round to round."""
    spent: dict[bool, list[float]] = {on: [] for on in ways}
    for run in range(1 + rounds):
        for on in sorted(ways, reverse=run % 2 == 1):
            start = time.process_time()
            ways[on]()
            spent[on].append(time.process_time() - start)
    return {on: float(np.min(values[1:])) for on, values in spent.items()}  # the first round warms up


if __name__ == "__main__":
    sys.exit(main())
