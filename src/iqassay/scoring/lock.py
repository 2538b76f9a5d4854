"""The one lock that is held while a model is opened, by whichever thread."""

from __future__ import annotations

import os
import threading

opening = threading.RLock()
if hasattr(os, "register_at_fork"):  # a process that is forked off meanwhile could never finish, so it waits
    os.register_at_fork(before=opening.acquire, after_in_parent=opening.release, after_in_child=opening.release)
