"""bench run and bench scores: models on sets, runs that are killed and go on, other people's scores."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import write_model, write_pair_model, write_panel
from PIL import Image

from iqassay.bench.protocol import judge, open_contender, read_scores, run
from iqassay.bench.results import read_results
from iqassay.cli import main
from iqassay.data.ratings import read_ratings

pytestmark = pytest.mark.slow


def make_set(folder: Path, name: str = "grays", count: int = 12, references: bool = False, side: int = 64) -> Path:
    """Gray pictures, whose brightness is their MOS; every third is of the split test. Returns the CSV."""
    (folder / name).mkdir(parents=True)
    rows = []
    for i in range(count):
        value = round(20 + 200 * i / count)
        Image.new("RGB", (side, side), (value,) * 3).save(folder / name / f"{i}.png")
        row = {"image": f"{i}.png", "mos": round(100 * value / 255, 2), "split": "train" if i % 3 else "test"}
        rows.append({**row, "reference": "11.png", "group": "one", "split": "test"} if references else row)
    file = folder / f"{name}.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return file


def read(file: Path, name: str = "grays"):
    return read_ratings(file, file.parent / name, scale=(0, 100))


@pytest.fixture
def grays(tmp_path):
    return read(make_set(tmp_path))


@pytest.fixture
def models(tmp_path):
    """mfen, yoto, which takes references, and a panel of the two."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_model(folder, "mfen", name="mfen", calibration={"raw": [0.0, 1.0], "score": [20.0, 100.0]})
    write_pair_model(folder, "yoto")
    return {"panel": write_panel(folder), "mfen": folder / "mfen.onnx", "yoto": folder / "yoto.onnx"}


def contenders(models, *names):
    return [open_contender(str(models[n.removesuffix(":nr")]) + (":nr" if n.endswith(":nr") else "")) for n in names]


def test_every_picture_has_a_row_with_opinion_and_answer(grays, models, tmp_path):
    (found,) = run(contenders(models, "mfen"), [grays], tmp_path / "out")
    assert [row.image for row in found.rows] == [f"{i}.png" for i in range(12)]
    assert found.column("mos") == pytest.approx([row.score for row in grays.rows], abs=1e-4)
    assert found.column("score") == pytest.approx(20 + 0.8 * found.column("mos"), abs=0.3)
    assert found.column("raw") == pytest.approx(found.column("mos") / 100, abs=0.003)
    assert all(row.low < row.score < row.high for row in found.rows)
    assert found.about | {"set": "grays", "model": "mfen", "kind": "network", "pictures": 12} == found.about
    assert found.about["reference"] is False


def test_a_split_alone(grays, models, tmp_path):
    (found,) = run(contenders(models, "mfen"), [grays], tmp_path / "out", split="test")
    assert [row.image for row in found.rows] == ["0.png", "3.png", "6.png", "9.png"]
    with pytest.raises(ValueError, match="got 0 pictures of split 'val', want 3 or more"):
        run(contenders(models, "mfen"), [grays], tmp_path / "out", split="val")


def test_a_panel_answers_for_its_members_as_they_would_alone(grays, models, tmp_path):
    together = run(contenders(models, "mfen", "panel", "yoto"), [grays], tmp_path / "together")
    alone = run(contenders(models, "mfen"), [grays], tmp_path / "a") + run(
        contenders(models, "yoto"), [grays], tmp_path / "b"
    )
    assert [found.model for found in together] == ["panel", "mfen", "yoto"]
    for found, lone in zip(together[1:], alone, strict=True):
        assert repr(found.rows) == repr(lone.rows)
        assert {**found.about, "folder": ""} == {**lone.about, "folder": ""}


def test_a_panel_with_another_table_is_another_model(grays, models, tmp_path):
    """Its rows would lie on two scales."""
    run(contenders(models, "panel"), [grays], tmp_path / "out")
    write_panel(models["panel"].parent, calibration={"raw": [0.0, 100.0], "score": [0.0, 100.0]})
    with pytest.raises(ValueError, match="sha256"):
        run(contenders(models, "panel"), [grays], tmp_path / "out")


def test_a_member_without_a_share_answers_for_itself(grays, models, tmp_path):
    write_panel(models["panel"].parent, weights={"mfen": 1, "yoto": 0})
    together = run(contenders(models, "panel", "mfen", "yoto"), [grays], tmp_path / "together")
    alone = run(contenders(models, "yoto"), [grays], tmp_path / "alone")
    assert [found.model for found in together] == ["panel", "mfen", "yoto"]
    assert repr(together[2].rows) == repr(alone[0].rows)


def test_a_panel_does_not_answer_for_a_model_of_another_file(grays, models, tmp_path):
    other = write_model(tmp_path, "mfen", name="mfen", calibration={"raw": [0.0, 1.0], "score": [50.0, 60.0]})
    other.write_bytes(other.read_bytes() + b"\x82\x01\x00")  # another file of the same graph
    card = json.loads(other.with_suffix(".json").read_text())
    import hashlib

    other.with_suffix(".json").write_text(json.dumps(card | {"sha256": hashlib.sha256(other.read_bytes()).hexdigest()}))
    both = [open_contender(str(models["panel"])), open_contender(str(other))]
    found = {results.model: results for results in run(both, [grays], tmp_path / "out")}
    assert found["mfen"].column("score").max() <= 60


def test_references_are_used_unless_told_otherwise(tmp_path, models):
    grays = read(make_set(tmp_path, references=True))
    found = {
        results.model: results
        for results in run(contenders(models, "yoto", "yoto:nr", "mfen", "panel:nr"), [grays], tmp_path / "out")
    }
    assert set(found) == {"yoto", "yoto-nr", "mfen", "panel-nr"}
    assert [found[name].about["reference"] for name in ("yoto", "yoto-nr", "mfen", "panel-nr")] == [True] + 3 * [False]
    assert found["yoto"].rows[11].score == 98  # the reference itself
    assert found["yoto-nr"].rows[11].score == pytest.approx(found["yoto-nr"].rows[11].mos, abs=0.5)


def test_broken_pictures_are_rows_and_the_run_goes_on(grays, models, tmp_path):
    grays.rows[4].image.write_bytes(b"no picture")
    (found,) = run(contenders(models, "mfen"), [grays], tmp_path / "out")
    assert len(found.rows) == 12
    assert [row.image for row in found.rows if row.error] == ["4.png"]


def test_a_run_that_was_stopped_goes_on_and_asks_nothing_twice(grays, models, tmp_path, monkeypatch):
    whole = run(contenders(models, "panel", "mfen"), [grays], tmp_path / "whole")
    out = tmp_path / "out"
    asked = []
    from iqassay.scoring.panel import Panel

    score = Panel.score

    def stops(self, picture, *rest, **options):
        asked.append(picture)
        if len(asked) in (4, 9):
            raise KeyboardInterrupt
        return score(self, picture, *rest, **options)

    monkeypatch.setattr(Panel, "score", stops)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(contenders(models, "panel", "mfen"), [grays], out)
        file = out / "grays" / "mfen.csv"
        file.write_bytes(file.read_bytes()[:-7])  # killed while it wrote: one file has a row more than the other
    found = run(contenders(models, "panel", "mfen"), [grays], out)
    assert [repr(f.rows) for f in found] == [repr(f.rows) for f in whole]
    # Every picture, the two half-written ones, and what was under way when it was interrupted: 8 pictures at most.
    assert 12 + 2 + 2 <= len(asked) <= 12 + 2 + 2 * 8


def test_a_kill_9_twice_ends_with_the_same_table(tmp_path):
    file = make_set(tmp_path, count=30, side=1200)
    model = write_model(tmp_path, "slow", name="slow")
    kept = tmp_path / "out" / "grays" / "slow.csv"
    command = [sys.executable, "-m", "iqassay", "bench", "run", "--model", str(model)]
    command += ["--data", f"{file}:{tmp_path / 'grays'}:0..100", "-o"]
    for rows in (4, 12):
        process = subprocess.Popen([*command, str(tmp_path / "out")], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while (not kept.exists() or kept.read_bytes().count(b"\n") <= rows) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.wait()
        assert rows < kept.read_bytes().count(b"\n") < 31
    tables = [
        subprocess.run([*command, str(tmp_path / out)], capture_output=True, check=True).stdout
        for out in ("out", "whole")
    ]
    assert kept.read_bytes() == (tmp_path / "whole" / "grays" / "slow.csv").read_bytes()
    assert tables[0] == tables[1] != b""


@pytest.mark.parametrize(
    ("trained_on", "name", "count"),
    [
        ("GRAYS, the official training set", "grays", 8),
        ("nothing", "grays", 0),
        ("FLIVE / PaQ-2-PiQ opinions", "live", 0),
        ("means of KADID-10k", "kadid10k", 8),
    ],
)
def test_training_pictures_in_the_set_are_counted(tmp_path, trained_on, name, count):
    model = open_contender(str(write_model(tmp_path, training_data=["photos", trained_on])))
    (found,) = run([model], [read(make_set(tmp_path, name), name)], tmp_path / "out")
    assert found.about["seen"] == count
    (found,) = run([model], [read(tmp_path / f"{name}.csv", name)], tmp_path / "other", split="test")
    assert found.about["seen"] == 0


def test_without_scipy_nothing_is_scored_first(tmp_path, models, monkeypatch, capsys):
    for name in [
        name
        for name in sys.modules
        if name.split(".")[0] == "scipy" or name.startswith(("iqassay.bench.", "iqassay.statistics."))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    data = f"{make_set(tmp_path)}:{tmp_path / 'grays'}"
    assert main(["bench", "run", "--model", str(models["mfen"]), "--data", data, "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == ("iqassay: needs scipy, which is not installed: want pip install 'scipy>=1.12'\n")
    assert not (tmp_path / "out").exists()


def test_answers_to_something_else_are_not_gone_on_with(tmp_path, models):
    file = make_set(tmp_path)
    run(contenders(models, "mfen"), [read(file)], tmp_path / "out")
    file.write_text(file.read_text().replace("7.84", "9.99"))
    with pytest.raises(ValueError, match=r"holds answers with labels .* want another folder with -o, or --again"):
        run(contenders(models, "mfen"), [read(file)], tmp_path / "out")
    (found,) = run(contenders(models, "mfen"), [read(file)], tmp_path / "out", again=True)
    assert found.rows[0].mos == 9.99


# ---- anyone's scores ------------------------------------------------------------------------------------------------


def write_scores(tmp_path: Path, text: str) -> Path:
    (tmp_path / "scores.csv").write_text(text)
    return tmp_path / "scores.csv"


def test_scores_of_others(tmp_path, grays):
    lines = [f"{row.image.name},{row.score},{-row.score}" for row in grays.rows]
    given = read_scores(write_scores(tmp_path, "image,ours,distance\n" + "\n".join(lines)))
    assert list(given) == ["ours", "distance"]
    found = judge(given["distance"], "distance", grays, lower_is_better=True)
    assert found.column("score") == pytest.approx(found.column("mos"))
    assert found.column("raw") == pytest.approx(-found.column("mos"))
    assert found.about["kind"] == "scores"


def test_pictures_are_found_by_path_before_name(tmp_path):
    given = {"x/a.png": 1.0, "y/a.png": 2.0, "b.png": 3.0}
    for folder in "xy":
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "x" / "b.png")
    table = tmp_path / "t.csv"
    table.write_text("image,mos\nx/a.png,10\ny/a.png,20\nx/b.png,30\n")
    ratings = read_ratings(table, tmp_path)
    assert judge(given, "m", ratings).column("score").tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"got 2 scores that .* may mean"):
        judge({"p/a.png": 1.0, "q/a.png": 2.0}, "m", ratings)


def test_a_picture_without_a_score_is_a_row_with_an_error(grays):
    found = judge({"3.png": 5.0}, "m", grays)
    assert [row.error for row in found.rows].count("no score") == 11
    with pytest.raises(ValueError, match="no score is of a picture of grays: got"):
        judge({"z.png": 5.0}, "m", grays)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,ours\na.png,3\n", "got columns name, ours; want image"),
        ("image\na.png\n", "want image, and one of scores"),
        ("image,ours\na.png,good\n", "line 2, ours: got 'good', want a finite number"),
        ("image,ours\na.png,inf\n", "line 2, ours: got 'inf', want a finite number"),
        ("", "want image, and one of scores"),
    ],
)
def test_bad_score_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_scores(write_scores(tmp_path, text))


def test_empty_fields_are_left_out(tmp_path):
    assert read_scores(write_scores(tmp_path, "image,a,b\nx.png,,1\ny.png,2,nan\n")) == {
        "a": {"y.png": 2.0},
        "b": {"x.png": 1.0},
    }


def test_opinions_and_scores_in_one_file_and_nothing_else(tmp_path, capsys):
    rows = [f"{i}.png,{i},{10 * i},{-i},{i % 7}" for i in range(40)]
    table = write_scores(tmp_path, "image,mos,score,Distance,poor\n" + "\n".join(rows))
    assert main(["bench", "scores", str(table), "--lower-is-better", "Distance"]) == 0
    told = capsys.readouterr()
    assert all(re.search(rf"\| {name} \| \W*1\.000", told.out) for name in ("score", "distance"))
    assert "| mos |" not in told.out
    assert main(["bench", "scores", str(table)]) == 1
    assert "distance" in capsys.readouterr().err  # reversed
    assert main(["bench", "scores", str(table), "--lower-is-better", "gone"]) == 2


def test_opinions_under_another_name_are_no_models_scores(tmp_path, capsys):
    rows = [f"{i}.png;{i};{i + i % 3}" for i in range(40)]
    table = write_scores(tmp_path, "shot;people;ours\n" + "\n".join(rows))
    main(["bench", "scores", str(table), "--columns", "image=shot,mos=people"])
    told = capsys.readouterr().out
    assert "| ours |" in told
    assert "| people |" not in told
    assert main(["bench", "scores", str(table), "--columns", "image=shot"]) == 2
    assert "want one of mos, dmos" in capsys.readouterr().err


def test_rows_of_a_file(tmp_path, grays, models):
    run(contenders(models, "mfen"), [grays], tmp_path / "out")
    assert np.isfinite(read_results(tmp_path / "out" / "grays" / "mfen.csv").column("score")).all()
