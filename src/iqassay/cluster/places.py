"""Places that files lie at: paths of this machine and URLs, through the file systems of pyarrow, which has s3:// and
gs:// built in, and of fsspec for all others (https://, az://, hdfs://, ...).

Credentials, regions and endpoints come from the environment, as their own tools take them (AWS_PROFILE,
AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, ...), so that none gets into a record.
"""

from __future__ import annotations

import functools
import os
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from iqassay.folders.parquet import find_pyarrow
from iqassay.pictures.image import ImageError
from iqassay.support.errors import UsageError

MOST = 500_000_000  # bytes of a picture that are fetched; no picture within the limit on pixels needs as many
TRIES = 3  # to fetch a picture: networks fail for a moment
PAUSE = 1.0  # seconds before the second try, four times that before the third
NATIVE = ("file", "s3", "gs", "gcs", "hdfs")  # pyarrow's own
LASTING = (FileNotFoundError, PermissionError, IsADirectoryError)  # another try would end as the first did
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)", re.DOTALL)


def is_url(place: str) -> bool:
    return _URL.match(place) is not None


def absolute(place: str, folder: str) -> str:
    """A place as any process finds it: a URL is left as it is, a path is taken from `folder`."""
    return place if is_url(place) else os.path.join(folder, place)


def joined(place: str, name: str) -> str:
    """A file in a folder."""
    return f"{place.rstrip('/')}/{name}" if is_url(place) else os.path.join(place, name)


def at(place: str) -> tuple[Any, str]:
    """The file system (of pyarrow) that a place lies on, and the path there. Raises UsageError where there is none."""
    find_pyarrow()
    match = _URL.match(place)
    if match is None:
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), os.path.abspath(place).replace(os.sep, "/")
    kind, top, rest = match[1].lower(), match[2], match[3]
    if "@" in top:
        raise UsageError(f"{kind}://...: got a name or a password in it, want credentials in the environment")
    system, root = _opened(kind, top)
    if kind in ("http", "https"):
        return system, place
    return system, (root.rstrip("/") + rest if rest else root) or "/"


@functools.lru_cache(maxsize=1000)
def _opened(kind: str, top: str) -> tuple[Any, str]:
    """The file system of a kind, and the path on it of its top: a bucket, a server."""
    from pyarrow import fs

    url = f"{kind}://{top}"
    try:
        if kind in NATIVE:
            return fs.FileSystem.from_uri(url if top else f"{url}/")
        import fsspec

        system, root = fsspec.core.url_to_fs(url)
        return fs.PyFileSystem(fs.FSSpecHandler(system)), root
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(f"{url}: cannot be opened: {_line(error)}") from error


def fetch(place: str) -> bytes:
    """The bytes of a file at a URL. Raises ImageError for one that is too long, else OSError in one line."""
    for attempt in range(1, TRIES + 1):
        try:
            with _stream(place) as file:
                content = bytes(file.read(MOST + 1))
            break
        except (OSError, TimeoutError, ValueError) as error:
            if isinstance(error, LASTING) or attempt == TRIES:
                kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
                missing = "there is no such file" if kind is FileNotFoundError else _line(error)
                raise kind(missing) from error
            time.sleep(PAUSE * 4 ** (attempt - 1))
    if len(content) > MOST:
        raise ImageError(f"got a file of more than {MOST:,} bytes, want a smaller one")
    return content


def _stream(place: str) -> Any:
    system, path = at(place)
    if place.lower().startswith(("http://", "https://")):
        return system.handler.fs.open(path, "rb", block_size=0)  # one request, where pyarrow would ask in pieces
    return system.open_input_stream(path)


def put(place: str, content: bytes) -> None:
    """Write a file so that it is there as a whole or not at all, even where two write it at once. Raises OSError."""
    system, path = at(place)
    if is_url(place) and not place.lower().startswith(("file:", "hdfs:")):  # such stores show a file when it is closed
        with system.open_output_stream(path) as out:
            out.write(content)
        return
    folder, _, name = path.rpartition("/")
    partial = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        with system.open_output_stream(partial) as out:
            out.write(content)
        system.move(partial, path)
    except BaseException:
        if system.get_file_info(partial).is_file:
            system.delete_file(partial)
        raise


def make_folder(place: str) -> None:
    """Make a folder, unless it is there. Raises OSError."""
    system, path = at(place)
    system.create_dir(path, recursive=True)


def kind_of(place: str) -> str:
    """What is at a place: "file", "folder" or "". Raises UsageError where it cannot be asked."""
    system, path = at(place)
    try:
        (info,) = system.get_file_info([path.rstrip("/") or "/"])
    except (OSError, ValueError) as error:
        raise UsageError(f"{place}: cannot be reached: {_line(error)}") from error
    return "file" if info.is_file else "folder" if info.type.name == "Directory" else ""


def files_in(place: str, recursive: bool) -> Iterator[tuple[str, int]]:
    """The files in a folder and their sizes in bytes, folder by folder, by name; hidden ones are left out. Their names
    begin with `place`. Raises UsageError for a folder that cannot be listed.
    """
    from pyarrow.fs import FileSelector

    system, root = at(place)
    root = root.rstrip("/")
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            infos = sorted(system.get_file_info(FileSelector(folder or "/")), key=lambda info: info.path)
        except (OSError, ValueError) as error:
            raise UsageError(f"{place}: cannot be listed: {_line(error)}") from error
        seen = [info for info in infos if not info.base_name.startswith(".")]
        for info in seen:
            if info.is_file:
                yield joined(place, info.path.removeprefix(root).lstrip("/")), info.size
        if recursive:
            waiting += [info.path for info in reversed(seen) if info.type.name == "Directory"]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
