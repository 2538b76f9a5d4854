"""The restorer: it adds to the picture, by what the degradation vector says, and makes it better than its input."""

import pytest
import torch
from conftest import make_photo
from torch.nn import functional as F

from iqassay.systems.restorer import Modulation, Restorer


def small(vector=4):
    torch.manual_seed(0)
    return Restorer(vector, (8, 12, 16))


def noisy_photo(size=64):
    """A photo with noise and without, (1, 3, size, size) each."""
    clean = torch.from_numpy(make_photo(size, size, textured=0)).permute(2, 0, 1)[None]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return (clean + 0.1 * noise).clamp(0, 1), clean


def learn(net, x, d, target, steps):
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(net(x, d)[0], target).backward()
        optimizer.step()


@torch.no_grad()
def test_modulation_is_the_identity_at_first_and_then_a_gain_and_a_shift_by_channel():
    modulate, d = Modulation(3, 5), torch.rand(2, 3)
    maps, tokens = torch.rand(2, 5, 4, 6), torch.rand(2, 7, 5)
    assert torch.equal(modulate(maps, d), maps)
    assert torch.equal(modulate(tokens, d), tokens)
    torch.nn.init.normal_(modulate.make.weight)
    gain, shift = (d @ modulate.make.weight.T).split(5, 1)
    torch.testing.assert_close(modulate(tokens, d), tokens * (1 + gain[:, None]) + shift[:, None])
    as_tokens = modulate(maps, d).flatten(2).transpose(1, 2)
    torch.testing.assert_close(as_tokens, modulate(maps.flatten(2).transpose(1, 2), d))


@pytest.mark.parametrize("size", [(8, 8), (64, 96), (40, 24)])
@torch.no_grad()
def test_what_leaves_is_added_to_the_picture_and_the_decoder_has_three_maps(size):
    net, x, (height, width) = Restorer(4), torch.rand(2, 3, *size), size
    torch.nn.init.zeros_(net.leave.weight)
    estimate, maps = net(x, torch.rand(2, 4))
    assert torch.equal(estimate, x)
    want = [(2, c, height // s, width // s) for c, s in zip(net.channels, (8, 4, 2), strict=True)]
    assert [tuple(m.shape) for m in maps] == want


@pytest.mark.slow
def test_a_few_steps_restore_a_noisy_picture_and_another_like_it():
    net, (x, clean), d = small(), noisy_photo(), torch.ones(1, 4)
    for _ in range(80):  # of one noise alone, it would learn that by heart
        target = clean.flip(2) if torch.rand(()) < 0.5 else clean
        learn(net, (target + 0.1 * torch.randn(clean.shape)).clamp(0, 1), d, target, 1)
    unseen = (clean.flip(3) + 0.1 * torch.randn(clean.shape)).clamp(0, 1)
    for picture, reference in ((x, clean), (unseen, clean.flip(3))):
        with torch.no_grad():
            before, after = (F.mse_loss(p, reference).log10() * -10 for p in (picture, net(picture, d)[0]))
        assert after > before + 1  # dB


@pytest.mark.slow
def test_the_vector_decides_what_is_done_once_that_is_learned():
    net, (x, _) = small(), noisy_photo(32)
    x, d = x.repeat(2, 1, 1, 1) * 0.5 + 0.25, torch.eye(4)[:2]
    with torch.no_grad():
        assert torch.equal(*net(x, d)[0])  # nothing yet
    target = x + torch.tensor([0.1, -0.1])[:, None, None, None]  # one picture is too dark, the other too bright
    learn(net, x, d, target, 40)
    with torch.no_grad():
        change = (net(x, d)[0] - x).mean((1, 2, 3))
        other = (net(x, d.flip(0))[0] - x).mean((1, 2, 3))
    assert change[0] > 0.05
    assert change[1] < -0.05
    torch.testing.assert_close(other, change.flip(0))


def test_learning_reaches_every_parameter_after_the_first_step():
    net, (x, clean) = small(), noisy_photo(32)
    learn(net, x, torch.ones(1, 4), clean, 2)  # the first moves the exit alone, and only then has the rest a say
    net.zero_grad()
    F.mse_loss(net(x, torch.ones(1, 4))[0], clean).backward()
    silent = [name for name, p in net.named_parameters() if not p.grad.any()]
    assert not silent, f"no gradient reaches {silent}"
