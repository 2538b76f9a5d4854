"""The model file says what torch says, whatever the size of the picture, and its card is one the runtime accepts."""

import dataclasses
import importlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import export_main, write_model, write_panel
from PIL import Image

import iqassay
import iqassay.systems
from iqassay.data.distortions import KINDS
from iqassay.pictures.image import read_image, to_float
from iqassay.scoring.model_file import load_model_file, open_session
from iqassay.scoring.scorer import Scorer
from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.mfen import MFEN
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import TOP, ExtendedYOTO, ExtendedYOTOConfig
from iqassay.training import calibrate
from iqassay.training.checkpoints import load_weights
from iqassay.training.export import OUTPUTS, Deployed, export, principal_axes, quantise_weights
from iqassay.training.optimise import optimise, rewrite, untie

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
CARD = {
    "name": "test",
    "version": "0",
    "summary": "",
    "system": "",
    "licence": {},
    "training_data": [],
    "accuracy": [],
    "distortions": list(KINDS),
    "views": {"area": 307200, "window": 384, "max_windows": 96, "global_weight": 0.5},
    "calibration": {"raw": [-3, 3], "score": [0, 100]},
    "interval": {"score": [50], "below": [10], "above": [10]},
    "unlike": {"threshold": 2},
    "limits": [],
}


def as_if_trained(system):
    """Statistics of batch normalisation that are not 0 and 1."""
    for module in system.eval().modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return system


def axes_of(system):
    statistics = np.random.default_rng(0).normal(size=(200, 2 * sum(system.encoder.channels)))
    return principal_axes(statistics.astype(np.float32))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    system = as_if_trained(MFEN())
    centre, axes = axes_of(system)
    file = export(system, centre, axes, CARD, tmp_path_factory.mktemp("model") / "test.onnx")
    load_weights(system, file)  # rounded to whole numbers: with these it is compared
    return system, file, (centre, axes)


@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee-jpeg.jpg", "astronaut-noise.jpg"])
def test_scores_agree_with_torch_within_a_tenth_of_a_point(exported, name):
    system, file, _ = exported
    session = open_session(load_model_file(file))
    pixels = to_float(read_image(EXAMPLES / name).pixels)
    tall, wide = (side // 32 * 32 for side in pixels.shape[:2])
    x = np.ascontiguousarray(pixels[:tall, :wide].transpose(2, 0, 1)[None])
    with torch.no_grad():
        want = system(torch.from_numpy(x))
    score, quality_map, presence, severity, _ = session.run(OUTPUTS, {"image": x})
    points = 100 / 6  # of the card's calibration
    assert abs(score[0] - float(want.score)) * points < 0.1
    assert quality_map.shape == (1, 1, tall // 32, wide // 32)
    assert np.abs(quality_map - want.quality_map.numpy()).max() * points < 0.3  # single cells may differ more
    assert np.abs(presence - want.extras["kind"].softmax(1).numpy()).max() < 0.005
    assert np.abs(severity - want.extras["severity"].numpy()).max() < 0.02
    assert presence.sum() == pytest.approx(1, abs=1e-4)


def test_any_batch_and_any_multiple_of_32(exported):
    session = open_session(load_model_file(exported[1]))
    for shape in ((1, 3, 64, 64), (3, 3, 64, 160), (2, 3, 288, 96)):
        x = np.random.default_rng(0).random(shape, np.float32)
        together = session.run(["score"], {"image": x})[0]
        alone = [session.run(["score"], {"image": x[i : i + 1]})[0][0] for i in range(shape[0])]
        np.testing.assert_allclose(together, alone, atol=1e-3)


def test_most_weights_are_stored_as_whole_numbers(exported):
    graph = onnx.load(exported[1]).graph
    floats, whole = (
        sum(np.prod(t.dims) for t in graph.initializer if t.data_type == kind)
        for kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT8)
    )
    assert whole > 7 * floats
    assert exported[1].stat().st_size < 10e6


def test_what_is_constant_is_computed_and_nothing_is_left_to_optimise(exported):
    model = onnx.load(exported[1])
    mirrored = [n for n in model.graph.node if n.op_type == "Pad" and any(a.s == b"reflect" for a in n.attribute)]
    kinds = {
        node.op_type for node in model.graph.node if node not in mirrored
    }  # HFEN's borders; zeros are convolutions'
    assert not kinds & {"Constant", "Identity", "Pad"}
    assert {node.domain for node in model.graph.node} == {""}, "operators that only onnxruntime knows"
    assert len(model.graph.value_info) > 0.9 * len(model.graph.node)
    onnx.checker.check_model(model, full_check=True)
    assert optimise(model) == model


def plain_network():
    """y = x W + W's second name + 2 * 3, where 2 * 3 is for the optimiser and W is not."""
    weight = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    floats = onnx.TensorProto.FLOAT
    nodes = [
        node("Identity", ["weight"], ["twin"]),
        node("Transpose", ["twin"], ["turned"]),
        node("Constant", [], ["two"], value_float=2.0),
        node("Constant", [], ["three"], value_float=3.0),
        node("Mul", ["two", "three"], ["six"]),
        node("MatMul", ["x", "weight"], ["scaled"]),
        node("MatMul", ["scaled", "turned"], ["turned back"]),
        node("Add", ["turned back", "six"], ["y"]),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, floats, ["rows", 8]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "plain", ends[:1], ends[1:], [tensor(weight, "weight")])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def test_weights_keep_their_names_and_values():
    plain = plain_network()
    found = optimise(plain)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in found.graph.initializer}
    assert "weight" in weights
    np.testing.assert_array_equal(weights["twin"], weights["weight"])
    assert [value.name for value in found.graph.input] == ["x"]
    assert sorted(node.op_type for node in found.graph.node) == ["Add", "MatMul", "MatMul", "Transpose"]
    x = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    answers = [onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (plain, found)]
    np.testing.assert_array_equal(*answers)


def test_equal_weights_of_two_layers_are_found_by_both_names_as_whole_numbers():
    plain = plain_network()
    untie(plain.graph)
    quantise_weights(plain, ("weight", "twin"), smallest=1)
    assert {"weight_int8", "twin_int8"} <= {tensor.name for tensor in optimise(plain).graph.initializer}


@pytest.mark.parametrize(
    ("mode", "value", "others", "left", "merged"),
    [
        ("constant", None, 0, 0, True),
        ("constant", 0.5, 0, 0, False),  # zeros alone are a convolution's own
        ("reflect", None, 0, 0, False),
        ("constant", None, 1, 0, False),  # somebody else wants to see the padded picture
        ("constant", None, 0, -1, False),  # a column is cut off
    ],
)
def test_a_convolution_adds_its_zeros_itself(mode, value, others, left, merged):
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    constants = [
        tensor(np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32), "weight"),
        tensor(
            np.array([0, 0, 1, left, 0, 0, 2, 1]), "sides"
        ),  # before, then behind: rows by 1 and 2, columns by 0 and 1
    ]
    if value is not None:
        constants.append(tensor(np.float32(value), "value"))
    nodes = [
        node("Pad", ["x", "sides", *(["value"] if value is not None else [])], ["padded"], mode=mode),
        node("Conv", ["padded", "weight"], ["y"], pads=[0, 1, 0, 2]),
        *(node("Abs", ["padded"], ["z"]) for _ in range(others)),
    ]
    floats, shape = onnx.TensorProto.FLOAT, ["n", 3, "h", "w"]
    ends = [onnx.helper.make_tensor_value_info(name, floats, shape) for name in "xyz"]
    ends[1] = onnx.helper.make_tensor_value_info("y", floats, ["n", 2, "a", "b"])
    graph = onnx.helper.make_graph(nodes, "plain", ends[:1], ends[1 : 2 + others], constants)
    plain = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    found = optimise(plain)
    assert ("Pad" not in {node.op_type for node in found.graph.node}) == merged
    x = np.random.default_rng(1).normal(size=(1, 3, 7, 6)).astype(np.float32)
    want, got = (onnxruntime.InferenceSession(m.SerializeToString()).run(["y"], {"x": x})[0] for m in (plain, found))
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_files_are_rewritten_with_their_cards_and_their_panel(tmp_path):
    for name in ("mfen", "yoto"):
        write_model(tmp_path, name, name=name)
    write_panel(tmp_path)
    before = iqassay.load(tmp_path / "panel.json").score(EXAMPLES / "chelsea.jpg")
    for name in ("mfen.onnx", "yoto.onnx", "panel.json"):
        content = (tmp_path / name).read_bytes()
        rewrite(tmp_path / name)
        assert (tmp_path / name).read_bytes() != content
    after = iqassay.load(tmp_path / "panel.json").score(EXAMPLES / "chelsea.jpg")
    assert (after.score, after.low, after.high, after.raws) == (before.score, before.low, before.high, before.raws)
    assert len(list(tmp_path.iterdir())) == 5


def test_card_carries_the_hash_of_the_file(exported):
    _, file, _ = exported
    card = json.loads(file.with_suffix(".json").read_text())
    assert load_model_file(file).card.sha256 == card["sha256"]


def test_unlike_is_about_one_for_the_training_statistics():
    statistics = np.random.default_rng(0).normal(3, 2, (500, 40)).astype(np.float32)
    centre, axes = principal_axes(statistics, keep=20)
    place = (torch.from_numpy(statistics) - centre) @ axes
    assert float(place.square().mean(1).sqrt().mean()) == pytest.approx(1, abs=0.05)
    far = (torch.from_numpy(statistics[:1]) + 100 - centre) @ axes
    assert float(far.square().mean().sqrt()) > 5


# ------------------------------------------------------------------------------------------- one graph, two modes: YOTO

REFERENCE = {
    "calibration": {"raw": [-1, TOP], "score": [0, 100]},
    "interval": {"score": [50], "below": [5], "above": [5]},
}


@pytest.fixture(scope="module")
def yoto(tmp_path_factory):
    """A narrow YOTO, its model file, and what the graph computes as a torch module."""
    torch.manual_seed(0)
    system = as_if_trained(ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig(width=8))))
    centre, axes = axes_of(system)
    card = CARD | {"system": "YOTO", "reference": REFERENCE}
    file = export(system, centre, axes, card, tmp_path_factory.mktemp("yoto") / "pairs.onnx")
    return system, load_model_file(file), Deployed(system, centre, axes).eval()


def feed(x, reference=None):
    images = x if reference is None else np.concatenate([x, reference])
    return {"image": images, "pictures": np.array([len(x)])}


def two_batches(batch, height, width):
    return np.random.default_rng(0).random((2, batch, 3, height, width), np.float32)


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
@pytest.mark.parametrize("batch", [1, 2])
def test_one_graph_says_what_torch_says_in_both_modes(yoto, size, batch):
    system, file, deployed = yoto
    session, (x, r) = open_session(file), two_batches(batch, *size)
    scores = []
    for reference in (None, r):
        asked = feed(x, reference)
        found = dict(zip(OUTPUTS, session.run(OUTPUTS, asked), strict=True))
        with torch.no_grad():
            want = system(torch.from_numpy(x), None if reference is None else torch.from_numpy(reference))
            unlike = deployed(*map(torch.from_numpy, asked.values()))[4]
        for name, values in (
            ("score", want.score),
            ("map", want.quality_map),
            ("presence", want.extras["kind"].softmax(1)),
            ("severity", want.extras["severity"]),
            ("unlike", unlike),
        ):
            assert found[name].shape == tuple(values.shape), name  # a row for every picture, none for a reference
            np.testing.assert_allclose(found[name], values.numpy(), atol=2e-3, err_msg=name)
        scores.append(found["score"])
    assert (np.abs(scores[0] - scores[1]) > 0.01).all()


@pytest.mark.parametrize("size", [(64, 64), (64, 160), (224, 96)])
@pytest.mark.parametrize("batch", [1, 2])
def test_identical_pictures_score_exactly_the_top(yoto, size, batch):
    session, (x, other) = open_session(yoto[1]), two_batches(batch, *size)
    score, quality_map = session.run(["score", "map"], feed(x, x))
    assert (score == TOP).all()
    assert (quality_map == TOP).all()
    assert (session.run(["score"], feed(x, other))[0] < TOP).all()


def test_fault_1_the_file_has_the_references_segment_for_references_alone(yoto):
    x, r = two_batches(2, 64, 64)
    graph, scores = onnx.load_from_string(yoto[1].content), []
    for _ in range(2):
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        scores.append([session.run(["score"], feed(x, reference))[0] for reference in (None, r)])
        for tensor in graph.graph.initializer:
            if tensor.name.endswith(".segment"):
                rows = onnx.numpy_helper.to_array(tensor).copy()
                rows[1] += np.random.default_rng(0).normal(size=8)
                tensor.CopyFrom(onnx.numpy_helper.from_array(rows, tensor.name))
    before, after = scores
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[1] != after[1]).all()


@torch.no_grad()
def test_fault_4_each_mode_does_the_others_work_for_an_empty_slice_alone(yoto, monkeypatch):
    system, _, deployed = yoto
    encode, encoded, compared = system.encoder.encode, [], []
    monkeypatch.setattr(system.encoder, "encode", lambda x: encoded.append(tuple(x.shape)) or encode(x))
    monkeypatch.setattr(system.distance, "forward", lambda d: compared.append(len(d)) or d.sum(2))
    x, r = two_batches(2, 64, 64)
    deployed(*map(torch.from_numpy, feed(x).values()))
    assert encoded == [(2, 3, 64, 64), (2, 3, 32, 32)]  # the second is of half the size
    assert compared == [0]
    encoded.clear()
    deployed(*map(torch.from_numpy, feed(x, r).values()))
    assert encoded == [(4, 3, 64, 64), (0, 3, 32, 32)]
    assert compared == [0, 2]


@pytest.mark.parametrize("encoder", ["van_tiny", "swin_t"])
def test_the_papers_yoto_is_one_graph_for_both_modes_and_any_size(encoder, tmp_path):
    if encoder == "swin_t":
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    network = YOTOConfig(encoder, 8, (1, 1, 1, 1), 64, normalise=False, pretrained=False)
    system = as_if_trained(ExtendedYOTO(ExtendedYOTOConfig(network, whole_picture=False, distance=False)))
    centre, axes = axes_of(system)
    card = CARD | {"system": "YOTO", "reference": REFERENCE, "architecture": dataclasses.asdict(system.config)}
    file = export(system, centre, axes, card, tmp_path / "paper.onnx")
    session, deployed = open_session(load_model_file(file)), Deployed(system, centre, axes).eval()
    again = iqassay.systems.load_pretrained(file)
    for batch, height, width in ((2, 64, 64), (1, 96, 160)):
        x, r = two_batches(batch, height, width)
        answers = []
        for reference in (None, r):
            asked = feed(x, reference)
            found = session.run(OUTPUTS, asked)
            with torch.no_grad():
                want = deployed(*map(torch.from_numpy, asked.values()))
                for got, value in zip(found, want, strict=True):
                    np.testing.assert_allclose(got, value.numpy(), atol=2e-3)
                if (height, width) == (64, 64):  # a single crop is the network's own answer
                    pictures = [torch.from_numpy(p) for p in (x, reference) if p is not None]
                    for module in (system, again):
                        np.testing.assert_allclose(found[0], module(*pictures).score.numpy(), atol=2e-3)
            assert found[1].shape == (batch, 1, height // 32, width // 32)
            answers.append(found[0])
        assert (answers[0] != answers[1]).all()
    # What only repeats an edge does not count: the map is that of the crop, and the score the mean of its cells.
    small = np.ascontiguousarray(x[:, :, :64, :64])
    whole, alone = session.run(["map"], feed(x))[0], session.run(["map"], feed(small))[0]
    np.testing.assert_allclose(whole[:, :, :2, :2], alone, atol=1e-4)


# ------------------------------------------------------------------------------------------ two outputs more: DRI-IQA


@pytest.fixture(scope="module", params=["whole", "unassisted", "bare"])
def dri(request, tmp_path_factory):
    """A narrow DRI-IQA, whole, with a restorer that its score does without, or with all its switches off, as if
    trained, and its model file."""
    torch.manual_seed(0)
    switches = dict.fromkeys(("restoration", "interaction", "two_vectors"), request.param != "bare")
    switches["assistance"] = request.param == "whole"
    system = as_if_trained(DRI(DRIConfig("efficientnet_lite0", vector=16, width=16, **switches)))
    for name, parameter in system.named_parameters():
        if ".modulate" in name or "restorer.leave" in name:  # which start as the identity
            torch.nn.init.normal_(parameter, std=0.05)
    system.known.copy_(torch.nn.functional.normalize(torch.randn(system.known.shape), dim=1))
    card = CARD | {"system": "DRI"}
    file = export(system, *axes_of(system), card, tmp_path_factory.mktemp("dri") / "dri.onnx")
    return system, load_model_file(file)


@pytest.mark.parametrize("size", [(64, 64), (160, 96), (128, 224)])
@pytest.mark.parametrize("batch", [1, 3])
def test_dri_says_what_torch_says_and_has_the_estimate_and_the_nearness(dri, size, batch):
    system, file = dri
    session, x = open_session(file), two_batches(batch, *size)[0]
    names = [output.name for output in session.get_outputs()]
    assert {*names} == {*OUTPUTS, "estimate", "nearness"}
    apart = [given.name for given in session.get_overridable_initializers()]
    assert apart == ["restore"] * (system.restorer is not None and not system.config.assistance)
    feed = {"image": x, **{name: np.array(True) for name in apart}}
    found = dict(zip(names, session.run(None, feed), strict=True))
    if apart:  # and unless it is asked for it is not made, which changes nothing else
        unasked = dict(zip(names, session.run(None, {"image": x}), strict=True))
        assert [name for name in names if not np.array_equal(unasked[name], found[name])] == ["estimate"]
        assert np.array_equal(unasked["estimate"], x)
    with torch.no_grad():
        want = system(torch.from_numpy(x))
    more = want.extras
    for name, values, atol in (
        ("score", want.score, 2e-3),
        ("map", want.quality_map, 6e-3),  # single cells may differ more
        ("presence", more["kind"].softmax(1), 2e-3),
        ("severity", more["severity"], 5e-3),
        ("estimate", more["estimate"], 2e-3),
        ("nearness", more["nearness"], 2e-3),
    ):
        assert found[name].shape == tuple(values.shape), name
        np.testing.assert_allclose(found[name], values.numpy(), atol=atol, err_msg=name)
    assert found["unlike"].shape == (batch,)
    assert found["estimate"].min() >= 0
    assert found["estimate"].max() <= 1
    assert np.abs(found["nearness"]).max() <= 1 + 1e-6
    assert np.ptp(found["nearness"]) > 0.1
    assert np.array_equal(found["estimate"], x) == (system.restorer is None)


def test_a_scorer_opens_dri(dri):
    scorer = Scorer(dri[1])
    verdict = scorer.score(EXAMPLES / "chelsea.jpg")
    assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert verdict.map.ndim == 2
    assert scorer.restores
    x = two_batches(2, 64, 96)[0]
    assert np.array_equal(scorer.restore(x)[0], x) == (dri[0].restorer is None)
    assert not scorer.takes_reference


# ------------------------------------------------------------------------------------------- several models: a panel


@pytest.fixture
def rated(tmp_path, monkeypatch):
    """A folder with two models and 100 gray pictures, and what people say of these: 20 for black, 80 for white, and
    less of one mind at the ends, where the models differ."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    write_model(tmp_path, "plain", name="plain", training_data=["some", "more"])
    write_model(tmp_path, "steep", name="steep", calibration={"raw": [0.2, 0.8], "score": [0, 100]}, limits=["a limit"])
    lines = ["image,score,split"]
    for i in range(100):
        gray = rng.uniform(0, 1)
        opinion = 20 + 60 * gray + rng.normal(0, 1 + 10 * abs(gray - 0.5))
        Image.new("RGB", (64, 64), (round(255 * gray),) * 3).save(f"{i}.png")
        lines.append(f"{i}.png,{np.clip(opinion, 0, 100):.2f},val")
    Path("set.csv").write_text("\n".join(lines))
    return tmp_path


def test_several_models_become_a_panel(rated, capsys):
    words = ["-o", "panel.json", "--calibrate", "set.csv:.:0..100", "--report", "set.csv:.:0..100"]
    assert export_main(["steep.onnx", "plain.onnx", *words]) == 0
    caught = capsys.readouterr()
    assert caught.out == "panel.json\n"
    assert "100 of 100 pictures of set" in caught.err
    assert "the interval's half: the interval holds" in caught.err
    panel = iqassay.load("panel.json", threads=1)
    card = panel.card
    assert list(card.members) == ["plain", "steep"]
    assert [(row["set"], row["images"]) for row in card.accuracy] == [("set val", 100)] * 2
    assert card.accuracy[0]["srcc"] > 0.7
    assert (card.training_data, card.limits) == (("some", "more", "nothing"), ("knows nothing", "a limit"))
    assert card.licence["weights"] == "CC0-1.0"
    for gray in (0.1, 0.5, 0.9):
        verdict = panel.score(Image.new("RGB", (64, 64), (round(255 * gray),) * 3))
        assert verdict.score == pytest.approx(20 + 60 * gray, abs=8)
        assert verdict.low < verdict.score < verdict.high
    written = Path("panel.json").read_text()
    assert export_main(["plain.onnx", "steep.onnx", *words]) == 0
    assert Path("panel.json").read_text() == written


def test_anchors_set_the_scale_of_a_panel_and_a_second_run_asks_nothing(rated, monkeypatch, capsys):
    """Gray photos of 0.9 are the professional ones here, and a flat frame is as good as its brightness: what anchors
    want of black and white cannot all be had, and the card says so."""
    made = importlib.import_module("iqassay.training.anchor_pictures")
    for name, value in {"KINDS": ("darken",), "LEVELS": (1, 5), "WIDTH": 80, "HEIGHT": 64}.items():
        monkeypatch.setattr(made, name, value)
    for folder, level in (("clean", 128), ("best", 230)):
        (rated / folder).mkdir()
        for i in range(20):
            noise = np.random.default_rng(i).integers(-9, 9, (64, 80, 3))
            Image.fromarray(np.clip(level + noise, 0, 255).astype(np.uint8)).save(f"{folder}/{i}.png")
    words = ["plain.onnx", "steep.onnx", "-o", "panel.json", "--calibrate", "set.csv:.:0..100", "--cache", "kept"]
    more = ["--professional", "best", "--synthetic", "clean", "--ordinary", "set.csv:.:0..100"]
    assert export_main([*words, *more]) == 0
    said = capsys.readouterr().err
    card = json.loads(Path("panel.json").read_text())
    anchors = {row["name"]: row for row in card["scale"]["anchors"]}
    assert set(anchors) == {"best", "clean photos held out", "ordinary photos", "KADID-10k's means", "rated photos",
                            "frames of one colour", "blurred to nothing"}  # fmt: skip
    assert anchors["best"]["got"] == pytest.approx(90, abs=8)  # of so few pictures the least slope decides
    assert "'clean photos held out'" in "".join(card["limits"])  # as gray as others that people gave 50
    assert "of the rated photos" in card["limits"][-1]  # and these pay for it
    assert anchors["KADID-10k's means"]["pictures"] == 2 * 4
    assert "'frames of one colour'" in "".join(card["limits"])
    assert "iqassay export: damage of KADID-10k's level 5: mean score " in said
    assert [row["level"] for row in card["scale"]["levels"]] == [1, 5]
    assert "warning: the scale misses its anchor 'frames of one colour'" in said
    panel = iqassay.load("panel.json", threads=1)
    assert panel.score("best/3.png").score == pytest.approx(90, abs=8)
    assert panel.card.interval.width is not None
    assert panel.card.interval.widest == 50

    written = Path("panel.json").read_text()
    monkeypatch.setattr(Scorer, "look", lambda *given: pytest.fail("asked again"))
    assert export_main([*words, *more]) == 0
    assert Path("panel.json").read_text() == written
    assert export_main([*words, *more, "--ordinary-subset", "none"]) == 0  # the set has no subsets


def test_a_worthless_panel_is_refused_unless_forced_and_then_says_so(rated, capsys):
    lines = Path("set.csv").read_text().split("\n")
    opinions = np.random.default_rng(5).permutation([line.split(",")[1] for line in lines[1:]])
    shuffled = [f"{i}.png,{opinion},val" for i, opinion in enumerate(opinions)]
    Path("bad.csv").write_text("\n".join([lines[0], *shuffled]))
    Path("few.csv").write_text("\n".join(lines[:22]))
    wanted = {"bad": r"SRCC of scores and opinions on the rated pictures is -?0\.\d\d, want at least 0\.30",
              "few": r"got 21 pictures of split val, want at least 100, or --force"}  # fmt: skip
    for name, error in wanted.items():
        words = ["plain.onnx", "steep.onnx", "-o", "panel.json", "--calibrate", f"{name}.csv:.:0..100"]
        assert export_main(words) == 2
        said = capsys.readouterr().err
        assert re.search(error, said)
        assert not Path("panel.json").exists()
        assert export_main([*words, "--force"]) == 0
        limits = set(iqassay.load("panel.json").card.limits) - {"knows nothing", "a limit"}
        begins = {"bad": "SRCC of scores", "few": "calibrated on 21 rated pictures"}[name]
        assert any(limit.startswith(begins) for limit in limits)  # what its anchors cost may stand there too
        Path("panel.json").unlink()


@pytest.mark.parametrize(("noise", "count"), [(1000, 0), (1, 1), (1, 99)])
def test_what_speaks_against_a_calibration(noise, count, capsys):
    truth = np.linspace(0, 100, count or 120)
    raw = np.random.default_rng(0).normal(truth, noise)
    with pytest.raises(ValueError, match="want at least"):
        calibrate.doubts(raw, truth, "pictures", force=False)
    assert len(calibrate.doubts(raw, truth, "pictures", force=True)) == 1 + (count == 1)
    fine = np.linspace(0, 100, 100)
    assert calibrate.doubts(fine, fine, "pictures", force=False) == []


def test_what_is_said_about_a_panel_is_on_its_card(rated):
    Path("about.json").write_text(json.dumps({"name": "both", "version": "7", "summary": "s", "limits": ["none"]}))
    words = ["plain.onnx", "steep.onnx", "-o", "panel.json", "--calibrate", "set.csv:.:0..100", "--about", "about.json"]
    assert export_main(words) == 0
    card = iqassay.load("panel.json").card
    assert (card.name, card.version, card.summary, card.limits) == ("both", "7", "s", ("none",))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["plain.onnx", "-o", "panel.json"], "got plain.onnx alone, want a checkpoint (.ckpt), or two models or more"),
        (["plain.onnx", "plain.onnx", "-o", "panel.json"], "want models of different names"),
        (["plain.onnx", "nope", "-o", "panel.json"], "there is no model 'nope'"),
        (["plain.onnx", "steep.onnx", "-o", "panel.onnx"], "want a .json file"),
        (["plain.onnx", "steep.onnx", "-o", "plain.json"], "without an .onnx file beside it"),
        (["plain.onnx", "steep.onnx", "-o", "there/panel.json"], "want plain.onnx beside it"),
        (["plain.onnx", "other.onnx", "-o", "panel.json"], "got other distortions than the panel's"),
        (["plain.onnx", "steep.onnx", "-o", "panel.json"], "want at least one rated set"),
        (["plain.onnx", "steep.onnx", "-o", "panel.json", "--calibrate", "few.csv"], "got 3 rows of split val"),
        (["a.ckpt", "-o", "x.onnx", "--synthetic", "clean"], "--synthetic: got a checkpoint"),
        (
            ["a.ckpt", "-o", "x.onnx", "--professional", "clean"],
            "--professional: got a checkpoint",
        ),
        (["a.ckpt", "-o", "x.onnx", "--weights", "a=1"], "--weights: got a checkpoint, want it with a panel only"),
    ],
)
def test_what_is_no_panel_is_one_line_and_status_2(rated, arguments, error, capsys):
    write_model(rated, "other", name="other", distortions=["a", "b", "c"])
    Path("few.csv").write_text("image,score,split\n0.png,1,val\n1.png,2,val\n2.png,4,val\n")
    assert export_main(arguments) == 2
    caught = capsys.readouterr().err
    assert error in caught
    assert caught.count("\n") == 1
    assert not Path("panel.json").exists()


def test_an_interval_that_is_told_where_the_doubt_is_covers_there_too():
    rng = np.random.default_rng(0)

    def pictures(n):
        score, doubt = rng.uniform(10, 90, n), rng.choice([2.0, 12.0], n)
        return score, score + rng.normal(0, 1, n) * doubt, doubt

    score, opinion, doubt = pictures(2000)
    interval = calibrate.conformal_interval(score, opinion, doubt=doubt)
    score, opinion, doubt = pictures(20_000)
    below, above = (np.interp(score, interval["score"], interval[side]) * doubt for side in ("below", "above"))
    held = (opinion >= score - below) & (opinion <= score + above)
    for group in (doubt == 2, doubt == 12):
        assert 0.88 < held[group].mean() < 0.92
