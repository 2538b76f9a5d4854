"""An open network: onnxruntime, made safe for threads, forks and devices that take one caller at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from iqassay import _opening
from iqassay.model_file import ModelFile, open_session

if TYPE_CHECKING:
    import onnxruntime


class Session:
    """A model file, opened; any number of threads may run it. On the CPU they do so at once, on other devices in turn:
    DirectML wants that, and elsewhere to do it at once mostly takes memory.

    A process that was forked off opens it anew when it first runs it. The threads of what its parent opened stayed
    behind, and its locks may be held for ever: onnxruntime would hang. (From 1.31 at least it also hangs where such a
    process ends as others do; multiprocessing ends it by os._exit, as os.fork wants it.)

    Raises as `open_session` does.
    """

    def __init__(self, model: ModelFile, threads: int | None = None, device: str = "cpu") -> None:
        self._what = model, threads, device
        # By process. A parent's is kept, since to close it would be to wait for its threads.
        self._opened: dict[int, tuple[onnxruntime.InferenceSession, AbstractContextManager[Any]]] = {}
        self.outputs = {output.name for output in self._here()[0].get_outputs()}

    def run(self, outputs: Sequence[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names for these inputs."""
        session, turn = self._here()
        with turn:
            return session.run(outputs, feed)

    def _here(self) -> tuple[onnxruntime.InferenceSession, AbstractContextManager[Any]]:
        """What is open in this very process, and what to hold while it runs."""
        process = os.getpid()
        if process not in self._opened:
            with _opening:
                if process not in self._opened:
                    turn = nullcontext() if self._what[2] == "cpu" else threading.Lock()
                    self._opened[process] = open_session(*self._what), turn
        return self._opened[process]
