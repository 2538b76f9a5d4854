"""Readers of the published sets, on small made-up trees in the layouts and label files of their authors."""

import json
import math
import zipfile
from dataclasses import replace
from xml.sax.saxutils import escape

import numpy as np
import pytest
from scipy.io import savemat

from iqassay.commands.bench import ListFormat, sets
from iqassay.data.datasets import DATASETS, find_dataset, read_dataset
from iqassay.data.label_files import read_mat, read_xlsx
from iqassay.data.opening import open_set
from iqassay.data.splits import hashed_split, shipped_splits

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def small(name, pictures, references=0):
    """A set's facts with the counts of a made-up tree."""
    return replace(DATASETS[name], pictures=pictures, references=references)


def plant(folder, *names):
    """Files for pictures: what is in them is never looked at."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def write(folder, name, *lines):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


def write_xlsx(file, sheets, first=(1, 1), inline=False):
    """A workbook like Excel's: shared texts, numbers as they are, nothing at all for empty cells and rows."""
    texts = sorted({cell for rows in sheets.values() for row in rows for cell in row if isinstance(cell, str)})

    def cell_xml(row, column, value):
        letters = chr(64 + column // 26) * (column > 25) + chr(65 + column % 26)
        place = f"{letters}{row}"
        if isinstance(value, str) and inline:
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        if isinstance(value, str):
            return f'<c r="{place}" t="s"><v>{texts.index(value)}</v></c>'
        return f'<c r="{place}"><v>{value}</v></c>'

    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as book:
        tabs = [f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets)]
        book.writestr(
            "xl/workbook.xml", f'<workbook {MAIN} xmlns:r="{RELATED}"><sheets>{"".join(tabs)}</sheets></workbook>'
        )
        links = [f'<Relationship Id="r{i}" Target="worksheets/tab{i}.xml"/>' for i in range(len(sheets))]
        book.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{''.join(links)}</Relationships>")
        if not inline:  # the first half of each text in bold
            parts = [f"<si><r><t>{escape(t[:2])}</t></r><r><t>{escape(t[2:])}</t></r></si>" for t in texts]
            book.writestr("xl/sharedStrings.xml", f"<sst {MAIN}>{''.join(parts)}</sst>")
        for i, rows in enumerate(sheets.values()):
            lines = [
                f'<row r="{y}">'
                + "".join(cell_xml(y, x, cell) for x, cell in enumerate(row, first[1] - 1) if cell is not None)
                + "</row>"
                for y, row in enumerate(rows, first[0])
                if row
            ]
            book.writestr(
                f"xl/worksheets/tab{i}.xml", f"<worksheet {MAIN}><sheetData>{''.join(lines)}</sheetData></worksheet>"
            )


def kadid(folder, scores=("4.57", "1.1", "3", "2.5")):
    lines = [f"I0{1 + i // 2}_25_0{1 + i % 2}.png,I0{1 + i // 2}.png,{s},0.496" for i, s in enumerate(scores)]
    write(folder, "dmos.csv", "dist_img,ref_img,dmos,var", *lines)
    plant(folder, *(f"images/{name}" for line in lines for name in line.split(",")[:2]))
    return folder


# ---- each set -------------------------------------------------------------------------------------------------------


def test_live_by_its_realigned_opinions_without_the_untouched_pictures(tmp_path):
    counts = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
    names = [f"{kind}/img{i}.bmp" for kind, count in counts.items() for i in range(1, count + 1)]
    references = [f"Ref{i // 34}.bmp" for i in range(982)]
    untouched = np.arange(982) % 29 < 6  # 204, one too many
    untouched[981 - 19] = False
    dmos = np.where(untouched, 0, np.linspace(-2.6, 111.7, 982))
    savemat(tmp_path / "dmos_realigned.mat", {"dmos_new": [dmos], "dmos_std": [dmos * 0 + 11.5], "orgs": [untouched]})
    savemat(tmp_path / "refnames_all.mat", {"refnames_all": np.array([references], dtype=object)})
    plant(tmp_path, *names, *(f"refimgs/{name}" for name in references))
    ratings = read_dataset("live", tmp_path)
    rated = [i for i in range(982) if not untouched[i]]
    assert [row.image for row in ratings.rows] == [tmp_path / names[i] for i in rated]
    assert len({row.distortion for row in ratings.rows}) == 5
    one, last = ratings.rows[0], ratings.rows[-1]
    assert (one.reference, one.group, one.distortion) == (tmp_path / "refimgs/Ref0.bmp", "ref0", "jpeg2000")
    assert (last.reference, last.distortion) == (tmp_path / "refimgs/Ref28.bmp", "fast_fading")
    assert one.score == pytest.approx(100 * (112 - dmos[6]) / 115)
    assert one.deviation / math.sqrt(one.votes) == pytest.approx(10)  # the published standard error, 11.5 of 115
    assert one.score > last.score  # DMOS: the higher, the worse


def test_csiq_by_the_workbook_of_its_authors(tmp_path):
    names = ["awgn/1600.AWGN.1.png", "jpeg2000/1600.jpeg2000.3.png", "contrast/cactus.contrast.2.png"]
    header = ["image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]
    rows = [
        [1600, 1, "noise", 1, 0.061989, 0.062],
        [1600, 5, "jpeg 2000", 3, 0.2, 0.5],
        ["cactus", 6, "contrast", 2, 0.1, 0.75],
    ]
    sheets = {"legend": [["image", "what"], [], ["cactus", "a cactus"]], "all_by_image": [header, *rows]}
    write_xlsx(tmp_path / "csiq.DMOS.xlsx", sheets, first=(4, 4))
    plant(tmp_path / "dst_imgs", *names)
    plant(tmp_path / "src_imgs", "1600.png", "cactus.png")
    ratings = read_dataset(small("csiq", 3, 2), tmp_path)
    assert [row.score for row in ratings.rows] == pytest.approx([93.8, 50, 25])
    assert [row.image for row in ratings.rows] == [tmp_path / "dst_imgs" / name for name in names]
    assert [row.reference.name for row in ratings.rows] == ["1600.png", "1600.png", "cactus.png"]
    assert [row.distortion for row in ratings.rows] == ["white_noise", "jpeg2000", "contrast_change"]
    assert [row.level for row in ratings.rows] == [1, 3, 2]
    assert ratings.rows[1].deviation == pytest.approx(20)
    assert ratings.scale == (1, 0)


def test_tid2013_whatever_the_case_of_its_names(tmp_path):
    write(tmp_path, "mos_with_names.txt", "5.51429 I01_01_1.bmp", "0.5 i25_24_5.bmp", "7 i25_08_2.bmp")
    write(tmp_path, "mos_std.txt", "0.13013", "0.09", "0.2")
    plant(tmp_path / "distorted_images", "i01_01_1.bmp", "I25_24_5.BMP", "i25_08_2.bmp")
    plant(tmp_path / "reference_images", "I01.BMP", "i25.bmp")
    ratings = read_dataset(small("tid2013", 3, 2), tmp_path)
    assert [row.image.name for row in ratings.rows] == ["i01_01_1.bmp", "I25_24_5.BMP", "i25_08_2.bmp"]
    assert [row.reference.name for row in ratings.rows] == ["I01.BMP", "i25.bmp", "i25.bmp"]
    assert [row.group for row in ratings.rows] == ["i01", "i25", "i25"]
    assert [row.distortion for row in ratings.rows] == ["white_noise", "sparse_sampling", "gaussian_blur"]
    assert [row.level for row in ratings.rows] == [1, 5, 2]
    one = ratings.rows[0]
    assert one.score == pytest.approx(100 * 5.51429 / 9)
    assert one.deviation / math.sqrt(one.votes) == pytest.approx(100 * 0.13013 / 9)  # the published standard error


def test_kadid10k_whose_dmos_is_higher_for_better(tmp_path):
    ratings = read_dataset(small("kadid10k", 4, 2), kadid(tmp_path))
    assert [row.score for row in ratings.rows] == pytest.approx([89.25, 2.5, 50, 37.5])
    one = ratings.rows[0]
    assert (one.image, one.reference) == (tmp_path / "images/I01_25_01.png", tmp_path / "images/I01.png")
    assert (one.group, one.distortion, one.level, one.votes) == ("i01", "contrast_change", 1, 30)
    assert one.deviation == pytest.approx(12.4)
    assert (ratings.name, ratings.scale, ratings.folder) == ("kadid10k", (1, 5), tmp_path)
    assert {row.split for row in ratings.rows[:2]} == {hashed_split("i01")}


def test_pipal_in_its_four_folders(tmp_path):
    write(tmp_path, "Train_Label/A0001.txt", "A0001_00_00.bmp,1520.0648", "A0001_06_26.bmp,1375")
    write(tmp_path, "Train_Label/A0248.txt", "A0248_03_11.bmp,1000.5")
    plant(tmp_path, "Distortion_1/A0001_00_00.bmp", "Distortion_1/A0001_06_26.bmp", "Distortion_4/A0248_03_11.bmp")
    plant(tmp_path / "Train_Ref", "A0001.bmp", "A0248.bmp")
    ratings = read_dataset(small("pipal", 3, 2), tmp_path)
    assert [row.score for row in ratings.rows] == pytest.approx([65.26998, 50, 10.57895])
    assert [row.distortion for row in ratings.rows] == ["00", "06", "03"]
    assert ratings.rows[2].image == tmp_path / "Distortion_4/A0248_03_11.bmp"
    assert (ratings.rows[2].reference, ratings.rows[2].group) == (tmp_path / "Train_Ref/A0248.bmp", "a0248")


def test_live_in_the_wild_without_the_pictures_its_raters_were_trained_on(tmp_path):
    names = np.array([["t1.bmp"], ["3.bmp"], ["1163.JPG"]], dtype=object)
    values = {"AllImages_release": names, "AllMOS_release": [[80, 20.5, 60]], "AllStdDev_release": [[1, 2, 19.12]]}
    (tmp_path / "Data").mkdir()
    for name, value in values.items():
        savemat(tmp_path / "Data" / f"{name}.mat", {name: value})
    plant(tmp_path / "Images", "trainingImages/t1.bmp", "3.bmp", "1163.JPG")
    ratings = read_dataset(small("livec", 2), tmp_path)
    assert [(row.image, row.score, row.group) for row in ratings.rows] == [
        (tmp_path / "Images/3.bmp", 20.5, "3.bmp"),
        (tmp_path / "Images/1163.JPG", 60, "1163.JPG"),
    ]
    assert ratings.rows[1].deviation == pytest.approx(19.12)


KONIQ = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD"


def test_koniq10k_with_the_split_of_its_authors(tmp_path):
    write(
        tmp_path,
        "koniq10k_distributions_sets.csv",
        f"{KONIQ},set",
        "1.jpg,0,0,.24,.7,.07,105,77.23,0.5,training",
        "2.jpg,0,0,.24,.7,.07,93,10,0.6,validation",
        "3.jpg,0,0,.24,.7,.07,96,1,0.6,test",
    )
    plant(tmp_path, *(f"{size}/{i}.jpg" for size in ("512x384", "1024x768") for i in (1, 2, 3)))
    ratings = read_dataset(small("koniq10k", 3), tmp_path)
    assert [row.split for row in ratings.rows] == ["train", "val", "test"]
    assert [row.score for row in ratings.rows] == pytest.approx([77, 100 * 9 / 99, 0], abs=0.01)
    assert [row.image for row in ratings.rows] == [tmp_path / f"1024x768/{i}.jpg" for i in (1, 2, 3)]
    assert (ratings.rows[0].deviation, ratings.rows[0].votes) == (pytest.approx(12.5), 105)


def test_koniq10k_by_the_file_beside_its_pictures(tmp_path):
    lines = ['"1.jpg",0,0,.24,.7,.07,105,3.83,0.5,77.23', '"2.jpg",0,0,.24,.7,.07,93,1.5,0.6,10']
    write(
        tmp_path,
        "koniq10k_scores_and_distributions/koniq10k_scores_and_distributions.csv",
        f"{KONIQ},MOS_zscore",
        *lines,
    )
    plant(tmp_path, "1024x768/1.jpg", "1024x768/2.jpg")
    ratings = read_dataset(small("koniq10k", 2), tmp_path)
    assert [row.score for row in ratings.rows] == pytest.approx([77, 100 * 9 / 99], abs=0.01)
    assert [row.split for row in ratings.rows] == [hashed_split("1.jpg"), hashed_split("2.jpg")]


def test_spaq(tmp_path):
    rows = [["Image name", "MOS", "Brightness"], ["00001.jpg", 48.86, 50], ["00002.jpg", 90, 1]]
    write_xlsx(tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx", {"Sheet1": rows})
    plant(tmp_path / "TestImage", "00001.jpg", "00002.jpg")
    ratings = read_dataset(small("spaq", 2), tmp_path)
    assert [(row.image.name, row.score, row.group) for row in ratings.rows] == [
        ("00001.jpg", 48.86, "00001.jpg"),
        ("00002.jpg", 90, "00002.jpg"),
    ]


def flive(folder):
    names = ["blur_dataset/motion0044.jpg", "voc_emotic_ava/AVA__129332.jpg", "voc_emotic_ava/VOC2012__2010_000500.jpg"]
    write(folder / "database", "labels_image.csv", "name,mos", f"{names[0]},10", f"{names[1]},58.65", f"{names[2]},90")
    write(folder / "database", "labels640.csv", "mos_image,name_image", f"90,{names[2]}")
    write(folder / "database", "labels=640_padded.csv", "name_image,is_valid", f"{names[0]},False", f"{names[1]},True")
    plant(folder / "database", *names)
    return folder


def test_flive_with_the_split_of_its_authors(tmp_path):
    ratings = read_dataset(small("flive", 3), flive(tmp_path))
    assert [row.split for row in ratings.rows] == ["train", "val", "test"]
    assert [row.subset for row in ratings.rows] == ["blur_dataset", "AVA", "VOC2012"]
    assert [row.score for row in ratings.rows] == [10, 58.65, 90]
    assert ratings.rows[1].image == tmp_path / "database/voc_emotic_ava/AVA__129332.jpg"
    assert ratings.rows[1].group == "AVA__129332.jpg"


def test_biq2021_with_the_test_set_of_its_authors(tmp_path):
    train = [f"ss01 ({i}).jpg" for i in range(30)]
    lines = [f"{name},{0.1 + 0.02 * i},," for i, name in enumerate(train)]
    write(tmp_path, "Train (Images and MOS).csv", "Image Name,MOS,,", *lines)
    write(tmp_path, "Test (Images and MOS).csv", "Image Name,MOS", "ss03 (7805).jpg,0.7321")
    plant(tmp_path / "Images", *train, "ss03 (7805).JPG")
    ratings = read_dataset(small("biq2021", 31), tmp_path)
    assert {row.split for row in ratings.rows[:-1]} == {"train", "val"}
    assert ratings.rows[-1].split == "test"
    assert ratings.rows[-1].image == tmp_path / "Images/ss03 (7805).JPG"
    assert ratings.rows[-1].score == pytest.approx(73.21)
    assert [ratings.rows[i].subset for i in (0, -1)] == ["ss01", "ss03"]


def test_agiqa3k_by_prompt(tmp_path):
    header = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align"
    lines = ["AttnGAN_normal_000.jpg,statue of a man,,,,0.5,0.25,0.4,0.6", 'sd1.5_lowcorr_000.jpg,"a, b",,,,4,0.5,1,1']
    write(tmp_path, "data.csv", header, *lines)
    plant(tmp_path / "AGIQA-3K", "AttnGAN_normal_000.jpg", "sd1.5_lowcorr_000.jpg")
    ratings = read_dataset(small("agiqa3k", 2), tmp_path)
    assert [row.score for row in ratings.rows] == [10, 80]
    assert [row.group for row in ratings.rows] == ["000", "000"]
    assert [row.subset for row in ratings.rows] == ["AttnGAN_normal", "sd1.5_lowcorr"]
    assert ratings.rows[0].deviation == 5


# ---- where the files are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [".", "kadid10k", "kadid10k/images"])
def test_a_folder_one_too_high_or_too_low_will_do(tmp_path, given):
    kadid(tmp_path / "kadid10k")
    ratings = read_dataset(small("kadid10k", 4, 2), tmp_path / given)
    assert ratings.rows[0].image.resolve() == tmp_path / "kadid10k/images/I01_25_01.png"


def test_another_folder_of_the_set_beside_is_not_taken(tmp_path):
    kadid(tmp_path / "kadid10k")
    (tmp_path / "tid2013").mkdir()
    with pytest.raises(ValueError, match=r"KADID-10k: got no dmos.csv in .*tid2013; from https://"):
        read_dataset(small("kadid10k", 4, 2), tmp_path / "tid2013")


def test_two_copies_of_a_set_in_a_folder_are_not_guessed_between(tmp_path):
    kadid(tmp_path / "a")
    kadid(tmp_path / "b")
    with pytest.raises(ValueError, match=r"got both [ab]/dmos.csv and [ab]/dmos.csv in .*, want the folder of one set"):
        read_dataset(small("kadid10k", 4, 2), tmp_path)
    kadid(tmp_path)
    assert read_dataset(small("kadid10k", 4, 2), tmp_path).rows[0].image == tmp_path / "images/I01_25_01.png"


@pytest.mark.parametrize(
    ("gone", "error"),
    [
        (
            "images/I02_25_02.png",
            r"got 3 of 4 pictures, first missing images/I02_25_02.png, in .*; from https://database",
        ),
        ("images/I02.png", r"got 1 of 2 references, first missing images/I02.png, in .*; from https://database"),
        ("dmos.csv", r"KADID-10k: got no dmos.csv in .*; from https://database.mmsp-kn.de/kadid-10k-database.html"),
    ],
)
def test_a_missing_file_is_named_and_where_the_set_is_to_be_had(tmp_path, gone, error):
    (kadid(tmp_path) / gone).unlink()
    with pytest.raises(ValueError, match=error):
        read_dataset(small("kadid10k", 4, 2), tmp_path)
    if gone != "dmos.csv":
        assert len(read_dataset(small("kadid10k", 4, 2), tmp_path, pictures=False)) == 4


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_without_labels(tmp_path, name):
    with pytest.raises(ValueError, match=rf"got no .*\.(mat|csv|txt|xlsx) in .*; from {DATASETS[name].home}"):
        read_dataset(name, tmp_path)


def test_every_label_file_of_flive_is_wanted(tmp_path):
    (flive(tmp_path) / "database" / "labels640.csv").unlink()
    with pytest.raises(ValueError, match=r"got no labels640.csv"):
        read_dataset(small("flive", 3), tmp_path)


# ---- what the labels say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "error"),
    [
        (
            ("0.02", "0.5", "0.9", "0.98"),
            r"got scores 0.02 to 0.98, want them on the scale 1..5: labels of another scale\?",
        ),
        (("1.02", "1.5", "1.9", "2"), r"got scores 1.02 to 2, want them to use more than a third of the scale 1..5"),
        (("4", "3", "x", "2"), r"I02_25_01.png: got 'x', want a finite number"),
        (("4", "3"), r"got labels of 2 pictures with 1 references, want 4 with 2; from https://"),
    ],
)
def test_labels_that_are_not_the_sets_are_refused(tmp_path, scores, error):
    with pytest.raises(ValueError, match=error):
        read_dataset(small("kadid10k", 4, 2), kadid(tmp_path, scores))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("dist,ref,dmos,var", r"got labels without 'dist_img'"),
        ("dist_img,ref_img,dmos,var\nflat.png,I01.png,3,1", "flat.png"),
    ],
)
def test_a_label_file_of_another_form_is_refused(tmp_path, line, error):
    write(tmp_path, "dmos.csv", line, "I01_01_01.png,I01.png,3,1")
    with pytest.raises(ValueError, match=error):
        read_dataset("kadid10k", tmp_path)


def test_facts_fit_the_shipped_splits():
    for name, dataset in DATASETS.items():
        groups = shipped_splits(name)
        assert name == dataset.name
        if groups is not None and name != "agiqa3k":
            assert len(groups) == (dataset.references or dataset.pictures), name


# ---- label files ----------------------------------------------------------------------------------------------------


def test_matlab_files_of_other_versions_are_refused_in_one_line(tmp_path):
    new, odd, good = (tmp_path / name for name in ("new.mat", "odd.mat", "good.mat"))
    new.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(64))
    odd.write_text("no matlab file at all, but long enough to look like one" * 9)
    savemat(good, {"x": [[1, 2], [3, 4]]})
    assert read_mat(good, "x") == [1, 3, 2, 4]
    for file, error in ((new, "got a MATLAB 7.3 file"), (odd, "cannot be read as a MATLAB"), (good, "no variable y")):
        with pytest.raises(ValueError, match=error):
            read_mat(file, "y")


@pytest.mark.parametrize(("inline", "column"), [(False, 3), (True, 25)])  # the last from Y to AA
def test_workbooks_with_gaps(tmp_path, inline, column):
    rows = [
        ["note"],
        [],
        ["Name", None, "MOS"],
        ["a & b", "x", 1.5],
        [],
        [None, "x"],
        ["c", None, None],
        [7, None, 4.7e-2],
    ]
    write_xlsx(tmp_path / "book.xlsx", {"other": [["name"], ["z"]], "labels": rows}, first=(2, column), inline=inline)
    assert read_xlsx(tmp_path / "book.xlsx", ("name", "mos")) == [
        {"name": "a & b", "mos": "1.5"},
        {"name": "c", "mos": ""},
        {"name": "7", "mos": "0.047"},
    ]
    with pytest.raises(ValueError, match=r"got no sheet with the columns name, score"):
        read_xlsx(tmp_path / "book.xlsx", ("name", "score"))


def test_what_is_no_workbook_is_refused_in_one_line(tmp_path):
    write(tmp_path, "book.xlsx", "image,mos")
    with pytest.raises(ValueError, match=r"book.xlsx: cannot be read as an Excel workbook"):
        read_xlsx(tmp_path / "book.xlsx", ("image", "mos"))


# ---- the command line -----------------------------------------------------------------------------------------------


def test_open_set_takes_a_name_and_a_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "kadid10k", small("kadid10k", 4, 2))
    kadid(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kadid10k").mkdir()  # a folder of that name does not matter
    for argument in (f"kadid10k:{tmp_path}", "KADID-10k:."):
        assert open_set(argument).name == "kadid10k"
    (tmp_path / "images" / "I01.png").unlink()
    assert len(open_set("kadid10k:.", pictures=False)) == 4


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("kadid:x", "there is no set 'kadid', did you mean 'kadid10k'"),
        ("ratings", "there is no set 'ratings'; want one of: live, csiq, .*; or a CSV file"),
        ("koniq10k", "got 'koniq10k', want koniq10k:FOLDER, the folder of KonIQ-10k"),
        ("spaq:x:0..100", "want spaq:FOLDER"),
        ("spaq:nowhere", r"SPAQ: got no folder nowhere; from https://github.com/h4nwei/SPAQ"),
    ],
)
def test_open_set_refuses_with_a_hint(argument, error):
    with pytest.raises(ValueError, match=error):
        open_set(argument)


def test_names_as_papers_write_them():
    assert find_dataset("KonIQ-10k") is DATASETS["koniq10k"]
    assert find_dataset("AGIQA-3K").name == "agiqa3k"
    assert find_dataset("live").title == "LIVE (release 2)"


def test_the_sets_are_listed(capsys):
    assert sets(format=ListFormat.table) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(DATASETS)
    assert sets(format=ListFormat.json) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == list(DATASETS)
    assert listed[3]["scale"] == [1, 5]
    assert all(one["home"].startswith("https://") and one["paper"] for one in listed)
