"""``iqassay export MODEL MODEL ... -o panel.json``: calibrate a panel of model files and write its card.

As for one model (``ship``), nothing here reads a test split, and the rated validation pictures are dealt out by turns:
one half draws the table, with the anchors (``anchors``), and finds out what errors go with (``widths``); the other
makes the interval. All that members say is kept (``kept_answers``), so that the command can be stopped and go on.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iqassay.data.opening import open_set
from iqassay.data.rating import Ratings
from iqassay.data.synthetic import pristine_files
from iqassay.scoring.model_file import ModelFile, NetworkCard, Weights, load_model_file, panel_weights
from iqassay.scoring.panel import member_files, merge, shares
from iqassay.scoring.scorer import Scorer, calibrated
from iqassay.scoring.tiles import Answers
from iqassay.scoring.width import traits
from iqassay.statistics.correlation import srcc
from iqassay.support.version import __version__
from iqassay.training import widths
from iqassay.training.anchor_pictures import Damaged, blurred_to_nothing, damaged, flat_frames
from iqassay.training.anchors import Anchor, fit_table, missed, on_our_scale, opinion_table, placed
from iqassay.training.calibrate import doubts, measured, refuse_few
from iqassay.training.kept_answers import kept_answers
from iqassay.training.sets import held_out

Floats = NDArray[np.float64]
PROFESSIONAL, NOTHING, APART = 90.0, 10.0, 20.0  # points: what the anchors are held to
# How much a mean square miss of each anchor counts beside that of the rated photos' opinions, which is 1. The median of
# professional photos and the spread of ordinary ones are single numbers that a table can nearly always meet, so they
# weigh most; KADID-10k's means are a hundred numbers of the same kind as opinions; the pictures of nothing could drag
# every photo that ranks with them down, so they weigh no more than the few ruined photos that people rated.
WEIGHTS = {"professional": 4.0, "ordinary": 4.0, "kadid": 2.0, "flat": 0.05, "blurred": 0.05, "rated": 1.0}
EACH, FRAMES, BLURRED = 4, 12, 16  # pictures of each type and level, of one colour, and blurred to nothing


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
    professional: list[Path] = dataclasses.field(default_factory=list)  # folders of clean professional photos
    ordinary: list[str] = dataclasses.field(
        default_factory=list
    )  # sets of ordinary photos, whose opinions do not count
    subsets: list[str] = dataclasses.field(default_factory=list)  # of those: only these subsets, of sets that have any
    cache: Path | None = None  # where answers are kept; None: "cache" beside ``out``
    weights: str = ""  # shares of the score, such as "mfen=1,dri=2"; members that are not named have none; "": equal
    generated_weights: str = ""  # the same for pictures that a member is sure were generated; "": as weights


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the members say of some pictures: each picture's answers, and the members' scores (N, members)."""

    cards: list[NetworkCard]
    answers: list[list[Answers]]
    scores: Floats
    weights: Weights

    @property
    def raw(self) -> Floats:
        """The panel's raw values, (N,)."""
        pairs = ([*zip(self.cards, said, strict=True)] for said in self.answers)
        return np.array([np.dot(shares(p, self.weights), own) for p, own in zip(pairs, self.scores, strict=True)])

    def traits(self, score: Floats) -> dict[str, Floats]:
        """What the width may depend on, by name, (N,) each; score: the panel's."""
        rows = []
        for said, own, one in zip(self.answers, self.scores, score, strict=True):
            pairs = list(zip(self.cards, said, strict=True))
            rows.append(traits(pairs, own.tolist(), merge(pairs, self.weights), float(one)))
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}


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
    count = len(job.calibrate)
    refuse_few(sum(map(len, sets[:count])), job.force)
    ordinary = _ordinary(job)
    names = [folder.name for folder in job.professional]
    professional = {
        folder.name if names.count(folder.name) == 1 else str(folder): pristine_files([folder])
        for folder in job.professional
    }
    held = held_out(pristine_files(job.synthetic)) if job.synthetic else []
    cache = job.cache or job.out.parent / "cache"
    made = damaged(held, EACH, cache) if held else []
    nothing = blurred_to_nothing(held, BLURRED, cache) if held else []
    card = _words([file.card for file in files], job)

    weights = shares_of(card, job)
    asked = [file for file in files if weights.ordinary[file.card.name] or weights.generated[file.card.name]]
    members = [Scorer(file) for file in asked]

    def look(pictures: Sequence[Path | NDArray[np.uint8]], what: str) -> Seen:
        answers = kept_answers(members, pictures, cache, what)
        cards = [member.card for member in members]
        own = [[float(calibrated(a.score, c)) for a, c in zip(said, cards, strict=True)] for said in answers]
        return Seen(cards, answers, np.array(own), weights)

    seen = [look([row.image for row in ratings.rows], f"pictures of {ratings.name}") for ratings in sets]
    opinions = [np.array([row.score for row in ratings.rows]) for ratings in sets]
    raw, opinion = np.concatenate([one.raw for one in seen[:count]]), np.concatenate(opinions[:count])
    subset = np.array([row.subset or ratings.name for ratings in sets[:count] for row in ratings.rows])
    card["limits"] = [*card.get("limits", []), *doubts(raw, opinion, "rated pictures", job.force)]
    table, interval = slice(0, None, 2), slice(1, None, 2)

    anchors = []
    if held:  # the synthesiser's own clean photos, those that no member has learned from
        professional["clean photos held out"] = held
    clean = {name: look(photos, f"photos of {name}").raw for name, photos in professional.items()}
    for name, found in clean.items():
        weight = WEIGHTS["professional"] / len(clean)
        anchors.append(Anchor(name, "median", found, np.array([PROFESSIONAL]), weight))
    if ordinary:
        found = look(ordinary, "ordinary photos").raw
        anchors.append(Anchor("ordinary photos", "apart", found, np.array([APART]), WEIGHTS["ordinary"]))
    if made:
        named = sorted({(one.kind, one.level) for one in made})
        group = np.array([named.index((one.kind, one.level)) for one in made])
        wanted = np.array([next(o.opinion for o in made if (o.kind, o.level) == name) for name in named])
        hurt = look([one.file for one in made], "damaged pictures")
        anchors.append(Anchor("KADID-10k's means", "mean", hurt.raw, wanted, WEIGHTS["kadid"], group))
        flat, blurred = look(flat_frames(FRAMES), "frames of one colour"), look(nothing, "blurred pictures")
        anchors.append(Anchor("frames of one colour", "at most", flat.raw, np.array([NOTHING]), WEIGHTS["flat"]))
        anchors.append(Anchor("blurred to nothing", "at most", blurred.raw, np.array([NOTHING]), WEIGHTS["blurred"]))
    expected = _expected(clean, raw[table], opinion[table])
    truth = on_our_scale(opinion, expected)
    anchors.append(Anchor("rated photos", "opinions", raw[table], truth[table], WEIGHTS["rated"]))
    card["calibration"] = fit_table(anchors)
    score = np.interp(raw, card["calibration"]["raw"], card["calibration"]["score"])
    card["scale"] = {"opinions": opinion_table(expected), "anchors": []}
    results = placed(anchors, card["calibration"])
    for result in results:
        _say(str(result))
        card["scale"]["anchors"].append(result.record())
    if made:
        card["scale"]["levels"] = _levels(made, hurt.raw, card["calibration"])
    for sentence in missed(results, card["calibration"]):
        _say(f"warning: {sentence}")
        card["limits"].append(sentence)

    found_traits = [one.traits(np.interp(one.raw, *card["calibration"].values())) for one in seen]
    together = {name: np.concatenate([one[name] for one in found_traits[:count]]) for name in found_traits[0]}
    card["interval"] = widths.fit_interval(score, truth, together, table, interval)
    spread = np.concatenate([one.scores.std(1) for one in seen[:count]])
    card["unlike"] = {"spread": round(float(np.quantile(spread, 0.99)), 2)}  # as of networks: one photo in a hundred
    low, high = widths.ends(card["interval"], score, together)
    _say(widths.coverage_text("the interval's half", low[interval], high[interval], truth[interval], subset[interval]))
    for ratings, one, own, theirs in zip(sets, seen, found_traits, opinions, strict=True):
        points = np.interp(one.raw, card["calibration"]["raw"], card["calibration"]["score"])
        card["accuracy"].append(measured(f"{ratings.name} val", one.raw, points, theirs))
        alone = ", ".join(f"{m.card.name} {srcc(s, theirs):.4f}" for m, s in zip(members, one.scores.T, strict=True))
        _say(f"{json.dumps(card['accuracy'][-1])}; srcc of each: {alone}")
        mapped = widths.on_scale_of(theirs, points)
        _say(
            widths.coverage_text(
                f"{ratings.name}, opinions fitted", *widths.ends(card["interval"], points, own), mapped
            )
        )
    job.out.parent.mkdir(parents=True, exist_ok=True)
    job.out.write_text(json.dumps(card, indent=1) + "\n")
    return job.out


def _ordinary(job: PanelExport) -> list[Path]:
    """The pictures of the sets of ordinary photos, validation ones where a set has a split."""
    found = []
    for argument in job.ordinary:
        ratings: Ratings = open_set(argument, columns=job.columns).split("val")
        rows = [row for row in ratings.rows if not (job.subsets and row.subset) or row.subset in job.subsets]
        if len(rows) < 4:
            only = f" and the subsets {', '.join(job.subsets)}" if job.subsets else ""
            raise ValueError(f"--ordinary {argument}: got {len(rows)} rows of split val{only}, want at least 4")
        found += [row.image for row in rows]
    return found


def _expected(clean: dict[str, Floats], raw: Floats, opinion: Floats) -> float | None:
    """The opinion that rated photos of the rank of the median professional photo have; the mean over the folders."""
    if not clean:
        return None
    table = fit_table([Anchor("rated photos", "opinions", raw, opinion, 1.0)])
    medians = [float(np.median(found)) for found in clean.values()]
    expected = float(np.interp(medians, table["raw"], table["score"]).mean())
    _say(f"the opinion that is expected of the median professional photo: {expected:.1f} of 100")
    if len(opinion_table(expected)["opinion"]) == 2:
        _say(
            "warning: professional photos rank too low for that to be 90 points on any reasonable scale of opinions; "
            "opinions are left as they are"
        )
    return expected


def _levels(made: Sequence[Damaged], raw: Floats, table: dict[str, list[float]]) -> list[dict[str, float]]:
    """The mean over all types at each of KADID's levels: what its people said, and what the table gives."""
    score, rows = np.interp(raw, table["raw"], table["score"]), []
    for level in sorted({one.level for one in made}):
        at = np.array([one.level == level for one in made])
        wanted = float(np.mean([one.opinion for one in made if one.level == level]))
        row = {"level": level, "raw": raw[at].mean(), "wanted": wanted, "got": score[at].mean()}
        rows.append({name: round(float(value), 2) for name, value in row.items()} | {"level": level})
        _say(f"damage of KADID-10k's level {level}: mean score {rows[-1]['got']:.1f}, wanted {wanted:.1f}")
    return rows


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


def shares_of(card: dict[str, Any], job: PanelExport) -> Weights:
    """The members' shares as the job has them, which the card gains. Raises ValueError for ones that make no sense."""
    for key, given in (("weights", job.weights), ("generated", job.generated_weights)):
        if given:
            try:
                found = {
                    name.strip(): float(share) for name, _, share in (part.partition("=") for part in given.split(","))
                }
            except ValueError:
                raise ValueError(f"got {key} {given!r}, want such as mfen=1,dri=2") from None
            card[key] = found if set(found) - set(card["members"]) else dict.fromkeys(card["members"], 0.0) | found
    return panel_weights(card, card["members"])


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


def _say(text: str) -> None:
    print(f"iqassay export: {text}", file=sys.stderr, flush=True)
