"""``iqassay export CHECKPOINT``: calibrate a trained system on validation pictures and write its model file.

Nothing here reads a test split. The rated validation pictures are dealt out by turns: one half makes the calibration
table, the other the interval.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from iqassay import __version__
from iqassay.bench.correlation import plcc, srcc
from iqassay.data.datasets import Rating
from iqassay.data.distortions import KINDS
from iqassay.model_file import load_model_file
from iqassay.scorer import Scorer
from iqassay.systems.blocks import pool_statistics
from iqassay.systems.mfen import MFEN
from iqassay.training.calibrate import calibration_table, conformal_interval
from iqassay.training.export import export, principal_axes
from iqassay.training.fit import build_system, load_weights, ratings_of, recipe_of, synthetic_sets
from iqassay.training.head import VIEW_AREA, whole_view

VIEWS = {"area": VIEW_AREA, "window": 384, "max_windows": 96, "global_weight": 0.5}


@dataclasses.dataclass
class Export:
    """``iqassay export``: from a checkpoint to a model file."""

    checkpoint: Path
    out: Path
    calibrate: list[str] = dataclasses.field(default_factory=list)  # rated sets that share the 0-100 scale
    report: list[str] = dataclasses.field(default_factory=list)  # further rated sets whose accuracy goes on the card
    about: Path | None = None  # JSON with the words of the card: summary, licence, training_data, limits


def ship(job: Export) -> Path:
    """Write ``job.out`` (.onnx and .json) from the run that ``job.checkpoint`` lies in.

    Raises:
        ValueError: for a file that is no checkpoint of a run, a run without DAN, or too little to calibrate with.
    """
    recipe = recipe_of(job.checkpoint)
    if not job.calibrate:
        raise ValueError("got no --calibrate set, want at least one rated set to put scores on 0-100")
    if not recipe.dan:
        raise ValueError(f"{job.checkpoint}: got a run with --no-dan, want one whose network names distortions")
    sets = [ratings_of(argument) for argument in job.calibrate + job.report]
    for ratings in sets:
        if len(ratings.split("val")) < 4:
            raise ValueError(f"{ratings.name}: got {len(ratings.split('val'))} rows of split val, want at least 4")
    made = synthetic_sets(recipe)[1] if recipe.synthetic else None  # first: it may fail, and what follows takes long
    system = build_system(recipe).eval()
    load_weights(system, job.checkpoint)
    training = [row for ratings in sets for row in ratings.split("train").rows]
    _say("statistics of the training pictures")
    centre, axes = principal_axes(_statistics(system, training[:: max(1, len(training) // 800)]))

    card = json.loads(job.about.read_text()) if job.about else {}
    card = {"name": job.out.stem, "version": __version__, "summary": "", "system": "MFEN"} | card
    for key, empty in (("licence", {}), ("training_data", []), ("limits", []), ("accuracy", [])):
        card.setdefault(key, empty)
    card |= {"distortions": list(KINDS), "views": VIEWS, "unlike": {"threshold": 1e9}}
    card |= {"calibration": {"raw": [0, 1], "score": [0, 1]}, "interval": {"score": [0], "below": [0], "above": [0]}}
    with tempfile.TemporaryDirectory() as folder:  # a first file without a scale, to see every picture as users will
        scorer = Scorer(load_model_file(export(system, centre, axes, card, Path(folder) / "raw.onnx")))
        seen = [_look(scorer, [row.image for row in ratings.split("val").rows]) for ratings in sets]
        seen_made = _look(scorer, list(made.pixels))[0] if made is not None else None
    opinions = [np.array([row.score for row in ratings.split("val").rows]) for ratings in sets]

    count = len(job.calibrate)
    raw, unlike = np.concatenate([s[0] for s in seen[:count]]), np.concatenate([s[1] for s in seen])
    opinion = np.concatenate(opinions[:count])
    table_half, interval_half = np.arange(len(raw)) % 2 == 0, np.arange(len(raw)) % 2 == 1
    fit_raw, fit_opinion = raw[table_half], opinion[table_half]
    if made is not None:
        fit_raw, fit_opinion = np.concatenate([fit_raw, seen_made]), np.concatenate([fit_opinion, made.score])
    card["calibration"] = calibration_table(fit_raw, fit_opinion)
    calibrated = np.interp(raw, card["calibration"]["raw"], card["calibration"]["score"])
    card["interval"] = conformal_interval(calibrated[interval_half], opinion[interval_half])
    card["unlike"] = {"threshold": round(float(np.quantile(unlike, 0.99)), 4)}
    for ratings, (values, _), truth in zip(sets, seen, opinions, strict=True):
        score = np.interp(values, card["calibration"]["raw"], card["calibration"]["score"])
        found = {"srcc": round(srcc(values, truth), 4), "plcc": round(plcc(score, truth), 4)}
        card["accuracy"].append({"set": f"{ratings.name} val", "images": len(truth), **found})
        _say(json.dumps(card["accuracy"][-1]))
    return export(system, centre, axes, card, job.out)


@torch.no_grad()
def _statistics(system: MFEN, rows: list[Rating]) -> np.ndarray:
    """Encoder statistics of whole pictures as the scorer sees them: (N, D)."""
    views = (torch.from_numpy(whole_view(row.image)) for row in rows)
    return np.concatenate([pool_statistics(system.qen.encode(view)).numpy() for view in views])


def _look(scorer: Scorer, pictures: list) -> tuple[np.ndarray, np.ndarray]:
    """Raw score and distance from the training data of every picture, by the scorer itself."""
    answers = []
    for i, picture in enumerate(pictures):
        answers.append(scorer.look(picture))
        if i % 200 == 0:
            _say(f"{i} of {len(pictures)} pictures")
    return np.array([float(a.score) for a in answers]), np.array([float(a.unlike) for a in answers])


def _say(text: str) -> None:
    print(f"iqassay export: {text}", file=sys.stderr, flush=True)
