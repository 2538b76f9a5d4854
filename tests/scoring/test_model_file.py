from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REFERENCE, tiny_card, tiny_graph, write_model, write_pair_model, write_panel

from iqassay.scoring import model_file
from iqassay.scoring.model_file import (
    ModelFileError,
    default_model,
    default_threads,
    load_model_file,
    open_session,
    read_card,
    shipped_models,
)
from iqassay.scoring.scorer import Scorer

GRAPH = tiny_graph()


def test_a_good_model_file_is_read_whole(tiny_model: Path) -> None:
    model = load_model_file(tiny_model)
    assert model.card.name == "tiny"
    assert model.card.distortions == ("jpeg", "white_noise", "gaussian_blur")
    assert model.card.views.window == 384
    assert model.card.unlike_threshold == 0.9
    assert load_model_file(str(tiny_model)) == model
    assert open_session(model, threads=1).get_inputs()[0].name == "image"


def refused(folder: Path, name: str = "tiny.onnx") -> str:
    with pytest.raises(ModelFileError) as caught:
        open_session(load_model_file(folder / name), threads=1)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    assert "sha256" in refused(tmp_path)


@pytest.mark.parametrize("change", [lambda graph: graph + b"\0", lambda graph: b"no graph at all"])
def test_a_changed_file_makes_no_scorer(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """It is opened while it is checked: whether or not that can be done, the check has the word."""
    path = write_model(tmp_path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelFileError, match="is damaged or not the one its card describes: got sha256"):
        Scorer(path, threads=1)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    write_model(tmp_path).with_suffix(".json").unlink()
    assert "tiny.json' is missing" in refused(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nope.onnx" in refused(tmp_path, "nope.onnx")


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "\udcff"])
def test_a_card_that_is_not_json(tmp_path: Path, text: str) -> None:
    write_model(tmp_path).with_suffix(".json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "not valid JSON" in refused(tmp_path)


@pytest.mark.parametrize("key", sorted(tiny_card(GRAPH)))
def test_each_missing_key_is_named(tmp_path: Path, key: str) -> None:
    card = tiny_card(GRAPH)
    del card[key]
    write_model(tmp_path, content=GRAPH).with_suffix(".json").write_text(json.dumps(card))
    assert f"{key} is missing" in refused(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("views", {"area": 307200, "window": 384, "max_windows": 96}, "views.global_weight is missing"),
        ("views", {"area": 307200, "window": 32, "max_windows": 96, "global_weight": 0.5}, "views.window"),
        ("views", {"area": 307200, "window": 384, "max_windows": 1.5, "global_weight": 0.5}, "views.max_windows"),
        ("views", {"area": 307200, "window": 384, "max_windows": 96, "global_weight": 2}, "views.global_weight"),
        ("views", [1], "views is list"),
        ("calibration", {"raw": [0, 0], "score": [0, 100]}, "calibration.raw"),
        ("calibration", {"raw": [0, 1], "score": [50, 40]}, "calibration.score"),
        ("calibration", {"raw": [0, 1], "score": [0, 101]}, "0 to 100"),
        ("calibration", {"raw": [0, 1], "score": [0]}, "equal lengths"),
        ("calibration", {"raw": [0, float("nan")], "score": [0, 100]}, "calibration.raw"),
        ("calibration", {"raw": [], "score": []}, "calibration.raw"),
        ("interval", {"score": [0, 100], "below": [1, -1], "above": [1, 1]}, "half widths"),
        ("unlike", {"threshold": "much"}, "unlike.threshold"),
        ("unlike", {"threshold": True}, "unlike.threshold"),
        ("distortions", ["jpeg", "jpeg", "blur"], "repetition"),
        ("distortions", [1, 2, 3], "list of texts"),
        ("accuracy", [3], "accuracy"),
        ("version", 1, "version is int, want str"),
    ],
)
def test_each_senseless_value_is_named(tmp_path: Path, key: str, value: object, word: str) -> None:
    write_model(tmp_path, content=GRAPH, **{key: value})
    assert word in refused(tmp_path)


def test_unknown_keys_are_left_alone(tmp_path: Path) -> None:
    assert load_model_file(write_model(tmp_path, content=GRAPH, colour="blue")).card.name == "tiny"


@pytest.mark.parametrize(
    "content", [b"", b"not a graph at all", GRAPH[: len(GRAPH) // 2], GRAPH.replace(b"severity", b"severit\xff")]
)
def test_a_file_that_is_not_onnx(tmp_path: Path, content: bytes) -> None:
    write_model(tmp_path, content=content)
    assert "not an ONNX model" in refused(tmp_path)


def test_a_graph_with_other_outputs(tmp_path: Path) -> None:
    write_model(tmp_path, content=tiny_graph(output="quality"))
    assert "not an iqassay model" in refused(tmp_path)


def test_a_graph_that_does_not_fit_its_card(tmp_path: Path) -> None:
    write_model(tmp_path, content=tiny_graph(kinds=2))
    assert "'presence' has 3 values, want 4" in refused(tmp_path)


def test_a_model_that_takes_references_has_tables_of_its_own_for_them(pair_model: Path, tiny_model: Path) -> None:
    model = load_model_file(pair_model)
    assert model.card.reference is not None
    assert model.card.reference.calibration.raw == (1.0, 2.0)
    assert model.card.reference.interval.above == (5.0, 1.0)
    assert model.card.calibration.raw == (0.0, 1.0)
    assert [value.name for value in open_session(model, threads=1).get_inputs()] == ["image", "pictures"]
    assert load_model_file(tiny_model).card.reference is None


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        (None, "reference is NoneType, want an object"),
        ({}, "reference.calibration is missing"),
        ({"calibration": REFERENCE["calibration"]}, "reference.interval is missing"),
        ({**REFERENCE, "calibration": {"raw": [1, 1], "score": [0, 9]}}, "reference.calibration.raw is [1.0, 1.0]"),
        ({**REFERENCE, "calibration": {"raw": [1, 2], "score": [0, 101]}}, "reference.calibration.score runs 0.0 to"),
        ({**REFERENCE, "calibration": {"raw": [1, 2], "score": [0]}}, "reference.calibration has columns"),
        ({**REFERENCE, "interval": {"score": [0], "below": [-1], "above": [1]}}, "reference.interval.below and"),
    ],
)
def test_each_senseless_value_of_the_tables_for_references_is_named(
    tmp_path: Path, reference: object, word: str
) -> None:
    write_pair_model(tmp_path, "tiny", reference=reference)
    assert word in refused(tmp_path)


def test_a_graph_and_a_card_that_disagree_about_references(tmp_path: Path) -> None:
    write_model(tmp_path, content=GRAPH, reference=REFERENCE)
    assert "got inputs ['image'] and" in refused(tmp_path)
    write_model(tmp_path, content=tiny_graph(reference=True))
    assert "want ['image'] and" in refused(tmp_path)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with two shipped models and their panel."""
    for name in ("mfen", "yoto"):
        write_model(tmp_path, name, content=GRAPH, name=name)
    write_panel(tmp_path)
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("shelf")
def test_shipped_models_are_found_by_name() -> None:
    assert [path.name for path, _ in shipped_models()] == ["mfen.onnx", "panel.json", "yoto.onnx"]
    assert [card.name for _, card in shipped_models()] == ["mfen", "panel", "yoto"]
    assert load_model_file("mfen").card.name == "mfen"
    assert [default_model(reference=False), default_model(reference=True)] == ["panel", "yoto"]
    with pytest.raises(ModelFileError, match="'panel' is a panel, want one model: mfen, yoto"):
        load_model_file("panel")


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(
    ("name", "hint"),
    [("mefn", "did you mean 'mfen'?"), ("Yoto", "did you mean 'yoto'?"), ("panels", "'panel'?"), ("qqq", "")],
)
def test_a_wrong_name_lists_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(ModelFileError, match="mfen, panel, yoto") as caught:
        load_model_file(name)
    assert hint in str(caught.value)
    assert ("did you mean" in str(caught.value)) == bool(hint)


def test_a_model_file_is_found_by_its_card_too(tiny_model: Path) -> None:
    assert load_model_file(tiny_model.with_suffix(".json")) == load_model_file(tiny_model)


def test_a_card_without_its_model_file(tmp_path: Path) -> None:
    write_model(tmp_path).unlink()
    assert "cannot read the model file" in refused(tmp_path, "tiny.json")


def test_no_environment_variable_or_folder_changes_what_a_shipped_name_means(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "mfen").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert load_model_file("mfen").path == shelf / "mfen.onnx"


def test_default_threads_are_no_more_than_the_affinity_allows() -> None:
    assert default_threads() >= 1
    if hasattr(os, "sched_getaffinity"):
        assert default_threads() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", ["[" * 10_000, '{"a":' * 10_000])
def test_a_card_of_brackets_in_brackets(tmp_path: Path, text: str) -> None:
    write_model(tmp_path).with_suffix(".json").write_text(text)
    assert "not valid JSON" in refused(tmp_path)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    assert "there is no model file" in refused(tmp_path, "x" * 300 + ".onnx")
    assert "there is no model file" in refused(tmp_path, "x\0.onnx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("ending", [".json", ".onnx"])
def test_a_pipe_is_an_error_and_not_a_wait(tmp_path: Path, ending: str) -> None:
    path = write_model(tmp_path).with_suffix(ending)
    path.unlink()
    os.mkfifo(path)
    assert "not a regular file" in refused(tmp_path, "tiny.json" if ending == ".onnx" else "tiny.onnx")


def test_listing_models_needs_neither_numpy_nor_onnxruntime() -> None:
    code = "import sys, iqassay.scoring.model_file as m; m.shipped_models(); "
    code += "print({'numpy', 'onnxruntime'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_whatever_the_card_holds_it_is_never_another_exception(tmp_path: Path) -> None:
    """Each value in turn replaced by each kind of JSON value: a ModelFileError or a model, nothing else."""
    write_model(tmp_path, "other")
    for path in (write_pair_model(tmp_path), write_panel(tmp_path, of=("pair", "other"))):
        _replace_each_value(path.with_suffix(".json"))


def _replace_each_value(path: Path) -> None:
    good = json.loads(path.read_text())

    def places(node: Any, put: Callable[[Any], None]) -> Any:
        yield node, put
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in list(items):
            yield from places(value, lambda new, node=node, key=key: node.__setitem__(key, new))

    card = {"whole": good}
    for old, put in list(places(card["whole"], lambda new: card.__setitem__("whole", new))):
        for new in (None, True, -1, 1e999, 10**400, "x", [], {}, [None], [[]], {"a": 1}):
            put(new)
            path.write_text(json.dumps(card["whole"]))
            with contextlib.suppress(ModelFileError):
                read_card(path)
        put(old)
    path.write_text(json.dumps(card["whole"]))
    read_card(path)
