"""``iqassay export MODEL MODEL ... -o panel.json``: calibrate a panel of model files and write its card.

As for one model (``ship``), nothing here reads a test split, and the rated validation pictures are dealt out by turns:
one half makes the calibration table and chooses the floor of the interval, the other makes the interval.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iqassay.data.opening import open_set
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet, pristine_files, render
from iqassay.scoring.model_file import ModelFile, NetworkCard, default_threads, load_model_file
from iqassay.scoring.panel import member_files
from iqassay.scoring.scorer import Scorer, calibrated, raw_value
from iqassay.statistics.correlation import srcc
from iqassay.support.version import __version__
from iqassay.training.calibrate import calibration_table, conformal_interval, doubts, measured, refuse_few
from iqassay.training.sets import held_out
from iqassay.training.ship import ENOUGH

Floats = NDArray[np.float64]
FLOORS = (1, 2, 4, 8, 16, 32)  # points added to the spread: from all that the spread says to hardly any of it


@dataclasses.dataclass
class PanelExport:
    """``iqassay export`` with several models: from model files to the card of their panel."""

    models: list[str]  # names of shipped models or .onnx files; these must lie beside ``out``
    out: Path
    calibrate: list[str] = dataclasses.field(default_factory=list)  # rated sets that share the 0-100 scale
    report: list[str] = dataclasses.field(default_factory=list)  # further rated sets whose accuracy goes on the card
    synthetic: list[Path] = dataclasses.field(default_factory=list)  # clean photos, as the members were trained with
    about: Path | None = None  # JSON with the words of the card: summary, licence, training_data, limits
    force: bool = False  # see ``ship.Export``
    columns: str = ""  # what the columns of these sets are, as for ``read_ratings``


def make_panel(job: PanelExport) -> Path:
    """Write ``job.out``, the card of the panel.

    Raises:
        ValueError: for models that do not make a panel, or too little to calibrate with.
    """
    files = _members(job)
    if not job.calibrate:
        raise ValueError("got no --calibrate set, want at least one rated set to put scores on 0-100")
    sets = [open_set(argument, columns=job.columns).split("val") for argument in job.calibrate + job.report]
    for ratings in sets:
        if len(ratings) < 4:
            raise ValueError(f"{ratings.name}: got {len(ratings)} rows of split val, want at least 4")
    opinions = [np.array([row.score for row in ratings.rows]) for ratings in sets]
    count = len(job.calibrate)
    opinion = np.concatenate(opinions[:count])
    refuse_few(len(opinion), job.force)
    card = _words([file.card for file in files], job)
    table, interval = slice(0, None, 2), slice(1, None, 2)
    covered = max(file.card.synthetic_covered for file in files)
    made = _synthetic(job.synthetic, len(opinion[table]), covered) if job.synthetic else None

    # Opened after the rendering, whose processes are forked: they would lack the threads of onnxruntime.
    members = [Scorer(file, threads=1) for file in files]
    scores = [_scores(members, [row.image for row in ratings.rows]) for ratings in sets]  # each (pictures, members)
    mean, spread = np.concatenate(scores[:count]).mean(1), np.concatenate(scores[:count]).std(1)
    card["limits"] = [*card.get("limits", []), *doubts(mean, opinion, "rated pictures", job.force)]
    fit_mean, fit_opinion = mean[table], opinion[table]
    if made is not None:
        fit_mean = np.append(fit_mean, _scores(members, list(made.pixels)).mean(1))
        fit_opinion = np.append(fit_opinion, made.score)
    card["calibration"] = calibration_table(fit_mean, fit_opinion)
    score = np.interp(mean, card["calibration"]["raw"], card["calibration"]["score"])
    floor = _best_floor([(score[half], opinion[half], spread[half]) for half in (table, interval)])
    widths = conformal_interval(score[interval], opinion[interval], doubt=spread[interval] + floor)
    card["interval"] = {**widths, "spread": floor}
    for ratings, given, truth in zip(sets, scores, opinions, strict=True):
        together = np.interp(given.mean(1), card["calibration"]["raw"], card["calibration"]["score"])
        card["accuracy"].append(measured(f"{ratings.name} val", given.mean(1), together, truth))
        alone = ", ".join(f"{m.card.name} {srcc(own, truth):.4f}" for m, own in zip(members, given.T, strict=True))
        _say(f"{json.dumps(card['accuracy'][-1])}; srcc of each: {alone}")
    job.out.parent.mkdir(parents=True, exist_ok=True)
    job.out.write_text(json.dumps(card, indent=1) + "\n")
    return job.out


def _members(job: PanelExport) -> list[ModelFile]:
    """The models in the order of their names. Raises ValueError when they do not make a panel."""
    if job.out.suffix != ".json" or job.out.with_suffix(".onnx").exists():
        raise ValueError(f"-o {job.out}: got several models, want a .json file without an .onnx file beside it")
    files = [load_model_file(model) for model in job.models]
    members = {file.path.stem: file for file in files}
    if len(members) < len(files):
        raise ValueError(f"got {', '.join(job.models)}, want models of different names")
    digests = {name: members[name].card.sha256 for name in sorted(members)}
    member_files(job.out, digests, files[0].card.distortions)  # will the panel find these very files?
    return [members[name] for name in digests]


def _words(cards: list[NetworkCard], job: PanelExport) -> dict[str, Any]:
    """The card without numbers. What the members have to say, where ``about`` says nothing else."""
    licence: dict[str, list[str]] = {}
    for card in cards:
        for part, words in card.licence.items():
            licence.setdefault(part, []).append(words)
    names = ", ".join(card.name for card in cards)
    own = {
        "name": job.out.stem,
        "version": __version__,
        "summary": f"{names} together",
        "system": f"panel of {names}",
        "members": {card.name: card.sha256 for card in cards},
        "licence": {part: "; ".join(dict.fromkeys(words)) for part, words in licence.items()},
        "training_data": list(dict.fromkeys(line for card in cards for line in card.training_data)),
        "limits": list(dict.fromkeys(line for card in cards for line in card.limits)),
        "distortions": cards[0].distortions,
        "accuracy": [],
    }
    return own | (json.loads(job.about.read_text()) if job.about else {})


def _synthetic(folders: list[Path], rated: int, covered: float) -> SyntheticSet:
    """Distorted pictures of photos that no member was trained on, 2 for every 5 rated ones: see ``ship``.

    covered: the largest share that any member's training had of what people feed beside photos. A member that never saw
    an empty frame may still be right about it; a table that never saw one puts it anywhere.
    """
    held = held_out(pristine_files(folders))
    config = SyntheticConfig(count=max(2 * rated // 5, ENOUGH - rated), seed=1, covered=covered)
    _say(f"{config.count} synthetic pictures of {len(held)} photos")
    with tempfile.TemporaryDirectory() as cache:
        made = render(held, config, Path(cache))
        return dataclasses.replace(made, pixels=np.array(made.pixels))  # in memory: the file goes


def _scores(members: list[Scorer], pictures: Sequence[Path | NDArray[np.uint8]]) -> Floats:
    """The calibrated score that each member gives each picture: (pictures, members)."""

    def ask(picture: Path | NDArray[np.uint8]) -> list[float]:
        seen = members[0].read(picture)
        return [float(calibrated(raw_value(member.look(seen), member.card), member.card)) for member in members]

    rows = []
    with ThreadPoolExecutor(
        default_threads()
    ) as pool:  # small pictures: one for each thread is faster than all for one
        for row in pool.map(ask, pictures):
            rows.append(row)
            if len(rows) % 200 == 0 or len(rows) == len(pictures):
                _say(f"{len(rows)} of {len(pictures)} pictures")
    return np.array(rows)


def _best_floor(halves: list[tuple[Floats, Floats, Floats]]) -> int:
    """The floor whose interval is narrowest on the first half, where a half is (score, opinion, spread).

    Prints the widths of both. The second half is shown beside an interval that knows no spread, and decides nothing.
    """

    def width(score: Floats, opinion: Floats, doubt: Floats) -> float:
        table = conformal_interval(score, opinion, doubt=doubt)
        below, above = (np.interp(score, table["score"], table[side]) * doubt for side in ("below", "above"))
        return float((np.minimum(100, score + above) - np.maximum(0, score - below)).mean())

    found = {floor: [width(s, o, spread + floor) for s, o, spread in halves] for floor in FLOORS}
    best = min(found, key=lambda floor: found[floor][0])
    _say("mean width of the 90 % interval by the floor under the spread: on the table's half, on the interval's half")
    for floor, widths in found.items():
        _say(f"  {floor:>6} {widths[0]:7.2f} {widths[1]:7.2f}{'  <- narrowest' if floor == best else ''}")
    plain = [width(s, o, np.ones_like(s)) for s, o, _ in halves]
    _say(f"  without {plain[0]:6.2f} {plain[1]:7.2f}  (the spread left out)")
    return best


def _say(text: str) -> None:
    print(f"iqassay export: {text}", file=sys.stderr, flush=True)
