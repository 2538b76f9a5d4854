"""Splits: shares, the same for ever, by content; the shipped files; leaks."""

from dataclasses import replace
from pathlib import Path

import pytest

from iqassay.data.rating import Rating, Ratings
from iqassay.data.splits import (
    LETTERS,
    SEEDS,
    check_no_leak,
    content_splits,
    hashed_split,
    shipped_splits,
    split_ratings,
    splits_digest,
    ten_splits,
)

# Groups and pictures of each published set, by its paper.
SHIPPED = {
    "live": (29, 29),
    "csiq": (30, 30),
    "tid2013": (25, 25),
    "kadid10k": (81, 81),
    "pipal": (200, 200),
    "agiqa3k": (300, 300),
    "livec": (1162, 1162),
    "koniq10k": (10073, 10073),
    "spaq": (11125, 11125),
    "biq2021": (10562, 12000),
}
FOLDER = Path(__file__).parents[2] / "src/iqassay/data/splits"


def rated(name, groups, per_group=2):
    rows = [
        Rating(Path(f"{g}_{i}.png"), 10.0 * i + k, Path(f"{g}.png"), g, "train")
        for k, g in enumerate(groups)
        for i in range(per_group)
    ]
    return Ratings(name, tuple(rows), (0, 100), Path())


def sizes(splits):
    values = list(splits.values())
    return tuple(values.count(split) for split in ("train", "val", "test"))


# ---- content_splits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (3, (1, 1, 1)),
        (4, (2, 1, 1)),
        (10, (7, 1, 2)),
        (25, (17, 3, 5)),
        (29, (20, 3, 6)),
        (30, (21, 3, 6)),
        (81, (57, 8, 16)),
        (1000, (700, 100, 200)),
    ],
)
def test_shares_are_those_of_the_number_of_groups(count, wanted):
    for seed in range(SEEDS):
        assert sizes(content_splits(map(str, range(count)), seed)) == wanted


def test_order_and_repetition_of_the_input_do_not_matter():
    groups = [f"i{n:02}" for n in range(1, 26)]
    assert content_splits(groups, 3) == content_splits([*reversed(groups), *groups], 3)


def test_a_split_is_for_ever():
    # Worked out once by other means: for g in a b c ...; do echo $(printf 0:$g | sha256sum) $g; done | sort
    wanted = dict.fromkeys("hfgdjai", "train") | {"c": "val"} | dict.fromkeys("be", "test")
    assert content_splits("abcdefghij", 0) == wanted


def test_seeds_differ_and_every_group_is_tested_about_twice_in_ten():
    letters = ten_splits(map(str, range(500)))
    columns = {"".join(said[seed] for said in letters.values()) for seed in range(SEEDS)}
    assert len(columns) == SEEDS
    tested = [said.count("e") for said in letters.values()]
    assert sum(tested) == SEEDS * 100  # a fifth of 500, ten times
    assert sum(count == 0 for count in tested) / 500 == pytest.approx(0.8**10, abs=0.05)


def test_too_few_groups_is_one_line():
    with pytest.raises(ValueError, match="got 2 groups, want at least 3"):
        content_splits(["a", "b", "a"], 0)


def test_hashed_split_is_80_10_10():
    splits = [hashed_split(str(i)) for i in range(2000)]
    assert splits.count("train") == pytest.approx(1600, abs=60)
    assert splits.count("val") == pytest.approx(200, abs=45)


# ---- the shipped files ----------------------------------------------------------------------------------------------


def test_there_is_a_file_for_each_of_these_sets_and_no_other():
    assert {file.stem for file in FOLDER.iterdir()} == set(SHIPPED)
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 900_000


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_splits_are_what_their_own_groups_give(name):
    lines = [line.rsplit(",", 1) for line in (FOLDER / f"{name}.csv").read_text().splitlines()[1:]]
    groups = {group.split("|")[0]: letters for group, letters in lines}
    assert groups == ten_splits(groups)
    members = shipped_splits(name)
    assert (len(groups), len(members)) == SHIPPED[name]
    assert set(map(len, members.values())) == {SEEDS}
    assert all(members[one] == letters for group, letters in lines for one in group.split("|"))


# ---- split_ratings --------------------------------------------------------------------------------------------------


def test_a_published_set_takes_its_file():
    groups = [f"i{n:02}" for n in range(1, 26)]
    for seed in range(SEEDS):
        for row in split_ratings(rated("tid2013", groups), seed).rows:
            assert LETTERS[row.split] == shipped_splits("tid2013")[row.group][seed]


def test_a_csv_of_a_published_set_gets_the_same_splits_whatever_it_calls_its_groups():
    names = [f"I{n:02}" for n in range(1, 26)]
    rows = tuple(Rating(Path(f"x/{n}_01_1.bmp"), 50, Path(f"y/{n}.BMP"), f"y/{n}.BMP") for n in names)
    by_reference = split_ratings(Ratings("tid2013", rows, (0, 9), Path()), 4)
    assert [row.split for row in by_reference.rows] == [
        row.split for row in split_ratings(rated("tid2013", [n.lower() for n in names], 1), 4).rows
    ]
    photos = list(shipped_splits("biq2021"))[:200]
    by_picture = Ratings(
        "biq2021", tuple(Rating(Path(p), 50, None, str(i)) for i, p in enumerate(photos)), (0, 1), Path()
    )
    said = [LETTERS[row.split] for row in split_ratings(by_picture, 7).rows]
    assert said == [shipped_splits("biq2021")[photo][7] for photo in photos]


def test_photos_that_are_nearly_the_same_are_never_parted():
    lines = [line.rsplit(",", 1)[0] for line in (FOLDER / "biq2021.csv").read_text().splitlines()[1:]]
    groups = [line.split("|") for line in lines if "|" in line]
    assert len(groups) == 631
    shipped = shipped_splits("biq2021")
    assert all(len({shipped[photo] for photo in group}) == 1 for group in groups)


def test_a_group_that_the_file_does_not_know_is_named():
    with pytest.raises(
        ValueError, match=r"tid2013: got i26_0\.png of group 'i26' .* not in its published splits; want"
    ):
        split_ratings(rated("tid2013", ["i01", "i26", "i03", "i27"]), 0)


def test_any_other_set_is_split_by_its_groups():
    ratings = rated("mine", [f"g{n}" for n in range(40)], 3)
    for seed in (0, 9):
        wanted = content_splits([f"g{n}" for n in range(40)], seed)
        assert all(row.split == wanted[row.group] for row in split_ratings(ratings, seed).rows)
    assert [row.score for row in split_ratings(ratings, 0).rows] == [row.score for row in ratings.rows]


def test_flive_keeps_the_split_of_its_authors():
    rows = tuple(Rating(Path(f"{s}{i}.jpg"), i, None, f"{s}{i}", s) for s in ("train", "val", "test") for i in range(3))
    flive = Ratings("flive", rows, (0, 100), Path())
    assert split_ratings(flive, 0).rows == split_ratings(flive, 9).rows == rows
    assert splits_digest(flive) != splits_digest(replace(flive, rows=flive.rows[1:]))
    strange = replace(flive, rows=(replace(rows[0], split="testing"), *rows[1:]))
    with pytest.raises(ValueError, match="split 'testing', which is not in its published splits; want splits train"):
        split_ratings(strange, 0)
    with pytest.raises(ValueError, match="flive, split 0: got no pictures in test and val"):
        split_ratings(flive.split("train"), 0)


@pytest.mark.parametrize("seed", [-1, 10])
def test_there_are_ten_seeds(seed):
    with pytest.raises(ValueError, match=f"got seed {seed}, want 0 to 9"):
        split_ratings(rated("mine", "abcdef"), seed)


@pytest.mark.parametrize("name", ["../splits/live", "", "LIVE IN THE WILD"])
def test_a_name_is_never_a_path(name):
    assert shipped_splits(name) is None


def test_a_part_of_a_set_that_leaves_a_split_empty_is_refused():
    tested = [group for group, letters in shipped_splits("kadid10k").items() if letters[0] == "e"]
    with pytest.raises(ValueError, match="kadid10k, split 0: got no pictures in train and val"):
        split_ratings(rated("kadid10k", tested), 0)


def test_the_digest_is_of_the_splits_alone():
    ratings = rated("mine", [f"g{n}" for n in range(40)])
    turned = Ratings("yours", ratings.rows[::-1], (1, 5), Path("elsewhere"))
    assert splits_digest(ratings) == splits_digest(turned)
    assert splits_digest(ratings) != splits_digest(rated("mine", [f"h{n}" for n in range(40)]))


# ---- leaks ----------------------------------------------------------------------------------------------------------

A, B, C = Path("a.png"), Path("b.png"), Path("c.png")
LEAKS = {
    "a group": [Rating(A, 1, None, "g", "train"), Rating(B, 2, None, "g", "test")],
    "a reference": [Rating(A, 1, C, "g", "train"), Rating(B, 2, C, "h", "val")],
    "a reference, written otherwise": [
        Rating(A, 1, Path("x/../c.png"), "g", "train"),
        Rating(B, 2, C, "h", "val"),
    ],
    "a picture": [Rating(A, 1, None, "g", "val"), Rating(A, 2, None, "h", "test")],
    "a picture that is a reference": [Rating(C, 1, None, "g", "train"), Rating(A, 2, C, "h", "test")],
}


@pytest.mark.parametrize("rows", LEAKS.values(), ids=LEAKS.keys())
def test_a_leak_is_refused(rows):
    with pytest.raises(ValueError, match=r"is in both \w+ and \w+: a leak between splits"):
        check_no_leak(rows)


def test_what_is_no_leak_is_let_through():
    rows = split_ratings(rated("mine", [f"g{n}" for n in range(40)], 5), 2).rows
    check_no_leak([*rows, Rating(rows[0].image, 1, None, rows[0].group, "dropped")])


def test_a_set_whose_groups_share_a_reference_cannot_be_split():
    rows = tuple(Rating(Path(f"{n}.png"), n, C, f"g{n}") for n in range(10))
    with pytest.raises(ValueError, match=r"picture 'c\.png' is in both"):
        split_ratings(Ratings("mine", rows, (0, 100), Path()), 0)
