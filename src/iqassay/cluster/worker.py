"""One worker: it scores a part after another, each into a file that is there as a whole or not at all.

A worker may die in the middle: killed, out of memory, with its machine. Another then does the part again. Where a part
has killed several, one of its pictures may be what kills them: it is gone through picture by picture, with a note of
which is next, and a picture that two workers died at becomes a record with an error, so that the run comes to its end.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress

from iqassay.cluster import places
from iqassay.cluster.parts import Item, Part
from iqassay.cluster.question import Question
from iqassay.folders.records import Record, write_parquet
from iqassay.scoring.scorer import Scorer

TRIES = 2  # that a part has before it is gone through picture by picture
DEADLY = 2  # deaths at a picture: one may have been that of the machine
DEATHS = 50  # of workers at one part, after which the run ends
TRYING = "_trying"  # the folder, in that of the results, of notes on parts that are being done
DIED = "its workers died while they scored it, as they may from lack of memory or a fault in a decoder"


class Worker:
    """Scores parts of a run. Models are opened with the first part, so that what is wrong with them ends the run."""

    def __init__(self, question: Question, out: str) -> None:
        self.question, self.out = question, out
        self.scorers: list[Scorer] = []

    def score(self, part: Part) -> int:
        """Score a part and write its file, unless it is there; returns how many pictures it has.

        Raises ModelFileError where the model is not that of the run, ValueError where the part has not as many pictures
        as when the run began, and OSError where the file cannot be written or worker after worker died at the part.
        """
        place = places.joined(self.out, part.file)
        if places.kind_of(place) == "file":  # done by one that died before it could say so
            return part.pictures
        self.scorers = self.scorers or self.question.open()
        note = _Note(places.joined(self.out, TRYING), part)
        note.begin()
        if note.tries > DEATHS:
            raise OSError(
                f"{part.file}: {DEATHS} workers died at it, want more memory for each, or to know from Ray's logs"
            )
        records = list(self._one_by_one(part, note) if note.tries > TRIES else self._records(part.inside.items()))
        if len(records) != part.pictures:
            raise ValueError(
                f"{part.file}: got {len(records)} pictures where there were {part.pictures} when the run began, want a "
                "source that stays as it is"
            )
        out = io.BytesIO()
        write_parquet(records, out, self.question.layout)
        places.put(place, out.getvalue())
        note.end()
        return part.pictures

    def _records(self, items: Iterator[Item]) -> Iterator[Record]:
        return self.question.records(self.scorers, items)

    def _one_by_one(self, part: Part, note: _Note) -> Iterator[Record]:
        for number, item in enumerate(part.inside.items()):
            if note.deaths.get(str(number), 0) >= DEADLY:
                yield {"path": item.name, "error": DIED}
                continue
            note.at(number)
            yield from self._records(iter([item]))


class _Note:
    """What is known of a part that has been begun: how often, and which pictures its workers died at."""

    def __init__(self, folder: str, part: Part) -> None:
        self.folder, self.place = folder, places.joined(folder, f"{part.file}.json")
        self.tries = 0
        self.deaths: dict[str, int] = {}  # by the number of the picture, as text, since JSON has no other keys

    def begin(self) -> None:
        if places.kind_of(self.place) == "file":
            system, path = places.at(self.place)
            with system.open_input_stream(path) as file:
                before = json.loads(file.read())
            self.tries, self.deaths = before["tries"], before["deaths"]
            if before["at"] >= 0:  # the one before was at this picture, and is gone
                self.deaths[str(before["at"])] = self.deaths.get(str(before["at"]), 0) + 1
        else:
            places.make_folder(self.folder)
        self.tries += 1
        self.at(-1)

    def at(self, number: int) -> None:
        note = {"tries": self.tries, "deaths": self.deaths, "at": number}
        places.put(self.place, json.dumps(note).encode())

    def end(self) -> None:
        system, path = places.at(self.place)
        with suppress(FileNotFoundError):  # another worker, which was thought to be dead, did the part too
            system.delete_file(path)
