"""The pictures of a run: which sets it has, with references and without."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from iqassay.training import sets as sets_module
from iqassay.training import teachers
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


def test_mfen_sees_the_whole_picture_of_every_crop_and_others_do_not(rated, paired, tmp_path):
    common = {"data": [str(rated / "set.csv")], "synthetic": [paired], "out": tmp_path / "run"}
    with_view = load_sets(smoke(system="mfen", view=96, patched=1.0, **common))
    for part in with_view.train.datasets:
        sample = part[0]
        assert sample["whole"].shape == (3, 96, 96)
        left, top, right, bottom = sample["place"].tolist()
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert sample["said"].isnan().all()
    assert "whole" not in load_sets(smoke(system="mfen", view=0, **common)).train.datasets[0][0]
    assert "whole" not in load_sets(smoke(system="dri", **common)).train.datasets[0][0]


def test_in_the_stage_of_views_training_pictures_lose_some_of_their_edges(rated, paired, tmp_path):
    common = {"data": [str(rated / "set.csv")], "synthetic": [paired], "out": tmp_path / "run", "view": 64}
    for stage, differ in (("view", True), ("network", False)):
        sets = load_sets(smoke(system="mfen", stage=stage, **common))
        for part in sets.train.datasets:
            seen = [part[0]["whole"] for _ in range(8)]
            seen = [min(x.sum(), x.flip(2).sum()) for x in seen]  # a flip alone leaves the sum as it is
            assert (max(seen) - min(seen) > 1e-2) == differ
        for part in sets.val.datasets:
            assert torch.equal(part[0]["whole"], part[0]["whole"])


def test_a_damaged_part_costs_less_than_the_whole_and_is_on_the_map(paired, tmp_path):
    recipe = smoke(system="mfen", synthetic=[paired], synthetic_count=40, patched=1.0, out=tmp_path / "run")
    part = load_sets(recipe).train.datasets[0]
    bad = [i for i in range(len(part)) if part.score[i] < 60]
    assert bad
    for i in bad[:4]:
        sample = part[i]
        assert sample["score"] * part.deviation + part.mean > part.score[i]
        assert (sample["kind"] == -1).all()
        assert sample["damaged"].min() >= 0
        assert sample["damaged"].shape == (2, 2)


def test_what_a_teacher_says_comes_with_the_pictures_and_unrated_ones_are_a_set(monkeypatch, rated, tmp_path):
    heads = tmp_path / "heads.json"
    weight = [0.0] * 511 + [1.0]
    heads.write_text(json.dumps({k: {"weight": weight, "bias": 4.0} for k in ("sac", "laion")}))
    monkeypatch.setattr(sets_module, "embeddings", _said)
    monkeypatch.setattr(teachers, "embeddings", _said)
    made = tmp_path / "made"
    shutil.copytree(rated, made)
    recipe = smoke(
        system="mfen",
        data=[str(rated / "set.csv")],
        generated=[made],
        teacher_heads=heads,
        taught=1.0,
        out=tmp_path / "run",
    )
    with pytest.raises(ValueError, match="are all rated by --data"):
        load_sets(dataclasses.replace(recipe, generated=[rated]))
    sets = load_sets(recipe)
    assert sets.names == ["set", "taught"]
    sample = sets.train.datasets[1][0]
    assert sample["said"].shape == (514,)
    torch.testing.assert_close(sample["said"][512:], torch.tensor([4 + 512**0.5, 5.0]))
    for missing in ({"generated": [rated]}, {"taught": 1.0}):
        with pytest.raises(ValueError, match="without --teacher-heads"):
            load_sets(smoke(system="mfen", data=[str(rated / "set.csv")], out=tmp_path / "run", **missing))
    with pytest.raises(ValueError, match=r"heads\.json: got no heads"):
        teachers.opinions(np.ones((1, 512)), rated / "heads.json")


def _said(files, cache):
    return np.eye(512, dtype=np.float32)[[511] * len(files)]


def test_what_belongs_to_mfen_alone_is_refused_for_others():
    for given in ({"taught": 1.0}, {"generated": ["a"]}, {"patched": 0.5}, {"damaged": 0.5}):
        with pytest.raises(ValueError, match="of dri, want mfen"):
            smoke(system="dri", data=["a.csv"], **given)
    smoke(system="dri", data=["a.csv"], generated=["a"], stage="head")  # a rated set as any other
