"""What is kept of pictures for the head: computed once for a network and a list of pictures."""

import numpy as np
import pytest
import torch

from iqassay.training.build import build_system
from iqassay.training.kept_pictures import gather
from iqassay.training.recipes import smoke

pytestmark = pytest.mark.slow


def test_statistics_are_kept_for_one_network_and_one_list_of_pictures(rated, tmp_path):
    recipe = smoke(data=[str(rated / "set.csv")], out=tmp_path)
    system = build_system(recipe).eval()
    first = gather(recipe, system)[0]
    torch.nn.init.zeros_(system.regressor.layers[7].weight)  # the part that the stage trains
    np.testing.assert_array_equal(gather(recipe, system)[0].kept[0], first.kept[0])
    assert len(list(tmp_path.glob("set-*"))) == 1
    torch.nn.init.zeros_(system.hfen.exits[0].weight)  # another network
    assert not np.array_equal(gather(recipe, system)[0].kept[0], first.kept[0])
    assert len(gather(smoke(data=recipe.data, out=tmp_path, limit=5), system)[0].score) == 10
    assert len(list(tmp_path.glob("set-*"))) == 3
