"""What a strong teacher says of pictures, rated or not, as further tasks of a small network.

The teacher is CLIP's ViT-B/16. It says an embedding of the whole picture and, by linear heads on it, opinions: of
people about generated pictures (SAC), and about beauty (LAION). The heads come in a JSON file with a weight (512) and a
bias for "sac" and "laion", from crowsonkb/simulacra-aesthetic-models and LAION-AI/aesthetic-predictor, both MIT.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.data.pipeline import SAID
from iqassay.data.rating import Rating, Ratings
from iqassay.data.synthetic import eight_bit_photo
from iqassay.scoring.square import shrunk_to_square
from iqassay.support.files import replace_file
from iqassay.systems.vision_transformer import MEANING, SIDE, VisionTransformer

TEACHER = "clip_vit_b16"
EMBEDDING = MEANING  # of the SAID numbers; the others are the opinions of the two heads
BATCH = 32


def embeddings(files: Sequence[Path], cache: Path) -> np.ndarray:
    """The teacher's embeddings of whole pictures, (N, 512) float32, kept in ``cache`` picture by picture.

    A picture is shrunk to 224x224 whatever its proportions, and seen in bfloat16. What was stopped goes on.
    """
    names = [hashlib.sha256(f"{file.name}:{file.stat().st_size}".encode()).hexdigest()[:24] for file in files]
    held = cache / f"{TEACHER}.npz"
    known: dict[str, np.ndarray] = {}
    if held.exists():
        with np.load(held) as kept:
            known = dict(zip(kept["names"].tolist(), kept["rows"], strict=True))
    todo = [i for i, name in enumerate(names) if name not in known]
    if not todo:
        return np.stack([known[name] for name in names])
    network = VisionTransformer(TEACHER).eval().bfloat16()
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        x = torch.from_numpy(np.stack([_small(files[i]) for i in batch]))
        with torch.inference_mode():
            found = network.embed(network.tokens(x.bfloat16())[-1]).float().numpy()
        known |= {names[i]: row for i, row in zip(batch, found, strict=True)}
        if start // BATCH % 20 == 0 or start + BATCH >= len(todo):
            cache.mkdir(parents=True, exist_ok=True)
            replace_file(held, partial(_write, known))
            print(f"{TEACHER}: {start + len(batch)} of {len(todo)} pictures", file=sys.stderr, flush=True)
    return np.stack([known[name] for name in names])


def _write(known: dict[str, np.ndarray], out: IO[bytes]) -> None:
    np.savez(out, names=np.array(list(known)), rows=np.stack(list(known.values())))


def _small(file: Path) -> np.ndarray:
    return shrunk_to_square(np.asarray(eight_bit_photo(file)), SIDE)[0]


def opinions(embedding: np.ndarray, heads: Path) -> np.ndarray:
    """What the two heads say of embeddings (N, 512): (N, 2), of SAC and of LAION, each from about 1 to 10.

    Raises:
        ValueError: for a file that is no such pair of heads.
    """
    try:
        held = json.loads(heads.read_text())
        parts = [(np.array(held[k]["weight"], np.float32), float(held[k]["bias"])) for k in ("sac", "laion")]
        unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
        gains = (embedding.shape[1] ** 0.5, 1.0)  # SAC's was made for vectors of that length
        return np.stack([gain * (unit @ weight) + bias for gain, (weight, bias) in zip(gains, parts, strict=True)], 1)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{heads}: got no heads ({error}), want JSON with weight and bias of sac and laion") from None


def taught_set(files: Sequence[Path], heads: Path, cache: Path) -> Ratings:
    """Unrated generated pictures, one at least, as a rated set, whose opinions are SAC's on 0 to 100; every tenth is
    for validation.

    SAC is an axis of its own: mixed into the opinions of photos it does harm, as a set with a scale of its own not.
    """
    score = np.clip(10 * opinions(embeddings(files, cache), heads)[:, 0], 0, 100)
    rows = tuple(
        Rating(image=file, score=float(s), split="val" if i % 10 == 0 else "train")
        for i, (file, s) in enumerate(zip(files, score, strict=True))
    )
    return Ratings("taught", rows, (0, 100), files[0].parent)


class Teaching(nn.Module):
    """The tasks that a teacher sets: from statistics (B, D) to what it says, (B, 514), each standardised.

    Args:
        inputs: D.
        said: what the teacher says of the training pictures, (N, 514); rows of nan do not count.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: int, said: np.ndarray) -> None:
        super().__init__()
        known = torch.from_numpy(said[np.isfinite(said).all(1)])
        self.register_buffer("mean", known.mean(0))
        self.register_buffer("deviation", known.std(0).clamp(min=1e-4))
        self.layers = nn.Sequential(nn.BatchNorm1d(inputs), nn.Linear(inputs, SAID))

    def loss(self, statistics: Tensor, said: Tensor) -> Tensor:
        """The mean error over the pictures of which something is said, (B, 514); the opinions weigh half."""
        known = said.isfinite().all(1)
        if not known.any():
            return statistics.sum() * 0
        answer = self.layers(statistics.float())[known]
        error = F.smooth_l1_loss(answer, ((said[known] - self.mean) / self.deviation), reduction="none").mean(0)
        return 0.5 * error[:EMBEDDING].mean() + 0.5 * error[EMBEDDING:].mean()
