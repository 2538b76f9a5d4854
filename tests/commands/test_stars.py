"""`iqassay stars`: stars by score in XMP, and never over those a person gave."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from iqassay.cli import main
from iqassay.pictures import xmp
from iqassay.pictures.xmp import Stars, stars_in, with_stars

Run = Callable[..., SimpleNamespace]
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}"><rdf:Description rdf:about="" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:darktable="http://darktable.sf.net/" '
    'darktable:history_end="3" {attribute}>{element}</rdf:Description></rdf:RDF></x:xmpmeta>'
)


def packet(attribute: str = "", element: str = "") -> bytes:
    return PACKET.format(rdf=RDF, attribute=attribute, element=element).encode()


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures a.jpg to d.png of scores 90, 72, 60 and 20, and a record of a broken one."""
    monkeypatch.chdir(tmp_path)
    lines = []
    for name, score in (("a.jpg", 90.0), ("b.jpg", 72.5), ("c.png", 60.0), ("d.png", 20.0)):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(name)
        said = {"score": score, "low": 0.0, "high": 100.0, "raw": {}, "model": "panel", "version": "2"}
        lines.append({"path": name, **said, "distortions": [], "warnings": []})
    lines.append({"path": "e.png", "error": "broken"})
    Path("r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


@pytest.fixture
def run(album: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> SimpleNamespace:
        status = main(["stars", "r.jsonl", *map(str, words)])
        caught = capsys.readouterr()
        assert caught.out == ""
        return SimpleNamespace(status=status, err=caught.err.removeprefix("iqassay: ").rstrip("\n"))

    return run


def sidecar(name: str) -> Stars:
    return stars_in(Path(name).read_bytes())


# ---- the command ----------------------------------------------------------------------------------------------------


def test_a_dry_run_comes_first_then_sidecars_have_the_stars(run: Run, album: Path) -> None:
    told = "3 pictures {} stars: 1 with 5, 1 with 4, 1 with 3; 1 without stars; 1 not scored"
    assert run().err == told.format("would be given") + " (a dry run: --yes does it)"
    assert not list(album.glob("*.xmp"))
    result = run("--yes")
    assert (result.status, result.err) == (0, told.format("were given"))
    assert sorted(path.name for path in album.glob("*.xmp")) == ["a.jpg.xmp", "b.jpg.xmp", "c.png.xmp"]
    assert [sidecar(f"{name}.xmp") for name in ("a.jpg", "b.jpg", "c.png")] == [Stars(n, True) for n in (5, 4, 3)]
    run("--yes", "--sidecar", "photo.xmp", "--rate", "80:2")
    assert sidecar("a.xmp") == Stars(2, True)


def test_our_own_stars_follow_the_limits_and_a_persons_stay(run: Run, album: Path) -> None:
    run("--yes")
    Path("b.jpg.xmp").write_bytes(Path("b.jpg.xmp").read_bytes().replace(b'xmp:Rating="4"', b'xmp:Rating="1"'))
    result = run("--yes", "--rate", "95:5,50:2")
    assert "2 pictures were given stars: 2 with 2; 1 left as a person gave them; 1 without stars" in result.err
    assert (sidecar("a.jpg.xmp"), sidecar("b.jpg.xmp")) == (Stars(2, True), Stars(1, False))
    run("--yes", "--rate", "99:5")
    assert sidecar("a.jpg.xmp") == Stars(), "below all limits now, our stars go"


@pytest.mark.parametrize(
    "by",
    ["attribute", "element", "rejected", "the other sidecar", "inside", "exif"],
)
def test_stars_of_a_person_are_left_alone_wherever_they_are(run: Run, album: Path, by: str) -> None:
    image = Image.open("a.jpg")
    exif = Image.Exif()
    exif[xmp.EXIF_RATING] = 4
    if by == "attribute":
        Path("a.jpg.xmp").write_bytes(packet('xmp:Rating="1"'))
    elif by == "element":
        Path("a.jpg.xmp").write_bytes(packet(element="<xmp:Rating>2</xmp:Rating>"))
    elif by == "rejected":
        Path("a.jpg.xmp").write_bytes(packet('xmp:Rating="-1"'))
    elif by == "the other sidecar":
        Path("a.xmp").write_bytes(packet('xmp:Rating="3"'))
    elif by == "inside":
        image.save("a.jpg", xmp=packet('xmp:Rating="3"'))
    else:
        image.save("a.jpg", exif=exif)
    before = {path.name: path.read_bytes() for path in album.iterdir()}
    for words in ((), ("--embed",)):
        assert "1 left as a person gave them" in run("--yes", *words).err
    for name in ("a.jpg", "a.jpg.xmp", "a.xmp"):
        assert (Path(name).read_bytes() if Path(name).exists() else None) == before.get(name)


def test_a_rating_of_zero_is_none_and_the_rest_of_a_sidecar_stays(run: Run) -> None:
    Path("a.jpg.xmp").write_bytes(packet('xmp:Rating="0"', "<darktable:mask><rdf:Seq/></darktable:mask>"))
    run("--yes")
    after = Path("a.jpg.xmp").read_bytes()
    assert stars_in(after) == Stars(5, True)
    assert b'darktable:history_end="3"' in after
    assert b"<darktable:mask>" in after
    assert after.count(b"Rating=") == 2


def test_stars_inside_a_jpeg_change_not_a_byte_else(run: Run, album: Path) -> None:
    Path("a.jpg").chmod(0o640)
    before = Path("a.jpg").read_bytes()
    result = run("--yes", "--embed")
    assert result.status == 1
    assert "c.png: only a JPEG can hold stars without being written anew, want a sidecar" in result.err
    after = Path("a.jpg").read_bytes()
    start = next(at for at in range(len(after)) if after[at] != before[at])
    length = len(after) - len(before)
    assert any(after[:at] + after[at + length :] == before for at in range(start - 20, start + 1))
    assert Path("a.jpg").stat().st_mode & 0o777 == 0o640
    packet, _ = xmp.embedded("a.jpg")
    assert stars_in(packet) == Stars(5, True)
    assert np.array_equal(np.asarray(Image.open("a.jpg")), np.asarray(Image.open("a.jpg")))
    run("--yes", "--embed", "--rate", "80:1")
    assert stars_in(xmp.embedded("a.jpg")[0]) == Stars(1, True)
    assert Path("a.jpg").read_bytes().count(b"http://ns.adobe.com/xap/1.0/\0") == 1


def test_the_table_is_what_exiftool_takes(run: Run) -> None:
    run("--csv", "stars.csv")
    with open("stars.csv", newline="") as table:
        assert list(csv.reader(table)) == [["SourceFile", "Rating"], ["a.jpg", "5"], ["b.jpg", "4"], ["c.png", "3"]]


def test_a_sidecar_that_cannot_be_read_is_never_written_over(run: Run) -> None:
    for content in (b"<x:xmpmeta", b"\xff\xfe", b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'):
        Path("a.jpg.xmp").write_bytes(content)
        result = run("--yes")
        assert result.status == 1
        assert result.err.startswith("a.jpg: a.jpg.xmp: it ")
        assert "1 failed" in result.err
        assert Path("a.jpg.xmp").read_bytes() == content


def test_two_pictures_do_not_share_a_sidecar(run: Run) -> None:
    Image.open("a.jpg").save("c.jpg")
    Path("r.jsonl").write_text(Path("r.jsonl").read_text().replace("b.jpg", "c.jpg"))
    result = run("--yes", "--sidecar", "photo.xmp")
    assert result.status == 1
    assert "c.png: c.xmp is the sidecar of c.jpg too" in result.err


@pytest.mark.parametrize("limits", ["85", "85:6", "101:5", "85:5,70:5", "70:5,85:4", "x:1", ""])
def test_limits_that_make_no_sense_are_refused(run: Run, limits: str) -> None:
    result = run("--rate", limits)
    assert result.status == 2
    assert result.err.startswith(f"--rate: got {limits!r}, want scores and stars that rise together")


# ---- packets --------------------------------------------------------------------------------------------------------


def test_packets_are_well_formed_and_say_whose_the_stars_are() -> None:
    made = with_stars(None, 4, 83.456, "panel 0.1.0")
    assert made.startswith(b"<?xpacket begin=")
    ElementTree.fromstring(made)
    assert b'iqassay:Score="83.46"' in made
    assert stars_in(made) == Stars(4, True)
    assert stars_in(None) == stars_in(packet()) == Stars()
    assert stars_in(packet('xmp:Rating="many"')) == Stars()
    bare = f'<rdf:RDF xmlns:rdf="{RDF}"/>'.encode()
    assert stars_in(with_stars(bare, 2, 50, "m")) == Stars(2, True)
    with pytest.raises(ValueError, match="no RDF"):
        with_stars(b"<a/>", 2, 50, "m")
