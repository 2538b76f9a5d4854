"""Models and measures in the manner of pyiqa."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import iqassay
from iqassay.measures.classical import ssim
from iqassay.measures.measure import MEASURES
from iqassay.metric import Metric
from iqassay.models.names import DIFFERS, OF_PAIRS, OF_PICTURES, list_models, meant


def pictures(count: int = 3, seed: int = 0, height: int = 96, width: int = 200) -> torch.Tensor:
    """(count, 3, H, W) in steps of 1/255, of different brightness and with structure."""
    rng = np.random.default_rng(seed)
    base = rng.integers(20, 200, (count, 1, 1, 1)) + rng.integers(-20, 21, (count, 3, height, width))
    return torch.from_numpy(base.astype(np.uint8)) / 255


@pytest.mark.parametrize("name", ["niqe", "brisque", "ssim", "psnr", "gmsd"])
@pytest.mark.filterwarnings("ignore:brisque")
def test_a_batch_never_changes_a_value(name: str) -> None:
    metric, x = iqassay.create_metric(name), pictures()
    beside = [pictures(seed=1)] if MEASURES[name].reference else []
    found = metric(x, *beside)
    assert found.shape == (3, 1)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert len(found.unique()) == 3
    alone = [metric(x[k : k + 1], *(r[k : k + 1] for r in beside)) for k in range(3)]
    assert torch.equal(found, torch.cat(alone))
    assert torch.equal(found[:1], metric(x[0], *(r[0] for r in beside)))
    assert torch.equal(found.flip(0), metric(x.flip(0), *(r.flip(0) for r in beside)))


def test_models_say_their_score_and_measures_their_own_value(pair_model: Path) -> None:
    x, y = pictures(), pictures(seed=1)
    arrays = [[v.permute(1, 2, 0).contiguous().numpy() for v in batch] for batch in (x, y)]
    model, scorer = iqassay.create_metric(pair_model), iqassay.load(str(pair_model))
    assert (model.lower_better, model.score_range, model.differs) == (False, (0, 100), "")
    alone = [scorer.score(a).score for a in arrays[0]]
    paired = [scorer.score(a, b).score for a, b in zip(*arrays, strict=True)]
    assert model(x).flatten().tolist() == pytest.approx(alone, abs=1e-4)
    assert model(x, y).flatten().tolist() == pytest.approx(paired, abs=1e-4)
    measure = iqassay.create_metric("ssim")
    assert measure(x, y).flatten().tolist() == pytest.approx([ssim(a, b) for a, b in zip(*arrays, strict=True)])
    assert measure(x, x).flatten().tolist() == [1, 1, 1]
    assert 0 <= measure.scorer(x, y)[0].score <= 100


def test_paths_and_lists_and_other_forms(tmp_path: Path) -> None:
    x = pictures(2)
    files = []
    for k, picture in enumerate(x):
        files.append(tmp_path / f"{k}.png")
        Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy()).save(files[-1])
    metric = iqassay.create_metric("psnr")
    want = metric(x, x.flip(0))
    torch.testing.assert_close(metric(files, files[::-1]), want)
    assert metric(str(files[0]), str(files[1])).shape == (1, 1)
    assert metric(files[0], x[1]).item() == pytest.approx(want[0].item())
    assert metric([], []).shape == (0, 1)
    with pytest.raises(iqassay.ImageError, match="no such file"):
        metric(tmp_path / "gone.png", files[0])
    with pytest.raises(ValueError, match=r"want RGB in \[0, 1\]: divide values from 0 to 255 by 255"):
        metric(x * 255, x)
    with pytest.raises(ValueError, match="compares a picture with its reference, want one"):
        metric(x)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.filterwarnings("ignore:brisque")
def test_the_direction_is_that_of_damage(name: str) -> None:
    """A blurred, noisy picture has the worse value, in the direction that is told."""
    metric = iqassay.create_metric(name)
    low, high = metric.score_range
    assert low < high
    y, x = np.mgrid[0:192, 0:192] / 192
    rng = np.random.default_rng(0)
    smooth = 0.5 + 0.2 * np.stack([np.sin(9 * x + y), np.cos(7 * y), np.sin(6 * (x + y))]) * (x > 0.3)
    good = torch.from_numpy(np.clip(smooth + 0.02 * rng.standard_normal(smooth.shape), 0, 1))[None]
    bad = (good + 0.3 * torch.randn(good.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    values = [metric(v, good) if MEASURES[name].reference else metric(v) for v in (good, bad)]
    assert (values[1] > values[0]) == metric.lower_better
    assert all(low <= value <= high for value in values)
    if name in ("niqe", "gmsd", "mdsi"):
        assert metric.lower_better


def test_names_that_users_of_pyiqa_know() -> None:
    for name in ("ssim", "SSIM", "ms_ssim", "psnr", "gmsd", "vsi", "niqe"):
        metric = iqassay.create_metric(name)
        assert metric.name == name.lower().replace("_", "-")
        assert metric.differs == DIFFERS[metric.name] != ""
    assert iqassay.create_metric("haarpsi").differs == ""
    for name in ("lpips", "lpips-vgg+", "dists", "topiq_fr-pipal", "cw_ssim"):
        with pytest.raises(iqassay.ModelFileError, match=f"there is no '{re.escape(name)}' here: .* want 'yoto'"):
            iqassay.create_metric(name)
    for name in ("musiq", "clipiqa+_vitL14_512", "topiq_nr-flive", "maniqa", "laion_aes"):
        with pytest.raises(iqassay.ModelFileError, match="want 'panel'"):
            iqassay.create_metric(name)
    with pytest.raises(iqassay.ModelFileError, match="there is no model 'ssimm', did you mean 'ssim'"):
        iqassay.create_metric("ssimm")
    assert not (OF_PAIRS | OF_PICTURES) & set(list_models())


def test_the_one_whose_direction_is_the_other_one_warns() -> None:
    with pytest.warns(UserWarning, match="brisque: .* HIGHER is better") as caught:
        metric = iqassay.create_metric("brisque")
    assert caught[0].filename == __file__
    assert not metric.lower_better


def test_what_there_is() -> None:
    every = iqassay.list_models()
    assert set(MEASURES) | {"panel", "mfen", "yoto", "dri"} == set(every)
    assert every == sorted(every)
    every_ssim = ["ms-ssim", "ssim", "ssim-y"]
    assert iqassay.list_models("*ssim*") == iqassay.list_models("*ssim*", reference=True) == every_ssim
    assert iqassay.list_models("ms_*") == ["ms-ssim"]
    assert iqassay.list_models(reference=False) == ["brisque", "dri", "mfen", "niqe", "panel", "yoto"]
    assert {"yoto", "panel", "psnr"} <= set(iqassay.list_models(reference=True))
    assert iqassay.list_models("x*") == []
    assert [meant(name) for name in every] == every


def test_it_is_a_module_that_can_be_copied(pair_model: Path) -> None:
    metric, x = iqassay.create_metric(pair_model), pictures(1)
    assert isinstance(metric, Metric)
    again = copy.deepcopy(torch.nn.Sequential(metric)).train()[0]
    assert torch.equal(again(x), metric(x))
    assert "lower_better=False, score_range=(0.0, 100.0)" in repr(metric)


def test_devices() -> None:
    assert iqassay.create_metric("ssim", device=torch.device("cpu")).scorer.device == "cpu"
    with pytest.raises(ValueError, match="device: got 'tpu'"):
        iqassay.create_metric("yoto", device="tpu")


def test_a_loss_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="got as_loss with 'ssim', which has no gradient, want 'yoto'"):
        iqassay.create_metric("ssim", as_loss=True)
    with pytest.raises(ValueError, match="got the model 'mfen', want one of YOTO"):
        iqassay.create_metric("mfen", as_loss=True)


@pytest.mark.slow
def test_the_loss_is_that_of_systems() -> None:
    x, y = pictures(2), pictures(2, seed=1)
    loss = iqassay.create_metric("yoto", as_loss=True, loss_reduction="none")
    assert torch.equal(loss(x, y), iqassay.systems.loss("yoto", "none")(x, y))
    assert loss.lower_better
    x = x.requires_grad_(True)
    iqassay.create_metric("yoto", as_loss=True)(x, y).backward()
    assert (x.grad != 0).any()


def test_without_torch_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; import iqassay; print(iqassay.list_models('n*')); "
    code += "iqassay.create_metric('niqe')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['niqe']"
    assert done.stderr.strip().endswith("ImportError: this needs torch: pip install torch")
