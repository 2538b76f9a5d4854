"""Where damage is, learned from pictures of which a part is damaged: DRI-IQA's stage of the head."""

import numpy as np
import pytest
import torch
from conftest import make_photo, train_main
from PIL import Image

from iqassay.systems.dri import DRI, DRIConfig, Predictor, Seen
from iqassay.training.cached_pass import thinned
from iqassay.training.head import fit_head
from iqassay.training.kept_pictures import CELLS, Pictures, patched_pictures
from iqassay.training.recipes import smoke

SHAPE = {"encoder": "van_tiny", "vector": 4, "width": 8, "pretrained": False, "restoration": False}
SIZES = (6, 5, 4)  # of what describes a picture, of its cells, of its degradation


def drawn(rng, count, damaged=None):
    """What is kept of pictures, at random; the cells' first number says where they are damaged."""
    kept = [rng.normal(size=(count, *(() if i != 1 else (CELLS,)), n)).astype(np.float32) for i, n in enumerate(SIZES)]
    if damaged is not None:
        kept[1][:, :, 0] = -2 * damaged + rng.normal(size=damaged.shape)
    nothing = np.full((count, 26), -1.0), np.full((count, 25), -1.0)
    return Pictures("set", kept, rng.uniform(20, 90, count), *nothing, 3 * count // 4, damaged=damaged)


def told(head, pictures):
    """The share of pairs of a damaged and a clean cell of one picture of which the damaged one is thought worse."""
    with torch.no_grad():
        local = head(Seen.of(*(torch.from_numpy(np.asarray(k)) for k in pictures.kept))).local.numpy()
    pairs = [
        (s[:, None] < s[None])[np.ix_(d > 0.9, d < 0.1)].mean() for s, d in zip(local, pictures.damaged, strict=True)
    ]
    return float(np.mean(pairs))


def test_the_quality_of_cells_is_learned_from_pictures_that_are_damaged_in_a_part():
    rng = np.random.default_rng(0)
    half = (np.arange(CELLS) < CELLS // 2).astype(np.float32)
    rated, patched, unseen = (
        drawn(rng, 40),
        *(drawn(rng, 40, np.stack([rng.permutation(half) for _ in range(40)])) for _ in "ab"),
    )
    found = {}
    for weight in (0.0, 2.0):
        torch.manual_seed(0)
        recipe = smoke(
            system="dri",
            stage="head",
            data=["a.csv"],
            patched=0.5,
            damaged=weight or 1.0,
            steps=60,
            epochs=1,
            batch=16,
            lr=0.02,
        )
        head, _ = fit_head(recipe, Predictor(DRIConfig(**SHAPE), SIZES), [rated], patched=patched if weight else None)
        found[weight] = told(head, unseen)
    assert found[0.0] < 0.5  # as it happens to begin
    assert found[2.0] > 0.85


def test_cells_of_a_patched_picture_are_those_that_are_kept(tmp_path):
    (tmp_path / "clean").mkdir()
    for i in range(3):
        Image.fromarray((255 * make_photo(96, 96, i)).astype(np.uint8)).save(tmp_path / "clean" / f"{i}.png")
    recipe = smoke(
        system="dri",
        stage="head",
        synthetic=[tmp_path / "clean"],
        synthetic_count=24,
        synthetic_size=96,
        patched=0.5,
        damaged=1.0,
        out=tmp_path / "runs" / "dri",
    )
    torch.manual_seed(0)
    found = patched_pictures(recipe, DRI(DRIConfig(**SHAPE)).eval())
    assert found.damaged.shape == (12, CELLS)
    assert found.kept[1].shape[:2] == (12, CELLS)
    assert found.damaged.min() >= 0
    assert found.damaged.max() <= 1
    assert 0.1 < found.damaged.mean() < 0.8
    assert thinned(9, CELLS).max() == 8
    again = patched_pictures(recipe, DRI(DRIConfig(**SHAPE)).eval())
    np.testing.assert_array_equal(found.damaged, again.damaged)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["dri", "--stage", "head", "--patched", "0.5"], "got one of --patched and --damaged, want both"),
        (["yoto", "--stage", "head", "--patched", "0.5", "--damaged", "1"], "of yoto, want mfen"),
        (["dri", "--patched", "0.5", "--damaged", "1"], "for --stage network of dri, want mfen"),
    ],
)
def test_a_recipe_that_cannot_learn_it_is_refused(flags, said, capsys):
    assert train_main([*flags, "--data", "x.csv"]) == 2
    assert said in capsys.readouterr().err
