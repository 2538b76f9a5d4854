"""Where a network runs. Only the CPU is there in a test: of the others we see that nothing else is taken instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import write_model, write_pair_model, write_panel

import iqassay
from iqassay.measures.measure import Measure
from iqassay.models.opening import open_scorer
from iqassay.scoring import device
from iqassay.scoring.device import find_device
from iqassay.scoring.model_file import ModelFileError
from iqassay.scoring.panel import Panel
from iqassay.scoring.scorer import Scorer
from iqassay.support import version
from iqassay.support.errors import UsageError


def pretend(monkeypatch: pytest.MonkeyPatch, *providers: str) -> None:
    """The installed onnxruntime has these, as one for a GPU on a machine that has none."""
    found = [*providers, "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: found)


def test_the_cpu_is_there_and_starts() -> None:
    assert find_device("cpu") == "cpu"
    assert device.trouble_with("cpu") == ""


@pytest.mark.parametrize("wrong", ["gpu", "CPU", "", "cpu:0", "cuda:", "cuda:x", "cuda:-1", None, 0])
def test_an_unknown_device_is_named(tiny_model: Path, wrong: object) -> None:
    with pytest.raises(UsageError, match=r"^device: got .*, want one of: auto, cpu$"):
        Scorer(tiny_model, device=wrong)


@pytest.mark.parametrize(
    ("name", "package"), [("cuda", "gpu"), ("cuda:1", "gpu"), ("directml", "directml"), ("openvino", "openvino")]
)
def test_a_device_that_this_onnxruntime_lacks(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    pretend(monkeypatch)
    with pytest.raises(
        UsageError, match=rf"^device: got '{name}', want one of: auto, cpu \({name} needs onnxruntime-{package}\)$"
    ):
        iqassay.load(str(tiny_model), device=name)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_device_that_does_not_start_is_an_error_and_never_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime itself would take the CPU, with a line in its log."""
    pretend(monkeypatch, "CUDAExecutionProvider")
    write_model(tmp_path, "mfen", name="mfen")
    write_pair_model(tmp_path, "yoto")
    for model in (tmp_path / "mfen.onnx", write_panel(tmp_path)):
        with pytest.raises(UsageError, match=r"^device: got 'cuda', which does not start: ") as caught:
            open_scorer(model, device="cuda")
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_auto_is_the_best_that_starts(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "CoreMLExecutionProvider", "DmlExecutionProvider", "CUDAExecutionProvider")
    assert Scorer(tiny_model, device="auto").device == "cpu"
    for starting in ("cuda", "directml"):
        monkeypatch.setattr(device, "trouble_with", lambda name, good=starting: "" if name == good else "no")
        assert find_device("auto") == starting


def test_the_number_of_a_device_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    class Session:
        def __init__(self, content: bytes, options: object, providers: list[object], enable_fallback: int) -> None:
            given.append((providers, enable_fallback))

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    pretend(monkeypatch, "CUDAExecutionProvider")
    assert find_device("cuda:1") == "cuda:1"
    (((provider, options),), fallback) = given[0]
    assert (provider, options["device_id"], options["use_tf32"], fallback) == ("CUDAExecutionProvider", 1, 0, 0)


def test_a_measure_has_the_cpu_alone() -> None:
    assert Measure("niqe", device="auto").device == "cpu"
    with pytest.raises(UsageError, match="device: got 'cuda', want cpu: a measure knows no other"):
        open_scorer("niqe", device="cuda")


def test_a_network_that_a_device_cannot_compute_ends_the_run(tiny_model: Path, photo: np.ndarray) -> None:
    """On the CPU what fails is one picture, for lack of memory say; elsewhere it is an operator."""
    scorer = Scorer(tiny_model)
    for place, kind in (("cpu", Exception), ("cuda", ModelFileError)):
        scorer._session._what = (*scorer._session._what[:2], place)
        with pytest.raises(kind, match="rank") as caught:
            scorer._session.run(["score"], {"image": np.zeros((3, 3), np.float32)})
        assert isinstance(caught.value, ModelFileError) == (place == "cuda")
    assert str(caught.value).startswith("tiny cannot be computed on cuda: ")


# ---- identity -------------------------------------------------------------------------------------------------------


def test_the_identity_is_that_of_all_that_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()

    def new(scorer: Scorer) -> bool:
        """Whether the identity is a sha256 not seen before."""
        before = len(seen)
        seen.add(scorer.identity)
        return len(scorer.identity) == 64 and len(seen) == before + 1

    model = write_model(tmp_path, "mfen", name="mfen")
    write_pair_model(tmp_path, "yoto")
    assert new(Scorer(model))
    assert not new(Scorer(model, threads=1, max_pixels=7)), "neither changes a score"
    assert new(Panel(write_panel(tmp_path)))
    assert new(Panel(write_panel(tmp_path, version="2")))
    assert new(Scorer(write_model(tmp_path, "mfen", name="mfen", unlike={"threshold": 0.8})))
    assert new(Panel(write_panel(tmp_path, version="2"))), "a member's card has another table"
    monkeypatch.setattr(version, "__version__", "9.9.9")
    assert new(Scorer(model))
    other = Scorer(model)
    other.device = "cuda"
    assert new(other)
    assert new(Measure("niqe"))
    assert new(Measure("brisque"))


def test_scorers_of_one_identity_agree(tiny_model: Path, photo: np.ndarray) -> None:
    one, two = Scorer(tiny_model), Scorer(str(tiny_model), threads=1)
    assert one.identity == two.identity
    assert one.score(photo) == two.score(photo)
