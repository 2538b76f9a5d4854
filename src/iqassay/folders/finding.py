"""Find pictures: files, folders and patterns, in natural order, one after another.

Of a folder with a million pictures the names are held while it is gone through; of a million folders, one at a time.
"""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from iqassay.folders.left_out import LeftOut
from iqassay.pictures.formats import is_picture
from iqassay.support.errors import UsageError

Known = set[tuple[int, int]]  # folders, by their device and number
Wanted = Callable[[str], bool]


def find_pictures(
    paths: Iterable[str],
    recursive: bool = False,
    without: Iterable[str] = (),
    left_out: LeftOut | None = None,
    wanted: Wanted = is_picture,
) -> Iterator[str]:
    """The pictures that `paths` stand for: a file is itself, a folder is the pictures in it, in natural order, and a
    pattern (photos/*.jpg, photos/**/*_q?.png) the files with a picture's ending that it fits; ** stands for folders in
    one another, or none, and goes through no symbolic links.

    In folders, files whose names do not end like a picture's and hidden files are left out; subfolders are entered when
    `recursive` is set, each once, even where symbolic links go round in circles. A subfolder that cannot be opened
    comes back as if it were a picture, so that it is reported like one. `without`: folders that are left out when they
    are come upon, such as those that results are written to.

    Args:
        left_out: counts the files that are left out, by kind, as their folders are gone through.
        wanted: tells by its name whether a file is one of the pictures.

    Raises:
        UsageError: at once for a path that does not exist and for a folder without pictures.
    """
    counts = LeftOut() if left_out is None else left_out
    return itertools.chain.from_iterable(
        [_pictures(path, recursive, _known(without), counts, wanted) for path in paths]
    )


def read_paths(listing: str) -> Iterator[str]:
    """The paths that a file lists, one a line, or ended by NUL characters as `find -print0` does it; "-" is standard
    input. They are read as they are needed. Raises UsageError when the file cannot be read.
    """
    try:
        file = open(listing if listing != "-" else 0, "rb")  # noqa: SIM115  # _listed closes it
    except OSError as error:
        raise UsageError(f"--files-from {listing}: {error.strerror}") from error
    return listed_in(file)


def listed_in(file: BinaryIO) -> Iterator[str]:
    """The paths that an open file lists, as for `read_paths`, which closes it at the end."""
    end, rest = b"", b""
    with file:
        while block := file.read1(1 << 16):  # type: ignore[attr-defined]
            rest += block
            end = end or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b"")
            if end:
                *whole, rest = rest.split(end)
                yield from (os.fsdecode(name.rstrip(b"\r\n")) for name in whole if name.strip())
    if rest.strip():
        yield os.fsdecode(rest.rstrip(b"\r\n"))


def places(paths: list[str]) -> Callable[[str], str]:
    """A function that tells where a picture that `find_pictures(paths)` found lies below the folder it was found in; of
    one that was named itself, its name.
    """
    named = {path for path in paths if os.path.isfile(path)}
    folders = [
        path if os.path.isdir(path) else os.path.dirname(re.split(r"[*?[]", path)[0]) or os.curdir
        for path in paths
        if path not in named
    ]

    def place(picture: str) -> str:
        for folder in folders if picture not in named else ():
            below = os.path.relpath(picture, folder)
            if below.split(os.sep)[0] != os.pardir:
                return below
        return os.path.basename(picture)

    return place


def _pictures(path: str, recursive: bool, without: Known, left_out: LeftOut, wanted: Wanted) -> Iterator[str]:
    """The pictures of one path; at least one."""
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        inside = _walk(path, recursive, without, left_out, wanted) if is_folder else iter([path])
        first = next(inside, None)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and glob.has_magic(path):
            return _matches(path, without, wanted)
        reason = "no such file or folder" if isinstance(error, FileNotFoundError) else error.strerror
        raise UsageError(f"{path}: {reason}") from error
    except ValueError as error:  # a NUL character in the name
        raise UsageError(f"{path}: {error}") from error
    if first is None:
        hint = "" if recursive else "; --recursive looks into subfolders"
        hint += f"; {said}" if (said := left_out.line()) else ""
        raise UsageError(f"{path}: no pictures in this folder{hint}")
    return itertools.chain([first], inside)


def _matches(pattern: str, without: Known, wanted: Wanted) -> Iterator[str]:
    parts = pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)
    paths = _below(parts, without, wanted) if "**" in parts else glob.iglob(pattern)
    found = [path for path in paths if wanted(path) and not os.path.isdir(path)]
    if not found:
        raise UsageError(f"{pattern}: no pictures fit this pattern")
    return iter(sorted(found, key=_natural))


def _below(parts: list[str], without: Known, wanted: Wanted) -> Iterator[str]:
    """What fits a pattern with ** in it, which does not go through symbolic links. `glob` would, in circles, and would
    not come through folders that lie in one another a thousand deep.
    """
    at = parts.index("**")
    top = os.sep.join([*parts[:at], ""])
    for folder in glob.iglob(top) if top else [""]:
        root = folder or os.path.join(os.curdir, "")
        for path in _walk(root, True, without, LeftOut(), wanted, links=False):
            below = path[len(root) :]
            if _fits(below.split(os.sep), parts[at:]):
                yield folder + below


def _fits(names: list[str], parts: list[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        return len(parts) == 1 or any(_fits(names[at:], parts[1:]) for at in range(len(names)))
    return bool(names) and fnmatch.fnmatch(names[0], parts[0]) and _fits(names[1:], parts[1:])


def _walk(
    folder: str, recursive: bool, without: Known, left_out: LeftOut, wanted: Wanted, links: bool = True
) -> Iterator[str]:
    """The pictures in a folder; links: go through symbolic links to folders too.

    Not a function that calls itself: folders may lie in one another a thousand deep.
    """
    seen = without - _known([folder])
    levels = [_entries(folder, seen, left_out, wanted, links)]
    while levels:
        for path, is_folder in levels[-1]:
            if not is_folder:
                yield path
            elif recursive:
                try:
                    levels.append(_entries(path, seen, left_out, wanted, links))
                    break
                except OSError:
                    yield path
        else:
            levels.pop()


def _entries(folder: str, seen: Known, left_out: LeftOut, wanted: Wanted, links: bool) -> Iterator[tuple[str, bool]]:
    """What is in a folder, in natural order: the path, and whether it is a folder; nothing for one seen before."""
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return iter(())
    seen.add((status.st_dev, status.st_ino))
    visible: list[tuple[str, bool]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry, links):
                visible.append((entry.name, True))
            elif not (entry.is_symlink() or entry.is_file()):
                continue
            elif wanted(entry.name):
                visible.append((entry.name, False))
            else:
                left_out.add(entry.name)
    visible.sort(key=lambda entry: _natural(entry[0]))
    return ((os.path.join(folder, name), is_folder) for name, is_folder in visible)


def _known(folders: Iterable[str]) -> Known:
    """What tells folders from others, of those that there are."""
    statuses = [os.stat(folder) for folder in folders if os.path.isdir(folder)]
    return {(status.st_dev, status.st_ino) for status in statuses}


def _is_folder(entry: os.DirEntry[str], links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=links)
    except OSError:  # a link to itself
        return False


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sorts img2 before img10. Text and numbers alternate, so only like is compared with like."""
    parts: list[str | int] = [*re.split(r"([0-9]+)", name.casefold())]
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts, name
