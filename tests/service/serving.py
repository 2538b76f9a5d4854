"""A service on a free port of this machine, with tiny models, in a thread of the test."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import make_photo, write_model, write_pair_model, write_panel, write_restorer
from PIL import Image

from iqassay.scoring import model_file
from iqassay.service.app import make_app
from iqassay.service.guard import Entrance
from iqassay.service.limits import Limits
from iqassay.service.running import address_of, listen, make_server
from iqassay.service.shelf import Shelf

MAX_PIXELS = 200_000


@contextmanager
def tiny_shelf(folder: Path) -> Iterator[Path]:
    """The package with a tiny model for pictures alone, one for pairs, one that restores, and a panel of all."""
    write_model(folder, "mfen", name="mfen")
    write_pair_model(folder, "yoto")
    write_restorer(folder, "dri", towards_mean=0.5)
    write_panel(folder, of=("mfen", "yoto", "dri"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_file, "WEIGHTS", folder)
        yield folder


@contextmanager
def serving(
    chosen: tuple[str, ...] = (), entrance: Entrance | None = None, shelf: Shelf | None = None, **limits: Any
) -> Iterator[httpx.Client]:
    """One who asks a service that has come up, and that has ended afterwards."""
    bounds = Limits(**{"max_pixels": MAX_PIXELS, "workers": 2, **limits})
    up = threading.Event()
    app = make_app(shelf or Shelf(chosen, 1, bounds.max_pixels), bounds, entrance or Entrance())
    server = make_server(app, bounds, False, up.set)
    with listen("127.0.0.1", 0) as listening:
        address = address_of(listening)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        assert up.wait(30)
        try:
            with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
                client.app = app  # type: ignore[attr-defined]
                yield client
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive(), "it has ended"


def photo_bytes(height: int = 90, width: int = 120, kind: str = "PNG", light: float = 1, seed: int = 0) -> bytes:
    """The file of a photo; `light` makes it darker."""
    out = io.BytesIO()
    pixels = (make_photo(height, width, seed=seed) * light * 255).astype(np.uint8)
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()
