"""What a teacher says is asked once, and standardised; pictures of which it says nothing do not count."""

import numpy as np
import pytest
import torch
from PIL import Image

from iqassay.training import teachers


class Stub(torch.nn.Module):
    """A teacher whose embedding is the picture's mean."""

    asked = 0

    def __init__(self, name, pretrained=True):
        super().__init__()

    def tokens(self, x):
        Stub.asked += len(x)
        return [x]

    def embed(self, x):
        return x.mean((1, 2, 3))[:, None].expand(-1, 512)


@pytest.fixture
def pictures(tmp_path):
    for i in range(3):
        Image.new("RGB", (40, 30 + i), (80 * i,) * 3).save(tmp_path / f"{i}.png")
    return sorted(tmp_path.glob("*.png"))


def test_each_picture_is_asked_about_once(monkeypatch, pictures, tmp_path):
    monkeypatch.setattr(teachers, "VisionTransformer", Stub)
    Stub.asked = 0
    first = teachers.embeddings(pictures[:2], tmp_path / "cache")
    both = teachers.embeddings(pictures, tmp_path / "cache")
    assert Stub.asked == 3
    np.testing.assert_array_equal(both[:2], first)
    np.testing.assert_allclose(both[:, 0], [0, 80 / 255, 160 / 255], atol=2e-3)  # bfloat16


def test_the_tasks_are_learned_from_the_pictures_of_which_something_is_said():
    torch.manual_seed(0)
    said = np.random.default_rng(0).normal(3, 2, (50, 514)).astype(np.float32)
    said[40:] = np.nan
    tasks = teachers.Teaching(8, said)
    statistics = torch.randn(4, 8, requires_grad=True)
    rows = torch.from_numpy(said[38:42])
    tasks.loss(statistics, rows).backward()
    assert tasks.layers[1].weight.grad.abs().sum() > 0
    unknown = torch.full((4, 514), torch.nan)
    assert tasks.loss(statistics, unknown) == 0
    with torch.no_grad():  # who says the mean of all is off by about a deviation of each task
        tasks.layers[1].weight.zero_()
        tasks.layers[1].bias.zero_()
    assert 0.3 < tasks.loss(statistics, torch.from_numpy(said[:4])).item() < 1
