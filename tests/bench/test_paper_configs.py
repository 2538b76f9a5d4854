"""Each system's paper configuration, trained and tested by one command on a tree in the layout of a published set.

The networks are whole; crops are of 64 pixels rather than 224, and there are two batches. That is enough to see that it
all runs, and nothing of how good it is.
"""

import numpy as np
import pytest
from PIL import Image

from iqassay.bench.results import read_results, results_file
from iqassay.cli import main
from iqassay.training.checkpoints import recipe_of

pytestmark = pytest.mark.slow

SMALL = ["--crop", "64", "--epochs", "1", "--steps", "2", "--batch", "2", "--test-crops", "2", "--limit", "5"]
HERE = ["--workers", "0", "--accelerator", "cpu", "--devices", "1"]


@pytest.fixture(scope="module")
def tid2013(tmp_path_factory):
    """TID2013 as its authors distribute it, 25 references by 24 distortions by 5 levels; noise, on 72x64 pixels."""
    folder, rng = tmp_path_factory.mktemp("tid2013"), np.random.default_rng(0)
    for name in ("reference_images", "distorted_images"):
        (folder / name).mkdir()
    mos, spread = [], []
    for i in range(1, 26):
        grid = Image.fromarray((rng.random((9, 9, 3)) * 255).astype(np.uint8))
        clean = grid.resize((72, 64), Image.Resampling.BICUBIC)
        clean.save(folder / "reference_images" / f"I{i:02}.BMP")
        for kind in range(1, 25):
            for level in range(1, 6):
                noisy = np.asarray(clean) + rng.normal(0, 2 + level * kind, (64, 72, 3))
                name = f"i{i:02}_{kind:02}_{level}.bmp"
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "distorted_images" / name)
                mos.append(f"{8.5 - 1.4 * level - 0.03 * kind:.5f} {name}")
                spread.append("0.13")
    (folder / "mos_with_names.txt").write_text("\n".join(mos) + "\n")
    (folder / "mos_std.txt").write_text("\n".join(spread) + "\n")
    return folder


@pytest.mark.parametrize("system", ["mfen", "yoto", "dri"])
def test_a_paper_configuration_is_trained_and_tested_by_one_command(system, tid2013, tmp_path, capfd):
    if system != "mfen":
        pytest.importorskip("transformers")
    words = ["bench", "train", system, "--config", "paper", "--data", f"tid2013:{tid2013}", "--splits", "1"]
    assert main([*words, *SMALL, *HERE, "-o", str(tmp_path)]) == 0
    said = capfd.readouterr().out
    recipe = recipe_of(tmp_path / f"trainings/tid2013/{system}/0/best.ckpt")
    assert (recipe.config, recipe.encoder) == ("paper", "van_b2" if system == "mfen" else "swin_t")
    assert recipe.frozen == 0
    names = [system, f"{system}, with reference"] if system == "yoto" else [system]
    for name in names:
        assert f"tid2013, {name}: 1 splits by content" in said
        found = read_results(results_file(tmp_path, "tid2013", name))
        assert len(found.scored) == len(found.rows) == 5
        assert found.about["reference"] is (name != system)
        assert np.isfinite(found.column("raw")).all()
