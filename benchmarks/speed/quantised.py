"""Would 8-bit arithmetic pay? Rank correlation and time of the shipped networks, as they are and quantised two ways.

    python benchmarks/speed/quantised.py --biq biq2021.csv:IMAGES [--count 600] [-o quantised.csv]

"static": convolutions with 8-bit weights (a scale for each channel) and 8-bit activations, whose ranges 24 training
photos set. "dynamic": the same with ranges found anew for each picture, linear layers too. SRCC on photos of the val
split; milliseconds for a photo of 512 x 384, the least of 40, the variants by turns in one process.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

from iqassay.data.opening import open_set
from iqassay.pictures.image import read_image, to_float
from iqassay.scoring import tiles
from iqassay.scoring.model_file import OUTPUTS, Views, load_model_file
from iqassay.statistics.correlation import srcc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import commit, machine
from spread import spread

MODELS = ("mfen", "yoto", "dri")
CALIBRATION = 24  # photos


class Photos(CalibrationDataReader):
    """Whole photos, one after another, as the network takes them."""

    def __init__(self, paths: list[Path], feed: dict[str, np.ndarray]) -> None:
        self.views = ({"image": view_of(path), **feed} for path in paths)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.views, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--biq", required=True, help="BIQ2021: CSV:FOLDER")
    parser.add_argument("--count", type=int, default=600, help="photos of the val split")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    ratings = open_set(args.biq)
    training = ratings.split("train").rows
    some = [row.image for row in spread(training, CALIBRATION, f"photos of the train split of {args.biq}")]
    judged = ratings.split("val").rows[: args.count]
    where = {"commit": commit(), "machine": machine(), "threads": args.threads}
    rows: list[dict[str, object]] = []
    for name in MODELS:
        file = load_model_file(name)
        views, feed = file.card.views, {"pictures": np.array([1])} if file.card.reference else {}
        with tempfile.TemporaryDirectory() as folder:
            sessions = variants(file.content, Path(folder), some, feed, args.threads)
        speed = seconds(sessions, feed)
        before = 0.0
        for variant, session in sessions.items():
            raw = [score(session, row.image, views, feed) for row in judged]
            found = srcc(np.array(raw), np.array([row.score for row in judged]))
            before = before or found
            row = {"model": name, "arithmetic": variant, "photos": len(judged), "srcc": round(found, 4)}
            row |= {"srcc_lost": round(before - found, 4), "ms": round(1000 * speed[variant], 1)}
            rows.append(row | where)
            print(row, flush=True)
    if args.output:
        with args.output.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def variants(
    content: bytes, folder: Path, photos: list[Path], feed: dict[str, np.ndarray], threads: int
) -> dict[str, onnxruntime.InferenceSession]:
    """The network as it is, and quantised."""
    plain, static, dynamic = (folder / f"{name}.onnx" for name in ("plain", "static", "dynamic"))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(plain)  # with float32 weights, which is what the tools take
    onnxruntime.InferenceSession(content, options)
    graph = onnx.load(plain)
    graph.graph.ClearField("value_info")  # shapes from before a weight was transposed
    onnx.save(graph, plain)
    eight = {"per_channel": True, "weight_type": QuantType.QInt8}
    quantize_static(plain, static, Photos(photos, feed), op_types_to_quantize=["Conv"], **eight)
    quantize_dynamic(plain, dynamic, op_types_to_quantize=["Conv", "MatMul", "Gemm"], per_channel=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return {file.stem: onnxruntime.InferenceSession(file.read_bytes(), options) for file in (plain, static, dynamic)}


def view_of(path: Path) -> np.ndarray:
    return np.ascontiguousarray(tiles.pad(to_float(read_image(path).pixels)).transpose(2, 0, 1)[None])


def score(session: onnxruntime.InferenceSession, path: Path, views: Views, feed: dict[str, np.ndarray]) -> float:
    def network(batch: tiles.Batch, _: tiles.Batch | None) -> tiles.Answers:
        raw, quality_map, presence, severity, unlike = session.run(OUTPUTS, {"image": batch, **feed})
        return tiles.Answers(raw, quality_map[:, 0], presence, severity, unlike)

    return float(tiles.look(read_image(path).pixels, views, network).score)


def seconds(
    sessions: dict[str, onnxruntime.InferenceSession], feed: dict[str, np.ndarray], repeats: int = 40
) -> dict[str, float]:
    x = np.random.default_rng(0).random((1, 3, 384, 512), np.float32)
    best = dict.fromkeys(sessions, np.inf)
    for _ in range(repeats):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(["score"], {"image": x, **feed})
            best[name] = min(best[name], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
