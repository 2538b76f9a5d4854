"""Raw values on the common scale, and pictures of any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from iqassay.scoring import tiles
from iqassay.scoring.model_file import WEIGHTS, Calibration, read_card
from iqassay.scoring.scorer import calibrated
from iqassay.systems.calibrated import Calibrated, interpolated, pad


def of(name: str) -> Calibrated:
    system = Calibrated()
    system.card = read_card(WEIGHTS / f"{name}.json")
    return system


@pytest.mark.parametrize("name", ["mfen", "yoto", "dri"])
def test_scores_are_those_of_scoring(name):
    system = of(name)
    table = system.card.calibration
    raw = torch.cat([torch.linspace(-9, 9, 201), torch.tensor(table.raw)])
    found = system.to_score(raw)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, calibrated(raw.double().numpy(), system.card), atol=1e-4)
    assert system.to_score(raw.reshape(3, 1, -1)[:, :, :60]).shape == (3, 1, 60)
    if system.card.reference is not None:
        beside = system.to_score(raw, reference=True)
        np.testing.assert_allclose(beside, calibrated(raw.double().numpy(), system.card.reference), atol=1e-4)
        assert not torch.equal(beside, found)


def test_a_score_has_the_gradient_of_its_table():
    raw = torch.tensor([-5.0, 0.25, 1.5, 7.0], requires_grad=True)
    table = Calibration((0.0, 1.0, 2.0), (10.0, 40.0, 50.0))
    interpolated(raw, table).sum().backward()
    assert raw.grad.tolist() == [0, 30, 10, 0]
    assert interpolated(torch.tensor([float("nan")]), table).isnan().all()
    assert interpolated(torch.tensor([3.0, -3.0]), Calibration((0.0,), (7.0,))).tolist() == [7, 7]


def test_what_has_no_table_says_so():
    with pytest.raises(ValueError, match="want one that load_pretrained gave"):
        Calibrated().to_score(torch.zeros(1))
    with pytest.raises(ValueError, match="'mfen' takes no reference"):
        of("mfen").to_score(torch.zeros(1), reference=True)
    system = of("yoto")
    system.card = replace(system.card, reference=None)
    with pytest.raises(ValueError, match="takes no reference"):
        system.to_score(torch.zeros(1), reference=True)


@pytest.mark.parametrize("size", [(1, 1), (5, 200), (33, 64), (64, 96), (65, 97)])
def test_pictures_are_mirrored_as_in_scoring(size):
    x = torch.rand(2, 3, *size, requires_grad=True)
    found = pad(x)
    for one, whole in zip(x, found, strict=True):
        np.testing.assert_array_equal(whole.detach().permute(1, 2, 0), tiles.pad(one.detach().permute(1, 2, 0).numpy()))
    found.sum().backward()
    assert (x.grad > 0).all()


def test_what_is_no_batch_is_left_to_the_system():
    for odd in (None, "x", torch.zeros(3, 40, 40), torch.zeros(1, 3, 0, 0)):
        assert pad(odd) is odd
