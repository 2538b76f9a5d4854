"""Is all that scoring needs here, and does it work? Looked into piece by piece, so that one broken piece is named.

Nothing is changed and nothing is sent anywhere. What is imported here may be what is broken, so it is imported late.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqassay.support.install import install_command, iqassay_from_its_source

if TYPE_CHECKING:
    import numpy as np

    from iqassay.scoring.scorer import Scorer

BRINGS = {  # what the optional extras are for
    "train": "training and exporting models",
    "bench": "measures such as ssim, and benchmarks",
    "heif": "HEIC and HEIF pictures",
    "raw": "camera raw files: DNG, CR2, CR3, NEF, ARW, RAF, ORF, RW2 and more",
    "jxl": "JPEG XL pictures",
    "hub": "encoders by transformers",
    "mcp": "tools for agents",
    "ray": "`iqassay cluster`, millions of pictures on many machines",
    "parquet": "tables of results as Parquet",
    "serve": "`iqassay serve`, the service and its page",
    "gpu": "networks on NVIDIA cards",
}
# The files of onnxruntime-gpu lie where those of onnxruntime do: the one installed last is what there is, and to
# uninstall either takes files from both.
ONE_OF_THEM = "pip uninstall -y onnxruntime {0} && pip install --no-deps {0}"
# What each shipped model says of our picture, of its spoiled copy, and of the copy beside the picture. They are the
# same on every machine within TOLERANCE, or arithmetic goes wrong there. After new models are shipped they are what
# `iqassay doctor` prints.
TOLERANCE = 0.5  # points
EXPECTED: dict[str, tuple[float, ...]] = {
    "dri": (12.79, 0.0),  # to its semantic encoder these discs are no photo
    "mfen": (61.76, 17.01),
    "panel": (9.04, 1.11, 25.76),
    "yoto": (34.11, 13.22, 25.76),
}
REINSTALL = f"want it installed anew: pip install --force-reinstall --no-deps {iqassay_from_its_source()}"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. value: plain JSON. trouble: what is wrong and what to do, in one line."""

    topic: str
    name: str
    value: Any
    trouble: str = ""


def examine(device: str = "cpu") -> Iterator[Finding]:
    """Look at everything. device: what the self-test computes on."""
    for topic, look in {
        "versions": _versions,
        "extras": _extras,
        "onnxruntime": _onnxruntime,
        "formats": _formats,
        "models": _models,
        "cache": _cache,
        "self-test": lambda: _self_test(device),
    }.items():
        try:
            for name, value, trouble in look():
                yield Finding(topic, name, value, trouble)
        except Exception as error:  # whatever it is: this is where one looks when things are broken
            said = " ".join(f"{type(error).__name__}: {error}".split())
            yield Finding(topic, "all", "failed", f"{said}; want the package that this is about installed anew")


Found = Iterator[tuple[str, Any, str]]  # name, value, trouble


def _versions() -> Found:
    from iqassay.support.version import __version__

    yield "iqassay", __version__, ""
    yield "python", platform.python_version(), ""
    yield "platform", platform.platform(), ""
    for name in ("numpy", "pillow", "typer", "rich", "jinja2", "platformdirs"):
        yield name, _version(name) or "unknown", ""


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _extras() -> Found:
    """By what the installed package says that it needs; nothing is imported."""
    needs: dict[str, list[str]] = {}
    for need in metadata.requires("iqassay") or ():
        if found := re.match(r"""([\w.-]+).*extra == ['"](\w+)['"]""", need):
            needs.setdefault(found[2], []).append(found[1])
    for extra in sorted(needs.keys() - {"dev", "docs"}):
        brings = BRINGS.get(extra, "")
        missing = [name for name in needs[extra] if _version(name) is None]
        if missing:
            how = install_command(extra) + f" && {ONE_OF_THEM.format('onnxruntime-gpu')}" * (extra == "gpu")
            yield extra, f"missing {', '.join(missing)} for {brings}: {how}", ""
        else:
            yield extra, f"{brings}: {', '.join(f'{name} {_version(name)}' for name in needs[extra])}", ""


def _onnxruntime() -> Found:
    import onnxruntime

    from iqassay.scoring.device import DEVICES, trouble_with
    from iqassay.scoring.model_file import default_threads
    from iqassay.support.processors import cpu_quota

    yield "version", onnxruntime.__version__, ""
    providers = onnxruntime.get_available_providers()
    yield "providers", providers, ""
    for device, (provider, _, package) in DEVICES.items():
        if provider in providers:
            trouble = trouble_with(device)
            both = device != "cpu" and _version(package) and _version("onnxruntime")
            said = f", but shares its files with onnxruntime: {ONE_OF_THEM.format(package)}" if both else ""
            yield device, (f"does not start: {trouble}" if trouble else "starts") + said, ""
        elif _version(package):
            both = f"onnxruntime and {package} overwrite each other"
            yield device, "overwritten", f"{both}: uninstall the two, then want {package} alone"
    quota = cpu_quota()
    yield "threads", default_threads(), ""
    yield "processors", os.cpu_count(), ""
    yield "cpu quota", "none" if quota is None else f"{quota:g} processors, by the control group", ""


def _formats() -> Found:
    """A picture written and read back in each format, but for those of extras."""
    import io

    from PIL import Image, features

    from iqassay.pictures.formats import PLUGINS, installed
    from iqassay.pictures.image import read_image

    for kind in PLUGINS:
        file = io.BytesIO()
        try:
            Image.new("RGB", (8, 8), "teal").save(file, kind)
            read_image(file.getvalue())
            yield kind, "yes", ""
        except (KeyError, OSError, ValueError) as error:
            needed = kind in ("JPEG", "PNG")  # Pillow can be built without nearly anything
            yield kind, "no", f"Pillow cannot read {kind}: {error}, want one from PyPI" if needed else ""
    for kind, extra in (("HEIF", "heif"), ("camera raw", "raw"), ("JPEG XL", "jxl"), ("frames of videos", "video")):
        yield kind, "yes" if installed(extra) else f"no: {install_command(extra)}", ""
    yield "colour profiles", "yes" if features.check("littlecms2") else "no: they are taken as sRGB", ""


def _models() -> Found:
    from iqassay.scoring.model_file import ModelFileError, NetworkCard, load_model_file, shipped_models

    for path, card in shipped_models():
        if not isinstance(card, NetworkCard):
            yield card.name, {"version": card.version, "members": ", ".join(card.members)}, ""
            continue
        try:
            load_model_file(path)
            trouble = ""
        except ModelFileError as error:
            trouble = f"{error}; {REINSTALL}"
        size = path.stat().st_size if path.exists() else 0
        yield card.name, {"version": card.version, "bytes": size, "sha256": card.sha256}, trouble


def _cache() -> Found:
    from iqassay.folders.cache import cache_file, open_cache
    from iqassay.support.errors import UsageError

    try:
        path = cache_file()
    except RuntimeError:
        yield "path", "none: there is no home, set IQASSAY_CACHE", ""
        return
    yield "path", path, ""
    if not os.path.exists(path):  # looking makes nothing
        place = next(place for place in Path(path).absolute().parents if place.exists())
        able = place.is_dir() and os.access(place, os.W_OK)
        yield "answers", 0, "" if able else f"{path}: cannot be made, set IQASSAY_CACHE to another place"
        return
    yield "bytes", sum(os.path.getsize(part) for part in (path, f"{path}-wal") if os.path.exists(part)), ""
    try:
        if cache := open_cache(path):
            with cache:
                yield "answers", cache.count(), ""
    except UsageError as error:
        yield "answers", "unknown", f"{error}; delete the file, or set IQASSAY_CACHE to another"


# ---- self-test ------------------------------------------------------------------------------------------------------


def _self_test(device: str) -> Found:
    from iqassay.models.opening import open_scorer
    from iqassay.scoring.device import first_line
    from iqassay.scoring.model_file import shipped_models

    clean = clean_picture()
    bad = spoiled(clean)
    for _, card in shipped_models():
        try:
            got, trouble = _try_out(open_scorer(card.name, device=device), clean, bad)
        except Exception as error:
            got, trouble = {}, f"{first_line(error)}; {REINSTALL if device == 'cpu' else 'want another device'}"
        yield card.name, got or "failed", trouble


def _try_out(scorer: Scorer, clean: np.ndarray, bad: np.ndarray) -> tuple[dict[str, float], str]:
    """The scores of the two pictures, and what is wrong with them."""
    first, second = scorer.score(clean), scorer.score(bad)
    got = {"clean": first.score, "spoiled": second.score}
    wrong = []
    want = EXPECTED.get(scorer.card.name, ())
    if not first.score > second.score:
        wrong.append("a clean picture is not above its spoiled copy")
    if scorer.score(clean) != first:
        wrong.append("two runs differ")
    if scorer.takes_reference:
        got["spoiled beside clean"] = scorer.score(bad, clean).score
        if (same := scorer.score(clean, clean).score) != 100:
            wrong.append(f"identical pictures score {same:.2f} and not 100")
    got = {name: round(score, 2) for name, score in got.items()}
    if any(abs(score - right) > TOLERANCE for score, right in zip(got.values(), want, strict=False)):
        wrong.append(f"scores are not {', '.join(f'{right:.2f}' for right in want)}")
    if not wrong:
        return got, ""
    return got, f"{scorer.card.name}: {'; '.join(wrong)}; want another version of onnxruntime, which may fail here"


def clean_picture() -> np.ndarray:
    """A sharp picture of (256, 320, 3) bytes: discs over a slope of light, and a grain. Made of whole numbers alone, it
    is the same on every machine.
    """
    import numpy as np

    y, x = np.mgrid[0:256, 0:320]
    picture = np.stack([60 + x // 4, 90 + y // 4, 150 - (x + y) // 8], axis=-1)
    for number in range(24):
        top, left, radius = number * 97 % 256, number * 149 % 320, 8 + number * 37 % 36
        picture[(y - top) ** 2 + (x - left) ** 2 < radius**2] = [40 + number * step % 180 for step in (53, 71, 113)]
    for axis in (0, 1):  # edges as a lens would draw them
        picture = (np.roll(picture, 1, axis) + 2 * picture + np.roll(picture, -1, axis)) // 4
    grain = ((x * 7919 ^ y * 104729) % 251 % 9 - 4) // 2
    return np.clip(picture + grain[..., None], 0, 255).astype(np.uint8)


def spoiled(picture: np.ndarray) -> np.ndarray:
    """The picture in nearly flat blocks of 8 pixels, as of a strong JPEG."""
    import numpy as np

    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    blocks = picture[y - y % 8, x - x % 8].astype(np.uint16)
    return ((3 * blocks + picture) // 4).astype(np.uint8)
