"""Make the API pages in docs/api from the docstrings: python docs/make_api.py

The source is read, not imported, so it needs no torch, and pages do not depend on what is installed. Ready-made
generators want docstrings of one of three conventions and run ours, which say "name: text", together into one
paragraph; so this is our own.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import iqassay

DOCS = Path(__file__).resolve().parent
SOURCE = DOCS.parent / "src" / "iqassay"
WIDTH = 100  # of a signature on one line
HIDDEN = r" = field\((?:(?:repr|hash|compare)=False(?:, )?)+\)"  # of a field, what no caller needs to know
Function = ast.FunctionDef

# page -> its title, and module -> the public names of it that the page tells of, in this order
PAGES: dict[str, tuple[str, dict[str, list[str]]]] = {
    "scoring": (
        "Scoring pictures",
        {
            "iqassay": [
                *("score", "compare", "explain", "load", "Scorer", "Panel", "Verdict", "Distortion", "Comparison"),
                *("Explanation", "read_image", "Picture", "ImageError", "ModelFileError"),
                *("create_metric", "list_models"),
            ],
            "iqassay.scoring.explanation": ["Degradation", "Difference"],
            "iqassay.support.errors": ["UsageError"],
        },
    ),
    "folders": (
        "Folders of pictures",
        {
            "iqassay.folders.folder": ["score_pairs", "Pair", "Beside", "Result"],
            "iqassay.folders.finding": ["find_pictures"],
            "iqassay.folders.cells": ["Layout"],
            "iqassay.folders.grouping": ["grouped"],
            "iqassay.folders.encoding": ["smallest", "Found", "Point"],
            "iqassay.folders.pairs": ["find_pairs"],
            "iqassay.folders.cache": ["open_cache"],
            "iqassay.folders.records": ["read_records", "write_json", "write_jsonl", "write_csv", "write_parquet"],
        },
    ),
    "cluster": ("Millions of pictures, on a cluster", {"iqassay.cluster.dataset": ["score_dataset"]}),
    "torchmetrics": ("A metric of torchmetrics", {"iqassay.torchmetrics": ["QualityScore"]}),
    "metric": ("A metric in the manner of pyiqa", {"iqassay.metric": ["Metric"]}),
    "systems": (
        "The systems as torch modules",
        {
            "iqassay.systems": ["load_pretrained", "loss"],
            "iqassay.systems.fidelity": ["FidelityLoss"],
            "iqassay.systems.blocks": ["Prediction"],
            "iqassay.systems.calibrated": ["Calibrated"],
            "iqassay.systems.mfen": ["MFENConfig", "MFEN"],
            "iqassay.systems.yoto_extended": ["ExtendedYOTOConfig", "ExtendedYOTO"],
            "iqassay.systems.yoto": ["YOTOConfig", "YOTO"],
            "iqassay.systems.dri": ["DRIConfig", "DRI"],
            "iqassay.systems.encoders": ["encoder"],
        },
    ),
    "correlation": (
        "How well scores agree with MOS",
        {
            "iqassay.statistics.correlation": [
                *("srcc", "plcc", "krcc", "rmse", "fit_logistic", "plcc_fitted", "rmse_fitted", "outlier_ratio"),
                *("pair_accuracy", "resolving_power", "Resolving", "within_groups", "mean_within_groups"),
                *("over_splits", "Spread", "bootstrap"),
            ],
            "iqassay.statistics.logistic": ["Logistic"],
        },
    ),
    "significance": (
        "Whether one model is better than another",
        {
            "iqassay.statistics.significance": [
                *("paired_bootstrap", "Gain", "williams", "williams_t", "holm", "significance_matrix", "Significance"),
            ],
        },
    ),
    "measures": (
        "Classical measures",
        {
            "iqassay.measures.luma": ["psnr_y", "ssim_y"],
            "iqassay.measures.classical": ["psnr", "ssim", "ms_ssim", "gmsd", "haarpsi", "mdsi", "vsi", "dss"],
            "iqassay.measures.natural": ["niqe", "brisque"],
        },
    ),
    "distortions": (
        "Distortions",
        {"iqassay.data.distortions": ["distort", "parameter_at", "random_chain", "apply_chain"]},
    ),
}


@dataclass
class Thing:
    """A function or a class: where it stands, and its source."""

    name: str  # as in a heading: "score", "Scorer.score"
    module: str  # where users find it
    page: str
    node: Function | ast.ClassDef
    source: str = field(repr=False)  # of the whole file
    methods: list[Thing] = field(default_factory=list)

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def link(self) -> str:
        return f"{self.page}.md#{anchor(self.name)}"


@dataclass
class Links:
    """Where code that a docstring mentions is told of."""

    known: dict[str, str]  # full name -> link
    here: str  # the module or the class that the docstring stands in

    def find(self, code: str) -> str | None:
        """A plain word is a name of the same class or module; one_like_this, Such or such.a one is found anywhere."""
        name = code.removesuffix("()")
        if "." in name or "_" in name or name[:1].isupper():
            return next((link for full, link in self.known.items() if f".{full}".endswith(f".{name}")), None)
        places = (self.here, self.here.rpartition(".")[0])
        return next((self.known[f"{place}.{name}"] for place in places if f"{place}.{name}" in self.known), None)


def pages() -> dict[str, str]:
    """The name of every page and its text."""
    found = {page: {m: things(page, m, names) for m, names in of.items()} for page, (_, of) in PAGES.items()}
    links = {m: f"{page}.md#{anchor(m)}" for page, modules in found.items() for m in modules}
    for thing in (t for modules in found.values() for several in modules.values() for t in several):
        links |= {f"{known.module}.{known.name}": known.link for known in (thing, *thing.methods)}
    index = ["# API", "", "Made from the docstrings by `python docs/make_api.py`.", ""]
    texts = {}
    for page, modules in found.items():
        index += [f"## {PAGES[page][0]}", ""]
        lines = [f"# {PAGES[page][0]}", "", "[All pages](README.md)", ""]
        for module, several in modules.items():
            index += [f"- [`{t.name}`]({t.link}): {prose(first_sentence(t.doc), Links({}, ''))}" for t in several]
            lines += [f"## `{module}`", "", *documented(module_doc(module), [], Links(links, module))]
            for thing in several:
                lines += [f"### `{thing.name}`", "", *described(thing, Links(links, module))]
                for method in thing.methods:
                    lines += [f"#### `{method.name}`", "", *described(method, Links(links, f"{module}.{thing.name}"))]
        index.append("")
        texts[f"{page}.md"] = "\n".join(lines).rstrip() + "\n"
    return {"README.md": "\n".join(index).rstrip() + "\n", **texts}


def things(page: str, module: str, names: Sequence[str]) -> list[Thing]:
    """The named functions and classes of a module; the package's own may live in a module below it."""
    homes = iqassay._HOME if module == "iqassay" else {}
    return [thing(page, module, file_of(homes.get(name, module)), name) for name in names]


def file_of(module: str) -> Path:
    path = SOURCE.joinpath(*module.removeprefix("iqassay").strip(".").split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def module_doc(module: str) -> str:
    return ast.get_docstring(ast.parse(file_of(module).read_text(encoding="utf-8"))) or ""


def thing(page: str, module: str, file: Path, name: str) -> Thing:
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    nodes = [n for n in tree.body if isinstance(n, (Function, ast.ClassDef)) and n.name == name]
    if not nodes:
        raise ValueError(f"{file}: got no {name}, want a function or a class of that name")
    made = Thing(name, module, page, nodes[-1], source)  # the last: overloads come before
    if isinstance(made.node, ast.ClassDef) and "nn.Module" not in bases(made.node):  # a torch module is called
        for node in made.node.body:
            if isinstance(node, Function) and not node.name.startswith("_") and ast.get_docstring(node):
                made.methods.append(Thing(f"{name}.{node.name}", module, page, node, source))
    return made


def anchor(heading: str) -> str:
    """What code hosts make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base) for base in node.bases]


def described(thing: Thing, links: Links) -> list[str]:
    """Signature and docstring."""
    lines = ["```python", *declared(thing), "```", ""]
    for base in bases(thing.node) if isinstance(thing.node, ast.ClassDef) else []:
        lines += [f"A kind of {prose(f'`{base}`', links)}.", ""] if links.find(base) else []
    return lines + documented(thing.doc, list(names_in(thing.node)), links)


def declared(thing: Thing) -> list[str]:
    """The signature; of a dataclass its fields, of another class the constructor and the constants."""
    node = thing.node
    if isinstance(node, Function):
        if "property" in decorators(node):
            return [f"{thing.name}: {ast.get_source_segment(thing.source, node.returns)}"] if node.returns else []
        return signature(thing.name, node, thing.source)
    fields = [n for n in node.body if isinstance(n, (ast.AnnAssign, ast.Assign))]
    shown = [line for n in fields for line in thing.source.splitlines()[n.lineno - 1 : n.end_lineno]]
    if any(name.startswith("dataclass") for name in decorators(node)):
        return ["@dataclass", f"class {thing.name}:", *(re.sub(HIDDEN, "", line) for line in shown)]
    makes = [n for n in node.body if isinstance(n, Function) and n.name == "__init__"]
    if not makes:
        return [f"class {thing.name}({', '.join(bases(node))})"]
    constants = [line.strip() for line in shown if "=" in line]
    return signature(thing.name, makes[0], thing.source, makes=True) + ([""] if constants else []) + constants


def decorators(node: Function | ast.ClassDef) -> list[str]:
    return [ast.unparse(d) for d in node.decorator_list]


def signature(name: str, node: Function, source: str, makes: bool = False) -> list[str]:
    """The call as it is written in the source: on one line, or one line a parameter."""
    given, parts = node.args, []
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    parts += [written(a, d, source) for a, d in zip(plain, defaults, strict=True) if a.arg not in ("self", "cls")]
    if given.vararg or given.kwonlyargs:
        parts.append("*" + (written(given.vararg, None, source) if given.vararg else ""))
    parts += [written(a, d, source) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    parts += ["**" + written(given.kwarg, None, source)] if given.kwarg else []
    end = ")" if makes or node.returns is None else f") -> {ast.get_source_segment(source, node.returns)}"
    whole = f"{name}({', '.join(parts)}{end}"
    return [whole] if len(whole) <= WIDTH else [f"{name}(", *(f"    {part}," for part in parts), end]


def written(argument: ast.arg, default: ast.expr | None, source: str) -> str:
    text = ast.get_source_segment(source, argument) or argument.arg
    equals = " = " if argument.annotation else "="
    return text if default is None else f"{text}{equals}{ast.get_source_segment(source, default)}"


def names_in(node: Function | ast.ClassDef) -> Iterator[str]:
    """Parameters and fields: what a docstring explains as "name: text"."""
    for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
            yield inner.target.id
        elif isinstance(inner, Function) and (inner is node or inner.name == "__init__"):
            every = [*inner.args.posonlyargs, *inner.args.args, *inner.args.kwonlyargs, inner.args.kwarg]
            yield from (a.arg for a in every if a)


def documented(doc: str, names: Sequence[str], links: Links) -> list[str]:
    """A docstring as Markdown lines."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(doc)):
        if not block.strip():
            continue
        if block.startswith(">>>"):
            lines += ["```python", *(line.split("  # doctest:")[0] for line in block.splitlines()), "```", ""]
        elif block.startswith("    "):  # a drawing, a formula, a list of sources
            lines += ["```text", inspect.cleandoc("\n" + block), "```", ""]
        elif match := re.match(r"(Raises|Args|Returns):\n", block):
            items = re.split(r"\n(?! )", inspect.cleandoc("\n" + block[match.end() :]))
            lines += [f"{match[1].replace('Args', 'Arguments')}:", "", *(item_line(i, links) for i in items), ""]
        else:
            for part in re.split(r"\n(?=Raises |Source: |Returns )", block):
                lines += paragraph(part, names, links)
    return lines


def paragraph(text: str, names: Sequence[str], links: Links) -> list[str]:
    """Running text; where it says "name: text" of parameters, a list of them."""
    one = "|".join(map(re.escape, names)) or "(?!)"
    starts = [m.start(1) for m in re.finditer(rf"(?:^|\n|(?<=[.;]) )((?:{one})(?:, (?:{one}))*: )", text)]
    pieces = [text[a:b].strip() for a, b in zip([0, *starts], [*starts, len(text)], strict=True)]
    lines = [prose(pieces[0], links), ""] if pieces[0] else []
    return lines + ([*(item_line(piece.rstrip(";"), links) for piece in pieces[1:]), ""] if starts else [])


def item_line(text: str, links: Links) -> str:
    name, _, rest = text.partition(": ")
    if not rest or not re.fullmatch(r"[\w., ]+", name):
        return f"- {prose(text, links)}"
    names = [f"`{n}`" if n.islower() else prose(f"`{n}`", links) for n in name.split(", ")]  # an error may have a page
    return f"- {', '.join(names)}: {prose(rest, links)}"


def prose(text: str, links: Links) -> str:
    """One line, or a list as it is, with code in single backticks, linked where there is a page of it."""
    text = text if text.startswith("* ") or "\n* " in text else " ".join(text.split())
    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    for i, part in enumerate(parts):
        if i % 2:
            code = part.strip("`")
            link = links.find(code)
            parts[i] = f"[`{code}`]({link})" if link else f"`{code}`"
        else:
            part = re.sub(r"(?<!^)(?<!\n)\*", r"\\*", part).replace("<", "&lt;")
            parts[i] = re.sub(r"\bdocs/([\w-]+\.md)", r"[docs/\1](../\1)", part)
    return "".join(parts)


def first_sentence(doc: str) -> str:
    """Or what stands before its colon, if that says something."""
    sentence = " ".join(re.split(r"(?<=\.)\s|\n\n", doc, maxsplit=1)[0].split())
    start = sentence.partition(": ")[0]
    return (start if len(start) > 16 and start.count('"') % 2 == 0 else sentence).rstrip(".") + "."


def main() -> None:
    folder = DOCS / "api"
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in set(folder.glob("*.md")) - {folder / name for name in made}:
        old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    print(f"{len(made)} pages, {sum(map(len, made.values())) / 1000:.0f} kB, in {folder}")


if __name__ == "__main__":
    main()
