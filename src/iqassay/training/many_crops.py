"""A picture judged by several crops of it: the answer is the mean over the crops, as papers test."""

from __future__ import annotations

import torch
from torch import Tensor

from iqassay.data.pipeline import OF_CROPS
from iqassay.systems.blocks import Prediction
from iqassay.training.lightning_module import Training


class ManyCrops(Training):
    """A system whose validation pictures may come as (B, crops, 3, S, S): what it learns by is ``Training``'s."""

    def look(self, batch: dict[str, Tensor]) -> Prediction:
        """The system's answer to a batch: for several crops of a picture, what they say on average."""
        crops = batch["x"].shape[1] if batch["x"].ndim == 5 else 0
        if not crops:
            return super().look(batch)
        flat = {name: batch[name].flatten(0, 1) for name in OF_CROPS if name in batch}
        parts = [flat[name].split(self.recipe.batch) for name in flat]  # many crops of one picture may be too many
        said = [super(ManyCrops, self).look(dict(zip(flat, part, strict=True))) for part in zip(*parts, strict=True)]
        names = [name for name in ("kind", "severity") if name in said[0].extras]
        return Prediction(
            _mean([one.score for one in said], crops),
            _mean([one.quality_map for one in said], crops),
            {name: _mean([one.extras[name] for one in said], crops) for name in names},
        )


def _mean(values: list[Tensor], crops: int) -> Tensor:
    """Answers to crops, one after another -> the mean of those of each picture."""
    return torch.cat(values).float().unflatten(0, (-1, crops)).mean(1)
