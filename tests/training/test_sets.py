"""The pictures of a run: which sets it has, with references and without."""

import pytest

from iqassay.training.recipes import smoke
from iqassay.training.sets import load_sets, shares_of, synthetic_sets


def test_a_set_with_references_is_also_a_set_of_pairs(rated, paired):
    """Fault 6 of YOTO's release, data files that cannot be had, does not arise: a CSV and its pictures are all."""
    data = [str(rated / "set.csv"), str(paired / "pairs.csv")]
    wanted = {
        ("yoto", "joint"): (["set", "pairs", "pairs with reference"], [2], [1, 3, 3]),
        ("yoto", "no-reference"): (["set", "pairs"], [], [1, 3]),
        ("yoto", "full-reference"): (["pairs with reference"], [0], [3]),
        ("mfen", "joint"): (["set", "pairs"], [], [1, 3]),
    }
    for (system, mode), (names, with_reference, shares) in wanted.items():
        recipe = smoke(system=system, mode=mode, data=data, shares=[1, 3])
        sets = load_sets(recipe)
        assert (sets.names, sets.paired) == (names, with_reference)
        assert shares_of(recipe, sets) == shares
        for i, part in enumerate(sets.train.datasets):
            assert ("reference" in part[0]) == (i in with_reference)
            assert part[0]["dataset"] == i


def test_the_share_of_covered_pictures_is_passed_on_but_not_to_types_left_out(paired, tmp_path):
    recipe = smoke(synthetic=[paired], synthetic_covered=1.0, synthetic_without=["jpeg"], out=tmp_path / "run")
    train, val, unseen = synthetic_sets(recipe)
    assert train.pair is not None
    assert val.pair is not None
    assert unseen.pair is None
    with pytest.raises(ValueError, match="got --synthetic-covered 2, want 0 to 1"):
        smoke(synthetic=[paired], synthetic_covered=2)


def test_shares_are_not_below_0_and_not_all_0():
    for shares, said in (([0, 0], "0, 0"), ([1, -0.5], "1, -0.5")):
        with pytest.raises(ValueError, match=f"^got --shares {said}, want one above 0, none below$"):
            smoke(data=["a.csv", "b.csv"], shares=shares)
    smoke(data=["a.csv", "b.csv"], shares=[0, 1])
