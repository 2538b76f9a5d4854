"""Fills the numbers of README.md and docs/*.md from tables in benchmarks/, model cards and the sizes of files.

python benchmarks/make/doc_numbers.py            # writes anew what changed
python benchmarks/make/doc_numbers.py --check    # only says what would change; exit status 1 if anything would

A comment behind a number says where it comes from, by a function of number_sources.py:

    .891<!--=bench("biq2021","test","panel","srcc")-->

A comment above a table does so for each number of each cell; `row` and `column` are what stands at their heads, `line`
has the whole row by its columns, `cell` is what stands there. A cell for which it gives None is left as it is; a text
replaces the whole cell; of several values (value, low, high) a cell takes as many as it has numbers:

    <!--table: bench("biq2021","test",row,column)-->

`table bold columns sort:` makes the best of each column bold where one is bold now, and sorts rows by the first column
with numbers. How a number is written (decimals, `.5` or `0.5`, `1,000`, `+`, `−`) stays; only its value changes.
--count says how many numbers have such a comment. The output of commands in the README (`$ iqassay ...`) is held by a
test and written anew by --outputs, which runs them.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import number_sources

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NUMBER = r"[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?(?<=\d)"
COMMENTED = re.compile(rf"({NUMBER}(?:\.\d+)*(?: \({NUMBER} to {NUMBER}\))?)(\*{{0,2}})<!--=(.*?)-->")
TABLE = re.compile(r"<!--table((?: \w+)*): (.*?)-->\n\n?((?:\|.*\n)+)")
SOURCES = {name: thing for name, thing in vars(number_sources).items() if callable(thing)}
PLAIN = {"min": min, "max": max, "len": len, "sum": sum}
LOWER_IS_BETTER = ("RMSE",)


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
    return eval(expression, {**SOURCES, **PLAIN, **names})


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
            if "--" in found[3]:
                raise ValueError("got -- in a comment, which Markdown takes for its end")
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
