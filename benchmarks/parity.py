"""Does a model file say what its torch checkpoint says? The largest difference in points over real pictures.

python benchmarks/parity.py CHECKPOINT MODEL.onnx FOLDER [--count 100]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from iqassay.image import read_image, to_float
from iqassay.model_file import load_model_file, open_session
from iqassay.training.fit import build_system, load_weights, recipe_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    args = parser.parse_args()
    system = build_system(recipe_of(args.checkpoint)).eval()
    load_weights(system, args.checkpoint)
    model = load_model_file(args.model)
    session, scale = open_session(model), model.card.calibration
    worst = {"score": 0.0, "presence": 0.0, "severity": 0.0}
    files = sorted(p for p in args.folder.iterdir() if p.is_file())
    for file in files[:: max(1, len(files) // args.count)][: args.count]:
        pixels = to_float(read_image(file).pixels)
        tall, wide = (min(side, 512) // 32 * 32 for side in pixels.shape[:2])
        x = np.ascontiguousarray(pixels[:tall, :wide].transpose(2, 0, 1)[None])
        with torch.no_grad():
            wanted = system(torch.from_numpy(x))
        got = dict(zip(worst, session.run(list(worst), {"image": x}), strict=True))
        points = [np.interp(float(raw[0]), scale.raw, scale.score) for raw in (got["score"], wanted.score)]
        worst["score"] = max(worst["score"], abs(points[0] - points[1]))
        for name, tensor in (("presence", wanted.extras["kind"].softmax(1)), ("severity", wanted.extras["severity"])):
            worst[name] = max(worst[name], float(np.abs(got[name] - tensor.numpy()).max()))
    print(f"{min(args.count, len(files))} pictures; largest differences:", {k: round(v, 4) for k, v in worst.items()})


if __name__ == "__main__":
    main()
