from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from iqassay.folders.folder import Pair
from iqassay.folders.pairs import find_pairs
from iqassay.support.errors import UsageError

Pairing = Callable[..., dict[str, str]]


@pytest.fixture
def pairing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pairing:
    """Which reference in refs/ each picture in shots/ gets; the pictures are empty files, names are all that counts."""
    monkeypatch.chdir(tmp_path)

    def pairing(shots: str, refs: str, pattern: str | None = None, recursive: bool = True) -> dict[str, str]:
        for folder, names in (("shots", shots), ("refs", refs)):
            for name in names.split():
                path = tmp_path / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        pairs = find_pairs(["shots"], "refs", pattern, recursive)
        return {inside(pair.path): inside(pair.reference) if pair.reference else pair.error for pair in pairs}

    return pairing


def inside(path: str) -> str:
    return path.split(os.sep, 1)[1].replace(os.sep, "/")


def test_the_same_stem_pairs_whatever_the_ending_and_the_order(pairing: Pairing) -> None:
    assert pairing("b.jpg a.webp c.d.png", "c.d.tiff a.png b.JPG z.png") == {
        "a.webp": "a.png",
        "b.jpg": "b.JPG",
        "c.d.png": "c.d.tiff",
    }


def test_case_counts_only_when_it_must(pairing: Pairing) -> None:
    assert pairing("img.png IMG.png Photo.jpg", "img.jpg IMG.jpg PHOTO.png") == {
        "img.png": "img.jpg",
        "IMG.png": "IMG.jpg",
        "Photo.jpg": "PHOTO.png",
    }


def test_accents_pair_however_the_file_system_spells_them(pairing: Pairing) -> None:
    assert pairing("Bu\u0308ro.jpg", "B\u00fcro.png") == {"Bu\u0308ro.jpg": "B\u00fcro.png"}


def test_two_references_that_fit_are_an_error_that_names_both(pairing: Pairing) -> None:
    got = pairing("a.jpg b.jpg Img.png", "a.jpg a.png b.png img.png IMG.jpg")
    assert got["b.jpg"] == "b.png"
    for name, both in (("a.jpg", ("a.jpg", "a.png")), ("Img.png", ("img.png", "IMG.jpg"))):
        assert got[name].startswith("2 references fit its name, want one: got ")
        assert all(os.path.join("refs", reference) in got[name] for reference in both)


def test_a_picture_without_reference_is_an_error_and_the_rest_pairs(pairing: Pairing) -> None:
    assert pairing("a.jpg b.jpg", "a.png") == {"a.jpg": "a.png", "b.jpg": "no reference in refs fits its name"}


def test_the_same_place_comes_before_the_same_name_elsewhere(pairing: Pairing) -> None:
    got = pairing(
        "one/a.jpg two/a.jpg three/a.jpg one/b.jpg TWO/c.jpg d.jpg", "one/a.png two/a.png x/b.png two/c.png y/D.png"
    )
    assert {name: got[name] for name in got if name != "three/a.jpg"} == {
        "one/a.jpg": "one/a.png",
        "two/a.jpg": "two/a.png",
        "one/b.jpg": "x/b.png",
        "TWO/c.jpg": "two/c.png",
        "d.jpg": "y/D.png",
    }
    assert "2 references fit" in got["three/a.jpg"]


def test_subfolders_of_references_are_entered_only_when_asked_for(pairing: Pairing) -> None:
    assert pairing("a.jpg b.jpg", "a.png sub/b.png", recursive=False)["b.jpg"].startswith("no reference")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (
            "{ref}_q*",
            {"a_q20.jpg": "a.png", "a_q90.webp": "a.png", "b_q.jpg": "b.png", "a-q20.jpg": "", "x_a_q2.jpg": ""},
        ),
        ("{ref}_q*.jpg", {"a_q20.jpg": "a.png", "a_q90.webp": "", "b_q.jpg": "b.png"}),
        ("*-{ref}", {"v1-a.jpg": "a.png", "v1-b-c.jpg": "b-c.png", "a.jpg": ""}),
        ("*{ref}*", {"xxaxx.jpg": "a.png", "1b2.jpg": "b.png"}),
        ("{ref}", {"a.jpg": "a.png", "a_.jpg": ""}),
        ("({ref}).[1]?", {"(a).[1]?.jpg": "a.png", "(a).11.jpg": ""}),
        ("OUT_{ref}", {"out_A.jpg": "a.png", "OUT_b.jpg": "b.png"}),
    ],
)
def test_patterns(pairing: Pairing, pattern: str, names: dict[str, str]) -> None:
    got = pairing(" ".join(names), "a.png b.png b-c.png", pattern)
    assert {name: "" if fits.startswith("no reference") else fits for name, fits in got.items()} == names


def test_a_pattern_that_fits_two_references_does_not_guess(pairing: Pairing) -> None:
    got = pairing("img10_q5.jpg img2_q5.jpg", "img1.png img10.png img2.png", "{ref}*")
    assert got["img2_q5.jpg"] == "img2.png"
    assert os.path.join("refs", "img1.png") in got["img10_q5.jpg"]
    assert os.path.join("refs", "img10.png") in got["img10_q5.jpg"]


def test_one_reference_goes_with_every_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "original.data"):
        (tmp_path / name).touch()
    assert find_pairs(["."], "original.data") == [
        Pair(os.path.join(".", name), "original.data") for name in ("a.jpg", "b.jpg")
    ]


def test_pictures_named_outright_and_pictures_among_the_references(pairing: Pairing, tmp_path: Path) -> None:
    pairing("sub/a.jpg", "a.png b.png")
    outright = os.path.join("shots", "sub", "a.jpg")
    assert find_pairs([outright], "refs") == [Pair(outright, os.path.join("refs", "a.png"))]
    inside = [os.path.join("refs", name) for name in ("a.png", "b.png")]
    assert find_pairs(["refs"], "refs") == [Pair(path, path) for path in inside]


@pytest.mark.parametrize(
    ("reference", "pattern", "words"),
    [
        (
            "refs",
            "photo_q*",
            "--pair: got 'photo_q*', want one {ref} in it for the reference's name, as in '{ref}_q*'",
        ),
        ("refs", "{ref}{ref}", "want one {ref}"),
        ("refs/a.png", "{ref}_*", "--pair: got one picture as --ref refs/a.png, want a folder of references"),
        ("nope", None, "--ref nope: no such file or folder"),
        ("empty", None, "--ref empty: no pictures in this folder"),
        (
            "refs",
            None,
            "pictures like 'photo_q2.jpg' and references like 'a.png', want names equal but for the ending",
        ),
        (
            "refs",
            "{ref}.q*",
            "pictures like 'photo_q2.jpg' and references like 'a.png', want names that fit --pair '{ref}.q*'",
        ),
    ],
)
def test_what_cannot_pair_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, pattern: str | None, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("shots/photo_q2.jpg", "shots/photo_q5.jpg", "refs/a.png", "empty/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UsageError) as caught:
        find_pairs(["shots"], reference, pattern)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
