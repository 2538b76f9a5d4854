"""The first stage of DRI-IQA: the degradation encoder and the restorer, on pictures and their references.

The two halves of a crop are two views of one degradation, and so are pictures of one distortion at about one level; the
references are views of none.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import ConcatDataset

from iqassay.data.distortions import KINDS
from iqassay.data.pipeline import MixedBatches, SyntheticPictures
from iqassay.data.synthetic import SyntheticConfig
from iqassay.systems.blocks import N_KINDS
from iqassay.systems.dri import DRI
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights
from iqassay.training.descent import scheduled
from iqassay.training.losses import alike_by, contrast_loss, label, representation_loss
from iqassay.training.recipes import Recipe
from iqassay.training.run import Monitored, run
from iqassay.training.run_folder import refuse_another_run
from iqassay.training.sets import draw

# What can be restored comes twice as often as what cannot, such as a lost colour or a moved patch; and what codecs do,
# which is the hardest to learn, seven times.
NOISE = ("white_noise", "white_noise_color", "impulse_noise", "multiplicative_noise")
BLUR = ("gaussian_blur", "lens_blur", "motion_blur")
CODECS = ("jpeg2000", "jpeg")
# Of what people feed beside photos (`data.coverage`): more damage of the same kinds, other codecs and scalings, and
# pictures between bars. What is missing, melted, empty or without its colours is no restorer's to bring back.
UNDONE = ("beyond", "framed", "resampled", "resaved", "upscaled")
CLEAN_ENOUGH = 3e-4  # an error (35 dB) well below which there is little to gain and much to lose
SLOW = 0.99  # of the old weights are kept at each step of the encoder that fills the queue


class Assistants(Monitored):
    """DRI-IQA's degradation encoder and restorer, and what they learn by; the rest of the system is not touched."""

    monitor = "val/chosen"
    weights: Tensor
    keys: Tensor
    labels: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        system = build_system(recipe)
        if not isinstance(system, DRI):
            raise ValueError(f"got the system {recipe.system}, want dri")
        self.system = system
        for part in (system.encoder, system.predictor, system.others, system.distortions):
            part.requires_grad_(False)
        # What each kind's restoration counts: noise is easily removed; lost colours would only confuse the restorer.
        weights = {**dict.fromkeys(NOISE, 1.0), **dict.fromkeys(BLUR, 3.0), **dict.fromkeys(CODECS, 4.0)}
        self.register_buffer("weights", torch.tensor([weights.get(kind, 0.0) for kind in (*KINDS, "none")]))
        if recipe.queue:
            self.slow = copy.deepcopy(system.degradation).requires_grad_(False)
            self.register_buffer("keys", F.normalize(torch.randn(recipe.queue, 128), dim=1))
            self.register_buffer("labels", torch.full((recipe.queue, 2), -1.0))
        self.answers: list[dict[str, Tensor]] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        recipe, system = self.recipe, self.system
        x, reference = (halves(batch[name]) for name in ("x", "reference"))
        clean = reference[len(reference) // 2 :]
        both = system.degradation(torch.cat([x, clean]))
        d = both[: len(x)]
        labels = label(batch["kind"], batch["severity"])
        labels = torch.cat([labels, labels, labels.new_tensor([[N_KINDS, 0]]).expand(len(clean), 2)])
        picture = torch.arange(len(clean), device=x.device).repeat(2)
        picture = torch.cat([picture, torch.arange(-len(clean), 0, device=x.device)])
        itself = torch.eye(len(x), len(both), dtype=torch.bool, device=x.device)
        same = picture[: len(x), None] == picture[None, :]
        alike = (same | alike_by(labels[: len(x)], labels)) & ~itself
        losses = {"representation": representation_loss(d, both, alike, ~alike & ~itself)}
        losses["representation"] = recipe.representation * losses["representation"]
        z = system.degradation.embed(both)
        if recipe.queue:
            keys = torch.cat([self._remember(torch.cat([x, clean]), labels), self.keys])
            old = self.labels.shape[0]
            alike = torch.cat([alike, alike_by(labels[: len(x)], self.labels)], 1)
            itself = torch.cat([itself, itself.new_zeros(len(x), old)], 1)
        else:
            keys = z
        losses["contrast"] = recipe.contrast * contrast_loss(z[: len(x)], keys, alike, itself)
        share, number = batch["kind"].repeat(2, 1).max(1)
        weight = torch.where(share < 0.99, 1.0, self.weights[number])
        rows = weight > 0
        if system.restorer is not None and rows.any():
            estimate = system.restorer(x[rows], d[rows])[0].float()
            decibels = psnr(estimate, reference[rows], CLEAN_ENOUGH)
            losses["restoration"] = -0.1 * (weight[rows] * decibels).sum() / weight.sum()
        self.log_dict({f"train/{k}": v.detach() for k, v in losses.items()}, on_step=False, on_epoch=True)
        return torch.stack(list(losses.values())).sum()

    @torch.no_grad()
    def _remember(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """Embeddings by the slow encoder, which follows the other; they and their labels push the oldest out."""
        for old, new in zip(self.slow.parameters(), self.system.degradation.parameters(), strict=True):
            old.lerp_(new, 1 - SLOW)
        found = self.slow.embed(self.slow(pictures))
        self.pushed = (torch.cat([found, self.keys])[: len(self.keys)], torch.cat([labels, self.labels]))
        return found

    def on_train_batch_end(self, *_: object) -> None:
        if self.recipe.queue:  # only now: the loss compared with what was there before
            keys, labels = self.pushed
            self.keys.copy_(keys)
            self.labels.copy_(labels[: len(self.labels)])

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        x, reference = batch["x"], batch["reference"]
        d = self.system.degradation(x)
        answer = {"z": self.system.degradation.embed(d), "kind": batch["kind"], "severity": batch["severity"]}
        if self.system.restorer is not None:
            estimate = self.system.restorer(x, d)[0].float().clamp(0, 1)
            answer["gain"] = psnr(estimate, reference) - psnr(x, reference)
        self.answers.append(answer)

    def on_validation_epoch_end(self) -> None:
        columns = {k: torch.cat([a[k] for a in self.answers]).float() for k in self.answers[0]}
        self.answers.clear()
        kind = columns["kind"]
        labels = label(kind, columns["severity"])
        found = {"retrieval": retrieval(columns["z"], labels)}
        if "gain" in columns:
            chained = (kind[:, 0] >= 0) & (labels[:, 0] < 0)
            groups = {"chains": chained}
            for name, kinds in (("noise", NOISE), ("blur", BLUR), ("codecs", CODECS)):
                numbers = torch.tensor([KINDS.index(k) for k in kinds], device=kind.device)
                groups[name] = torch.isin(labels[:, 0], numbers.float())
            found |= {name: float(columns["gain"][rows].mean()) for name, rows in groups.items() if rows.any()}
        self.log_dict({f"val/{name}": value for name, value in found.items()})
        gains = [value for name, value in found.items() if name != "retrieval"]
        self.log("val/chosen", float(np.mean(gains)) if gains else found["retrieval"])

    def configure_optimizers(self) -> Any:
        group = {"params": [p for p in self.parameters() if p.requires_grad], "lr": self.recipe.lr}
        return scheduled([group], self.recipe.decay, self.trainer)


def halves(crops: Tensor) -> Tensor:
    """(B, 3, S, S) -> left and then right halves, (2B, 3, S, S/2)."""
    return torch.cat(crops.chunk(2, 3)).contiguous(memory_format=torch.channels_last)


def retrieval(z: Tensor, labels: Tensor) -> float:
    """How often the nearest other picture has the same distortion type, among those with one."""
    single = (labels[:, 0] >= 0) & (labels[:, 0] < N_KINDS)
    z, kind = z[single], labels[single, 0]
    nearest = (z @ z.T).fill_diagonal_(-2).argmax(1)
    return float((kind[nearest] == kind).float().mean())


def psnr(x: Tensor, reference: Tensor, floor: float = 1e-5) -> Tensor:
    """Of each picture, in dB; at most that of the floor, an error that is added to every picture's."""
    return -10 * ((x - reference).square().mean((1, 2, 3)) + floor).log10()


def fit_assistants(recipe: Recipe) -> Path:
    """``iqassay train dri --stage restoration``. Returns the best checkpoint's path; a run found there goes on."""
    refuse_another_run(recipe)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    config = SyntheticConfig(
        recipe.synthetic_count,
        recipe.synthetic_size,
        recipe.synthetic_seed,
        untouched=0.05,
        chained=0.35,
        restored=0.1,
        covered=recipe.synthetic_covered,
        families=UNDONE,
        kinds=tuple(k for k in KINDS + BLUR + 6 * CODECS + NOISE if k not in recipe.synthetic_without),
    )
    sets = draw(recipe, config)
    train, val = (SyntheticPictures(s, 0, recipe.crop, s is sets[0], (0, 1), pairs=True) for s in sets)
    facts = {"synthetic pairs": {"train": len(train), "val": len(val)}}
    module = Assistants(recipe)
    if recipe.start is not None:
        load_weights(module.system, recipe.start, new=("",))
    everything: ConcatDataset = ConcatDataset([train])
    sampler = MixedBatches(everything, [1.0], recipe.batch, recipe.steps, recipe.seed)
    return run(recipe, module, everything, sampler, [val], facts)
