"""Attention among neighbours, and YOTO with it: matching that is exact at identity and forgives small displacements."""

import pytest
import torch
from small_yoto import NEAR, pictures, tiny_near

from iqassay.systems.change import change
from iqassay.systems.near_attention import NearAttention, neighbours
from iqassay.systems.near_distance import LEVELS, NearDistance, in_the_light_of, light, texture, visible
from iqassay.systems.vision_transformer import shrink_cells
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import TOP, ExtendedYOTO, ExtendedYOTOConfig


@pytest.fixture
def near(monkeypatch):
    return tiny_near(monkeypatch)


def test_neighbours_are_the_tokens_around_each_and_edges_repeat():
    x = torch.arange(12.0).reshape(1, 3, 4, 1)
    found = neighbours(x, 1)[..., 0]  # (1, 3, 4, 9)
    assert found[0, 1, 1].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert found[0, 0, 0].tolist() == [0, 0, 1, 0, 0, 1, 4, 4, 5]


def test_a_token_finds_itself_and_what_has_moved_by_one_place():
    torch.manual_seed(0)
    attend, x = NearAttention(8, 2, 1, tied=True), torch.randn(1, 5, 6, 8)
    assert (attend(x, x, x)[1] == 0).all()
    moved = x.roll(1, 2)
    far = attend(moved, x, moved)[1][:, :, :-1]
    torch.testing.assert_close(far, torch.full_like(far, attend.step[0].item()))
    assert float(attend(x.roll(2, 2), x, x.roll(2, 2))[1].mean()) > 5 * float(far.mean())


def test_what_is_found_is_the_formula():
    torch.manual_seed(0)
    attend, x, y = NearAttention(4, 1, 1, tied=False).eval(), torch.randn(1, 3, 3, 4), torch.randn(1, 3, 3, 4)
    found = attend(x, x, y)[1]
    q = torch.nn.functional.normalize(attend.q(x)[0, 1, 1], dim=0)
    source = y[0].reshape(9, 4)
    k = torch.nn.functional.normalize(attend.k(source), dim=1)
    weights = (-attend.sharpness * (k - q).square().sum(1) / 2).softmax(0)
    torch.testing.assert_close(found[0, 1, 1], weights @ attend.v(source), rtol=1e-4, atol=1e-5)


def test_cells_are_shrunk_as_interpolation_does():
    x = torch.rand(2, 3, 64, 96)
    wanted = torch.nn.functional.interpolate(x, (28, 42), mode="bilinear", antialias=True)
    torch.testing.assert_close(shrink_cells(x, 14)[..., 2:-2, 2:-2], wanted[..., 2:-2, 2:-2])


@torch.no_grad()
def test_identity_is_the_top_and_the_reference_in_ha_decides(near):
    x, r = pictures(height=96, width=128)
    assert near(r, r).score.tolist() == [TOP, TOP]
    assert near(x, r).quality_map.shape == (2, 1, 3, 4)
    alike = 0.9 * r + 0.1 * x
    as_it_is = near(alike, r).score
    assert (near(x, r).score < as_it_is).all()
    assert (as_it_is < TOP).all()
    for ha in near.network.ha:  # another picture's reference in the query
        whole = ha.forward
        ha.forward = lambda a, b, paired, whole=whole: whole(a, b.flip(0), paired)
    assert (near(alike, r).score < as_it_is - 0.01).all()


def test_gradient_is_zero_at_identity_and_finite_beside_it(near):
    x, r = pictures(height=96, width=128)
    for other, zero in ((r, True), (r + 1e-4 * x, False), (x, False), (torch.full_like(r, 0.5), False)):
        other = other.clone().requires_grad_()
        (TOP - near(other, r).score).sum().backward()
        assert other.grad.isfinite().all()
        assert (other.grad.abs().max() < 1e-12) == zero  # tokens of one batch may differ in their last bit


@torch.no_grad()
def test_what_nobody_sees_is_nothing_and_noise_is_something():
    distance, generator = NearDistance(2).eval(), torch.Generator().manual_seed(0)
    x, far = torch.full((1, 3, 64, 128), 0.5), torch.full((1, 2, 4, 2), 0.05)
    ours, theirs = torch.randn(2, LEVELS, 1, 5, 2, 4, generator=generator)
    level = torch.randint(-1, 2, x.shape, generator=generator) / 255

    def differences(other):
        return distance.differences([other, *ours], [x, *theirs], far)

    for other in (x + 1 / 255, x + level.abs(), x + level):
        assert differences(other).max() < 0.6 * differences(x + 10 * level).max()
        assert (visible(other, x) < 0.55).all()
    assert (visible(x + 4 * level, x) > 0.95).all()
    assert (differences(x) == 0).all()
    dot = x.clone()
    dot[:, :, 40, 10] = 1.0  # small, but seen, also by the tokens around it
    assert (visible(dot, x)[0, :, :2] > 0.7).all()
    assert (visible(dot, x)[0, :, 2:] == 0).all()


@torch.no_grad()
def test_texture_is_the_deviation_over_nine_cells_and_forgives_what_has_only_moved():
    x = torch.randn(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(texture(x)[0, :, 2, 3], x[0, :, 1:4, 2:5].flatten(1).std(1, correction=0))
    torch.testing.assert_close(
        texture(x)[0, :, 0, 0], x[0, :, [0, 0, 1]][:, :, [0, 0, 1]].flatten(1).std(1, correction=0)
    )
    distance, far, pixels = NearDistance(2).eval(), torch.zeros(1, 6, 8, 2), torch.zeros(1, 3, 192, 256)
    wave, moved = ((torch.arange(8.0) + by).remainder(3).expand(1, 3, 6, 8) for by in (0, 1))

    def apart(maps):  # away from the edges
        found = distance.differences([pixels + 1, *[maps] * LEVELS], [pixels, *[wave] * LEVELS], far)
        return found.reshape(6, 8, -1)[:, 1:-1, 2 : 2 + LEVELS].sum()

    assert apart(wave) == 0
    assert apart(moved) < 0.01 * apart(wave / 2)


@torch.no_grad()
def test_people_adapt_to_light_and_what_is_left_of_it_is_said():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 2, 3, generator=generator).repeat_interleave(32, 2).repeat_interleave(32, 3)
    assert (in_the_light_of(x, x) == x).all()
    assert all((change == 0).all() for change in light(x, x))
    dim = 0.7 * x + 0.05
    torch.testing.assert_close(in_the_light_of(dim, x), x, atol=0.01, rtol=0)
    brighter, contrast = light(dim, x)
    torch.testing.assert_close(brighter[:, 0, 0, 0], (x - dim).mean((1, 2, 3)))
    torch.testing.assert_close(contrast.exp(), torch.full_like(contrast, 1 / 0.7), atol=0.02, rtol=0)
    flat = torch.full_like(x, 0.5)
    torch.testing.assert_close(
        light(flat, flat + 0.2)[1], torch.zeros(2, 1, 1, 1)
    )  # one colour has no contrast to lose
    torch.testing.assert_close(light(x, x.flip(2))[1].exp().amin(), torch.tensor(0.5))  # another picture says nothing
    noise = 0.2 * torch.randn(x.shape, generator=generator)
    assert light(x + noise, x)[1].abs().max() < 0.05  # noise is no contrast


def test_it_is_for_vision_transformers_alone(near):
    with pytest.raises(ValueError, match="got near for the encoder 'van_tiny'"):
        ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig(**(NEAR | {"encoder": "van_tiny"}))))
    with pytest.raises(ValueError, match="want it for attention alone"):
        ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig(**(NEAR | {"adapter": "concat"}))))
    with pytest.raises(ValueError, match="got a width of 8 for 3 heads"):
        NearAttention(8, 3, 1, tied=True)


@torch.no_grad()
def test_native_detail_describes_a_picture_that_has_no_reference_and_does_not_touch_one_that_has(monkeypatch):
    net = tiny_near(monkeypatch, "efficientnet_lite0")
    x, r = pictures()
    alone, beside = net(x), net(x, r)
    kept = net.kept(x)
    assert kept[0].shape[1] == net.regressor.scale.num_features
    torch.testing.assert_close(net.distortions(net.readable(*kept))["kind"], alone.extras["kind"])
    half = 2 * sum(net.detail.channels)
    torch.testing.assert_close(kept[0][:, half : 2 * half], alone.extras["statistics"])
    torch.testing.assert_close(beside.extras["statistics"], alone.extras["statistics"])
    for parameter in net.detail.parameters():
        parameter.mul_(1.1)
    again = net(x)
    assert (again.score != alone.score).all()
    torch.testing.assert_close(net(x, r).score, beside.score)


@torch.no_grad()
def test_beside_a_reference_the_change_is_named_and_not_what_the_picture_is_like(monkeypatch):
    net = tiny_near(monkeypatch, "efficientnet_lite0")
    x, r = pictures()
    alone, beside, swapped = net(x), net(x, r), net(r, x)
    assert (beside.extras["kind"] != swapped.extras["kind"]).all()
    torch.testing.assert_close(net(x, x).extras["kind"], net(r, r).extras["kind"])  # nothing is nothing, of any picture
    torch.testing.assert_close(net.compared(x, r)[2], change(x, r))
    net.changes.kind.bias.add_(1)
    torch.testing.assert_close(net(x).extras["kind"], alone.extras["kind"])
    torch.testing.assert_close(net(x, r).extras["kind"], beside.extras["kind"] + 1)


def test_native_detail_goes_with_neighbours_alone():
    with pytest.raises(ValueError, match="without near, want it beside a vision transformer alone"):
        ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig("van_tiny", 8, pretrained=False), detail="van_tiny"))
