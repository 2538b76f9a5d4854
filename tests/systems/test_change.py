"""The numbers by which a change from reference to picture is named."""

import pytest
import torch

from iqassay.systems.change import CHANGE, _block_steps, change, equal_neighbours


def photos(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(count, 3, 12, 16, generator=generator)
    smooth = torch.nn.functional.interpolate(rough, scale_factor=8, mode="bicubic").clamp(0.05, 0.95)
    return smooth + 0.02 * torch.rand(smooth.shape, generator=generator)


def test_a_picture_beside_itself_is_the_same_whatever_it_shows() -> None:
    found = change(photos(3), photos(3))
    assert found.shape == (3, CHANGE)
    torch.testing.assert_close(found[:1].expand_as(found), found)
    flat = torch.full((1, 3, 96, 128), 0.5)
    torch.testing.assert_close(change(flat, flat), found[:1])


def test_each_picture_of_a_batch_counts_by_itself_and_an_empty_batch_has_none() -> None:
    x, reference = photos(2), photos(2).flip(3)
    both = change(x, reference)
    torch.testing.assert_close(both[:1], change(x[:1], reference[:1]))
    assert change(x[:0], reference[:0]).shape == (0, CHANGE)


@pytest.mark.parametrize("shift", [0, 3])
def test_blocks_are_seen_wherever_their_grid_lies(shift: int) -> None:
    x = photos(1)
    y = x.reshape(1, 3, 96, 16, 8).mean(4, keepdim=True).expand(-1, -1, -1, -1, 8).reshape(x.shape)
    blocks = torch.roll(y, shift, 3)
    assert _block_steps(blocks)[0, 0] > 3 * _block_steps(x)[0, 0]


def test_few_colours_make_neighbours_equal() -> None:
    x = photos(1)
    few = (x * 8).round() / 8
    for before, after in zip(equal_neighbours(x), equal_neighbours(few), strict=True):
        assert (after > before + 0.3).all()
