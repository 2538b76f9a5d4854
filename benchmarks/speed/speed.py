"""Seconds and memory for a picture, start-up times and the size of an installation, each in a fresh process.

    python benchmarks/speed/speed.py [--model yoto] [-o speed.csv] [--environment]

Scoring counts from the files on disk to the score. The first picture pays for warming up and is not in the median. The
peers are PIQE of the package pypiqe, a hand-made measure without learning, and networks of pyiqa with random weights,
which cost what trained ones do, in the same run on the same file. A model that takes references is measured with one
too, a photo beside its JPEG of quality 40; the peers are then SSIM of scikit-image, LPIPS and TOPIQ of pyiqa, the
package ssimulacra2, and our own HaarPSI, MDSI and DSS (numpy and scipy). (pyiqa's CLIP-IQA wants setuptools<80.)
Packages that are not installed are left out. Beside peers there are two sizes; without them cost is followed from 0.2
to 200 megapixels, next to the views that were looked at: it grows with them, and they grow with the picture until there
are as many as the card allows.
--environment makes a virtual environment, installs this repository into it without extras, and adds up its files.

Prints Markdown tables; the CSV also says commit, machine and threads.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from iqassay.scoring.model_file import Card, NetworkCard, PanelCard, find_member, find_model, read_card
from iqassay.scoring.tiles import global_size, plan_windows

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import ROOT, commit, machine

PHOTO = ROOT / "examples" / "coffee.jpg"
SIZES = {
    "512x384": (512, 384),
    "1 MP": (1152, 864),
    "3 MP": (2000, 1500),
    "12 MP": (4000, 3000),
    "50 MP": (8192, 6144),
    "200 MP": (16320, 12240),
}
BESIDE_PEERS = ("512x384", "12 MP")
PEERS = {"pypiqe": "pypiqe", "topiq_nr": "pyiqa", "arniqa": "pyiqa", "clipiqa": "pyiqa"}  # tool -> the package it needs
PAIR_PEERS = {
    "scikit-image SSIM": "skimage",
    "lpips": "pyiqa",
    "topiq_fr": "pyiqa",
    "SSIMULACRA 2": "ssimulacra2",
    "HaarPSI": "scipy",
    "MDSI": "scipy",
    "DSS": "scipy",
}


@dataclass(frozen=True)
class Measure:
    """One number. unit: s, MB (10^6 bytes) or a ratio, which is the peer's value over ours."""

    what: str
    tool: str
    value: float
    unit: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mfen", help="a shipped model, an .onnx file or a panel's .json")
    parser.add_argument("--threads", type=int, help="threads for every tool (default: as many as the process may use)")
    parser.add_argument("--repeats", type=int, default=5, help="timed pictures after the first; the median counts")
    parser.add_argument(
        "--sizes", nargs="+", choices=SIZES, metavar="SIZE", help=f"of {', '.join(SIZES)} (default: all)"
    )
    parser.add_argument("--environment", action="store_true", help="measure the size of a fresh base installation too")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the numbers as CSV")
    parser.add_argument("--worker", nargs="+", metavar="TOOL PICTURE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        tool, *files = args.worker
        print(json.dumps(work(tool, files, args.model, args.threads, args.repeats)))
        return 0

    try:
        model = find_model(args.model)
        card = read_card(model)
        files = [model.with_suffix(".onnx")]
        if isinstance(card, PanelCard):
            files = [find_member(model, name) for name in card.members]
        takes_reference = any(getattr(read_card(file), "reference", None) for file in files)
    except ValueError as error:
        parser.error(str(error))
    measures: list[Measure] = []
    pairs: list[Measure] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes or SIZES:
            picture = make_picture(*SIZES[size], Path(folder, f"{size}.jpg"))
            peers, pair_peers = (PEERS, PAIR_PEERS) if size in BESIDE_PEERS else ({}, {})
            measures += score_speed(f"{size}, a picture", [picture], peers, args)
            measures.append(Measure(f"{size}, views", "iqassay", count_views(*SIZES[size], read_card(files[0])), ""))
            if takes_reference:
                copy = make_picture(*SIZES[size], Path(folder, f"{size}-40.jpg"), quality=40)
                pairs += score_speed(f"{size}, a pair", [copy, picture], pair_peers, args)
        small = [make_picture(*SIZES["512x384"], Path(folder, f"{end}.jpg"), end) for end in (92, 40)]
        measures += start_up({"iqassay score one.jpg": ["score", small[0], "--no-cache", "--model", args.model]})
        if pairs:
            command = ["score", small[1], "--ref", small[0], "--no-cache", "--model", args.model]
            pairs += start_up({"iqassay score one.jpg --ref photo.jpg": command})
        measures += start_up({"iqassay --help": ["--help"], "iqassay --version": ["--version"]})
        size = sum(file.stat().st_size for file in files)
        measures.append(Measure("model files" if files[1:] else "model file", "iqassay", round(size / 1e6, 1), "MB"))
        if args.environment:
            measures += environment(Path(folder, "venv"))
    print("\n\n".join(markdown(mode) for mode in (measures, pairs) if mode))
    where = {"commit": commit(), "machine": machine(), "threads": threads(args)}
    print("\n" + ", ".join(f"{key} {value}" for key, value in where.items()))
    if args.output:
        with args.output.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*(f.name for f in fields(Measure)), *where])
            writer.writeheader()
            writer.writerows(asdict(m) | where for m in measures + pairs)
    return 0


# ---- scoring --------------------------------------------------------------------------------------------------------


def make_picture(width: int, height: int, path: Path, quality: int = 92) -> str:
    """A JPEG of the example photo mirrored over and over at its native scale.

    Enlarging the photo instead would make a blurred picture, which some measures finish sooner.
    """
    import numpy as np
    from PIL import Image

    with Image.open(PHOTO) as photo:
        pixels = np.asarray(photo.convert("RGB"))
    pair = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    block = np.concatenate([pair, pair[::-1]], axis=0)
    tiled = np.tile(block, (height // block.shape[0] + 1, width // block.shape[1] + 1, 1))[:height, :width]
    Image.fromarray(tiled).save(path, quality=quality)
    return str(path)


def count_views(width: int, height: int, card: Card) -> int:
    """How often a network is asked for a picture: windows and the global view, or the whole once."""
    assert isinstance(card, NetworkCard)
    if global_size(height, width, card.views.area) == (height, width):
        return 1
    return len(plan_windows(height, width, card.views)) + 1


def score_speed(what: str, files: list[str], peers: dict[str, str], args: argparse.Namespace) -> list[Measure]:
    """Median seconds and peak memory, for us and the peers, and the ratios. files: a picture, and its reference."""
    found: list[Measure] = []
    answers = {}
    for tool, package in {"iqassay": "iqassay", **peers}.items():
        if not importlib.util.find_spec(package):
            print(f"{package} is not installed: no {tool} beside us", file=sys.stderr)
            continue
        print(f"{tool}, {what}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--worker", tool, *files, "--model", args.model]
        command += ["--repeats", str(args.repeats)] + (["--threads", str(args.threads)] if args.threads else [])
        environment = os.environ | ({"OMP_NUM_THREADS": str(args.threads)} if args.threads else {})
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        answers[tool] = json.loads(done.stdout)
        found += [
            Measure(what, tool, answers[tool]["seconds"], "s"),
            Measure(f"{what}, peak memory", tool, answers[tool]["peak"], "MB"),
        ]
    for tool, answer in list(answers.items())[1:]:
        for name, key in ((what, "seconds"), (f"{what}, peak memory", "peak")):
            ratio = answer[key] / answers["iqassay"][key]
            found.append(Measure(name, f"{tool} / iqassay", round(ratio, 2), "ratio"))
    return found


def work(tool: str, files: list[str], model: str, threads: int | None, repeats: int) -> dict[str, float]:
    """In a fresh process: score one picture, or one pair, again and again."""
    score = _iqassay(model, threads) if tool == "iqassay" else peer(tool, threads)
    score(*files)
    seconds = []
    for _ in range(max(1, repeats)):
        start = time.perf_counter()
        score(*files)
        seconds.append(time.perf_counter() - start)
    return {"seconds": round(statistics.median(seconds), 4), "peak": round(peak_memory() / 1e6, 1)}


def _iqassay(model: str, threads: int | None) -> Callable[..., float]:
    import iqassay

    scorer = iqassay.load(model, threads)
    return lambda *files: scorer.score(*files).score


def peer(tool: str, threads: int | None) -> Callable[..., float]:
    """What scores a picture, or a picture beside its reference, from their paths."""
    if (PEERS | PAIR_PEERS).get(tool) == "pyiqa":
        return _pyiqa(tool, threads)
    return _pypiqe(threads) if tool == "pypiqe" else _pair_peer(tool)


def _pypiqe(threads: int | None) -> Callable[..., float]:
    import cv2
    from pypiqe import piqe

    if threads:
        cv2.setNumThreads(threads)
    return lambda picture: piqe(cv2.imread(picture))[0]


def _pyiqa(name: str, threads: int | None) -> Callable[..., float]:
    """One of pyiqa's networks with random weights: what would download trained ones is put aside while it is built."""
    from unittest.mock import patch

    import pyiqa
    import timm
    import torch
    import torchvision
    from pyiqa.archs import arniqa_arch, clipiqa_arch, topiq_arch
    from pyiqa.archs.clip_model import CLIP

    if threads:
        torch.set_num_threads(threads)
    backbone, resnet, alexnet = timm.create_model, torchvision.models.resnet50, torchvision.models.alexnet

    with (
        patch.object(timm, "create_model", lambda *given, **named: backbone(*given, **named | {"pretrained": False})),
        patch.object(torchvision.models, "resnet50", lambda **_: resnet()),
        patch.object(torchvision.models, "alexnet", lambda **_: alexnet()),
        patch.object(torch.hub, "load_state_dict_from_url", lambda *_, **__: {}),
        patch.object(arniqa_arch, "load_file_from_url", lambda *_, **__: ""),
        patch.object(torch.jit, "load", lambda *_, **__: torch.nn.Linear(4096, 1)),
        patch.object(torch.nn.Module, "load_state_dict", lambda *_, **__: None),
        patch.object(topiq_arch, "load_pretrained_network", lambda *_, **__: None),
        # The sizes of CLIP's ResNet-50.
        patch.object(clipiqa_arch, "load", lambda *_: CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12)),
    ):
        random = {"pretrained": False, "pnet_rand": True} if name == "lpips" else {}
        metric = pyiqa.create_metric(name, device="cpu", **random)
    return lambda *files: float(metric(*files))


def _pair_peer(tool: str) -> Callable[..., float]:
    import numpy as np
    from PIL import Image

    def read(file: str) -> np.ndarray:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))

    if tool == "scikit-image SSIM":
        from skimage.metrics import structural_similarity

        return lambda *files: structural_similarity(*map(read, files), channel_axis=2)

    if tool == "SSIMULACRA 2":
        from ssimulacra2 import compute_ssimulacra2

        return lambda picture, reference: compute_ssimulacra2(reference, picture)

    from iqassay.measures import classical

    measure = {"HaarPSI": classical.haarpsi, "MDSI": classical.mdsi, "DSS": classical.dss}[tool]
    return lambda *files: measure(*map(read, files))


def peak_memory() -> int:
    """Largest resident size of this process so far, bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    except (OSError, StopIteration):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


# ---- start-up and size ----------------------------------------------------------------------------------------------


def start_up(commands: dict[str, list[str]]) -> list[Measure]:
    """Seconds from the shell to the shell, the best of 5: what the machine needs, without what disturbed it."""
    installed = Path(sys.executable).with_name("iqassay")
    program = [str(installed)] if installed.exists() else [sys.executable, "-m", "iqassay"]
    found = []
    for name, arguments in commands.items():
        print(name, file=sys.stderr, flush=True)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([*program, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        found.append(Measure(f"`{name}`", "iqassay", round(min(seconds), 3), "s"))
    return found


def environment(folder: Path) -> list[Measure]:
    """MB of files that `pip install .` puts into a fresh environment, without pip itself: all, and the largest."""
    print("a fresh installation", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    before = set(packages.iterdir())
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    size = {new.name: _bytes(new) / 1e6 for new in packages.iterdir() if new not in before}
    largest = sorted(size, key=lambda name: -size[name])[:5]
    return [Measure("installed, everything", "iqassay", round(sum(size.values()), 1), "MB")] + [
        Measure(f"installed, {name}", "iqassay", round(size[name], 1), "MB") for name in largest
    ]


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())


# ---- what is printed ------------------------------------------------------------------------------------------------


def markdown(measures: list[Measure]) -> str:
    """One row for each thing measured, one column for each tool."""
    tools = list(dict.fromkeys(m.tool for m in measures))
    lines = ["| | " + " | ".join(tools) + " |", "|" + "---|" * (len(tools) + 1)]
    for what in dict.fromkeys(m.what for m in measures):
        cells = []
        for tool in tools:
            one = next((m for m in measures if (m.what, m.tool) == (what, tool)), None)
            cells.append("" if one is None else f"{one.value:g}" + ("" if one.unit == "ratio" else f" {one.unit}"))
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def threads(args: argparse.Namespace) -> int:
    if args.threads:
        return args.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
