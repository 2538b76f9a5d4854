"""A picture that is judged by several crops: the mean of what the system says of each."""

import pytest
import torch

from iqassay.training.many_crops import ManyCrops
from iqassay.training.recipes import Recipe

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("system", ["mfen", "yoto"])
@torch.no_grad()
def test_the_answer_to_several_crops_is_the_mean_of_the_answers(system):
    torch.manual_seed(0)
    recipe = Recipe(system=system, encoder="van_tiny", tokens=8, data=["a.csv"], batch=4)
    module = ManyCrops(recipe, ["a"], 1, [(0.0, 1.0)]).eval()
    pictures = torch.rand(2, 2, 3, 3, 64, 64)  # of two pictures, and their references, three crops
    batch = dict(zip(("x", "reference"), pictures[: 1 + (system == "yoto")], strict=False))
    found = module.look(batch)
    for i in range(2):
        alone = module.look({name: crops[i] for name, crops in batch.items()})
        torch.testing.assert_close(found.score[i], alone.score.mean())
        torch.testing.assert_close(found.quality_map[i], alone.quality_map.mean(0))
        torch.testing.assert_close(found.extras["kind"][i], alone.extras["kind"].mean(0))
