"""NIQE and the BRISQUE features beside independent implementations: pyiqa, piq and scikit-video.

    python benchmarks/checks/check_natural.py DIR PICTURE...

DIR holds the unpacked wheels pyiqa 0.1.16, piq 0.8.0 and scikit-video 1.1.11 (pip download --no-deps, unzip); needs
torch. They are loaded module by module, so that what else they want need not be there, and all are given our luma:
what is left are differences in the statistics.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from PIL import Image

from iqassay.measures import natural
from iqassay.pictures.image import read_image


def borrow(folder: Path) -> dict[str, Any]:
    """The modules that hold their statistics, with stand-ins for what cannot or need not be imported."""
    for name in ("pyiqa", "pyiqa.archs", "pyiqa.utils", "piq", "skvideo", "skvideo.measure"):
        package = types.ModuleType(name)
        package.__path__ = [str(folder / name.replace(".", "/"))]
        sys.modules[name] = package
    for name, words in {
        "pyiqa.utils.registry": {"ARCH_REGISTRY": types.SimpleNamespace(register=lambda: lambda kind: kind)},
        "pyiqa.utils.download_util": {"load_file_from_url": None},
        "pyiqa.archs.arch_util": {"get_url_from_name": str},
        "scipy.misc": {"imresize": pillow_resize},  # left scipy in 2019; it was Pillow's
    }.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(words)
    scipy.misc = sys.modules["scipy.misc"]
    vars(np)["int"] = int  # left numpy in 2023
    names = {"pyiqa": "pyiqa.archs.niqe_arch", "piq": "piq.brisque", "skvideo": "skvideo.measure.niqe"}
    return {key: importlib.import_module(name) for key, name in names.items()}


def pillow_resize(image: np.ndarray, share: float, interp: str, mode: str) -> np.ndarray:
    size = (int(image.shape[1] * share), int(image.shape[0] * share))
    return np.asarray(Image.fromarray(image.astype(np.float32), mode).resize(size, getattr(Image, interp.upper())))


def features_of_pyiqa(module: Any, luma: np.ndarray) -> np.ndarray:
    """Of every patch, row by row (it goes by columns). Its function niqe keeps them to itself, but for a mean."""
    seen: list[np.ndarray] = []
    mean = module.nanmean
    module.nanmean = lambda features, **options: (seen.append(features[0].numpy()), mean(features, **options))[1]
    try:
        module.niqe(torch.tensor(luma, dtype=torch.float64)[None, None], torch.zeros(1, 36), torch.eye(36)[None])
    finally:
        module.nanmean = mean
    high, wide = (n // natural.PATCH for n in luma.shape)
    return seen[0].reshape(wide, high, 36).swapaxes(0, 1).reshape(-1, 36)


def features_as_scikit_video(pixels: np.ndarray) -> np.ndarray:
    """Ours with its ways: 0 outside the picture, Pillow's halving, a diagonal's left scale in place of its right."""
    halved, normalised = natural.halved, natural._normalised
    natural.halved = lambda luma: pillow_resize(luma, 0.5, "bicubic", "F").astype(np.float64)
    natural._normalised = lambda luma, top, bottom, border: normalised(luma, top, bottom, "constant")
    try:
        features = natural.niqe_features(pixels)[0]
    finally:
        natural.halved, natural._normalised = halved, normalised
    features[:, [13, 17, 31, 35]] = features[:, [12, 16, 30, 34]]
    return features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    arguments = parser.parse_args()
    peers = borrow(arguments.dir)
    shipped = scipy.io.loadmat(arguments.dir / "skvideo/measure/data/niqe_image_params.mat")
    theirs = shipped["pop_mu"].ravel(), shipped["pop_cov"]
    ours = tuple(natural._parameters("niqe")[key] for key in ("mean", "covariance"))
    model = tuple(torch.tensor(values)[None] for values in ours)
    print("largest difference of a feature (and of nine in ten): pyiqa, scikit-video in its ways, piq (BRISQUE)")
    print("NIQE with our model: ours, pyiqa's | with scikit-video's: ours, ours in its ways, its own")
    for file in arguments.pictures:
        pixels = read_image(file).pixels
        luma = natural.luma_of(pixels)
        gray = torch.tensor(luma, dtype=torch.float64)[None, None]
        half = peers["piq"].imresize(gray, sizes=tuple(-(-n // 2) for n in luma.shape))
        piq = np.concatenate([peers["piq"]._natural_scene_statistics(x)[0].numpy() for x in (gray, half)])
        features, alike = natural.niqe_features(pixels)[0], features_as_scikit_video(pixels)
        whole = luma[: luma.shape[0] // 96 * 96, : luma.shape[1] // 96 * 96]
        gaps = [
            gap(features, features_of_pyiqa(peers["pyiqa"], luma)),
            gap(alike, peers["skvideo"].get_patches_test_features(luma, 96)),
            gap(natural.brisque_features(pixels), piq),
        ]
        scores = [
            natural.naturalness_distance(features, *ours),
            float(peers["pyiqa"].niqe(gray, *model)),
            natural.naturalness_distance(features, *theirs),
            natural.naturalness_distance(alike, *theirs),
            float(peers["skvideo"].niqe(whole[None, :, :, None])[0]),
        ]
        print(f"{file.name}: {', '.join(gaps)} | {', '.join(f'{score:.4f}' for score in scores)}", flush=True)


def gap(ours: np.ndarray, theirs: np.ndarray) -> str:
    difference = np.abs(ours - theirs)
    return f"{np.nanmax(difference):.1g} ({np.nanquantile(difference, 0.9):.1g})"


if __name__ == "__main__":
    main()
