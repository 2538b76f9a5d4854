"""Copy, move or link chosen pictures to a folder, and never overwrite one."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from iqassay.folders.finding import places


@dataclass(frozen=True)
class Step:
    """One picture and where it goes. state: "to do"; "done", there already with the same content; or in one line what
    is in the way.
    """

    source: str
    target: str
    state: str = "to do"


def plan(pictures: Iterable[str], paths: list[str], folder: str) -> Iterator[Step]:
    """Where each picture goes: to the place below `folder` that it has below the one of `paths` it was found in.

    Nothing is written.
    """
    place = places(paths)
    taken: dict[str, str] = {}
    for source in dict.fromkeys(pictures):
        target = os.path.join(folder, place(source))
        other = taken.setdefault(os.path.normcase(target), source)
        if other != source:
            yield Step(source, target, f"{target}: wanted for {other} too, want other names")
        else:
            yield Step(source, target, _state(source, target))


def carry_out(step: Step, how: str) -> str:
    """Do a step, `how` "copy", "move" or "link" (symbolic). Returns its state: "done", or in one line why not."""
    state = step.state
    try:
        if state == "to do":
            os.makedirs(os.path.dirname(step.target), exist_ok=True)
            try:
                HOW[how](step.source, step.target)
                return "done"
            except FileExistsError:
                state = _state(step.source, step.target)
        if state == "done":
            _tidy(step.source, step.target, how)
    except OSError as error:
        return f"{step.target}: {error.strerror or error}"
    except RecursionError:  # os.makedirs
        return f"{step.target}: too many folders in one another"
    return state


def _tidy(source: str, target: str, how: str) -> None:
    """Do what is left to do when a run was killed between putting a file in its place and removing its old name."""
    partial = _partial(target)
    if os.path.exists(partial) and os.path.samefile(partial, target):
        os.remove(partial)
    folders = [os.path.dirname(path) or os.curdir for path in (source, target)]
    if how == "move" and not os.path.islink(target) and not os.path.samefile(*folders):
        os.remove(source)


def _state(source: str, target: str) -> str:
    if not os.path.lexists(target):
        return "to do"
    try:
        same = os.path.samefile(source, target) or filecmp.cmp(source, target, shallow=False)
    except OSError:
        same = False
    return "done" if same else f"{target}: is there already and is another file, left alone"


def _copy(source: str, target: str) -> None:
    """Whole or not at all: a copy that was killed is a .partial file, which the next one replaces."""
    partial = _partial(target)
    try:
        shutil.copy2(source, partial)
        _rename(partial, target)
    except BaseException:
        if os.path.lexists(partial):
            os.remove(partial)
        raise


def _partial(target: str) -> str:
    """What a file is called until it is whole; cut, so that it is not too long where the target is not."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f"{name[:60]}.partial")


def _move(source: str, target: str) -> None:
    if not os.path.islink(source):  # a link may lead astray from another place
        try:
            return _rename(source, target)
        except FileExistsError:
            raise
        except OSError:  # another file system
            pass
    _copy(source, target)
    os.remove(source)


def _rename(source: str, target: str) -> None:
    """Rename, but raise FileExistsError rather than replace a file, even one that appeared this moment."""
    if os.name == "nt":  # where this is what renaming does
        os.rename(source, target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(source, target)
    else:
        os.remove(source)


def _link(source: str, target: str) -> None:
    os.symlink(os.path.abspath(source), target)


HOW: dict[str, Callable[[str, str], None]] = {"copy": _copy, "move": _move, "link": _link}
