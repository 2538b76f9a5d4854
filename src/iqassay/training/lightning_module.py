"""The Lightning module that trains a whole system on crops: its losses, its validation and its optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqassay.data.pipeline import OF_CROPS
from iqassay.statistics.correlation import srcc
from iqassay.systems.blocks import Prediction, Regressor, pool_statistics
from iqassay.systems.dri import DRI
from iqassay.systems.mfen import MFEN
from iqassay.training.build import build_system
from iqassay.training.descent import scheduled
from iqassay.training.losses import (
    SetScales,
    damage_loss,
    kind_loss,
    label,
    ranking_loss,
    score_loss,
    semantic_loss,
    severity_loss,
)
from iqassay.training.recipes import Recipe
from iqassay.training.run import Monitored
from iqassay.training.teachers import Teaching

FORMATS = {2: torch.contiguous_format, 4: torch.channels_last}  # of a batch of places, of pictures


class Training(Monitored):
    """A system, a learned scale for each data set, and the losses of the recipe."""

    monitor = "val/srcc"

    def __init__(self, recipe: Recipe, sets: list[str], chosen_by: int, standards: list[tuple[float, float]]) -> None:
        super().__init__()
        self.recipe, self.sets, self.chosen_by = recipe, sets, chosen_by
        self.system = build_system(recipe)
        self.scales = SetScales(standards)
        levels = list(self.system.encoder.levels)
        fixed = levels[: recipe.frozen]
        if isinstance(self.system, MFEN) and recipe.dan:
            fixed += self.system.dan.levels[: max(0, recipe.dan_frozen - self.system.dan.shared)]
            levels += self.system.dan.levels
        # What knows something takes small steps; random levels learn like all that is new.
        self.pretrained = levels if self.system.encoder.pretrained or recipe.start is not None else []
        assistants = (self.system.degradation, self.system.restorer) if isinstance(self.system, DRI) else ()
        self.learned = [part for part in assistants if part is not None]  # before, from pairs
        self.fixed = [*fixed, *self.learned]
        for part in self.fixed:
            part.requires_grad_(False)
        self.teaching: Teaching | None = None
        self.answers: list[tuple[Tensor, ...]] = []
        self.train()

    def teach(self, said: np.ndarray) -> None:
        """Set the tasks of a teacher beside the others: what it says of the training pictures, (N, 514)."""
        self.teaching = Teaching(2 * sum(self.system.encoder.channels), said)

    def train(self, mode: bool = True) -> Training:
        super().train(mode)
        for part in self.fixed:
            part.eval()  # or its batch normalisations would follow these pictures
        return self

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        prediction = self.look(batch)
        raw, recipe = prediction.score.float(), self.recipe
        losses = {
            "score": score_loss(self.scales(raw, batch["dataset"]), batch["score"]),
            "rank": recipe.rank * ranking_loss(raw, batch["score"], batch["dataset"]),
        }
        if "kind" in prediction.extras:
            losses["kind"] = recipe.kind * kind_loss(prediction.extras["kind"].float(), batch["kind"])
            losses["severity"] = recipe.severity * severity_loss(
                prediction.extras["severity"].float(), batch["severity"]
            )
        if "vectors" in prediction.extras and recipe.representation:
            losses["representation"] = recipe.representation * semantic_loss(
                list(prediction.extras["vectors"].float().unbind(1)),
                batch["score"],
                batch["dataset"],
                label(batch["kind"], batch["severity"]),
            )
        if self.teaching is not None:
            losses["taught"] = recipe.taught * self.teaching.loss(prediction.extras["statistics"], batch["said"])
        if recipe.damaged and "damaged" in batch and recipe.stage == "network":
            losses["damaged"] = recipe.damaged * damage_loss(prediction.quality_map.float(), batch["damaged"])
        total = torch.stack(list(losses.values())).sum()
        self.log_dict(
            {f"train/{name}": value.detach() for name, value in losses.items()},
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )
        self.log("loss", total.detach(), prog_bar=True, logger=False)
        return total

    def look(self, batch: dict[str, Tensor]) -> Prediction:
        """The system's answer to a batch, with the references, or the whole pictures, where it has them.

        Of pictures that come as several crops each, (B, crops, 3, S, S), it is the mean over the crops of the score,
        the map and what is said of distortions, as papers test.
        """
        seen = {name: batch[name] for name in OF_CROPS if name in batch}
        if seen["x"].ndim == 4:
            return self.system(**{k: v.contiguous(memory_format=FORMATS[v.ndim]) for k, v in seen.items()})
        # No more at once than a batch: many crops of one picture may be too many.
        parts = zip(*(p.flatten(0, 1).split(self.recipe.batch) for p in seen.values()), strict=True)
        said = [self.look(dict(zip(seen, part, strict=True))) for part in parts]

        def mean(values: list[Tensor]) -> Tensor:  # of the crops of each picture, which lie one after another
            return torch.cat(values).float().unflatten(0, seen["x"].shape[:2]).mean(1)

        extras = {n: mean([one.extras[n] for one in said]) for n in said[0].extras if n in ("kind", "severity")}
        return Prediction(mean([one.score for one in said]), mean([one.quality_map for one in said]), extras)

    def validation_step(self, batch: dict[str, Tensor], _: int, dataloader_idx: int = 0) -> None:
        prediction = self.look(batch)
        right = torch.full_like(batch["score"], torch.nan)
        if "kind" in prediction.extras:
            known = batch["kind"][:, 0] >= 0
            right[known] = (
                batch["kind"].gather(1, prediction.extras["kind"].argmax(1, keepdim=True))[known, 0].gt(0).float()
            )
        self.answers.append((prediction.score.float(), batch["score"], batch["dataset"], right))

    def on_validation_epoch_end(self) -> None:
        columns = [torch.cat(column) for column in zip(*self.answers, strict=True)]
        self.answers.clear()
        gathered: list[Any] = [self.all_gather(column) for column in columns]
        raw, score, dataset, right = (column.reshape(-1).cpu().numpy() for column in gathered)
        if self.trainer.is_global_zero:
            scale = np.stack([self.scales.log_gain.exp().cpu().numpy(), self.scales.offset.cpu().numpy()], 1)
            file = self.recipe.out / f"val-{self.trainer.current_epoch}.npz"
            np.savez(file, raw=raw, score=score, dataset=dataset, sets=self.sets, scale=scale)
        found = [srcc(raw[dataset == i], score[dataset == i]) for i in range(len(self.sets))]
        for name, value in zip(self.sets, found, strict=True):
            self.log(f"val/srcc_{name}", float(value), prog_bar=True)
        self.log("val/srcc", float(np.nan_to_num(np.mean(found[: self.chosen_by]))))
        if np.isfinite(right).any():
            self.log("val/kind_accuracy", float(np.nanmean(right)))

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        # A dictionary, not a set: the order of parameters must be the same when a run goes on.
        pretrained = {p: None for level in self.pretrained for p in level.parameters()}
        groups: list[dict] = [
            {"params": [p for p in self.parameters() if p.requires_grad and p not in pretrained], "lr": recipe.lr}
        ]
        for i, level in enumerate(self.pretrained):  # four of an encoder, then the DAN's last ones
            later = 3 - i if i < 4 else len(self.pretrained) - 1 - i
            rate = recipe.lr * recipe.encoder_lr * recipe.level_decay**later
            groups.append({"params": [p for p in level.parameters() if p.requires_grad], "lr": rate})
        return scheduled([g for g in groups if g["params"]], recipe.decay, self.trainer)


class Viewing(Training):
    """MFEN's quality network alone, on its views of whole pictures: a regressor of this stage's own makes the score of
    its statistics. All other parts stay as they are and are not looked through: a batch takes a quarter of the time."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        assert isinstance(self.system, MFEN)
        self.regressor = Regressor(2 * sum(self.system.encoder.channels), self.recipe.width)
        others = [part for part in self.system.children() if part is not self.system.qen]
        for part in others:
            part.requires_grad_(False)
        self.fixed += others
        self.train()

    def look(self, batch: dict[str, Tensor]) -> Prediction:
        whole = batch["whole"].contiguous(memory_format=torch.channels_last)
        statistics = pool_statistics(self.system.encoder.encode(whole))
        score = self.regressor(statistics, statistics.new_zeros(len(whole)))
        return Prediction(score, whole.new_zeros(len(whole), 1, 1, 1), {"statistics": statistics})
