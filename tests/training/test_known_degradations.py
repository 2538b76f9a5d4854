"""Known degradations: one vector for each type and level, of the pictures that are like it."""

import numpy as np
import torch
from torch.nn import functional as F

from iqassay.systems.dri import DRI, DRIConfig
from iqassay.training.known_degradations import known_degradations


def test_known_degradations_are_the_mean_of_their_pictures_by_type_and_level():
    torch.manual_seed(0)
    net = DRI(DRIConfig("van_tiny", vector=6, width=8, pretrained=False))
    d = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    labels = np.array([[3, 1.6], [3, 2.4], [3, 4.0], [25, 0.0], [25, 0.0], [-1, 2.0]], np.float32)
    found = known_degradations(net, d, labels)
    with torch.no_grad():
        z = net.degradation.embed(torch.from_numpy(d))
    want = torch.zeros(126, 128)
    want[5 * 3 + 1], want[5 * 3 + 3], want[125] = z[:2].mean(0), z[2], z[3:5].mean(0)
    torch.testing.assert_close(found, F.normalize(want, dim=1))
