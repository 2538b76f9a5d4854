"""Fills the numbers of README.md and docs/*.md from tables in benchmarks/, model cards and the sizes of files.

python benchmarks/make/doc_numbers.py            # writes anew what changed
python benchmarks/make/doc_numbers.py --check    # only says what would change; exit status 1 if anything would

A comment behind a number says where it comes from, by a function of this file:

    .891<!--=bench("biq2021","test","panel","srcc")-->

A comment above a table does so for each number of each cell; `row` and `column` are what stands at their heads, `line`
has the whole row by its columns, `cell` is what stands there. A cell for which it gives None is left as it is; a text
replaces the whole cell; of several values (value, low, high) a cell takes as many as it has numbers:

    <!--table: bench("biq2021","test",row,column)-->

`table bold columns sort:` makes the best of each column bold where one is bold now, and sorts rows by the first column
with numbers. How a number is written (decimals, `.5` or `0.5`, `1,000`, `+`, `−`) stays as it is; only its value changes.
--count says how many numbers have such a comment. The output of commands in the README (`$ iqassay ...`) is held by a
test and written anew by --outputs, which runs them.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from statistics import mean, median, stdev

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NUMBER = r"[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?(?<=\d)"
COMMENTED = re.compile(rf"({NUMBER}(?:\.\d+)*(?: \({NUMBER} to {NUMBER}\))?)(\*{{0,2}})<!--=(.*?)-->")
TABLE = re.compile(r"<!--table((?: \w+)*): (.*?)-->\n\n?((?:\|.*\n)+)")
LOWER_IS_BETTER = ("RMSE",)

# What stands in documents, and what tables call it.
NAMES = {
    "DRI-IQA": "dri",
    "BRISQUE-like": "brisque",
    "PLCC, 4 par.": "plcc4",
    "PLCC, 5 par.": "plcc5",
    "RMSE, 4 par.": "rmse4",
    "in interval": "coverage",
    "FLIVE-VOC": "flive_voc",
    "inside contents": "srcc inside content",
    "inside subsets": "srcc inside subset",
    "inside distortion types": "srcc inside distortion",
}


def key(shown: str) -> str:
    """What tables call it: a name of the list above, or its small letters."""
    return NAMES.get(shown, shown.lower())


# Where numbers come from: the functions that comments may call.


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
    """Of accuracy/bench.csv, with the ends of the interval where there are some. A model with references "YOTO", without "YOTO, no reference"."""
    over = over.replace("_", " ", 1) if over.startswith("subset_") else over
    name = key(model.removesuffix(", no reference"))
    if model.endswith(", no reference") and name in ("panel", "yoto"):
        name += "-nr"
    where = {"set": data, "split": split, "model": name, "measure": key(measure), "over": over}
    return [
        got for column in ("value", "low", "high") if (got := value("accuracy/bench.csv", column, **where)) is not None
    ]


def cost(what: str, model: str, tool: str = "iqassay") -> float | None:
    """Of the runs of speed/speed.py: `what` for a shipped model, or for another tool that ran beside it; None if not measured."""
    file = {"mfen": "speed/speed.csv"}.get(model, f"speed/speed_{model}.csv")
    found = [float(row["value"]) for row in rows(file) if (row["what"], row["tool"]) == (what, tool)]
    return found[0] if found else None


def peers(model: str, over: str = "") -> float | None:
    """Of speed/peers.csv: photos a second of a model of ours or of pyiqa's, or how many times those of another."""
    return value("speed/peers.csv", what="photos a second" + (f" over {over}" if over else ""), tool=key(model))


def trained(data: str, model: str, measure: str) -> list[float]:
    """Of accuracy/trained.csv, over ten splits by content; with the interval for SRCC."""
    where = {"set": data, "model": model, "measure": key(measure), "over": "mean of 10 splits"}
    return interval("accuracy/trained.csv", "value", "low", "high", **where)


def ablated(variant: str, column: str) -> float | None:
    """SRCC of a variant of DRI-IQA over three splits, of accuracy/trained.csv; None for what the table does not have."""
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
    return None if column == "count" else bench(data, "all", column, measure, over)[0]


def costs(row: str, column: str, cell: str) -> float | None:
    """The table of what one picture costs, of the runs of speed/speed.py and throughput.py; memory in the unit of the cell."""
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


def joint(line: dict[str, str], column: str) -> float | list[float] | None:
    """Joint training of YOTO beside each mode alone, of ablations/yoto_joint.csv."""
    where = {name: line[name] for name in ("head", "training", "mode")} | {"set": line["validation set"]}
    if column.startswith("gain"):
        return interval("ablations/yoto_joint.csv", "gain", "low", "high", **where)
    return value("ablations/yoto_joint.csv", column, **where) if column in ("joint", "alone") else None


def restored(row: str, column: str) -> float | list[float] | None:
    """What DRI-IQA's restorer restores, of accuracy/restoration.csv. Two columns are called improved: both are texts here."""
    name = {
        "noise, 4 kinds": "noise", "blur, 3 kinds": "blur", "of it lens blur": "lens_blur", "JPEG": "jpeg",
        "JPEG 2000": "jpeg2000", "chains of the three": "chains", "untouched": "untouched",
    }[row]  # fmt: skip
    where = {"pictures_of": name, "level": "all"}
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


def told_apart(row: str, column: str) -> list[float]:
    """How well the 25 types are told apart, of accuracy/representation.csv."""
    space = row.partition(" (")[0].replace("DRI-IQA", "dri").replace("MFEN", "mfen").replace("YOTO", "yoto")
    return interval("accuracy/representation.csv", "share", "low", "high", space=space, measure=column, level="all")


def contrast(variant: str) -> tuple[float, float, float]:
    """Mean and range over the seeds, of ablations/contrast_variants.csv."""
    found = values("ablations/contrast_variants.csv", "retrieval", variant=variant)
    return mean(found), min(found), max(found)


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


def megabytes(file: str) -> float:
    """How large a file of the repository is."""
    return (ROOT / file).stat().st_size / 1e6


@cache
def card(model: str) -> dict[str, object]:
    """The card of a shipped model."""
    return json.loads((ROOT / f"src/iqassay/weights/{model}.json").read_text(encoding="utf-8"))


USED = {name: thing for name, thing in globals().items() if callable(thing) and not name.startswith("_")} | {
    "round": round,
    "min": min,
    "max": max,
    "len": len,
    "sum": sum,
    "mean": mean,
    "median": median,
    "float": float,
    "str": str,
}


# How they are filled in.


def written(old: str, new: float) -> str:
    """The new value as the old number is written."""
    decimals = len(old.partition(".")[2])
    rounded = Decimal(repr(abs(float(new)))).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    text = f"{rounded:{',' if ',' in old else ''}f}"
    if re.match(r"[-−+]?\.", old):
        text = text.removeprefix("0")
    minus = "−" if "−" in old else "-"
    below = new < 0 and float(text.replace(",", "")) != 0
    return (minus if below else "+" if old[0] == "+" else "") + text


def refilled(text: str, given: object) -> str:
    """The text with its numbers in turn replaced by what is given; a text that is given replaces all of it."""
    if given is None:
        return text
    if isinstance(given, str):
        return given
    wanted = list(given) if isinstance(given, list | tuple) else [given]
    olds = [found for found in re.finditer(NUMBER, text) if found[0]]
    if not olds or len(olds) > len(wanted):
        raise ValueError(f"got {len(wanted)} values for {text!r}")
    for old, new in reversed(list(zip(olds, wanted, strict=False))):
        text = text[: old.start()] + written(old[0], new) + text[old.end() :]
    return text


def evaluate(expression: str, **names: object) -> object:
    return eval(expression, {**USED, **names})


def plain(cell: str) -> str:
    """A cell without stars, backquotes, comments and the addresses of links."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", re.sub(r"<!--.*?-->|[*`]", "", cell)).strip()


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def first_number(text: str) -> float:
    found = re.search(NUMBER, plain(text))
    return float(found[0].replace(",", "").replace("−", "-")) if found and found[0] else float("nan")


def filled_table(options: list[str], expression: str, table: str) -> tuple[str, int]:
    """The table with its numbers filled in, and in how many cells."""
    head, rule, *body = table.splitlines()
    columns = [plain(cell) for cell in cells_of(head)]
    lines, count = [cells_of(line) for line in body], 0
    touched: set[int] = set()
    for line in lines:
        names = {column: plain(cell) for column, cell in zip(columns, line, strict=True)}
        for number, column in enumerate(columns[1:], 1):
            if not re.search(r"\d", line[number]) or "<!--" in line[number]:
                continue
            given = evaluate(expression, row=plain(line[0]), column=column, line=names, cell=plain(line[number]))
            if given is not None:
                line[number] = refilled(line[number], given)
                count += 1
                touched.add(number)
    if not count:
        raise ValueError("no cell of the table has a number that this gives")
    if "sort" in options:
        lines.sort(key=lambda line: -first_number(line[min(touched)]))
    if "bold" in options:
        groups = list(zip(*lines, strict=True)) if "columns" in options else lines
        starred = [[("**" in cell) for cell in group] for group in groups]
        made = [list(group) for group in groups]
        for number, group in enumerate(made):
            if any(starred[number]):
                label = columns[number] if "columns" in options else plain(group[0])
                sign = -1 if label.startswith(LOWER_IS_BETTER) else 1
                counts = "columns" in options or not re.match("count", columns[1])
                start = 0 if "columns" in options else 1 if counts else 2
                best = max(
                    sign * first_number(cell) for cell in group[start:] if first_number(cell) == first_number(cell)
                )
                for place, cell in enumerate(group):
                    bare = cell.replace("**", "")
                    lead = place >= start and sign * first_number(bare) == best
                    group[place] = f"**{bare}**" if lead else bare
        lines = [list(line) for line in zip(*made, strict=True)] if "columns" in options else made
    return "\n".join(
        [head, rule, *("|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines)]
    ) + "\n", count


def filled(text: str, complain: Callable[[int, str], None]) -> tuple[str, int]:
    """A document with its numbers filled in, and how many there are; complain(place, sentence) for what cannot be."""
    count = 0

    def table(found: re.Match[str]) -> str:
        nonlocal count
        try:
            made, cells = filled_table(found[1].split(), found[2], found[3])
        except Exception as error:
            complain(found.start(), f"{found[2]}: {error}")
            return found[0]
        count += len(re.findall(r"\d[\d.,]*", "".join(made.splitlines()[2:]))) if cells else 0
        return found[0][: -len(found[3])] + made

    def number(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        try:
            given = evaluate(found[3])
            if given is None:
                raise LookupError("there is no such value")
            return f"{refilled(found[1], given)}{found[2]}<!--={found[3]}-->"
        except Exception as error:
            complain(found.start(), f"{found[3]}: {error}")
            return found[0]

    text = TABLE.sub(table, text)
    text, numbers = COMMENTED.subn(number, text)
    lost = len(re.findall(r"<!--(?:=|table)", text)) - numbers - len(TABLE.findall(text))
    if lost:
        complain(0, f"{lost} comments have no number before or no table below them")
    return text, count


# Output of commands: fenced blocks whose first line is `$ iqassay ...`.

BLOCK = re.compile(r"^```\n\$ (iqassay .*)\n((?:.*\n)*?)```$", re.MULTILINE)


def run(command: str) -> str:
    """What a command of a document prints on standard output where there are the example photos alone."""
    words = [sys.executable, "-m", "iqassay", *shlex.split(command)[1:]]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
        return subprocess.run(words, cwd=folder, text=True, capture_output=True).stdout


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a document, and what it is said to print."""
    yield from ((found[1], found[2]) for found in BLOCK.finditer(text))


# The script.


def numbers_in(text: str) -> int:
    """Numbers in prose and tables: not in code, comments, links or headings."""
    text = re.sub(r"^```.*?^```|<!--.*?-->|`[^`\n]*`|\]\([^)]*\)|^#.*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    return len(re.findall(r"(?<![\w.])[-−+]?\.?\d[\d.,]*", text))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if something would change")
    parser.add_argument("--count", action="store_true", help="say how many numbers of each document are filled in")
    parser.add_argument(
        "--outputs", action="store_true", help="run the commands of the README, and write what they print"
    )
    args = parser.parse_args()
    wrong = 0
    for path in DOCUMENTS:
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")

        def complain(place: int, sentence: str, name: str = name, text: str = text) -> None:
            nonlocal wrong
            wrong += 1
            print(f"{name}:{text.count(chr(10), 0, place) + 1}: {sentence}")

        made, count = filled(text, complain)
        if args.outputs and name == "README.md":
            made = BLOCK.sub(lambda found: f"```\n$ {found[1]}\n{run(found[1])}```", made)
        if args.count:
            print(f"{count:6} of {max(count, numbers_in(text)):6} numbers  {name}")
        if made != text and args.check:
            for old, new in zip(text.splitlines(), made.splitlines(), strict=False):
                if old != new:
                    complain(text.find(old), f"stale: {old}\n    want: {new}")
        elif made != text:
            path.write_text(made, encoding="utf-8")
            print(f"{name}: written")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
