"""DRI-IQA's semantic encoder: what a whole picture shows, said once a picture, from training to the model file."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from small_dri import dri_with_semantic_encoder

import iqassay.systems
from iqassay.data.distortions import KINDS
from iqassay.scoring.model_file import ModelFileError, load_model_file
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.square import shrunk_to_square
from iqassay.systems.dri import DRI, KEPT, DRIConfig, Generated
from iqassay.systems.pretrained import named_weights
from iqassay.systems.vision_transformer import MEANING, SHAPES, SIDE
from iqassay.training.export import GROUP, export, fours
from iqassay.training.generated import fit_generated
from iqassay.training.kept_pictures import Pictures, kept_of, unrated_photos
from iqassay.training.recipes import smoke

SCALE = {"calibration": {"raw": [-9, 9], "score": [0, 100]}, "interval": {"score": [50], "below": [5], "above": [5]}}
CARD = {
    "name": "test",
    "version": "0",
    "summary": "",
    "system": "DRI",
    "licence": {},
    "training_data": [],
    "accuracy": [],
    "distortions": list(KINDS),
    "views": {"area": 128 * 128, "window": 96, "max_windows": 9, "global_weight": 0.5},
    "unlike": {"threshold": 2},
    "limits": [],
    "semantic": SIDE,
    **SCALE,
}


@pytest.fixture(scope="module")
def system():
    yield from dri_with_semantic_encoder()


@pytest.fixture(scope="module")
def file(system, tmp_path_factory):
    count = 2 * sum(system.encoder.channels)
    card = CARD | {"architecture": dataclasses.asdict(system.config)}
    axes = torch.zeros(count), torch.eye(count)[:, :8]
    return export(system, *axes, card, tmp_path_factory.mktemp("semantic") / "dri.onnx")


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.kron(rng.integers(40, 210, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    return (smooth + rng.integers(-20, 20, (height, width, 3))).astype(np.uint8)


@torch.no_grad()
def test_the_score_depends_on_what_the_whole_picture_shows(system):
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    own, other = (
        system.understand(torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(k))) for k in (1, 2)
    )
    assert own.shape == (2, MEANING)
    answers = [system(x, meaning=m) for m in (own, other)]
    assert (answers[0].score != answers[1].score).all()
    assert (answers[0].extras["vectors"][:, 0] != answers[1].extras["vectors"][:, 0]).any()
    assert system(x).score.isfinite().all()  # of pictures that are whole themselves


@torch.no_grad()
def test_a_system_without_one_has_nothing_to_understand_by():
    with pytest.raises(ValueError, match="without a semantic encoder"):
        DRI(DRIConfig("van_tiny", vector=12, width=8, pretrained=False)).understand(torch.rand(1, 3, SIDE, SIDE))
    with pytest.raises(ValueError, match="want clip_vit_b16"):
        DRI(DRIConfig("van_tiny", vector=12, width=8, pretrained=False, semantic="dinov2_vit_s14"))


@torch.no_grad()
def test_the_model_file_looks_at_the_whole_picture_once_and_says_what_torch_says(system, file, monkeypatch):
    scorer, pixels = Scorer(file), photo(200, 304)
    run, asked = scorer._session.run, []
    monkeypatch.setattr(scorer._session, "run", lambda names, feed: asked.append(names) or run(names, feed))
    found = scorer.look(pixels)
    assert sum(names == ["understood"] for names in asked) == 1
    assert len(asked) > 4  # one of the whole, several windows and the global view

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHAPES, "clip_tiny", system.semantic.shape)
        back = iqassay.systems.load_pretrained(file)
    own, stored = (one.semantic.blocks[0].mlp[0].weight for one in (system, back))
    assert 0 < (own - stored).abs().max() < own.abs().max() / 8  # four bits
    square = torch.from_numpy(shrunk_to_square(pixels, SIDE))
    meaning = back.understand(square)
    small = photo(96, 128, 3)
    want = back(torch.from_numpy(small.transpose(2, 0, 1)[None].astype(np.float32) / 255), meaning=meaning)
    network = scorer.network_for(pixels)
    got = network(np.ascontiguousarray(small.transpose(2, 0, 1)[None].astype(np.float32) / 255), None)
    np.testing.assert_allclose(got.score, want.score.numpy(), atol=2e-3)
    other = scorer.network_for(photo(200, 304, 5))(
        np.ascontiguousarray(small.transpose(2, 0, 1)[None] / np.float32(255)), None
    )
    assert got.score != other.score
    assert np.isfinite(found.score)
    estimate, nearness = scorer.restore(np.zeros((2, 3, 64, 64), np.float32))
    assert (estimate.shape, nearness.shape) == ((2, 3, 64, 64), (2, 126))


def test_a_card_that_knows_of_no_semantic_encoder_does_not_fit_the_file(file, tmp_path):
    card = json.loads(file.with_suffix(".json").read_text())
    del card["semantic"]
    (tmp_path / "bare.onnx").write_bytes(file.read_bytes())
    (tmp_path / "bare.json").write_text(json.dumps(card))
    with pytest.raises(ModelFileError, match=re.escape("want ['image']")):
        Scorer(load_model_file(tmp_path / "bare.onnx"))


def test_four_bits_keep_what_they_can_say_and_are_near_what_they_cannot():
    rng = np.random.default_rng(0)
    whole = rng.integers(-8, 8, (6, 3, GROUP))
    whole[:, :, 0] = -8
    exact = (whole * 2.0 ** rng.integers(-9, -5, (6, 3, 1))).reshape(6, -1).astype(np.float32)
    matrix = rng.normal(size=(6, 96)).astype(np.float32)
    for given, most in ((exact, 0.0), (matrix, 0.13), (np.zeros((6, 96), np.float32), 0.0)):
        packed, scale = fours(given)
        assert (packed.shape, packed.dtype, scale.shape) == ((6, 3, GROUP // 2), np.uint8, (18,))
        low, high = packed & 15, packed >> 4
        back = (np.stack([low, high], 3).reshape(6, 3, GROUP) - 8.0) * scale.reshape(6, 3, 1)
        error = np.sqrt(np.mean((back.reshape(given.shape) - given) ** 2))
        assert error <= most


def test_weights_of_four_bits_are_read_back_by_their_own_names(system, file):
    found = named_weights(file.read_bytes())
    missing = [k for k in system.semantic.state_dict() if f"semantic.{k}" not in found]
    assert missing == []


def test_training_keeps_the_meaning_beside_what_else_is_seen(system, tmp_path):
    pictures = [photo(64, 96, k) for k in range(3)]
    kept = kept_of(system, pictures, tmp_path, "set")
    assert [v.shape[-1] for v in kept] == [scale.num_features for scale in system.predictor.scales]
    assert kept[-1].shape == (3, MEANING)
    folders = sorted(path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir())
    assert folders == ["set", "set-semantic"]
    again = kept_of(system, pictures, tmp_path, "set")
    np.testing.assert_array_equal(kept[-1], again[-1])


def test_photos_that_nobody_rated_are_told_from_generated_pictures_and_teach_no_score(system, tmp_path):
    (tmp_path / "photos").mkdir()
    for k in range(12):
        Image.fromarray(photo(64, 96, k)).save(tmp_path / "photos" / f"{k:02}.png")
    recipe = smoke(
        system="dri", stage="head", data=["a.csv"], generated=[tmp_path], photos=[tmp_path / "photos"], out=tmp_path
    )
    (found,) = unrated_photos(recipe, system)
    assert (found.generated, len(found.score), found.train) == (False, 12, 10)
    assert (found.labels[:, 0] == -1).all()
    first, last = (kept_of(system, [photo(64, 96, k)], tmp_path, "one")[-1] for k in (1, 10))
    np.testing.assert_allclose(found.kept[-1][[0, -1]], np.concatenate([first, last]), atol=1e-5)
    assert unrated_photos(dataclasses.replace(recipe, photos=[]), system) == []


def test_the_square_is_the_same_at_any_depth():
    pixels = photo(480, 640)
    eight, sixteen, real = (
        shrunk_to_square(p, SIDE) for p in (pixels, pixels.astype(np.uint16) * 257, pixels.astype(np.float32) / 255)
    )
    assert eight.shape == (1, 3, SIDE, SIDE)
    for other in (sixteen, real):
        np.testing.assert_allclose(other, eight, atol=0.02)
    assert shrunk_to_square(photo(8, 8), SIDE).shape == (1, 3, SIDE, SIDE)


def sets_of_both_kinds():
    """Photos, generated pictures of a teacher's opinion, and a few that people rated."""
    rng = np.random.default_rng(0)
    apart, liked, disliked = rng.normal(size=(3, MEANING))

    def drawn(name, count, train, side, generated):
        taste = rng.normal(size=(2, count, 1))
        meaning = rng.normal(size=(count, MEANING)) + side * 0.3 * apart + taste[0] * liked + taste[1] * disliked
        described = rng.normal(size=(count, 6))
        score = 50 + 10 * (taste[0] - (name == "people") * taste[1])[:, 0]
        kept = [described.astype(np.float32), meaning.astype(np.float32)]
        return Pictures(name, kept, score, np.zeros((count, 26)), np.zeros((count, 25)), train, generated)

    photos, taught = drawn("photos", 60, 40, -1, False), drawn("taught", 60, 40, 1, True)
    return [photos, taught, drawn("people", 200, 150, 1, True)]


def test_generated_pictures_are_told_from_others_and_have_a_score_of_their_own():
    sets, head = sets_of_both_kinds(), Generated(6).eval()
    found = fit_generated(head, sets)
    assert set(found) == {
        "generated pictures told",
        "other pictures told",
        "appeal of taught",
        "appeal of people",
    }
    assert min(found.values()) > 0.7
    with torch.no_grad():
        described, meaning = (torch.from_numpy(v) for v in sets[2].kept)
        sure, appeal = head(meaning, described)
    assert (sure > 0.5).float().mean() > 0.8
    assert abs(appeal.mean()) < 0.2  # the usual picture is that of a photo
    fit_generated(head, sets, usual=2.0)
    assert head(meaning, described)[1].mean().item() == pytest.approx(appeal.mean().item() + 2 * (1 - KEPT), abs=1e-4)
    with pytest.raises(ValueError, match="want both kinds"):
        fit_generated(head, sets[:1])


def test_what_has_learned_before_learns_on_from_other_pictures_and_forgets_little():
    photos, taught, people = sets_of_both_kinds()
    head = Generated(6).eval()
    fit_generated(head, [photos, taught, people])
    before = {key: value.clone() for key, value in head.state_dict().items()}
    coded = dataclasses.replace(taught, name="coded", kept=[part + 1 for part in taught.kept], generated=False)

    def taken(pictures):
        with torch.no_grad():
            return (head(*(torch.from_numpy(v) for v in reversed(pictures.kept)))[0] > 0.5).float().mean()

    assert min(taken(coded), taken(people)) > 0.8
    found = fit_generated(head, [coded, taught], usual=2.0, begun=True)
    assert set(found) == {"generated pictures told", "other pictures told"}
    assert taken(coded) < 0.1
    assert min(taken(taught), taken(people)) > 0.8
    changed = {key for key, value in head.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"sure.weight", "sure.bias"}


def test_without_people_the_teacher_alone_is_asked():
    sets, head = sets_of_both_kinds()[:2], Generated(6).eval()
    assert fit_generated(head, sets)["appeal of taught"] > 0.7


@torch.no_grad()
def test_of_a_picture_that_is_surely_generated_the_score_says_how_people_like_it(system):
    x, meaning = torch.rand(1, 3, 64, 96), torch.randn(1, MEANING)
    before = [p.clone() for p in system.generated.parameters()]
    try:
        system.generated.sure.bias.fill_(-1e3)
        photo = system(x, meaning=meaning)
        system.generated.sure.bias.fill_(1e3)
        generated = system(x, meaning=meaning)
    finally:
        for parameter, value in zip(system.generated.parameters(), before, strict=True):
            parameter.copy_(value)
    assert (photo.extras["generated"].item(), generated.extras["generated"].item()) == (0, 1)
    appeal = system.generated(meaning, torch.zeros(1, system.generated.scale.num_features - MEANING))[1]
    torch.testing.assert_close(generated.score, KEPT * photo.score + appeal)
    moved = generated.quality_map - photo.quality_map
    torch.testing.assert_close(moved, (generated.score - photo.score).expand_as(moved))
