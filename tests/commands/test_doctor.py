from __future__ import annotations

import builtins
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import REFERENCE, tiny_graph, write_model, write_pair_model, write_panel

from iqassay.commands import doctor_checks as doctor
from iqassay.commands.doctor import doctor as command
from iqassay.commands.doctor_checks import Finding, clean_picture, examine, spoiled
from iqassay.commands.options import TextFormat
from iqassay.folders.cache import open_cache
from iqassay.scoring import model_file
from iqassay.support.errors import UsageError

pytestmark = pytest.mark.slow

TOPICS = ["versions", "extras", "onnxruntime", "formats", "models", "cache", "self-test"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for the cache, where none is yet."""
    path = tmp_path / "cache" / "answers.sqlite"
    monkeypatch.setenv("IQASSAY_CACHE", str(path))
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with tiny models, that find the more light the better, and the panel of the two."""
    folder = tmp_path / "weights"
    folder.mkdir()
    write_model(folder, "mfen", name="mfen")
    write_pair_model(folder, "yoto", reference={**REFERENCE, "calibration": {"raw": [1, 2], "score": [0, 100]}})
    write_panel(folder)
    monkeypatch.setattr(model_file, "WEIGHTS", folder)
    monkeypatch.setattr(doctor, "EXPECTED", {})
    monkeypatch.setattr(doctor, "spoiled", lambda picture: picture // 2)
    return folder


def of(topic: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine() if finding.topic == topic}


def troubles() -> list[str]:
    return [finding.trouble for finding in examine() if finding.trouble]


def test_all_is_well_with_the_shipped_models(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    assert command(TextFormat.json) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["well", *TOPICS, "trouble"]
    assert (found["well"], found["trouble"]) == (True, [])
    assert found["versions"]["numpy"] == np.__version__
    assert found["onnxruntime"]["cpu"] == "starts"
    assert found["formats"]["JPEG"] == found["formats"]["PNG"] == "yes"
    assert found["models"].keys() == found["self-test"].keys() == doctor.EXPECTED.keys()
    assert len(found["models"]["yoto"]["sha256"]) == 64
    assert found["cache"] == {"path": str(cache), "answers": 0}
    assert not cache.parent.exists(), "looking makes nothing"
    for name, scores in found["self-test"].items():
        assert list(scores.values()) == pytest.approx(doctor.EXPECTED[name], abs=0.1)
        assert name in ("dri", "panel") or scores["clean"] > scores["spoiled"] + 20, "no rounding turns it round"


@pytest.mark.usefixtures("shelf")
def test_the_text_has_everything_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert command() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [*TOPICS, "all well"]
    assert any(line.split()[:3] == ["mfen", "version", "0.0.1,"] for line in lines)


def test_a_damaged_model_is_named_once_with_what_to_do(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (shelf / "mfen.onnx").open("ab") as file:
        file.write(b"!")
    assert command() == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("trouble: ")]
    assert len(said) == 1, "not again for the self-test of the model and of the panel"
    assert "mfen.onnx' is damaged" in said[0]
    assert "pip install --force-reinstall" in said[0]
    assert of("self-test")["yoto"].value["spoiled beside clean"] > 0, "the others are tried all the same"


def test_scores_other_than_those_kept_are_trouble(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, bad = of("self-test")["mfen"].value.values()
    for off, well in ((0.4, True), (0.6, False)):
        monkeypatch.setattr(doctor, "EXPECTED", {"mfen": (clean, bad - off)})
        assert (troubles() == []) == well
    assert "mfen: scores are not " in troubles()[0]


def test_what_the_self_test_looks_for(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "spoiled", lambda picture: picture // 2 + 128)
    assert "mfen: a clean picture is not above its spoiled copy" in troubles()[0]
    monkeypatch.setattr(doctor, "spoiled", lambda picture: picture // 2)
    write_pair_model(shelf, "yoto")  # whose best is 98
    write_panel(shelf)
    assert any("yoto: identical pictures score 98.00 and not 100" in trouble for trouble in troubles())
    write_model(shelf, "mfen", tiny_graph().replace(b"ReduceMean", b"ReduceMaen"), name="mfen")
    assert any("mfen.onnx' is not an ONNX model that can be opened" in trouble for trouble in troubles())


@pytest.mark.usefixtures("shelf")
def test_a_package_that_does_not_import_is_named_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def broken(name: str, *rest: object):
        if name == "onnxruntime":
            raise ImportError("DLL load failed\nwhile importing it")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)
    found = list(examine())
    assert list(dict.fromkeys(finding.topic for finding in found)) == TOPICS
    assert any(finding.trouble.startswith("ImportError: DLL load failed while importing it;") for finding in found)


@pytest.mark.usefixtures("shelf")
def test_two_builds_of_onnxruntime_that_overwrite_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name in ("onnxruntime", "onnxruntime-gpu") else None)
    (trouble,) = troubles()
    assert trouble.startswith("onnxruntime and onnxruntime-gpu overwrite each other: ")


@pytest.mark.usefixtures("shelf")
def test_two_builds_of_which_the_right_one_lies_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the extra gpu: it works, and what to do before the other comes on top is said."""
    import onnxruntime

    from iqassay.scoring import device

    known = {"onnxruntime": "1.0", "onnxruntime-gpu": "1.0"}
    monkeypatch.setattr(doctor, "_version", known.get)
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(device, "trouble_with", lambda name: "")
    found = of("onnxruntime")
    command = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install --no-deps onnxruntime-gpu"
    assert found["cuda"].value == f"starts, but shares its files with onnxruntime: {command}"
    assert found["cpu"].value == "starts"
    assert troubles() == []
    known.pop("onnxruntime")
    assert of("onnxruntime")["cuda"].value == "starts"
    known.clear()
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["onnxruntime-gpu>=1.20; extra == 'gpu'"])
    assert of("extras")["gpu"].value.endswith(f"[gpu]' && {command}")


@pytest.mark.usefixtures("shelf")
def test_the_quota_of_the_control_group_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from iqassay.support import processors

    for quota, said in ((1.5, "1.5 processors, by the control group"), (None, "none")):
        monkeypatch.setattr(processors, "cpu_quota", lambda quota=quota: quota)
        assert of("onnxruntime")["cpu quota"].value == said


@pytest.mark.usefixtures("shelf")
def test_the_cache_is_counted_and_a_broken_one_named(cache: Path) -> None:
    with open_cache(str(cache)) as kept:
        kept.keep(b"key", {"score": 1.0})
    found = of("cache")
    assert (found["answers"].value, found["bytes"].value > 0) == (1, True)
    cache.write_bytes(b"not a database" * 1000)
    assert "delete the file" in of("cache")["answers"].trouble


def test_a_device_that_is_not_there_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="device: got 'gpu'"):
        command(device="gpu")


def test_the_pictures_are_the_same_everywhere() -> None:
    """The scores that are kept hold for these very pixels."""
    clean = clean_picture()
    digests = [hashlib.sha256(picture.tobytes()).hexdigest()[:16] for picture in (clean, spoiled(clean))]
    assert digests == ["128b0485fece20ea", "e9d74abcce7f22bf"]


def test_a_place_where_no_cache_can_be_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("IQASSAY_CACHE", str(tmp_path / "file" / "sub" / "answers.sqlite"))
    assert command(TextFormat.json) == 1
    assert "cannot be made" in json.loads(capsys.readouterr().out)["trouble"][0]
