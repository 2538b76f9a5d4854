from __future__ import annotations

import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from conftest import write_model, write_pair_model, write_panel

import iqassay
from iqassay.scoring import model_file
from iqassay.scoring.lock import MadeOnce

HEAVY = ("numpy", "PIL", "onnxruntime", "torch", "rich", "typer", "jinja2", "concurrent.futures")


def loaded_after(code: str) -> list[str]:
    """Which heavy modules a fresh interpreter has loaded after running some code."""
    code += f"\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_the_public_names() -> None:
    """Taking a name away breaks somebody's program: this list changes on purpose only."""
    assert iqassay.__all__ == [
        "Comparison",
        "Distortion",
        "Explanation",
        "ImageError",
        "ModelFileError",
        "Panel",
        "Picture",
        "Scorer",
        "Verdict",
        "__version__",
        "compare",
        "create_metric",
        "explain",
        "list_models",
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
    names = "iqassay.__version__, dir(iqassay), iqassay.score, iqassay.compare, iqassay.load"
    assert loaded_after(f"import iqassay; {names}") == []


@pytest.mark.slow
def test_scoring_never_loads_torch_or_the_command_line(pair_model: Path) -> None:
    code = (
        f"import iqassay, numpy; p = numpy.zeros((64, 64, 3), 'uint8'); iqassay.compare(p, p, p, {str(pair_model)!r})"
    )
    assert set(loaded_after(code)) <= {"numpy", "PIL", "onnxruntime", "concurrent.futures"}


def test_score_opens_a_model_once_even_for_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: np.ndarray
) -> None:
    write_model(tmp_path, "mfen", name="mfen")
    write_pair_model(tmp_path, "yoto")
    write_panel(tmp_path)
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path)
    monkeypatch.setattr(iqassay, "_scorers", MadeOnce())
    opened: list[str] = []
    load = iqassay.load
    monkeypatch.setattr(iqassay, "load", lambda model: (opened.append(model), load(model, threads=1))[1])
    scores: list[float] = []
    threads = [threading.Thread(target=lambda: scores.append(iqassay.score(photo).score)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["panel"]
    assert len(scores) == 4
    assert len(set(scores)) == 1


@pytest.mark.usefixtures("shelf")
def test_the_model_is_the_one_that_suits_unless_one_is_named(photo: np.ndarray) -> None:
    alone, pair = iqassay.score(photo), iqassay.score(photo, photo)
    assert (alone.model, alone.full_reference) == ("panel", False)
    assert (pair.model, pair.full_reference, pair.score) == ("yoto", True, 98)
    for name in ("mfen", "yoto"):
        named = iqassay.score(photo, model=name)
        assert (named.model, named.full_reference, named.raw) == (name, False, alone.raws[name])
    assert isinstance(iqassay.load(), iqassay.Panel)
    with pytest.raises(ValueError, match="'mfen' takes no reference, want one that does, such as 'yoto'"):
        iqassay.score(photo, photo, "mfen")


@pytest.mark.usefixtures("shelf")
def test_compare_stays_a_function_after_its_first_call(photo: np.ndarray) -> None:
    """A module of the package called `compare` would take the name away when it is imported."""
    darker = photo // 2
    for _ in range(2):
        compared = iqassay.compare(photo, darker)
        assert isinstance(compared, iqassay.Comparison)
        assert (compared.better, compared.a.model) == ("a", "panel")
    assert iqassay.compare(photo, darker, darker).better == "b"
    assert iqassay.compare(photo, darker, darker, model="yoto").b.model == "yoto"


@pytest.mark.usefixtures("shelf")
def test_sizes_that_differ_are_aligned_as_asked(photo: np.ndarray) -> None:
    cut = photo[5:-5, 5:-5]
    with pytest.raises(iqassay.ImageError, match="110x80"):
        iqassay.score(cut, photo)
    assert iqassay.score(cut, photo, align="crop").score == 98
    assert iqassay.compare(cut, photo, photo, align="crop").better == "equal"


def test_load_gives_a_scorer(tiny_model: Path, photo: np.ndarray) -> None:
    scorer = iqassay.load(str(tiny_model), threads=1)
    assert isinstance(scorer, iqassay.Scorer)
    verdict = scorer.score(photo)
    assert isinstance(verdict, iqassay.Verdict)
    assert isinstance(verdict.distortions[0], iqassay.Distortion)
    assert iqassay.score(photo, model=str(tiny_model)).score == verdict.score


def test_every_scorer_says_its_scale_and_its_direction(tiny_model: Path) -> None:
    for kind in (iqassay.Scorer, iqassay.Panel, iqassay.load(str(tiny_model)), iqassay.load("niqe")):
        assert (kind.lower_is_better, kind.score_range) == (False, (0, 100))


def test_type_checkers_are_told_that_there_are_types() -> None:
    """By py.typed, which goes into the wheel as all below src/iqassay does."""
    assert (Path(iqassay.__file__).parent / "py.typed").is_file()
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[tool.hatch.build.targets.wheel]\npackages = ["src/iqassay"]\n' in project
    assert "exclude =" not in project.replace("extend-exclude", "")


def test_the_version_is_the_one_of_the_project() -> None:
    assert metadata.version("iqassay") == iqassay.__version__
    citation = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {iqassay.__version__}\n" in citation
