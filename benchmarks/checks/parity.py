"""Does a model file say what its torch checkpoint says? The largest differences over real pictures, in each mode.

    python benchmarks/checks/parity.py CHECKPOINT MODEL.onnx FOLDER [--count 100] [--reference]

The score's in calibrated points, all else as it is: probabilities, severities, and DRI-IQA's estimate and nearness.
--reference: also every picture saved as a JPEG, beside the picture itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from iqassay.data.filters import through_codec
from iqassay.pictures.image import read_image, to_float
from iqassay.scoring.model_file import load_model_file, open_session
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights, recipe_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from spread import spread

QUALITIES = (8, 20, 40, 75)  # of the JPEGs, in turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--reference", action="store_true", help="compare the full-reference mode too")
    args = parser.parse_args()
    system = build_system(recipe_of(args.checkpoint)).eval()
    load_weights(system, args.checkpoint)
    model = load_model_file(args.model)
    session, card = open_session(model), model.card
    if args.reference and card.reference is None:
        parser.error(f"the model {card.name!r} takes no reference, want one that does")

    def differences(picture: np.ndarray, reference: np.ndarray | None = None) -> dict[str, float]:
        """Of one picture, (H, W, 3) float32 in [0, 1], with or without its reference."""
        batch = np.stack([p for p in (picture, reference) if p is not None]).transpose(0, 3, 1, 2).copy()
        feed = {"image": batch} | ({"pictures": np.array([1])} if card.reference else {})
        with torch.no_grad():
            wanted = system(*torch.from_numpy(batch).split(1))
        tensors = {"presence": wanted.extras["kind"].softmax(1), "severity": wanted.extras["severity"]}
        tensors |= {name: wanted.extras[name] for name in ("estimate", "nearness") if name in wanted.extras}
        score, *got = session.run(["score", *tensors], feed)
        scale = (card.reference if reference is not None and card.reference else card).calibration
        points = np.interp([score.item(), wanted.score.item()], scale.raw, scale.score)
        found = {"score": float(abs(points[0] - points[1]))}
        return found | {n: float(np.abs(a - t.numpy()).max()) for a, (n, t) in zip(got, tensors.items(), strict=True)}

    files = sorted(p for p in args.folder.iterdir() if p.is_file())
    files = spread(files, args.count, f"files in {args.folder}")
    modes: dict[str, list[dict[str, float]]] = {"without a reference": [], "with a reference": []}
    for i, file in enumerate(files):
        pixels = to_float(read_image(file).pixels)
        tall, wide = (min(side, 512) // 32 * 32 for side in pixels.shape[:2])
        picture = pixels[:tall, :wide]
        modes["without a reference"].append(differences(picture))
        if args.reference:
            copy = through_codec(picture, "JPEG", quality=QUALITIES[i % len(QUALITIES)])
            modes["with a reference"].append(differences(copy, picture))
    for mode, found in modes.items():
        if found:
            worst = {name: round(max(one[name] for one in found), 4) for name in found[0]}
            print(f"{len(found)} pictures {mode}; largest differences: {worst}")


if __name__ == "__main__":
    main()
