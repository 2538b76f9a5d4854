"""Which reference goes with which picture: by name, never by order, and never by a guess."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable

from iqassay.folders.finding import find_pictures
from iqassay.folders.folder import Pair
from iqassay.folders.left_out import LeftOut
from iqassay.pictures.formats import SUFFIXES
from iqassay.support.errors import UsageError

ANYWHERE = os.sep  # stands for every folder; none can be called so

Index = dict[tuple[Callable[[str], str], str, str], list[str]]  # how names are compared, folder, stem -> references


def find_pairs(
    paths: Iterable[str],
    reference: str,
    pattern: str | None = None,
    recursive: bool = False,
    without: Collection[str] = (),
    left_out: LeftOut | None = None,
) -> list[Pair]:
    """The pictures that `paths` stand for (see `find_pictures`, for `without` and `left_out` too), each with its
    reference.

    A picture that several references fit, or none, comes back with an `error` in place of a reference. Raises
    UsageError for paths and patterns that cannot be used, and when no reference fits any picture.

    Args:
        reference: one picture, which goes with every picture, or a folder of references; `recursive` holds for it too.
            A picture goes with the reference of its stem (its name without the ending) in the same place below the
            folder; else with the one whose stem differs in upper and lower case alone; else with one found so anywhere
            in the folder.
        pattern: what a picture's name makes of its reference's stem, which `{ref}` stands for; `*` is any text, or
            none. "{ref}_q*" pairs photo_q20.jpg with photo.png. A pattern that ends in .jpg and the like wants this
            ending.
    """
    if pattern is not None and pattern.count("{ref}") != 1:
        raise UsageError(
            f"--pair: got {pattern!r}, want one {{ref}} in it for the reference's name, as in '{{ref}}_q*'"
        )
    found = [(picture, path) for path in paths for picture in find_pictures([path], recursive, without, left_out)]
    try:
        references = list(find_pictures([reference], recursive, without))
    except UsageError as error:
        raise UsageError(f"--ref {error}") from error
    if references == [reference]:
        if pattern is not None:
            raise UsageError(f"--pair: got one picture as --ref {reference}, want a folder of references")
        return [Pair(picture, reference) for picture, _ in found]
    index = _index(references, reference)
    fitting = [_fitting(index, _below(picture, path), pattern) for picture, path in found]
    if not any(fitting):
        want = "names equal but for the ending, or --pair" if pattern is None else f"names that fit --pair {pattern!r}"
        raise UsageError(
            f"--ref {reference}: no reference fits any picture: got pictures like {_below(*found[0])!r} "
            f"and references like {_below(references[0], reference)!r}, want {want}"
        )
    return [_pair(picture, fits, reference) for (picture, _), fits in zip(found, fitting, strict=True)]


def _pair(picture: str, fits: list[str], reference: str) -> Pair:
    if not fits:
        return Pair(picture, error=f"no reference in {reference} fits its name")
    if len(fits) > 1:
        return Pair(picture, error=f"{len(fits)} references fit its name, want one: got {fits[0]} and {fits[1]}")
    return Pair(picture, fits[0])


def _below(picture: str, path: str) -> str:
    """Where a picture lies in the folder `path`, under which it was found; the name alone of one that was named."""
    return os.path.basename(picture) if picture == path else os.path.relpath(picture, path)


def _loose(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()  # some file systems take accents apart


HOW = (str, _loose)  # names are compared as they are first


def _index(references: list[str], folder: str) -> Index:
    index: Index = {}
    for path in references:
        place, name = os.path.split(_below(path, folder))
        for where in (place, ANYWHERE):
            for how in HOW:
                index.setdefault((how, how(where), how(os.path.splitext(name)[0])), []).append(path)
    return index


def _fitting(index: Index, below: str, pattern: str | None) -> list[str]:
    """The references that fit a picture best equally well."""
    place, name = os.path.split(below)
    if os.path.splitext(pattern or "")[1].lower() not in SUFFIXES:
        name = os.path.splitext(name)[0]
    for where in (place, ANYWHERE):
        for how in HOW:
            stems = {how(name)} if pattern is None else _stems(how(name), how(pattern))
            fits = [path for stem in sorted(stems) for path in index.get((how, how(where), stem), ())]
            if fits:
                return fits
    return []


def _stems(name: str, pattern: str) -> set[str]:
    """Everything in a name that {ref} may stand for."""
    before, after = (
        re.compile(".*".join(re.escape(text) for text in part.split("*")), re.DOTALL) for part in pattern.split("{ref}")
    )
    starts = [at for at in range(len(name)) if before.fullmatch(name, 0, at)]
    ends = [at for at in range(1, len(name) + 1) if after.fullmatch(name, at)]
    return {name[start:end] for start in starts for end in ends if start < end}
