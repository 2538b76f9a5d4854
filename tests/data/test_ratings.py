"""Rated sets: columns, scales, splits and leaks."""

import numpy as np
import pytest
from PIL import Image

from iqassay.data import opening
from iqassay.data.opening import open_set
from iqassay.data.ratings import detect_scale, read_ratings
from iqassay.data.splits import hashed_split


def table(folder, text, pictures=("a.png", "b.png", "c.png")):
    for name in pictures:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / name)
    (folder / "set.csv").write_text(text)
    return folder / "set.csv"


def test_scores_come_on_0_to_100(tmp_path):
    ratings = read_ratings(table(tmp_path, "image,mos,split\na.png,0.25,train\nb.png,1,val\nc.png,0,test\n"))
    assert [row.score for row in ratings.rows] == [25, 100, 0]
    assert [row.image.name for row in ratings.split("train", "val").rows] == ["a.png", "b.png"]
    assert ratings.scale == (0, 1)


def test_dmos_is_lower_is_better_and_can_be_overruled(tmp_path):
    file = table(tmp_path, "filename,DMOS\na.png,10\nb.png,90\nc.png,55\n")
    assert [row.score for row in read_ratings(file).rows] == [90, 10, 45]
    assert [row.score for row in read_ratings(file, scale=(0, 100)).rows] == [10, 90, 55]


SCALES = [
    ([0.1, 0.9], (0, 1)),
    ([1.2, 4.8], (1, 5)),
    ([0.5, 7], (0, 10)),
    ([20, 80], (0, 100)),
    ([-3, 4], (-3, 4)),
    ([900, 1500], (900, 1500)),
]


@pytest.mark.parametrize(("scores", "scale"), SCALES)
def test_detected_scales(scores, scale):
    assert detect_scale(scores) == scale
    assert detect_scale(scores, lower_is_better=True) == scale[::-1]


def test_without_a_split_column_groups_stay_together(tmp_path):
    names = [f"{i}.png" for i in range(60)]
    text = "image,score,group\n" + "".join(f"{n},{i + 1},{i // 3}\n" for i, n in enumerate(names))
    rows = read_ratings(table(tmp_path, text, names)).rows
    assert {row.split for row in rows} == {"train", "val", "test"}
    for group in {row.group for row in rows}:
        assert len({row.split for row in rows if row.group == group}) == 1
    assert hashed_split("some content") == hashed_split("some content")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("image,mos\na.png,1\nb.png,x\n", "line 3: got 'x', want a finite number"),
        ("image,mos\na.png,1\nb.png,nan\n", "want a finite number"),
        ("image,mos\na.png,1\nb.png,1\n", "want at least 2"),
        ("image,mos\na.png,1\nmissing.png,2\n", "got 1 of 2 pictures, first missing missing.png, in "),
        ("picture,mos\na.png,1\nb.png,2\n", "got columns picture, mos"),
        ("image,opinion\na.png,1\nb.png,2\n", "got columns image, opinion.*or say another by --columns score=NAME"),
        ("imgae,mos\na.png,1\nb.png,2\n", "did you mean imgae[?] Then say --columns image=imgae"),
        ("image,mean opinion score\na.png,1\n", "did you mean mean opinion score[?] Then say --columns score=mean"),
        ("image;mos\na.png;1,5\nb.png;2\n", "line 2: got '1,5', want a finite number, with a point before"),
        ("image,mos,group,split\na.png,1,x,train\nb.png,2,x,test\n", "a leak"),
    ],
)
def test_bad_tables_are_refused_with_the_reason(tmp_path, text, error):
    with pytest.raises(ValueError, match=error):
        read_ratings(table(tmp_path, text))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_commas_semicolons_and_tabs_part_the_columns(tmp_path, mark):
    text = 'image,mos,group\na.png,0.25,"x,y"\nb.png,1,z\n'.replace(",", mark)
    rows = read_ratings(table(tmp_path, text)).rows
    assert [(row.image.name, row.score, row.group) for row in rows] == [
        ("a.png", 25, f"x{mark}y"),
        ("b.png", 100, "z"),
    ]


def test_columns_of_any_name_can_be_said(tmp_path):
    file = table(tmp_path, "Name,Quality,mos\na.png,10,3\nb.png,90,4\n")
    assert [row.score for row in read_ratings(file, columns="image=name,mos=quality").rows] == [10, 90]
    assert [row.score for row in read_ratings(file, columns="image=name, dmos=Quality").rows] == [90, 10]
    assert [row.score for row in open_set(str(file), columns="score=quality").rows] == [10, 90]  # name is a usual one


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ("image", "want WHAT=COLUMN"),
        ("image=", "want WHAT=COLUMN"),
        ("imge=name", "got 'imge', did you mean 'image'[?] want some of image"),
        ("mos=mos,score=mos", "want each thing once"),
        ("mos=quallity", "got --columns mos=quallity, did you mean 'quality'[?] want one of name, quality"),
    ],
)
def test_wrong_columns_are_refused_with_a_guess(tmp_path, columns, error):
    with pytest.raises(ValueError, match=error):
        read_ratings(table(tmp_path, "name,quality\na.png,10\nb.png,90\n"), columns=columns)


def test_a_score_off_the_stated_scale_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"got scores 1 to 7, want them on the scale 1..5: labels of another"):
        read_ratings(table(tmp_path, "image,mos\na.png,1\nb.png,7\n"), scale=(1, 5))


def test_missing_table_is_one_plain_line(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_ratings(tmp_path / "none.csv")


def test_what_a_csv_says_beyond_the_score(tmp_path):
    text = "image,mos,reference,distortion,level,std,votes\na.png,2,c.png,blur,3,0.5,20\nb.png,4,c.png,jpeg,,,\n"
    first, second = read_ratings(table(tmp_path, text)).rows
    assert (first.distortion, first.level, first.deviation, first.votes) == ("blur", 3, 12.5, 20)
    assert (np.isnan(second.level), np.isnan(second.deviation), second.votes) == (True, True, 0)


def test_the_split_does_not_depend_on_where_the_folder_lies(tmp_path):
    text = "image,mos,ref\n" + "".join(f"{name},{i},{name}\n" for i, name in enumerate(("a.png", "b.png", "c.png")))
    rows = []
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        rows.append(read_ratings(table(folder, text)).rows)
    assert [(row.group, row.split) for row in rows[0]] == [(row.group, row.split) for row in rows[1]]
    assert [row.group for row in rows[0]] == ["a.png", "b.png", "c.png"]


def test_pictures_need_not_be_there_where_opinions_alone_are_of_use(tmp_path):
    file = table(tmp_path, "image,mos\nx.png,1\ny.png,2\n")
    assert [row.image.name for row in read_ratings(file, pictures=False).rows] == ["x.png", "y.png"]
    assert len(open_set(str(file), pictures=False)) == 2


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("set.csv", ("set.csv", None, None)),
        ("set.csv:a/b", ("set.csv", "a/b", None)),
        ("set.csv:a:100..0", ("set.csv", "a", (100, 0))),
        ("set.csv::-1.5..5", ("set.csv", None, (-1.5, 5))),
        (r"C:\data\set.csv:D:\pictures:1..5", (r"C:\data\set.csv", r"D:\pictures", (1, 5))),
        ("C:/set.csv", ("C:/set.csv", None, None)),
    ],
)
def test_a_set_on_the_command_line(argument, parts, monkeypatch):
    seen = []
    monkeypatch.setattr(opening, "read_ratings", lambda *a, scale, pictures, columns: seen.append((*a, scale)))
    open_set(argument)
    assert seen == [parts]


@pytest.mark.parametrize("scale", ["1..2..3", "1-5", "..", "a..b", "1..", "nan..5"])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match=r"want WORST\.\.BEST, for example 1\.\.5"):
        open_set(f"set.csv:folder:{scale}")
