"""Where the numbers of documents come from: the functions that comments in them may call, for doc_numbers.py.

Each takes what stands at the head of a row and of a column, or names of models and figures, and gives the value of a
table below benchmarks/, of a model card, or the size of a file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import mean, median, stdev

ROOT = Path(__file__).resolve().parents[2]

# What stands in documents, and what tables call it.
NAMES = {
    "DRI-IQA": "dri",
    "BRISQUE-like": "brisque",
    "PLCC, 4 par.": "plcc4",
    "PLCC, 5 par.": "plcc5",
    "RMSE, 4 par.": "rmse4",
    "in interval": "coverage",
    "FLIVE-VOC": "flive_voc",
    "MMP-2K": "mmp2k",
    "inside contents": "srcc inside content",
    "inside subsets": "srcc inside subset",
    "inside distortion types": "srcc inside distortion",
}


def key(shown: str) -> str:
    """What tables call it: a name of the list above, or its small letters."""
    return NAMES.get(shown, shown.lower())


@cache
def rows(file: str) -> list[dict[str, str]]:
    """A table below benchmarks/."""
    with (ROOT / "benchmarks" / file).open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def values(file: str, column: str, **where: object) -> list[float]:
    """A column of the rows in which `where` holds; in its names `_` stands for a space, unless a column has it."""
    found = rows(file)
    columns = list(found[0])
    for name, want in where.items():
        name = name if name in columns else name.replace("_", " ")
        found = [row for row in found if row[name] == str(want)]
    if not found:
        raise LookupError(f"benchmarks/{file} has no row with {where}")
    return [float(row[column]) for row in found if row[column]]


def value(file: str, column: str = "value", **where: object) -> float | None:
    """The one value; None where its cell is empty. Raises LookupError for no row, and for several."""
    found = values(file, column, **where)
    if len(found) > 1:
        raise LookupError(f"benchmarks/{file} has {len(found)} rows with {where}, want one")
    return found[0] if found else None


def seeds(file: str, column: str, **where: object) -> tuple[float, float] | None:
    """Mean and deviation (n - 1) over the rows, which are runs with different seeds."""
    found = values(file, column, **where)
    return (mean(found), stdev(found)) if found else None


def interval(file: str, column: str, low: str, high: str, **where: object) -> list[float]:
    """A value and the ends of its interval."""
    return [value(file, name, **where) for name in (column, low, high)]


def bench(data: str, split: str, model: str, measure: str, over: str = "all pictures") -> list[float]:
    """Of accuracy/bench.csv, with the ends of the interval if there are some. Models: "YOTO", "YOTO, no reference"."""
    over = over.replace("_", " ", 1) if over.startswith("subset_") else over
    name = key(model.removesuffix(", no reference"))
    if model.endswith(", no reference") and name in ("panel", "yoto"):
        name += "-nr"
    where = {"set": data, "split": split, "model": name, "measure": key(measure), "over": over}
    return [
        got for column in ("value", "low", "high") if (got := value("accuracy/bench.csv", column, **where)) is not None
    ]


def cost(what: str, model: str, tool: str = "iqassay") -> float | None:
    """Of the runs of speed/speed.py, for a shipped model or a tool that ran beside it; None if not measured."""
    what = {"start": "`iqassay score one.jpg`", "help": "`iqassay --help`"}.get(what, what)
    file = {"mfen": "speed/speed.csv"}.get(model, f"speed/speed_{model}.csv")
    found = [float(row["value"]) for row in rows(file) if (row["what"], row["tool"]) == (what, tool)]
    return found[0] if found else None


def cluster(workers: int) -> float | None:
    """Pictures a second with so many workers, of speed/cluster.csv; 0: without a cluster."""
    what = f"cluster, {workers} workers" if workers else "iqassay score --threads 1"
    return value("speed/cluster.csv", "a second", what=what)


def peers(model: str, over: str = "") -> float | None:
    """Of speed/peers.csv: photos a second of a model of ours or of pyiqa's, or how many times those of another."""
    return value("speed/peers.csv", what="photos a second" + (f" over {over}" if over else ""), tool=key(model))


def trained(data: str, model: str, measure: str) -> list[float]:
    """Of accuracy/trained.csv, over ten splits by content; with the interval for SRCC."""
    where = {"set": data, "model": model, "measure": key(measure), "over": "mean of 10 splits"}
    return interval("accuracy/trained.csv", "value", "low", "high", **where)


def ablated(variant: str, column: str) -> float | None:
    """SRCC of a variant of DRI-IQA over three splits, of accuracy/trained.csv; None for other columns."""
    if column not in ("BIQ2021", "FLIVE-VOC"):
        return None
    where = {"set": key(column), "model": f"dri, {variant}", "measure": "srcc", "over": "mean of 3 splits"}
    return value("accuracy/trained.csv", **where)


def crossed(model: str, trained_on: str, tested_on: str) -> tuple[float, float] | None:
    """Median SRCC and PLCC over the seeds, of accuracy/cross.csv."""
    if tested_on == "trained on":
        return None
    where = {"model": model, "trained_on": key(trained_on), "tested_on": key(tested_on)}
    srcc, plcc = (median(values("accuracy/cross.csv", measure, **where)) for measure in ("SRCC", "PLCC"))
    return srcc, plcc


def published(row: str, column: str) -> list[float]:
    """SRCC and PLCC that a paper reports, of accuracy/published.csv."""
    named = {
        "YOTO, Swin-T, no reference": "YOTO, Swin-T",
        "YOTO, joint, no reference": "YOTO, Swin-T, with and without references",
        "YOTO, joint, with reference": "YOTO, with and without references",
    }
    where = {"method": named.get(row, row), "set": column}
    return [got for name in ("srcc", "plcc") if (got := value("accuracy/published.csv", name, **where)) is not None]


def sanity(row: str, column: str) -> float | str | tuple[float, ...] | None:
    """A column of the table of `iqassay bench sanity`, of accuracy/sanity.csv."""
    name, version = row.removesuffix(", with reference").split()
    reference = "yes" if row.endswith("with reference") else "no"

    def said(family: str, figure: str, what: str | None = None) -> dict[str, float]:
        mine = {"model": name, "version": version, "reference": reference, "family": family, "figure": figure}
        found = [
            line for line in rows("accuracy/sanity.csv") if all(line[k] == v for k, v in mine.items()) and line["value"]
        ]
        return {line["what"]: float(line["value"]) for line in found if what in (None, line["what"])}

    def named(values: dict[str, float], best: Callable[..., str], decimals: int, sign: float = 1) -> str:
        what = best(values, key=lambda name: values[name])
        number = f"{sign * values[what]:.{decimals}f}".replace("-", "−")
        return number if number == "0" else f"{number} ({what.replace('_', ' ')})"

    ups = {what: 100 * share for what, share in said("order", "up by 2").items() if what != "all"}
    given: dict[str, Callable[[], float | str]] = {
        "clean": lambda: said("clean", "mean score")["all"],
        "steps up by .5, %": lambda: 100 * said("order", "up by 0.5")["all"],
        "by 2, %": lambda: 100 * said("order", "up by 2")["all"],
        "worst series, %": lambda: named(ups, max, 0),
        "least fall": lambda: named(said("order", "fall"), min, 1),
        "blur up again": lambda: said("order", "up again")["blur"],
        "gray": lambda: said("extremes", "mean score")["flat gray"],
        "black": lambda: said("extremes", "mean score")["flat black"],
        "white": lambda: said("extremes", "mean score")["flat white"],
        "half missing costs": lambda: mean(
            said("extremes", "mean loss")[what] for what in ("half gray", "half one colour")
        ),
        "worst change": lambda: named(said("invariance", "mean change"), max, 1),
        "saved again": lambda: said("invariance", "mean change")["saved again"],
        "map AUC": lambda: said("where", "auc")["all"],
    }
    return given[column]() if column in given else None


def beside_references(row: str, column: str) -> float | None:
    """SRCC with a reference on each kind of pictures, of accuracy/bench.csv."""
    data, measure, over = {
        "LIVE, rated, blur and noise": ("live20", "srcc", "all pictures"),
        "Toyama, rated, JPEG and JPEG 2000": ("toyama", "srcc", "all pictures"),
        "the same between photos at one setting": ("toyama", "inside distortion types", "all pictures"),
        "synthetic, held-out contents, modelled opinions": ("synthetic", "srcc", "all pictures"),
        "one distortion of the 25 (people's means)": ("synthetic", "srcc", "subset one distortion"),
        "restorations (opinions modelled on HaarPSI, MDSI and DSS)": ("synthetic", "srcc", "subset restored"),
    }[row]
    if column == "count":
        return None
    return bench(data, "all", column, measure, over)[0]


def perturbed(row: str, column: str, model: str = "yoto") -> float | None:
    """SRCC of a model with a part of it perturbed, of ablations/perturbations.csv."""
    data, _, by = column.partition(", ")
    where = {"judged on": data.lower(), "part": row, "replaced by": "" if row == "whole" else by}
    return value("ablations/perturbations.csv", "srcc", model=model, **where)


def windows(row: str, column: str) -> float | None:
    """SRCC of a model or a measure on windows of native pixels, over all pictures or inside contents."""
    data, _, inside = column.lower().partition(", ")
    where = {"set": data, "distance": row.lower().replace(" ", "_")}
    return value("ablations/token_distances.csv", "inside" if inside else "all", **where)


def costs(row: str, column: str, cell: str) -> float | None:
    """What one picture costs, of the runs of speed/speed.py and throughput.py; memory in the unit of the cell."""
    tool = {"pypiqe": "pypiqe", "scikit-image SSIM": "scikit-image SSIM"}.get(column, "iqassay")
    pairs = column in ("YOTO, with a reference", "scikit-image SSIM")
    model = "yoto" if pairs else key(column) if tool == "iqassay" else "mfen"
    if row == "model file":
        shipped = ("dri", "mfen", "yoto") if model == "panel" else (model,)
        return sum(megabytes(f"src/iqassay/weights/{name}.onnx") for name in shipped)
    if "each second" in row or row.startswith("as a share"):
        name, what = (model if tool == "iqassay" else tool), ("pairs" if pairs else "photos") + " a second"
        other = "scikit-image SSIM" if pairs else "pypiqe"
        if row.startswith("as a share"):
            return 1 if name == other else value("speed/throughput.csv", what=f"{what} over {other}", tool=name)
        return value("speed/throughput.csv", what=what, tool=name)
    if row == "iqassay score one.jpg":
        return cost("`iqassay score one.jpg --ref photo.jpg`" if pairs else "`iqassay score one.jpg`", model)
    size = row.removeprefix("peak memory, ")
    what = f"{size}, a {'pair' if pairs else 'picture'}"
    if "MB" in cell or "GB" in cell:
        found = cost(f"{what}, peak memory", model, tool)
        return found / 1000 if found is not None and "GB" in cell else found
    return cost(what, model, tool)


def compared(row: str, column: str) -> float | None:
    """The table beside learned peers, of speed/peers.csv."""
    return peers(row, column.removeprefix("times ") if column.startswith("times") else "")


def mfen_parts(variant: str, column: str) -> tuple[float, float] | None:
    """The first stage of MFEN without each part, of ablations/ablation.csv."""
    name = {"mean": "srcc", "type accuracy": "kind_accuracy"}.get(column, f"srcc_{key(column)}")
    return seeds("ablations/ablation.csv", name, variant=variant)


def frozen(encoders: str, column: str) -> float | None:
    """A ridge regression on frozen encoders, of ablations/encoder_table.csv: milliseconds, or SRCC on a set, learned
    from BIQ2021 and FLIVE-VOC, and in a column "..., learned from" also from that set, by folds."""
    file, both = "ablations/encoder_table.csv", "biq2021 + flive_voc"
    if column == "ms":
        return values(file, "ms", encoders=encoders)[0]
    name, _, learned = column.partition(", ")
    mix = f"{both} + {key(name)}" if learned else both
    return value(file, "srcc", encoders=encoders, **{"trained on": mix, "judged on": key(name)})


def joint(arm: str, column: str) -> tuple[float, float] | None:
    """A training of YOTO's network, of ablations/joint_table.csv: mean and deviation of SRCC over the seeds, or, in a
    column "..., change", the difference from joint training with the same seed and its standard error."""
    name, _, change = column.partition(", ")
    table = "ablations/joint_table.csv"
    held = {(row["arm"], row["set"]) for row in rows(table)}
    known = any(arm == a for a, _ in held) and any(key(name) == s for _, s in held)
    if (arm, key(name)) not in held and known:
        return None  # a mode alone has not learned the other
    if not change:
        return seeds(table, "srcc", arm=arm, set=key(name))
    ours, theirs = (values(table, "srcc", arm=a, set=key(name)) for a in (arm, "joint"))
    apart = [a - b for a, b in zip(ours, theirs, strict=True)]
    return None if arm == "joint" else (mean(apart), stdev(apart) / len(apart) ** 0.5)


def restored(row: str, column: str) -> float | list[float] | None:
    """What DRI-IQA's restorer restores, of accuracy/restoration.csv."""
    name = {
        "noise, 4 kinds": "noise", "blur, 3 kinds": "blur", "of it lens blur": "lens_blur", "JPEG": "jpeg",
        "JPEG 2000": "jpeg2000", "chains of the three": "chains", "half size and back": "half size", "WebP": "webp",
        "untouched": "untouched",
    }[row.removesuffix(" at quality 24 and below")]  # fmt: skip
    where = {"pictures_of": name, "level": "quality 24 and below" if row.endswith("24 and below") else "all"}
    file = "accuracy/restoration.csv"
    if column == "gain, dB" and row == "untouched":
        return value(file, "psnr_estimate", **where)
    if column.startswith("gain"):
        kind = "psnr" if "dB" in column else "score"
        return interval(file, f"{kind}_gain", f"{kind}_low", f"{kind}_high", **where)
    share = {"PSNR improved": "psnr_improved", "score improved": "score_improved"}.get(column)
    if share:
        found = value(file, share, **where)
        return None if found is None else 100 * found
    return value(file, {"count": "pictures"}.get(column, column.lower()), **where)


def oracle(row: str, column: str) -> list[float] | float | None:
    """SRCC of an arm of ablations/oracle.csv, its change against the shipped restorer, or the change that is seen."""
    judged_on = {"LIVE": "live20", "Toyama": "toyama"}.get(row) or key(row.partition(",")[0])
    given, _, what = column.partition(", ")
    where = {"judged_on": judged_on, "given": given}
    if what == "change":
        return interval("ablations/oracle.csv", "change", "low", "high", **where)
    return value("ablations/oracle.csv", what or "srcc", **where)


def told_apart(row: str, column: str) -> list[float]:
    """How well the 25 types are told apart, of accuracy/representation.csv."""
    space = row.partition(" (")[0].replace("DRI-IQA", "dri").replace("MFEN", "mfen").replace("YOTO", "yoto")
    return interval("accuracy/representation.csv", "share", "low", "high", space=space, measure=column, level="all")


def contrast(variant: str, of: str = "embedding") -> list[float]:
    """Mean and range over the seeds, of ablations/contrast_variants.csv."""
    return interval("ablations/contrast_variants.csv", "retrieval", "lowest", "highest", variant=variant, of=of)


def served(line: dict[str, str], column: str) -> float | None:
    """What the service takes, of speed/serving.csv; times in seconds there and milliseconds here."""
    name = {"p50": "p50 ms", "p99": "p99 ms", "memory before": "MB before", "after all": "MB after"}.get(column, column)
    if column == "callers":
        return None
    found = value("speed/serving.csv", name, model=line["model"], callers=line["callers"])
    return found / 1000 if name.endswith(" ms") and found is not None else found


def ten_million(row: str, column: str, cell: str) -> float | str | None:
    """What ten million pictures take, from speed/throughput.csv and the runs of speed.py, on two processors each."""
    model, size = row.split(", ")
    if size == "0.26 MP":
        rate = (value("speed/throughput.csv", what="photos a second", tool=key(model)) or 0) / 2
    else:
        rate = 1 / (cost(f"{size}, a picture", key(model)) or 1) / 2
    hours = 1e7 / rate / 3600
    if column.startswith("on 16 machines"):
        return 60 * hours / 512 if "min" in cell else hours / 512
    if column.startswith("a million"):
        return hours / 10 * 0.04
    return {"a processor, each second": rate, "processor hours for ten million": hours}[column]


def encoded(row: str, column: str) -> float | tuple[float, float]:
    """What encoding to a score saves, of accuracy/encode_to_target.csv."""
    file, where = "accuracy/encode_to_target.csv", {"codec": row.lower()}
    before, after = (sum(values(file, name, **where)) for name in ("bytes_90", "bytes_target"))
    ends = {"scores at quality 90": "score_90", "qualities that reach 80": "quality"}
    if column in ends:
        found = values(file, ends[column], **where)
        return min(found), max(found)
    if column == "saved":
        return 100 * (1 - after / before)
    return before if column.endswith("90") else after


def covered_heads(row: str, head: str) -> list[float]:
    """A head without and with pictures beyond damaged photos, of ablations/covered_heads.csv; SRCC with its range."""

    def said(figure: str, of: str) -> list[float]:
        return values("ablations/covered_heads.csv", "value", head=head, figure=figure, of=of)

    if row.startswith("sanity: steps up"):
        return [100 * mean(said("sanity order: up by 2", "all"))]
    if row.startswith("blur"):
        return [mean(said("sanity order: up again", "blur"))]
    if row.startswith("flat gray"):
        return [mean(said("sanity extremes: mean score", f"flat {colour}")) for colour in ("gray", "black", "white")]
    if row == "half gray":
        return [mean(said("sanity extremes: mean score", row))]
    data = key(row.removeprefix("SRCC, ").removesuffix(" val"))
    found = said("srcc", {"kadis": "kadis_mos"}.get(data, data))
    return [mean(found), max(found) - min(found)]


def megabytes(file: str) -> float:
    """How large a file of the repository is."""
    return (ROOT / file).stat().st_size / 1e6


@cache
def card(model: str) -> dict[str, object]:
    """The card of a shipped model."""
    return json.loads((ROOT / f"src/iqassay/weights/{model}.json").read_text(encoding="utf-8"))
