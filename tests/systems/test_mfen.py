"""MFEN and its blocks: the four parts are there, each can be switched off, and each does what it says."""

import numpy as np
import pytest
import torch
from conftest import make_photo
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from iqassay.systems.blocks import AttentionalFusion, OctaveConv
from iqassay.systems.mfen import HFEN, MFEN, MFENConfig, over, shrink_to

TINY = {"encoder": "van_tiny", "dan_encoder": "van_tiny", "pretrained": False}


def tiny(**changes):
    torch.manual_seed(0)
    return MFEN(MFENConfig(**(TINY | changes)))


def test_octave_convolution_is_its_formula():
    torch.manual_seed(0)
    conv = OctaveConv(8, 8, 0.25, 0.25)
    high, low = torch.rand(2, 6, 8, 12), torch.rand(2, 2, 4, 6)
    y_high, y_low = conv(high, low)
    up = F.conv2d(low, conv.lh.weight, padding=1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(y_high, F.conv2d(high, conv.hh.weight, padding=1) + up)
    pooled = high.reshape(2, 6, 4, 2, 6, 2).mean((3, 5))
    want = F.conv2d(pooled, conv.hl.weight, padding=1) + F.conv2d(low, conv.ll.weight, padding=1)
    torch.testing.assert_close(y_low, want)


def test_attentional_fusion_weighs_its_two_inputs():
    torch.manual_seed(0)
    fuse = AttentionalFusion(8).eval()
    a, b = torch.rand(2, 8, 4, 4), torch.rand(2, 8, 4, 4)
    out = fuse(a, b)
    assert (out >= torch.minimum(a, b) - 1e-6).all()
    assert (out <= torch.maximum(a, b) + 1e-6).all()
    torch.testing.assert_close(fuse(a, a), a)


def test_high_frequencies_alone_leave_the_hfen():
    """The low half is dropped at every level: what leaves has the high half's channels, from the widths asked for."""
    net = HFEN((8, 16, 32, 64))
    maps = net(torch.rand(1, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(1, 8, 16, 16), (1, 16, 8, 8), (1, 32, 4, 4), (1, 64, 2, 2)]
    assert all(leave.in_channels == 24 for leave in net.exits)  # 32 channels less a quarter
    assert all(octave.ll is not None for octave in net.octaves[1:-1])  # the low half lives on inside
    assert net.octaves[-1].hl is None  # and ends there


def sharp_and_blurred(count=4, sigma=1.5):
    """Two batches: pictures like photos, and the same under a Gaussian blur."""
    pictures = [make_photo(128, 192, seed, textured=0.5) for seed in range(count)]
    blurred = [ndimage.gaussian_filter(picture, (sigma, sigma, 0)) for picture in pictures]
    return tuple(torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).contiguous() for batch in (pictures, blurred))


@torch.no_grad()
def moved(net, x, other):
    """How far every level's maps are apart, relative to those of x: the mean over pictures."""
    pairs = zip(net(x), net(other), strict=True)
    return [float(((a - b).flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1)).mean()) for a, b in pairs]


@pytest.mark.parametrize("seed", range(5))
def test_a_blur_takes_away_what_the_hfen_sees(seed):
    """It was a low-pass: the same blur moved its maps by 3 % at the first level and by less at the others."""
    torch.manual_seed(seed)
    net, (sharp, blurred) = HFEN((24, 40, 112, 320)), sharp_and_blurred()
    assert min(moved(net.eval(), sharp, blurred)) > 0.3
    for norm in net.norms:
        norm.momentum = None  # all that it has seen, with one weight
    net.train()(sharp)  # it learns what is ordinary
    assert min(moved(net.eval(), sharp, blurred)) > 0.3
    older = HFEN((24, 40, 112, 320), high_pass=False).eval()  # as in the model files of before
    assert max(moved(older, sharp, blurred)) < 0.06


@torch.no_grad()
def test_the_hfen_does_not_see_light_and_says_nothing_of_a_flat_picture():
    torch.manual_seed(0)
    net, (x, _) = HFEN((8, 16, 32, 64)).eval(), sharp_and_blurred(1)
    assert max(moved(net, x, x + 0.2)) < 1e-4
    assert all(float(m.abs().max()) < 1e-5 for m in net(torch.full((1, 3, 64, 64), 0.7)))


def test_detail_is_what_pooling_would_lose():
    torch.manual_seed(0)
    conv, high = OctaveConv(4, 4, 0.0, 0.25, stride=2, detail=True), torch.rand(1, 4, 8, 8)
    blocks = high.reshape(1, 4, 4, 2, 4, 2)
    mean = blocks.mean((3, 5), keepdim=True)
    y_high, y_low = conv(high, None)
    torch.testing.assert_close(y_high, F.conv2d((blocks - mean).abs().mean((3, 5)), conv.hh.weight, padding=1))
    kept = mean[:, :, :, 0, :, 0].reshape(1, 4, 2, 2, 2, 2).mean((3, 5))
    torch.testing.assert_close(y_low, F.conv2d(kept, conv.hl.weight, padding=1))


@pytest.mark.parametrize("linear", [0.0, 0.4])
@torch.no_grad()
def test_weighted_mean_of_the_map_is_the_score(linear):
    net, x = tiny(linear=linear).eval(), torch.rand(2, 3, 64, 96)
    found, maps = net(x), net.fused(x)[0]
    grid = [F.avg_pool2d(f, 2**k) if k else f for f, k in zip(maps, (3, 2, 1, 0), strict=True)]
    w = torch.sigmoid(net.head.local(net.head.cells(torch.cat(grid, 1)))[:, 1:]) + 1e-3
    torch.testing.assert_close((found.quality_map * w).sum((1, 2, 3)) / w.sum((1, 2, 3)), found.score)


@torch.no_grad()
def test_what_the_second_stage_trains_on_makes_the_score():
    net, x = tiny().eval(), torch.rand(2, 3, 64, 96)
    torch.testing.assert_close(net.regressor(*net.kept(x)), net(x).score)


@torch.no_grad()
def test_a_linear_score_is_heard_beside_the_head():
    net, x = tiny(linear=0.4).eval(), torch.rand(2, 3, 64, 96)
    kept = net.kept(x)
    for bias, change in ((0.5, 0.2), (1e6, 0.4), (-1e6, -0.4)):
        torch.nn.init.zeros_(net.linear.weigh.weight)
        net.linear.weigh.bias.fill_(float(net.regressor(*kept)[0]) + bias)
        torch.testing.assert_close(net(x).score[0], net.regressor(*kept)[0] + change)
        torch.testing.assert_close(net.answer(*kept), net(x).score)


SWITCHES = [
    {},
    {"hfen": False},
    {"dan": False},
    {"hfen": False, "dan": False},
    {"fusion": "sum"},
    {"fusion": "concat"},
    {"view": 64},
    {"view": 0},
    {"view": 0, "dan_shared": 2},
    {"view": 0, "dan_shared": 4},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", SWITCHES)
def test_every_switch_builds_answers_and_learns(changes):
    net = tiny(**changes)
    prediction = net(torch.rand(2, 3, 64, 96))
    assert prediction.score.shape == (2,)
    assert prediction.quality_map.shape == (2, 1, 2, 3)
    if changes.get("dan", True):
        assert prediction.extras["kind"].shape == (2, 26)
        assert prediction.extras["severity"].shape == (2, 25)
        assert ((prediction.extras["severity"] >= 0) & (prediction.extras["severity"] <= 5)).all()
    else:
        assert "kind" not in prediction.extras
    loss = prediction.score.sum() + sum(v.sum() for k, v in prediction.extras.items() if k in ("kind", "severity"))
    loss.backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None]
    assert not silent, f"no gradient reaches {silent}"


def test_switched_off_parts_do_not_exist():
    names = {name.split(".")[0] for name, _ in tiny(hfen=False, dan=False).named_parameters()}
    assert names == {"qen", "head"}


@pytest.mark.slow
def test_the_paper_configuration_builds_and_answers():
    net = MFEN(MFENConfig.paper()).eval()
    with torch.no_grad():
        prediction = net(torch.rand(1, 3, 64, 64))
    assert prediction.quality_map.shape == (1, 1, 2, 2)
    assert net.config.encoder == "van_b2"
    assert not hasattr(net.dan, "own") or len(net.dan.own) == 0  # the DAN has a whole pyramid of its own


@pytest.mark.slow
def test_answers_do_not_depend_on_the_batch():
    net = MFEN().eval()
    x = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        together = net(x).score
        alone = torch.cat([net(x[i : i + 1]).score for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


def test_flat_picture_has_finite_gradients():
    x = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    tiny().eval()(x).score.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 65, 64)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="want \\(B, 3, H, W\\) with H and W multiples of 32"):
        tiny()(torch.rand(shape))


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="no-reference"):
        tiny()(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="got fusion 'mean'"):
        tiny(fusion="mean")
    with pytest.raises(ValueError, match="want the same"):
        tiny(dan_encoder="van_b0", view=0, dan_shared=2)


@pytest.mark.parametrize("size", [(512, 384), (100, 300), (96, 64), (1000, 224)])
def test_the_view_is_shrunk_as_torch_and_pillow_shrink(size):
    x = torch.rand(1, 3, *size)
    want = F.interpolate(x, (224, 224), mode="bilinear", antialias=True)
    torch.testing.assert_close(shrink_to(x, 224), want, atol=1e-5, rtol=0)
    picture = (x[0].permute(1, 2, 0) * 255).byte().numpy()
    pillow = np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    ours = shrink_to(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), 224)[0].permute(1, 2, 0)
    assert np.abs(ours.numpy() - pillow).max() <= 1


def test_a_crop_takes_its_own_part_of_the_view():
    maps = torch.arange(8.0)[None, None, None, :].expand(1, 1, 8, 8)  # each cell says how far right it is
    whole = torch.tensor([[0.0, 0, 1, 1]])
    torch.testing.assert_close(over(maps, 6, 12, whole), over(maps, 6, 12, None))
    right = over(maps, 4, 4, torch.tensor([[0.5, 0.25, 1.0, 0.75]]))
    torch.testing.assert_close(right[0, 0, 0], torch.tensor([4.0, 5, 6, 7]))


def test_with_a_view_a_crop_is_judged_as_part_of_its_picture():
    net, crop = tiny(view=64).eval(), torch.rand(1, 3, 64, 64)
    place = torch.tensor([[0.2, 0.2, 0.6, 0.6]])
    with torch.no_grad():
        answers = [net(crop, whole=torch.full((1, 3, 64, 64), v), place=place).score for v in (0.1, 0.9)]
        torch.testing.assert_close(
            net(crop).score, net(crop, whole=crop, place=torch.tensor([[0.0, 0, 1, 1]])).score, atol=1e-4, rtol=1e-4
        )
    assert not torch.isclose(*answers)


def test_the_view_of_a_quality_network_must_fit():
    with pytest.raises(ValueError, match="view of 100 pixels, want a multiple of 32"):
        tiny(view=100)
    with pytest.raises(ValueError, match="a DAN that shares levels"):
        tiny(view=64, dan_shared=2)
