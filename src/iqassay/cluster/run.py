"""A run: what OUT says of it, which parts are still to be done, and what came out in the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from iqassay.cluster import places
from iqassay.cluster.parts import Part
from iqassay.cluster.question import Question
from iqassay.cluster.sources import Source
from iqassay.cluster.worker import TRYING
from iqassay.scoring.scorer import Scorer
from iqassay.support.errors import UsageError
from iqassay.support.text import counted
from iqassay.support.version import __version__

ABOUT = "_run.json"  # readers of Parquet leave out what begins like this
About = dict[str, Any]


def about(source: Source, question: Question, scorers: Sequence[Scorer]) -> About:
    """What a run is told from others by, and what people want to know of it."""
    return {
        "source": source.name,
        "pictures": source.pictures,
        "digest": source.digest,
        "part": source.size,
        "parts": len(source.parts),
        "models": [f"{scorer.card.name} {scorer.card.version}" for scorer in scorers],
        "identities": list(question.identities),
        "max_pixels": question.max_pixels,
        "iqassay": __version__,
    }


def found_in(out: str) -> About | None:
    """What the folder says of the run that it holds; None for an empty folder or none. Raises UsageError for one that
    holds something else.
    """
    kind = places.kind_of(out)
    if kind == "file":
        raise UsageError(f"-o {out}: is a file, want a folder for the results")
    if not kind:
        return None
    system, path = places.at(places.joined(out, ABOUT))
    if not system.get_file_info(path).is_file:
        if _names_in(out):
            raise UsageError(
                f"-o {out}: holds files, but no run of `iqassay cluster score`, want an empty or new folder"
            )
        return None
    try:
        with system.open_input_stream(path) as file:
            found = json.loads(file.read())
        if not isinstance(found, dict) or not isinstance(found["part"], int):
            raise ValueError("no record of a run")
    except (KeyError, OSError, ValueError) as error:
        raise UsageError(f"-o {out}: cannot read its {ABOUT}: {error}") from error
    return found


def begin(out: str, run: About, before: About | None) -> None:
    """Say in the folder which run it holds, unless it says so already. Raises UsageError where it holds another one,
    and where it cannot be written.
    """
    if before is None:
        try:
            places.make_folder(out)
            places.put(places.joined(out, ABOUT), (json.dumps(run, indent=2, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise UsageError(f"-o {out}: cannot be written: {' '.join(str(error).split())[:300]}") from error
        return
    told = {
        "source": "of {}",
        "part": "with parts of {} pictures",
        "models": "by {}",
        "max_pixels": "with a limit of {} pixels",
        "iqassay": "by iqassay {}",
        "pictures": "of {} pictures",
    }
    for key, words in told.items():
        if before.get(key) != run[key]:
            old, new = (", ".join(value) if isinstance(value, list) else value for value in (before.get(key), run[key]))
            raise UsageError(f"-o {out}: holds a run {words.format(old)}, got {new}; want another folder")
    for key, what in (("identities", "the model file was"), ("digest", f"{run['source']} was")):
        if before.get(key) != run[key]:
            raise UsageError(f"-o {out}: holds a run from before {what} changed, want another folder")


def still_to_do(out: str, parts: Sequence[Part]) -> list[Part]:
    """The parts that have no file yet. Raises UsageError for a folder that cannot be listed."""
    there = set(_names_in(out))
    return [part for part in parts if part.file not in there]


def totals(out: str, source: Source) -> tuple[int, int]:
    """The pictures that there are records of, and how many of them have an error; for a run whose workers are done.

    Raises OSError where a part is missing or has not as many records as it should.
    """
    if missing := still_to_do(out, source.parts):
        raise OSError(
            f"{counted(len(missing), 'part')} of {len(source.parts)} cannot be seen in {out} from here, want a folder "
            "that all machines share"
        )
    from pyarrow import dataset

    system, path = places.at(out)
    files = [f"{path.rstrip('/')}/{part.file}" for part in source.parts]
    found = dataset.dataset(files, filesystem=system, format="parquet")
    rows, failed = found.count_rows(), found.count_rows(filter=dataset.field("error").is_valid())
    if rows != source.pictures:
        raise OSError(f"{out} has {counted(rows, 'record')}, want {source.pictures:,}: was a part changed?")
    return rows, failed


def clear(out: str) -> None:
    """Take away the notes that a run keeps while it goes on."""
    system, path = places.at(places.joined(out, TRYING))
    if places.kind_of(places.joined(out, TRYING)) == "folder":
        system.delete_dir(path)


def _names_in(out: str) -> list[str]:
    """The names of what is in a folder, folders too."""
    from pyarrow.fs import FileSelector

    system, path = places.at(out)
    try:
        return [info.base_name for info in system.get_file_info(FileSelector(path, allow_not_found=True))]
    except OSError as error:
        raise UsageError(f"-o {out}: cannot be listed: {' '.join(str(error).split())[:300]}") from error
