"""The full-reference mode as a loss: zero at identity, finite gradients, the shipped weights."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

import iqassay
from iqassay.support.install import install_command
from iqassay.systems.fidelity import FidelityLoss
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import TOP, ExtendedYOTO, ExtendedYOTOConfig


def tiny(reduction: str = "mean") -> FidelityLoss:
    torch.manual_seed(0)
    return FidelityLoss(ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig("van_tiny", width=8, pretrained=False))), reduction)


def photo(height: int = 96, width: int = 96) -> torch.Tensor:
    torch.manual_seed(1)
    coarse = F.interpolate(torch.rand(1, 3, 7, 9), size=(height, width), mode="bicubic", align_corners=False)
    return (coarse + 0.1 * torch.rand(1, 3, height, width)).clamp(0, 1)


@pytest.mark.parametrize("size", [(64, 96), (33, 70), (100, 65)])
def test_zero_with_finite_gradients_at_identity(size):
    measure, x = tiny(), photo(*size).requires_grad_(True)
    value = measure(x, x.detach().clone())
    assert value.item() == pytest.approx(0, abs=1e-6)
    value.backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().max() < 1e-4


def test_positive_and_finite_elsewhere_even_on_flat_pictures():
    measure = tiny("none")
    for x, reference in [(photo(), photo() * 0.5), (torch.zeros(2, 3, 64, 64), torch.ones(2, 3, 64, 64))]:
        x = x.clone().requires_grad_(True)
        value = measure(x, reference)
        assert value.shape == (len(x),)
        assert (value > 0).all()
        value.sum().backward()
        assert torch.isfinite(x.grad).all()


def test_reductions_agree():
    x, reference = torch.cat([photo(), photo() ** 2]), torch.cat([photo() * 0.7, photo()])
    each = tiny("none")(x, reference)
    torch.testing.assert_close(tiny("mean")(x, reference), each.mean())
    torch.testing.assert_close(tiny("sum")(x, reference), each.sum())


def test_weights_stay_fixed_whatever_the_training_around_does():
    measure = tiny()
    around = torch.nn.Sequential(measure).train()
    assert not any(module.training for module in measure.modules())
    assert not any(p.requires_grad for p in around.parameters())


@pytest.mark.parametrize(
    ("x", "reference", "error"),
    [
        (torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 96), "want the same"),
        (torch.rand(3, 64, 64), torch.rand(3, 64, 64), "want the same"),
        (torch.rand(1, 3, 32, 64), torch.rand(1, 3, 32, 64), "at least 33"),
        (torch.rand(1, 3, 64, 64) * 255, torch.rand(1, 3, 64, 64) * 255, "want RGB in \\[0, 1\\]"),
    ],
)
def test_wrong_input_is_one_plain_line(x, reference, error):
    with pytest.raises(ValueError, match=error):
        tiny()(x, reference)


def test_unknown_reduction():
    with pytest.raises(ValueError, match="got reduction 'max'"):
        tiny("max")


@pytest.mark.slow
def test_the_shipped_loss_is_the_shipped_score_and_can_be_minimised():
    measure = iqassay.systems.loss("yoto")
    reference = photo()
    x = (reference + 0.2 * torch.randn_like(reference)).clamp(0, 1)
    scorer = iqassay.load("yoto")
    pixels = [v[0].permute(1, 2, 0).contiguous().numpy() for v in (x, reference)]
    assert TOP - measure(x, reference).item() == pytest.approx(scorer.look(*pixels).score, abs=0.01)
    x = x.requires_grad_(True)
    optimizer, start = torch.optim.Adam([x], 0.01), measure(x, reference).item()
    for _ in range(10):
        optimizer.zero_grad()
        measure(x, reference).backward()
        optimizer.step()
    assert measure(x, reference).item() < 0.7 * start


def test_a_model_without_references_makes_no_loss():
    with pytest.raises(ValueError, match="want one of YOTO"):
        iqassay.systems.loss("mfen")


def test_without_torch_it_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; import iqassay; iqassay.systems.loss()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith(f"ImportError: this needs torch: {install_command('train')}")
