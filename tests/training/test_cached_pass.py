"""A pass over pictures, kept in files: it goes on where it was stopped, and is never made twice."""

import numpy as np
import pytest
import torch

from iqassay.training import cached_pass

pytestmark = pytest.mark.slow


def test_keeping_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    asked = []

    def look(network, sources, square=False, device="cpu", views=1):
        asked.append(len(sources))
        for (i,) in sources:
            if i == 700 and len(asked) == 1:
                raise KeyboardInterrupt
            yield [np.full((1, 3), i, np.float32)]

    monkeypatch.setattr(cached_pass, "look", look)
    sources = [(i,) for i in range(1200)]
    with pytest.raises(KeyboardInterrupt):
        cached_pass.keep(tmp_path / "kept", torch.nn.Identity(), sources, 24)
    (kept,) = cached_pass.keep(tmp_path / "kept", torch.nn.Identity(), sources, 24)
    np.testing.assert_array_equal(kept, np.repeat(np.arange(1200), 3).reshape(1200, 3))
    cached_pass.keep(tmp_path / "kept", torch.nn.Identity(), sources, 24)
    assert asked == [1200, 700]
