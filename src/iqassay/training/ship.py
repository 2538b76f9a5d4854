"""``iqassay export CHECKPOINT``: calibrate a trained system on validation pictures and write its model file.

Nothing here reads a test split. The rated validation pictures are dealt out by turns: one half makes the calibration
table, the other the interval. A system that takes references has a second table and interval, from validation pairs.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from iqassay.data.distortions import KINDS
from iqassay.data.opening import open_set
from iqassay.data.rating import Rating, Ratings
from iqassay.data.synthetic import SyntheticSet
from iqassay.scoring.model_file import default_threads, load_model_file
from iqassay.scoring.scorer import Scorer
from iqassay.support.parallel import in_order
from iqassay.support.version import __version__
from iqassay.systems.blocks import pool_statistics
from iqassay.systems.graph_weights import stored_tensors
from iqassay.systems.mfen import MFEN
from iqassay.systems.vision_transformer import SIDE
from iqassay.systems.yoto_extended import TOP, ExtendedYOTO
from iqassay.training.build import System, build_system
from iqassay.training.calibrate import calibration_table, conformal_interval, doubts, measured, refuse_few
from iqassay.training.checkpoints import load_weights, recipe_of
from iqassay.training.export import cut_up, export, principal_axes
from iqassay.training.kept_answers import kept_answers
from iqassay.training.recipes import Recipe
from iqassay.training.sets import synthetic_sets
from iqassay.training.whole_pass import VIEW_AREA, whole_view

# Opinions of one distortion at one level spread by 8.4 points between KADID-10k's pictures, of which our targets follow
# about half: this much of an opinion a synthetic target cannot know, so that the interval must allow for it.
OPINION_NOISE = 7.3
ENOUGH = 200  # pictures make a calibration table
VIEWS = {"area": VIEW_AREA, "window": 384, "max_windows": 80, "global_weight": 0.5}
FEW = 40  # windows of a system on a vision transformer, at most


@dataclasses.dataclass
class Export:
    """``iqassay export``: from a checkpoint to a model file."""

    checkpoint: Path
    out: Path
    calibrate: list[str] = dataclasses.field(default_factory=list)  # rated sets that share the 0-100 scale
    report: list[str] = dataclasses.field(default_factory=list)  # further rated sets whose accuracy goes on the card
    about: Path | None = None  # JSON with the words of the card: summary, licence, training_data, limits
    force: bool = (
        False  # write a model that hardly follows the opinions, or a scale made of few, and say so on the card
    )
    columns: str = ""  # what the columns of these sets are, as for ``read_ratings``
    cache: Path | None = None  # folder where what the model says of pictures is kept, to go on, and for a panel of it


def ship(job: Export) -> Path:
    """Write ``job.out`` (.onnx and .json) from the run that ``job.checkpoint`` lies in.

    A run of --stage map that began with a model file needs no --calibrate: its scores are those of that file, and so
    are scale and intervals.

    Raises:
        ValueError: for a file that is no checkpoint of a run, a run that names no distortions, or too little to
            calibrate with.
    """
    recipe = recipe_of(job.checkpoint)
    if not job.calibrate and recipe.stage == "map" and recipe.start is not None and recipe.start.suffix == ".onnx":
        return _with_another_map(job, recipe, recipe.start)
    if not job.calibrate:
        raise ValueError("got no --calibrate set, want at least one rated set to put scores on 0-100")
    published = recipe.system == "yoto" and recipe.config == "paper"
    ours = (recipe.whole_picture, recipe.distance)
    if published and any(ours):
        raise ValueError(f"{job.checkpoint}: got --config paper with --whole-picture or --distance, want neither")
    if not (all(ours) or published if recipe.system == "yoto" else recipe.dan):
        raise ValueError(
            f"{job.checkpoint}: got a run with --no-dan, --no-whole-picture or --no-distance, want one without"
        )
    lite = recipe.encoder.startswith("efficientnet_lite")
    if recipe.system == "yoto" and not published and not lite and not recipe.near:
        # The graph looks at an empty batch of half the size for the other mode, which onnxruntime cannot do for every
        # encoder; the published network, and that among neighbours, have no such look.
        raise ValueError(
            f"{job.checkpoint}: got the encoder {recipe.encoder}, want an efficientnet_lite one, or --near, to export"
        )
    sets = [open_set(argument, columns=job.columns) for argument in job.calibrate + job.report]
    for ratings in sets:
        if len(ratings.split("val")) < 4:
            raise ValueError(f"{ratings.name}: got {len(ratings.split('val'))} rows of split val, want at least 4")
    refuse_few(sum(len(ratings.split("val")) for ratings in sets[: len(job.calibrate)]), job.force)
    made = synthetic_sets(recipe)[1] if recipe.synthetic else None  # first: it may fail, and what follows takes long
    system = build_system(recipe).eval()
    load_weights(system, job.checkpoint)
    training = [row for ratings in sets for row in ratings.split("train").rows]
    _say("statistics of the training pictures")
    centre, axes = principal_axes(_statistics(system, training[:: max(1, len(training) // 800)]))

    card = json.loads(job.about.read_text()) if job.about else {}
    card = {"name": job.out.stem, "version": __version__, "summary": "", "system": recipe.system.upper()} | card
    for key, empty in (("licence", {}), ("training_data", []), ("limits", []), ("accuracy", [])):
        card.setdefault(key, empty)
    views = VIEWS | ({"max_windows": FEW} if recipe.near else {}) | card.get("views", {})
    card |= {"distortions": list(KINDS), "views": views, "unlike": {"threshold": 1e9}}
    scale = {"calibration": {"raw": [0, 1], "score": [0, 1]}, "interval": {"score": [0], "below": [0], "above": [0]}}
    card["architecture"] = dataclasses.asdict(system.config)
    if recipe.semantic:
        card["semantic"] = SIDE
    if recipe.synthetic and recipe.synthetic_covered:  # a panel's calibration sees them too, then
        card["synthetic_covered"] = recipe.synthetic_covered
    card |= scale | ({"reference": scale} if isinstance(system, ExtendedYOTO) else {})
    limits: list[str] = []
    with tempfile.TemporaryDirectory() as folder:  # a first file without a scale, to see every picture as users will
        scorer = Scorer(export(system, centre, axes, card, Path(folder) / "raw.onnx"))
        cache = job.cache or Path(folder)
        seen = [
            _look(scorer, [row.image for row in ratings.split("val").rows], cache, f"pictures of {ratings.name}")
            for ratings in sets
        ]
        seen_made = (
            _look(scorer, list(made.pixels), cache, "synthetic pictures")[0] if made is not None else np.empty(0)
        )
        if isinstance(system, ExtendedYOTO):
            card["reference"], limits = _with_reference(scorer, sets, made, job.force, system.config.distance)
    opinions = [np.array([row.score for row in ratings.split("val").rows]) for ratings in sets]

    count = len(job.calibrate)
    raw, unlike = np.concatenate([s[0] for s in seen[:count]]), np.concatenate([s[1] for s in seen])
    opinion = np.concatenate(opinions[:count])
    limits = doubts(raw, opinion, "rated pictures", job.force) + limits
    card["limits"] = [*card["limits"], *limits]
    table_half, interval_half = np.arange(len(raw)) % 2 == 0, np.arange(len(raw)) % 2 == 1
    fit_raw, fit_opinion = raw[table_half], opinion[table_half]
    if made is not None:  # rated photos set the scale; few are ruined, and what that means the synthetic ones say
        some = max(2 * len(fit_raw) // 5, ENOUGH - len(fit_raw))
        fit_raw, fit_opinion = np.append(fit_raw, seen_made[:some]), np.append(fit_opinion, made.score[:some])
    card["calibration"] = calibration_table(fit_raw, fit_opinion)
    calibrated = np.interp(raw, card["calibration"]["raw"], card["calibration"]["score"])
    card["interval"] = conformal_interval(calibrated[interval_half], opinion[interval_half])
    card["unlike"] = {"threshold": round(float(np.quantile(unlike, 0.99)), 4)}
    for ratings, (values, _), truth in zip(sets, seen, opinions, strict=True):
        score = np.interp(values, card["calibration"]["raw"], card["calibration"]["score"])
        card["accuracy"].append(measured(f"{ratings.name} val", values, score, truth))
        _say(json.dumps(card["accuracy"][-1]))
    return export(system, centre, axes, card, job.out)


def _with_another_map(job: Export, recipe: Recipe, start: Path) -> Path:
    """The model file that a run of ``--stage map`` started with, with the map of the run."""
    before = stored_tensors(load_model_file(start).content)
    system = build_system(recipe).eval()
    load_weights(system, job.checkpoint)
    centre, axes = (torch.from_numpy(before.get(n, before.get(f"{n}_half"))).float() for n in ("centre", "axes"))
    card = json.loads(start.with_suffix(".json").read_text())
    about = json.loads(job.about.read_text()) if job.about else {}
    views = card["views"] | about.get("views", {})
    card |= {"name": job.out.stem, **about, "views": views, "architecture": dataclasses.asdict(system.config)}
    return export(system, centre, axes, card, job.out, start)


def _with_reference(
    scorer: Scorer, sets: list[Ratings], made: SyntheticSet | None, force: bool, distance: bool
) -> tuple[dict[str, dict], list[str]]:
    """Calibration and interval of the full-reference mode, from validation pairs, rated and synthetic; and what speaks
    against them, see ``doubts``. distance: a picture that is its own reference has TOP, which is then the best."""
    rows = [row for ratings in sets for row in ratings.split("val").rows if row.reference is not None]
    pictures: list = [row.image for row in rows]
    references: list = [row.reference for row in rows]
    opinion = np.array([row.score for row in rows])
    if made is not None:
        noise = np.random.default_rng(0).normal(0, OPINION_NOISE, len(made))
        pictures, references = [*pictures, *made.pixels], [*references, *made.reference]
        target = np.concatenate([opinion, made.pair_score])
        opinion = np.concatenate([opinion, made.pair_score + noise * (made.pair_score < 100)])
    else:
        target = opinion
    if len(pictures) < 4:
        raise ValueError(
            f"got {len(pictures)} validation pairs, want at least 4 to put the full-reference score on 0-100"
        )
    looks = in_order(lambda pair: scorer.look(*pair), zip(pictures, references, strict=True), default_threads())
    raw = np.array([float(answers.score) for answers in looks])
    limits = doubts(raw, target, "pairs of pictures and references", force)
    table_half, interval_half = np.arange(len(raw)) % 2 == 0, np.arange(len(raw)) % 2 == 1
    table = calibration_table(raw[table_half], target[table_half], top=(TOP, 100.0) if distance else None)
    score = np.interp(raw, table["raw"], table["score"])
    return {"calibration": table, "interval": conformal_interval(score[interval_half], opinion[interval_half])}, limits


@torch.no_grad()
def _statistics(system: System, rows: list[Rating]) -> np.ndarray:
    """Encoder statistics of whole pictures as the scorer sees them: (N, D)."""
    views = (torch.from_numpy(whole_view(row.image)) for row in rows)
    if isinstance(system, ExtendedYOTO) and (side := system.network.config.crop):
        crops = (cut_up(view, side)[0] for view in views)
        described = (pool_statistics(system.encoder.encode(one)).mean(0, keepdim=True) for one in crops)
        return np.concatenate([one.numpy() for one in described])
    if isinstance(system, MFEN):
        return np.concatenate([system.statistics(view).numpy() for view in views])
    if isinstance(system, ExtendedYOTO):  # as its ``statistics``
        encode = system.network.encode if system.detail is None else system.smaller
    else:
        encode = system.encoder.encode
    return np.concatenate([pool_statistics(encode(view)).numpy() for view in views])


def _look(scorer: Scorer, pictures: list, cache: Path, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Raw score and distance from the training data of every picture, by the scorer itself."""
    answers = [said for (said,) in kept_answers([scorer], pictures, cache, what)]
    return np.array([float(a.score) for a in answers]), np.array([float(a.unlike) for a in answers])


def _say(text: str) -> None:
    print(f"iqassay export: {text}", file=sys.stderr, flush=True)
