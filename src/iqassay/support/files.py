"""Files that are replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

from iqassay.support.errors import UsageError


def make_folder(option: str, folder: str) -> None:
    """Make a folder that an option names, unless it is there. Raises UsageError."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {folder}: cannot make this folder: {error.strerror}") from error


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write the bytes of a file as `replace_file` does."""
    replace_file(path, lambda out: out.write(content))


def replace_file(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside itself, as PATH.partial, then put it in its place; when that fails, PATH stays as it was.

    A symbolic link stays one, and the file it leads to is replaced. A pipe or a device is written directly.
    """
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:
            write(out)
        return
    partial = f"{path}.partial"
    try:
        with open(partial, "wb") as out:
            write(out)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise
