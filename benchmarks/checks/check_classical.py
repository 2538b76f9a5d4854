"""Our classical measures beside those of piq, an independent implementation, and of scikit-image.

    python benchmarks/checks/check_classical.py PIQ_FOLDER [PICTURE REFERENCE]

PIQ_FOLDER: where the wheel of piq 0.8.0 was unpacked (it is not installed: its torchvision may not import). Needs
torch and scikit-image. Pictures: two of examples/, and ones made by a formula, of odd and even sizes; or those given.

piq is run on what it can compare alike: float64, and luma where a measure looks at luma alone. What it does otherwise
is in the last column, and is done our way in the rows "as in MATLAB".
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from iqassay.measures import classical

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GRAY = np.array([0.298936, 0.587043, 0.114021])
Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("piq", type=Path, metavar="PIQ_FOLDER")
    parser.add_argument("pictures", type=Path, nargs="*", metavar="PICTURE REFERENCE")
    arguments = parser.parse_args()
    pairs = {"as given": tuple(map(load, arguments.pictures))} if arguments.pictures else samples()
    theirs = peers(piq_modules(arguments.piq))
    gaps: dict[str, list[float]] = {name: [] for name in theirs}
    for title, (picture, reference) in pairs.items():
        print(
            f"\n{title}, {picture.shape[1]}x{picture.shape[0]}\n\n| measure | ours | theirs | difference | ms |\n|"
            + "---|" * 5
        )
        floats = picture / np.float32(255), reference / np.float32(255)
        for name, (measure, peer, _) in theirs.items():
            start = time.process_time()
            ours = measure(*floats)
            spent = time.process_time() - start
            other = peer(*(x.astype(np.float64) / 255 for x in (picture, reference)))
            gaps[name].append(abs(ours - other))
            print(f"| {name} | {ours:.5f} | {other:.5f} | {ours - other:+.5f} | {spent * 1000:.0f} |")
    print("\n| measure | largest difference | why |\n|---|---|---|")
    for name, (*_, why) in theirs.items():
        print(f"| {name} | {max(gaps[name]):.6f} | {why} |")


def load(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def samples() -> dict[str, Pair]:
    """Two pairs of examples/, and pairs made by a formula: see `made` in tests/measures/test_classical.py."""
    sys.path.insert(0, str(EXAMPLES.parent / "tests" / "measures"))
    from test_classical import made

    found = {
        "coffee": (load(EXAMPLES / "coffee-jpeg.jpg"), load(EXAMPLES / "coffee.jpg")),
        "astronaut": (load(EXAMPLES / "astronaut-noise.jpg"), load(EXAMPLES / "astronaut.jpg")),
    }
    for kind, size in (("ripple", (384, 512)), ("blocks", (200, 320)), ("fade", (176, 240)), ("ripple", (301, 187))):
        found[f"{kind} {size[1]}x{size[0]}"] = made(kind, *size)
    return found


def piq_modules(folder: Path) -> dict[str, Any]:
    """The measures of piq, without its package file, which imports all of it and with it torchvision."""
    package = types.ModuleType("piq")
    package.__path__ = [str(folder / "piq")]
    sys.modules["piq"] = package
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))
    names = ("psnr", "ssim", "ms_ssim", "gmsd", "haarpsi", "mdsi", "vsi", "dss", "functional")
    return {name: importlib.import_module(f"piq.{name}") for name in names}


def peers(piq: dict[str, Any]) -> dict[str, tuple[Callable[..., float], Callable[..., float], str]]:
    """Name -> ours, theirs on the same two float pictures, and why they differ."""

    def of_piq(function: Callable[..., Any], gray: bool = False, **options: Any) -> Callable[..., float]:
        def run(*pictures: np.ndarray) -> float:
            tensors = (torch.from_numpy(x @ GRAY)[None, None] if gray else torch.from_numpy(x).permute(2, 0, 1)[None]
                       for x in pictures)  # fmt: skip
            return float(function(*(x.clamp(0, 1) for x in tensors), **options))

        return run

    def skimage_ssim(*pictures: np.ndarray) -> float:
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        return structural_similarity(*(x @ GRAY for x in pictures), **options)

    def matlab_vsi(*tensors: Any) -> Any:
        """piq's, with antialiased resizing, MATLAB's but for the outermost pixels, and with MATLAB's borders."""
        module = piq["vsi"]
        kept = module.interpolate, module.pad

        def resize(x: Any = None, size: Any = None, input: Any = None, **_: Any) -> Any:
            return kept[0](input if x is None else x, size, mode="bilinear", antialias=True)

        def zeros(x: Any, pad: list[int], mode: str) -> Any:
            return kept[1](x, [pad[1], pad[0], pad[1], pad[0]])

        module.interpolate, module.pad = resize, zeros
        try:
            return module.vsi(*tensors)
        finally:
            module.interpolate, module.pad = kept

    def whole_ssim(*pictures: np.ndarray) -> float:
        return classical.ssim(*pictures, shrink=False)

    full_size = {"downsample": False}
    return {
        "PSNR, scikit-image": (classical.psnr, lambda a, b: peak_signal_noise_ratio(b, a, data_range=1.0), "rounding"),
        "PSNR": (classical.psnr, of_piq(piq["psnr"].psnr), "piq adds 1e-8 to the error"),
        "SSIM, not shrunk, scikit-image": (whole_ssim, skimage_ssim, "float32"),
        "SSIM, not shrunk": (whole_ssim, of_piq(piq["ssim"].ssim, True, **full_size), "float32"),
        "SSIM": (classical.ssim, of_piq(piq["ssim"].ssim, True), "piq drops the rest of odd sizes"),
        "MS-SSIM": (classical.ms_ssim, of_piq(piq["ms_ssim"].multi_scale_ssim, True), "piq shifts odd sizes"),
        "GMSD": (classical.gmsd, of_piq(piq["gmsd"].gmsd, True), "piq: n, not n - 1, in the deviation"),
        "HaarPSI": (classical.haarpsi, of_piq(piq["haarpsi"].haarpsi), "other digits of YIQ"),
        "MDSI": (classical.mdsi, of_piq(piq["mdsi"].mdsi), "piq has one row more of odd sizes"),
        "VSI": (classical.vsi, of_piq(piq["vsi"].vsi), "piq resizes without antialiasing, and shifts"),
        "VSI, as in MATLAB": (classical.vsi, of_piq(matlab_vsi), "the outermost pixels of resizing"),
        "DSS": (classical.dss, of_piq(piq["dss"].dss, True), "rounds .5 of a twentieth to even"),
    }


if __name__ == "__main__":
    main()
