"""Near-duplicates, and what is found in rated sets and in answers: each planted fault, and silence for sound ones."""

import math
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from iqassay.bench.checks import check_results
from iqassay.bench.results import Results, Row
from iqassay.cli import main
from iqassay.data.checks import check_between, check_pictures, check_ratings, look_at
from iqassay.data.duplicates import ALIKE, alike, clusters, fingerprint, fingerprints, near_duplicates
from iqassay.data.rating import Rating, Ratings
from iqassay.data.splits import shipped_splits
from iqassay.pictures import fingerprints as module

# ---- pictures that are nearly the same ------------------------------------------------------------------------------


def scene(seed, size=(128, 96)):
    """A picture of its own: smooth random patches with fine texture, in colour."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(coarse) + rng.normal(0, 8, (size[1], size[0], 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def saved(picture, file, **how):
    picture.save(file, **how)
    return file


SEEN_AGAIN = {
    "the same bytes": lambda image: image,
    "half the size": lambda image: image.resize((64, 48), Image.Resampling.LANCZOS),
    "another shape": lambda image: image.resize((120, 120), Image.Resampling.LANCZOS),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.4),
    "grey": lambda image: image.convert("L"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "cut by a hundredth": lambda image: image.crop((1, 1, 127, 95)),
    "gamma": lambda image: image.point(lambda v: round(255 * (v / 255) ** 1.5)),
}


@pytest.mark.parametrize("change", SEEN_AGAIN.values(), ids=SEEN_AGAIN.keys())
def test_a_scene_seen_again_is_alike(change, tmp_path):
    for seed in range(3):
        first = saved(scene(seed), tmp_path / "a.png")
        again = saved(change(scene(seed)), tmp_path / "b.png")
        assert fingerprint(first) @ fingerprint(again) > ALIKE


@pytest.mark.parametrize("quality", [5, 30, 95])
def test_jpeg_is_alike(quality, tmp_path):
    first = saved(scene(0, (320, 240)), tmp_path / "a.png")
    again = saved(scene(0, (320, 240)), tmp_path / "b.jpg", quality=quality)
    assert fingerprint(first) @ fingerprint(again) > 0.98


def test_orientation_is_heeded(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    upright = saved(scene(0), tmp_path / "a.jpg", quality=95)
    turned = saved(scene(0).transpose(Image.Transpose.ROTATE_90), tmp_path / "b.jpg", quality=95, exif=exif)
    plain = saved(scene(0).transpose(Image.Transpose.ROTATE_90), tmp_path / "c.jpg", quality=95)
    assert fingerprint(upright) @ fingerprint(turned) > 0.98
    assert fingerprint(upright) @ fingerprint(plain) < ALIKE


def test_other_scenes_are_not_alike(tmp_path):
    files = [saved(scene(seed), tmp_path / f"{seed}.png") for seed in range(25)]
    assert near_duplicates(files) == []


def test_horizons_are_not_alike(tmp_path):
    # Sky over ground: raw greys correlate by more than 0.9, whatever the scene.
    def horizon(seed):
        pixels = np.asarray(scene(seed), np.float32) * 0.25
        pixels[: 55 + seed] += 150
        return Image.fromarray(pixels.astype(np.uint8))

    files = [saved(horizon(seed), tmp_path / f"{seed}.png") for seed in range(8)]
    greys = [np.asarray(Image.open(file).convert("L").resize((8, 8), Image.Resampling.BOX), float) for file in files]
    assert np.corrcoef([grey.ravel() for grey in greys]).min() > 0.85
    assert near_duplicates(files) == []


def test_flat_pictures_are_alike_only_when_their_bytes_are(tmp_path):
    files = [saved(Image.new("RGB", (40, 30), (v, v, v)), tmp_path / f"{v}.png") for v in (0, 128, 255)]
    again = saved(Image.new("RGB", (40, 30)), tmp_path / "again.png")
    assert near_duplicates([*files, again]) == [(files[0], again, pytest.approx(1))]


def test_pairs_inside_a_group_do_not_count_and_others_are_another_set(tmp_path):
    a, b, c = (saved(scene(0), tmp_path / f"{name}.jpg", quality=q) for name, q in (("a", 95), ("b", 40), ("c", 10)))
    assert {pair[:2] for pair in near_duplicates([a, b, c], ["g", "g", "h"])} == {(b, c), (a, c)}
    assert {pair[:2] for pair in near_duplicates([a], others=[b, c])} == {(a, b), (a, c)}
    with pytest.raises(ValueError, match="got 2 groups for 3 pictures"):
        near_duplicates([a, b, c], ["g", "h"])


def test_blocks_find_what_all_at_once_finds(monkeypatch):
    prints = np.random.default_rng(0).normal(size=(300, 112)).astype(np.float32)
    prints[150:] = prints[:150][::-1] + 0.1 * prints[150:]
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    whole = alike(prints)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert {pair[:2] for pair in alike(prints)} == {pair[:2] for pair in whole}
    assert sorted(pair[:2] for pair in whole) == [(i, 299 - i) for i in range(150)]


def test_a_broken_picture_is_named(tmp_path):
    whole = BytesIO()
    scene(0).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:900])
    with pytest.raises(ValueError, match=r"cut\.jpg"):
        fingerprints([tmp_path / "cut.jpg"])


def test_clusters():
    assert clusters([("a", "b"), ("c", "d"), ("d", "e"), ("f", "f"), ("b", "a")]) == [
        ["a", "b"],
        ["c", "d", "e"],
        ["f"],
    ]
    assert clusters([("a", "b"), ("c", "d"), ("b", "c")]) == [["a", "b", "c", "d"]]


# ---- rated sets -----------------------------------------------------------------------------------------------------

KINDS = ("blur", "noise", "jpeg", "contrast")


def synthetic(contents=12, seed=0, **changes):
    """A sound set with references: opinions fall with the level of distortion, noisily; contrast does not matter."""
    rng = np.random.default_rng(seed)
    rows = []
    for content in range(contents):
        for kind in KINDS:
            for level in range(1, 6):
                fall = 0 if kind == "contrast" else 14 * level
                score = float(np.clip(95 - fall + rng.normal(0, 10), 0, 100))
                name = f"i{content:02}_{kind}_{level}.png"
                reference = Path(f"i{content:02}.png")
                rows.append(
                    Rating(Path(name), score, reference, f"i{content:02}", "train", "", kind, level, 15 + level, 20)
                )
    return Ratings("mine", tuple(replace(row, **changes) for row in rows), (1, 5), Path())


def photos(count=300, seed=0):
    """A sound set of photos, with a split of its own."""
    rng = np.random.default_rng(seed)
    splits = ["train"] * 7 + ["val"] + ["test"] * 2
    rows = [
        Rating(Path(f"{i}.jpg"), s, None, f"{i}.jpg", splits[i % 10]) for i, s in enumerate(rng.uniform(5, 90, count))
    ]
    return Ratings("mine", tuple(rows), (0, 100), Path())


def with_rows(ratings, change):
    return replace(ratings, rows=tuple(change(i, row) for i, row in enumerate(ratings.rows)))


@pytest.mark.parametrize("seed", range(5))
def test_sound_sets_pass_in_silence(seed):
    assert check_ratings(synthetic(seed=seed)) == []
    assert check_ratings(photos(seed=seed)) == []


FAULTY_SETS = {
    "constant": (synthetic(score=40.0), "got the opinion 40 for all 240 pictures"),
    "nan": (
        with_rows(photos(), lambda i, r: replace(r, score=math.nan) if i < 3 else r),
        "got 3 opinions that are no numbers",
    ),
    "off the scale": (with_rows(photos(), lambda i, r: replace(r, score=r.score * 2)), "want 0 to 100: is the scale"),
    "0 to 1 read as 0 to 100": (
        with_rows(photos(), lambda i, r: replace(r, score=r.score / 100)),
        "is the scale of the set",
    ),
    "reversed": (with_rows(synthetic(), lambda i, r: replace(r, score=100 - r.score)), "are the labels reversed"),
    "reversed, each content once": (
        with_rows(synthetic(), lambda i, r: replace(r, score=100 - r.score, distortion=f"{r.distortion}{i % 2}")),
        "are the labels reversed",
    ),
    "no reference": (
        with_rows(synthetic(), lambda i, r: replace(r, reference=None) if i == 7 else r),
        "got 1 picture without a reference, the first i00_noise_3.png",
    ),
    "its own reference": (
        with_rows(synthetic(), lambda i, r: replace(r, reference=r.image) if i == 7 else r),
        "whose reference is the picture itself",
    ),
    "lonely groups": (
        with_rows(synthetic(), lambda i, r: replace(r, group="oi0") if i == 7 else r),
        "got 1 group of one picture in a set with references, the first 'oi0'",
    ),
    "no test": (photos().split("train", "val"), "got no pictures in test: its own splits are train 210, val 30"),
    "misspelt split": (
        with_rows(photos(), lambda i, r: replace(r, split="testing") if r.split == "test" else r),
        "got no pictures in test: its own splits are train 210, val 30, testing 60",
    ),
    "a row twice": (replace(photos(), rows=photos().rows + photos().rows[:2]), "got 2 pictures rated in several rows"),
    "deviation": (
        with_rows(synthetic(), lambda i, r: replace(r, deviation=r.deviation**2)),
        "deviate by more than the scale",
    ),
    "negative deviation": (synthetic(deviation=-1.0), "deviate by more than the scale"),
    "leak": (
        with_rows(photos(), lambda i, r: replace(r, group="g") if i in (0, 9) else r),
        "group 'g' is in both train and test: a leak",
    ),
    "one reference, two groups": (
        with_rows(synthetic(), lambda i, r: replace(r, group=f"{r.group} {i % 2}")),
        "a leak between splits",
    ),
    "too few groups": (synthetic(2), "got 2 groups, want at least 3"),
    "not the published set": (
        replace(synthetic(), name="tid2013", rows=synthetic(30).rows),
        "which is not in its published splits",
    ),
}


@pytest.mark.parametrize(("ratings", "text"), FAULTY_SETS.values(), ids=FAULTY_SETS.keys())
def test_a_planted_fault_is_found(ratings, text):
    findings = check_ratings(ratings)
    assert any(text in finding for finding in findings), findings
    assert all("\n" not in finding for finding in findings)
    assert len(findings) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_levels_that_say_nothing_are_no_reversal(seed):
    rng = np.random.default_rng(seed)
    assert check_ratings(with_rows(synthetic(5), lambda i, r: replace(r, score=float(rng.uniform(0, 100))))) == []


def folder_of(tmp_path, names):
    """A rated set of real pictures, names -> scene number, split by the first letter of the name."""
    splits = {"a": "train", "b": "val", "c": "test"}
    rows = []
    for i, (name, number) in enumerate(names.items()):
        saved(scene(number), tmp_path / name, **({"quality": 40} if name.endswith("jpg") else {}))
        rows.append(Rating(tmp_path / name, float(10 + 80 * (i % 2)), None, name, splits[name[0]]))
    return Ratings(tmp_path.name, tuple(rows), (0, 100), tmp_path)


def test_pictures_alike_across_groups_are_one_line(tmp_path):
    names = {"a1.png": 1, "a2.png": 2, "b1.png": 3, "c1.png": 4, "c2.jpg": 1, "c3.jpg": 1}
    ratings = folder_of(tmp_path, names)
    assert check_ratings(ratings) == []
    line = "3 pictures of different groups look the same, in train and test: a1.png, c2.jpg, c3.jpg"
    assert check_ratings(ratings, pictures=True) == [line]
    together = with_rows(
        ratings, lambda i, r: replace(r, group="one", split="train") if names[r.image.name] == 1 else r
    )
    assert check_pictures(look_at(together)) == []
    (tmp_path / "b1.png").write_bytes(b"no picture")
    broken, line = check_pictures(look_at(ratings))
    assert "b1.png" in broken
    assert "look the same" in line


def test_two_sets_that_share_pictures(tmp_path):
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    first = look_at(folder_of(tmp_path / "first", {"a1.png": 1, "b2.png": 2, "c3.png": 3}))
    second = look_at(folder_of(tmp_path / "second", {"a4.png": 4, "b5.jpg": 1, "c6.png": 6}))
    third = look_at(folder_of(tmp_path / "third", {"a7.png": 7, "b8.png": 8, "c9.png": 9}))
    (line,) = check_between(first, second)
    assert line.startswith("1 picture of first and 1 of second look the same, such as a1.png and b5.jpg")
    assert check_between(first, third) == []


# ---- answers --------------------------------------------------------------------------------------------------------


def answers(said, mos=None, about=None, **columns):
    """Results of a model: one row for each score said. columns: a value for all rows, or a list."""
    rng = np.random.default_rng(1)
    mos = rng.uniform(5, 90, len(said)) if mos is None else mos
    rows = []
    for i, (score, opinion) in enumerate(zip(said, mos, strict=True)):
        more = {key: value[i] if isinstance(value, list) else value for key, value in columns.items()}
        rows.append(
            Row(**{"image": f"{i}.jpg", "mos": float(opinion), "score": float(score), "group": f"{i}.jpg"} | more)
        )
    facts = {"set": "mine", "model": "m", "kind": "network", "pictures": len(rows), "split": "all"}
    return Results("mine", "m", tuple(rows), facts | (about or {}))


def noisy(count=400, seed=0, skill=0.5):
    """(said, mos): honest answers that explain a share of the opinions."""
    rng = np.random.default_rng(seed)
    mos = rng.uniform(5, 90, count)
    said = 50 + skill * (mos - mos.mean()) + (1 - skill) * rng.normal(0, 20, count)
    return said.clip(0, 100), mos


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("skill", [0, 0.15, 0.5, 1])
@pytest.mark.parametrize("count", [12, 400])
def test_honest_answers_pass_in_silence(seed, skill, count):
    said, mos = noisy(count, seed, skill)
    groups = [f"g{i % 6}" for i in range(count)]
    assert check_results(answers(said, mos, group=groups, subset=[f"s{i % 3}" for i in range(count)])) == []
    assert check_results(answers(said.round(), mos)) == []  # a model that answers in whole points


@pytest.mark.parametrize("seed", range(5))
def test_groups_that_differ_in_mean_are_no_reproach_to_who_tells_pictures_apart(seed):
    rng = np.random.default_rng(seed)
    offset = np.repeat(rng.normal(0, 12, 20), 10)
    inside = rng.normal(0, 8, 200)
    mos, said = 50 + offset + inside, 50 + offset + 0.6 * inside + rng.normal(0, 6, 200)
    groups = [f"g{i // 10}" for i in range(200)]
    assert check_results(answers(said.clip(0, 100), mos.clip(0, 100), group=groups)) == []


def group_knower():
    rng = np.random.default_rng(0)
    offset = np.repeat(rng.normal(0, 15, 20), 10)
    mos, said = 50 + offset + rng.normal(0, 8, 200), 50 + offset + rng.normal(0, 1, 200)
    return said.clip(0, 100), mos.clip(0, 100), [f"g{i // 10}" for i in range(200)]


SAID, MOS = noisy()
SHIPPED = shipped_splits("koniq10k")
TRAINED_ON = [name for name, letters in SHIPPED.items() if letters[3] == "t"][:400]
TESTED = [name for name, letters in SHIPPED.items() if letters[3] == "e"][:400]
TRAINED = {"kind": "trained", "split": "test"}
FAULTY_ANSWERS = {
    "constant": (answers([50.0] * 2000), "gave 50 for all 2,000 pictures"),
    "mostly constant": (answers(np.where(np.arange(400) % 5, 30.0, SAID), MOS), "gave 30 for 32"),
    "few values": (answers(SAID.round(-1).clip(20, 80), MOS), "gave only 7 different scores for 400 pictures"),
    "collapsed": (answers(50 + SAID / 1000, MOS), "nearly the same for all"),
    "reversed": (answers(100 - SAID, MOS), "is a lower score better here? want higher is better"),
    "reversed scores": (answers(-SAID, MOS, {"kind": "scores"}), "want --lower-is-better"),
    "no score": (
        answers(SAID, MOS, error=["too big"] + [""] * 399),
        "gave no score for 1 of 400 pictures, the first 0.jpg (too big)",
    ),
    "nan": (answers([math.nan, math.nan, *SAID[2:]], MOS), "gave no score for 2 of 400 pictures"),
    "not finished": (answers(SAID, MOS, {"pictures": 500}), "has answers for 400 of 500 pictures"),
    "not all seeds": (
        answers(SAID, MOS, {"pictures": 1000}, seed=["0"] * 100 + ["1"] * 98 + ["2"] * 102 + ["3"] * 100),
        "has answers of 4 of 10 seeds",
    ),
    "off the scale": (answers(SAID * 1.5, MOS), "scores outside 0 to 100"),
    "labels of another range": (answers(SAID, MOS / 100), "got opinions of 0.05"),
    "labels off the scale": (answers(SAID, MOS * 3), "want 0 to 100: is the scale of the set another"),
    "knows the group": (answers(*group_knower()[:2], group=group_knower()[2]), "inside the 20 groups"),
    "knows the subset": (answers(*group_knower()[:2], subset=group_knower()[2]), "inside the 20 subsets"),
    "twice": (
        answers(SAID, MOS, image=["same.jpg"] * 2 + [f"{i}.jpg" for i in range(398)]),
        "several answers for 1 picture,",
    ),
    "seen": (answers(SAID, MOS, {"seen": 300}), "may have been trained on 300 of these 400 pictures"),
    "both sides": (
        answers(SAID, MOS, TRAINED | {"split": "all"}, group="g", split=["train", "test"] * 200, seed="4"),
        "has 1 group in two splits, the first 'g' in test and train of seed 4: a leak",
    ),
    "tested on train": (
        replace(
            answers(SAID, MOS, TRAINED, group=TESTED[:-1] + TRAINED_ON[:1], split="test", seed="3"), set="koniq10k"
        ),
        "has 1 test answer to what the seed trains on",
    ),
}


@pytest.mark.parametrize(("results", "text"), FAULTY_ANSWERS.values(), ids=FAULTY_ANSWERS.keys())
def test_planted_answers_are_found(results, text):
    findings = check_results(results)
    assert any(text in finding for finding in findings), findings
    assert all("\n" not in finding for finding in findings)


def test_answers_to_the_test_pictures_of_ten_seeds_are_no_fault():
    honest = replace(answers(SAID, MOS, TRAINED, group=TESTED, split="test", seed="3"), set="koniq10k")
    assert check_results(honest) == []
    again = replace(honest, rows=honest.rows + tuple(replace(row, seed="x") for row in honest.rows))
    assert check_results(again) == []
    uneven = answers(SAID, MOS, {"pictures": 408}, seed=["0"] * 102 + ["1"] * 98 + ["2"] * 101 + ["3"] * 99)
    assert check_results(uneven) == []
    elsewhere = replace(
        answers(SAID, MOS, {"kind": "trained"}, group=TRAINED_ON, split="train", seed="3"), set="koniq10k"
    )
    assert check_results(elsewhere) == []  # trained on another set, asked about all of this one


# ---- the command ----------------------------------------------------------------------------------------------------


def table(folder, names, scores):
    for name, number in names.items():
        saved(scene(number), folder / name)
    lines = [f"{name},{score},{name[0]}\n" for name, score in zip(names, scores, strict=True)]
    (folder / f"{folder.name}.csv").write_text("image,mos,group\n" + "".join(lines))
    return folder / f"{folder.name}.csv"


def test_the_command_tells_what_a_set_is_and_what_is_wrong(tmp_path, capsys):
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    names = {f"{letter}.png": number for number, letter in enumerate("abcdefghijklmnopqrst")}
    good = table(tmp_path / "good", names, range(1, 100, 5))
    assert main(["bench", "check", "--data", str(good), "--pictures"]) == 0
    out = capsys.readouterr().out
    assert "20 pictures" in out
    assert "20 groups" in out
    assert re.search(r"digest [0-9a-f]{12}", out)
    bad = table(
        tmp_path / "bad", {"a.png": 100, "b.png": 101, "c.png": 102, "d.png": 100, "t.png": 19}, [1, 3, 5, 7, 9]
    )
    assert main(["bench", "check", "--data", str(bad)]) == 0
    assert main(["bench", "check", "--data", f"{good}:{good.parent}:0..1000"]) == 1
    assert main(["bench", "check", "--data", str(bad), "--pictures"]) == 1
    out = capsys.readouterr().out
    assert "2 pictures of different groups look the same" in out
    assert main(["bench", "check", "--data", str(good), "--data", str(bad), "--pictures"]) == 1
    assert "1 picture of good and 1 of bad look the same" in capsys.readouterr().out


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    assert main(["bench", "check", "--data", str(tmp_path / "none.csv")]) == 2
    assert "Traceback" not in capsys.readouterr().err
