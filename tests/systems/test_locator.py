"""The locator: a map that says nothing of the score, and of every cell how it differs from the picture's others."""

import pytest
import torch
from small_yoto import pictures, tiny_near

from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.locator import Locator, cells_of
from iqassay.systems.mfen import MFEN, MFENConfig

TINY = {"encoder": "van_tiny", "width": 8, "pretrained": False}


def system_of(name: str, located: bool) -> MFEN | DRI:
    torch.manual_seed(0)
    if name == "mfen":
        return MFEN(MFENConfig(**TINY, dan_encoder="van_tiny", view=0, located=located)).eval()
    return DRI(DRIConfig(**TINY, vector=12, located=located)).eval()


@torch.no_grad()
def test_the_mean_is_zero_and_neighbours_count():
    locator = Locator(6).eval()
    cells = torch.randn(2, 12, 6)
    found = locator(cells, 3, 4)
    assert found.shape == (2, 1, 3, 4)
    assert found.std() > 0
    torch.testing.assert_close(found.mean((1, 2, 3)), torch.zeros(2), atol=1e-6, rtol=0)
    assert not torch.allclose(locator(cells, 4, 3).flatten(1), found.flatten(1))


@torch.no_grad()
def test_cells_are_means_and_deviations_of_each_cell():
    maps = [torch.randn(2, channels, 2 * side, 3 * side) for channels, side in ((3, 8), (4, 4), (5, 2), (6, 1))]
    cells = cells_of(maps)
    assert cells.shape == (2, 6, 2 * (3 + 4 + 5) + 6)
    part = maps[0][1, :, 8:, 16:]  # of the last cell
    torch.testing.assert_close(cells[1, 5, :3], part.mean((1, 2)))
    torch.testing.assert_close(cells[1, 5, 18:21], part.var((1, 2), correction=0).sqrt(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["mfen", "dri"])
@torch.no_grad()
def test_the_map_is_the_locators_around_the_same_score(name):
    plain, located = system_of(name, False), system_of(name, True)
    located.load_state_dict(plain.state_dict(), strict=False)
    x = torch.rand(2, 3, 64, 96)
    before, after = plain(x), located(x)
    assert torch.equal(before.score, after.score)
    assert before.quality_map.shape == after.quality_map.shape
    want = located.locator(located.cells(x), 2, 3) + after.score[:, None, None, None]
    torch.testing.assert_close(after.quality_map, want)
    assert not torch.allclose(before.quality_map, after.quality_map)


@torch.no_grad()
def test_yoto_has_it_without_a_reference(monkeypatch):
    net = tiny_near(monkeypatch, "efficientnet_lite0", located=True)
    x, r = pictures()
    alone, beside = net(x), net(x, r)
    torch.testing.assert_close(alone.quality_map, net.locator(net.cells(x), 2, 3) + alone.score[:, None, None, None])
    net.locator.leave.weight.mul_(2)
    torch.testing.assert_close(net(x).score, alone.score)
    assert not torch.allclose(net(x).quality_map, alone.quality_map)
    torch.testing.assert_close(net(x, r).quality_map, beside.quality_map)
