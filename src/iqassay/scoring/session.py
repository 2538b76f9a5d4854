"""An open network: onnxruntime, made safe for threads, forks and devices that take one caller at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from iqassay.scoring.device import first_line
from iqassay.scoring.lock import MadeOnce
from iqassay.scoring.model_file import ModelFile, ModelFileError, default_threads, open_session

if TYPE_CHECKING:
    import onnxruntime

CALLERS = 4  # threads at most that run a network at once: each takes 50 to 100 MB


class Session:
    """A model file, opened; any number of threads may run it. On the CPU `callers` of them do so at once, on other
    devices one: DirectML wants that, and elsewhere more at once mostly take memory.

    A process that was forked off opens it anew when it first runs it. The threads of what its parent opened stayed
    behind, and its locks may be held for ever: onnxruntime would hang. (From 1.31 at least it also hangs where such a
    process ends as others do; multiprocessing ends it by os._exit, as os.fork wants it.)

    Raises as `open_session` does.
    """

    def __init__(self, model: ModelFile, threads: int | None = None, device: str = "cpu") -> None:
        self._what = model, threads, device
        # Two share two processors better than one that has both: it must wait wherever work cannot be split.
        self.callers = min(threads or default_threads(), CALLERS) if device == "cpu" else 1
        # By process. A parent's is kept, since to close it would be to wait for its threads.
        self._opened: MadeOnce[int, tuple[onnxruntime.InferenceSession, AbstractContextManager[Any]]] = MadeOnce()
        self.outputs = {output.name for output in self._here()[0].get_outputs()}
        self.optional = {given.name for given in self._here()[0].get_overridable_initializers()}  # inputs

    def run(self, outputs: Sequence[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names for these inputs. Raises ModelFileError when a device but the CPU fails."""
        session, turn = self._here()
        with turn:
            try:
                return session.run(outputs, feed)
            except Exception as error:
                model, _, device = self._what
                if device == "cpu":
                    raise
                reason = first_line(error)[:200]  # an operator that it cannot do: no other picture would fare better
                raise ModelFileError(f"{model.card.name} cannot be computed on {device}: {reason}") from error

    def _here(self) -> tuple[onnxruntime.InferenceSession, AbstractContextManager[Any]]:
        """What is open in this very process, and what to hold while it runs."""
        return self._opened.of(os.getpid(), lambda: (open_session(*self._what), threading.Semaphore(self.callers)))
