"""Hints of what to install: they work as they stand, from a clone, a wheel or an index."""

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from iqassay.support import install
from iqassay.support.install import ALONE, install_command

EXTRAS = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
EXTRAS = EXTRAS.partition("[project.optional-dependencies]")[2].partition("[project.scripts]")[0]


@pytest.mark.parametrize("extra", ALONE)
def test_an_extra_of_one_package_is_that_package(extra):
    assert f'\n{extra} = ["{ALONE[extra]}"]\n' in EXTRAS
    assert install_command(extra) == f"pip install '{ALONE[extra]}'"


def came_from(monkeypatch, url, editable=False):
    said = json.dumps({"url": url, "dir_info": {"editable": editable}}) if url else None
    monkeypatch.setattr(metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: said))


def test_what_came_from_a_clone_or_a_wheel_is_installed_from_there(monkeypatch, tmp_path):
    clone, wheel = tmp_path / "a clone", tmp_path / "iqassay-1.whl"
    clone.mkdir()
    (clone / "pyproject.toml").touch()
    wheel.touch()
    came_from(monkeypatch, clone.as_uri())
    assert install_command("train") == f"pip install '{clone}[train]'"
    came_from(monkeypatch, clone.as_uri(), editable=True)
    assert install_command("train") == f"pip install -e '{clone}[train]'"
    came_from(monkeypatch, wheel.as_uri())
    assert install_command("serve") == f"pip install '{wheel}[serve]'"
    wheel.unlink()  # gone since: by its name, then
    assert install_command("serve") == "pip install 'iqassay[serve]'"
    came_from(monkeypatch, "")
    assert install_command("serve") == "pip install 'iqassay[serve]'"


def test_what_runs_from_a_clone_uninstalled_is_installed_from_it(monkeypatch):
    def nowhere(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", nowhere)
    root = Path(install.__file__).resolve().parents[3]
    assert (root / "pyproject.toml").is_file()
    assert install_command("train") == f"pip install -e '{root}[train]'"
