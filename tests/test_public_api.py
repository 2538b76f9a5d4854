from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import write_model

import iqassay
from iqassay import model_file

HEAVY = ("numpy", "PIL", "onnxruntime", "torch", "rich", "typer", "concurrent.futures")


def loaded_after(code: str) -> list[str]:
    """Which heavy modules a fresh interpreter has loaded after running some code."""
    code += f"\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_the_public_names() -> None:
    """Taking a name away breaks somebody's program: this list changes on purpose only."""
    assert iqassay.__all__ == [
        "Distortion",
        "ImageError",
        "ModelFileError",
        "Picture",
        "Scorer",
        "Verdict",
        "__version__",
        "load",
        "read_image",
        "score",
    ]
    for name in iqassay.__all__:
        assert getattr(iqassay, name) is not None
        assert name in dir(iqassay)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = iqassay.nonsense
    assert issubclass(iqassay.ImageError, ValueError)
    assert issubclass(iqassay.ModelFileError, ValueError)


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import iqassay; iqassay.__version__, dir(iqassay), iqassay.score, iqassay.load") == []


def test_scoring_never_loads_torch_or_the_command_line(tiny_model: Path) -> None:
    code = f"import iqassay, numpy; iqassay.score(numpy.zeros((64, 64, 3), 'uint8'), {str(tiny_model)!r})"
    assert set(loaded_after(code)) <= {"numpy", "PIL", "onnxruntime", "concurrent.futures"}


def test_score_opens_a_model_once_even_for_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: np.ndarray
) -> None:
    write_model(tmp_path, "mfen", name="mfen")
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path)
    monkeypatch.setattr(iqassay, "_scorers", {})
    opened: list[str] = []
    load = iqassay.load
    monkeypatch.setattr(iqassay, "load", lambda model: (opened.append(model), load(model, threads=1))[1])
    scores: list[float] = []
    threads = [threading.Thread(target=lambda: scores.append(iqassay.score(photo).score)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["mfen"]
    assert len(scores) == 4
    assert len(set(scores)) == 1


def test_load_gives_a_scorer(tiny_model: Path, photo: np.ndarray) -> None:
    scorer = iqassay.load(str(tiny_model), threads=1)
    assert isinstance(scorer, iqassay.Scorer)
    verdict = scorer.score(photo)
    assert isinstance(verdict, iqassay.Verdict)
    assert isinstance(verdict.distortions[0], iqassay.Distortion)
    assert iqassay.score(photo, str(tiny_model)).score == verdict.score


def test_the_version_is_the_one_of_the_project() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{iqassay.__version__}"\n' in text
