"""The degradations that DRI-IQA knows by name: what its encoder says of each type at each level."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from iqassay.systems.blocks import N_KINDS
from iqassay.systems.dri import DRI, LEVELS


@torch.no_grad()
def known_degradations(system: DRI, d: np.ndarray, labels: np.ndarray) -> Tensor:
    """What ``system.known`` should be: the mean embedding of every type at every level, and of none; zero without any.

    d (N, D): degradation vectors; labels (N, 2): type and level.
    """
    z, found = system.degradation.embed(torch.from_numpy(d)), torch.zeros_like(system.known)
    for i in range(len(found)):
        kind, level = divmod(i, LEVELS)
        rows = (labels[:, 0] == kind) & ((np.rint(labels[:, 1]) == level + 1) | (kind == N_KINDS))
        if rows.any():
            found[i] = F.normalize(z[torch.from_numpy(rows)].mean(0), dim=0)
    return found
