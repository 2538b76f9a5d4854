"""What a cluster is given to score: folders, lists, Parquet; cut into parts of which none has a picture twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from iqassay.cluster import parts, places
from iqassay.cluster.parts import Column
from iqassay.cluster.sources import Source, find_column, find_source
from iqassay.support.errors import UsageError

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402


def names(source: Source) -> list[str]:
    return [item.name for part in source.parts for item in part.inside.items()]


def write_table(path: Path, columns: dict[str, object], rows_in_a_group: int = 100) -> None:
    parquet.write_table(pyarrow.table(columns), path, row_group_size=rows_in_a_group)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with seven files that end like pictures in `photos`, one of them in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a1.png", "a2.png", "a10.png", "x/c.jpg", "notes.txt", "film.mov", ".hidden.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


@pytest.mark.usefixtures("here")
def test_a_folder_is_the_pictures_in_it_in_the_order_of_iqassay_score() -> None:
    flat = ["photos/a1.png", "photos/a2.png", "photos/a10.png", "photos/b.jpg"]
    assert names(find_source("photos")) == flat
    deep = find_source("photos", size=2, recursive=True)
    assert names(deep) == [*flat, "photos/x/c.jpg"]
    assert [(part.number, part.pictures, part.file) for part in deep.parts] == [
        *((0, 2, "part-000000.parquet"), (1, 2, "part-000001.parquet"), (2, 1, "part-000002.parquet"))
    ]
    assert deep.pictures == 5


def test_workers_elsewhere_find_paths_that_began_in_this_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find_source("photos")
    monkeypatch.chdir("/")
    (first, *_) = source.parts[0].inside.items()
    assert (first.name, first.place) == ("photos/a1.png", str(here / "photos/a1.png"))
    assert first.pair().path == str(here / "photos/a1.png")


def test_the_digest_is_that_of_names_and_sizes(here: Path) -> None:
    before = find_source("photos", size=1).digest
    assert find_source("photos", size=3).digest == before
    (here / "photos/b.jpg").write_bytes(b"xy")
    longer = find_source("photos").digest
    (here / "photos/b.jpg").rename(here / "photos/d.jpg")
    assert len({before, longer, find_source("photos").digest}) == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_a_list_is_paths_and_urls(here: Path, end: str) -> None:
    listed = ["photos/b.jpg", "/else/where.png", "s3://bucket/a b#1.jpg", os.fsdecode(b"odd-\xff.jpg")]
    (here / "list.txt").write_bytes(b"".join(os.fsencode(name) + end.encode() for name in listed))
    source = find_source("list.txt")
    assert names(source) == listed
    found = [item.place for item in source.parts[0].inside.items()]
    assert found == [str(here / listed[0]), listed[1], listed[2], str(here / listed[3])]


def test_parts_are_so_small_that_few_pictures_keep_many_workers_busy(here: Path) -> None:
    sizes = {}
    for count in (10, 5000, 100_000):
        (here / "list").write_text("".join(f"{n}.jpg\n" for n in range(count)))
        source = find_source("list")
        sizes[count] = source.size, len(source.parts), source.pictures
    assert sizes == {10: (16, 1, 10), 5000: (79, 64, 5000), 100_000: (1000, 100, 100_000)}


def test_a_part_of_parquet_with_pictures_is_whole_row_groups(here: Path) -> None:
    write_table(here / "one.parquet", {"image": [bytes([n]) for n in range(10)]}, rows_in_a_group=3)
    source = find_source("one.parquet", size=6)
    assert [(part.inside.start, part.inside.stop) for part in source.parts] == [(0, 6), (6, 10)]
    assert [(part.inside.start, part.inside.stop) for part in find_source("one.parquet", 2).parts] == [
        *((0, 3), (3, 6), (6, 9), (9, 10))
    ]
    found = [(item.name, item.content) for part in source.parts for item in part.inside.items()]
    assert found == [(f"one.parquet#{n}", bytes([n])) for n in range(10)]


def test_a_part_of_parquet_with_urls_is_as_many_as_asked(here: Path) -> None:
    (here / "set").mkdir()
    urls = [f"https://example.org/{n}.jpg" for n in range(10)]
    for half in (0, 1):
        write_table(here / f"set/{half}.parquet", {"url": urls[5 * half :][:5], "n": list(range(5))}, rows_in_a_group=4)
    (here / "set/_metadata").write_bytes(b"")
    source = find_source("set", size=2)
    assert [part.pictures for part in source.parts] == [2, 2, 1, 2, 2, 1]
    assert names(source) == urls
    labelled = find_source("set", column="url", label="n")
    assert names(labelled) == [str(n) for n in range(5)] * 2
    assert labelled.digest != source.digest


def test_pictures_in_a_struct_as_hugging_face_has_them_and_an_empty_row(here: Path) -> None:
    write_table(here / "hub.parquet", {"image": [{"bytes": b"one", "path": "1.jpg"}, None], "label": [0, 1]})
    items = list(find_source("hub.parquet").parts[0].inside.items())
    assert [(item.content, item.error) for item in items] == [(b"one", ""), (None, "the column image is empty here")]


@pytest.mark.parametrize(
    ("columns", "asked", "found"),
    [
        ({"jpg": b"", "path": ""}, None, Column("jpg", True, None, "path")),
        ({"thumb": b"", "image": b""}, None, Column("image", True)),
        ({"caption": "", "url": ""}, None, Column("url", False)),
        ({"only": ""}, None, Column("only", False)),
        ({"thumb": b"", "url": ""}, "url", Column("url", False)),
    ],
)
def test_the_column_is_found_by_name_or_type(columns: dict, asked: str | None, found: Column) -> None:
    assert find_column(pyarrow.table({name: [value] for name, value in columns.items()}).schema, asked) == found


@pytest.mark.parametrize(
    ("columns", "asked", "said"),
    [
        ({"a": 1}, None, "got the columns a, want the one with the pictures: --column"),
        ({"a": "", "b": ""}, None, "got the columns a, b, want the one with the pictures: --column"),
        ({"a": b"", "b": b""}, None, "got the columns a, b, want the one with the pictures: --column"),
        ({"url": "", "n": 1}, "n", "got the column 'n' of int64, want bytes or text"),
        ({"url": "", "n": 1}, "ural", "got no column 'ural', did you mean 'url'? want one of: url, n"),
    ],
)
def test_a_column_that_must_be_said(columns: dict, asked: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_column(pyarrow.table({name: [value] for name, value in columns.items()}).schema, asked)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nowhere", {}, "nowhere: no such file or folder"),
        ("photos/b.jpg", {}, "photos/b.jpg: is one picture, want a folder"),
        ("photos", {"column": "url"}, "--column: got photos, which is no Parquet"),
        ("photos", {"label": "id"}, "--name: got photos, which is no Parquet"),
        ("empty", {}, "empty: no pictures in it"),
        ("bad.parquet", {}, "bad.parquet: cannot be read: "),
        ("no.parquet", {}, "no.parquet: no rows in it"),
        ("s3://name:secret@bucket/x", {}, "got a name or a password in it, want credentials in the environment"),
        ("gopher://host/x", {}, "gopher://host: cannot be opened: "),
    ],
)
def test_what_is_no_source_is_one_line(here: Path, name: str, options: dict, said: str) -> None:
    (here / "empty").write_text("\n\n")
    (here / "bad.parquet").write_bytes(b"PAR1 and no more")
    write_table(here / "no.parquet", {"url": pyarrow.array([], pyarrow.string())})
    with pytest.raises(UsageError) as caught:
        find_source(name, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_of_parquet_and_pictures_is_refused(here: Path) -> None:
    write_table(here / "photos/0.parquet", {"url": ["a"]})
    with pytest.raises(UsageError, match="photos: got Parquet and pictures in one folder, want one of them"):
        find_source("photos")


def test_results_inside_the_source_are_no_part_of_it(here: Path) -> None:
    (here / "photos/out").mkdir()
    for name in ("0.parquet", "map.png"):
        (here / "photos/out" / name).write_bytes(b"x")
    for path in (*(here / "photos").glob("*.png"), *(here / "photos").glob("*.jpg")):
        path.unlink()
    assert names(find_source("photos", recursive=True, without=["photos/out"])) == ["photos/x/c.jpg"]


def test_files_of_another_kind_of_column_are_refused(here: Path) -> None:
    (here / "set").mkdir()
    write_table(here / "set/0.parquet", {"url": ["a"]})
    write_table(here / "set/1.parquet", {"image": [b"a"]})
    with pytest.raises(UsageError, match=r"1\.parquet: got the column 'image', want 'url' as in set/0\.parquet"):
        find_source("set")


# ---- file systems ---------------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[str]:
    """A folder on a file system of fsspec, as all but s3:// and gs:// are."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("a.png", "deep/b.png", "deep/notes.txt", ".hidden.png"):
        system.pipe(f"/shop/{name}", name.encode())
    yield "memory://shop"
    system.rm("/shop", recursive=True)
    places._opened.cache_clear()


def test_a_folder_at_a_url(memory: str) -> None:
    assert names(find_source(memory)) == [f"{memory}/a.png"]
    deep = find_source(f"{memory}/", recursive=True)
    assert [place.replace("//", "/") for place in names(deep)] == ["memory:/shop/a.png", "memory:/shop/deep/b.png"]
    (first, _) = deep.parts[0].inside.items()
    assert first.pair().content() == b"a.png"


def test_a_file_is_put_as_a_whole_and_leaves_nothing_beside(memory: str, tmp_path: Path) -> None:
    for folder in (memory, str(tmp_path / "out"), (tmp_path / "url").as_uri()):
        places.make_folder(folder)
        for content in (b"first", b"second"):
            places.put(places.joined(folder, "x.bin"), content)
        url = folder if "://" in folder else f"file://{folder}"
        assert places.fetch(f"{url}/x.bin") == b"second"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out", "url", "x.bin", "x.bin"]
    (tmp_path / "out/x").mkdir()
    with pytest.raises(OSError, match="x"):
        places.put(str(tmp_path / "out/x"), b"")
    assert sorted(os.listdir(tmp_path / "out")) == ["x", "x.bin"]


def test_a_fetch_that_fails_is_tried_again_unless_that_is_vain(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PAUSE", 0)
    tried = []

    def stream(place: str) -> object:
        tried.append(place)
        if len(tried) < 3:
            raise OSError("busy\nnow")
        return real(place)

    real = places._stream
    monkeypatch.setattr(places, "_stream", stream)
    assert places.fetch(f"{memory}/a.png") == b"a.png"
    assert len(tried) == 3
    tried.clear()
    monkeypatch.setattr(places, "TRIES", 2)
    with pytest.raises(OSError, match=r"^busy now$"):
        places.fetch(f"{memory}/a.png")
    tried[:] = ["", ""]
    with pytest.raises(FileNotFoundError, match=r"^there is no such file$"):
        places.fetch(f"{memory}/none.png")
    assert len(tried) == 3
    monkeypatch.setattr(places, "MOST", 4)
    with pytest.raises(ValueError, match=r"more than 4 bytes, want a smaller one"):
        places.fetch(f"{memory}/a.png")


def test_a_part_holds_few_rows_at_a_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet of a million pictures in one group must not come into memory at once."""
    monkeypatch.setattr(parts, "BLOCK", 2)
    write_table(here / "p.parquet", {"bytes": [bytes(1000)] * 9, "path": [f"{n}.jpg" for n in range(9)]}, 9)
    asked = []
    real = parquet.ParquetFile.iter_batches

    def iter_batches(self: object, *args: object, **options: object) -> object:
        for batch in real(self, *args, **options):
            asked.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", iter_batches)
    items = find_source("p.parquet").parts[0].inside.items()
    assert next(items).name == "0.jpg"
    assert asked == [2]
    assert [item.name for item in items] == [f"{n}.jpg" for n in range(1, 9)]
    assert max(asked) == 2
