"""The first stage of DRI-IQA: the degradation encoder and the restorer, on synthetic pictures and their references.

What the degradation vector is made of is computed once for every picture, so the encoder is trained in a minute; the
restorer then hears the vectors of whole pictures and learns from crops of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, Dataset

from iqassay.data.distortions import KINDS
from iqassay.data.pipeline import MixedBatches, SyntheticPictures
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet
from iqassay.systems.dri import DRI
from iqassay.training.build import build_system
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.checkpoints import load_weights, settled
from iqassay.training.degradation import Degraded, Described, fit_degradation
from iqassay.training.descent import device_of, scheduled
from iqassay.training.losses import label
from iqassay.training.recipes import Recipe
from iqassay.training.run import Monitored, run
from iqassay.training.run_folder import refuse_another_run, write_checkpoint
from iqassay.training.sets import draw

NOISE = ("white_noise", "white_noise_color", "impulse_noise", "multiplicative_noise")
BLUR = ("gaussian_blur", "lens_blur", "motion_blur")
CODECS = ("jpeg2000", "jpeg")
# What a restorer learns from, and how often: noise is easily removed, what codecs do is the hardest to learn. Lost
# colours or moved patches are not its to bring back.
RESTORED = (*NOISE, *2 * BLUR, *4 * CODECS)
UNDONE = ("resampled", "resaved", "upscaled")  # of what people feed beside photos (`data.coverage`)
CONTRAST = 0.8  # of a batch of the degradation encoder are pictures of all types; the rest is the restorer's
FORGOTTEN = 0.1  # of a degradation vector, in training, so that the restorer does not know pictures by it


def fit_assistants(recipe: Recipe) -> Path:
    """``iqassay train dri --stage restoration``. Returns the best checkpoint's path; a run found there goes on."""
    refuse_another_run(recipe)
    recipe = settled(recipe)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    system = build_system(recipe)
    if not isinstance(system, DRI):
        raise ValueError(f"got the system {recipe.system}, want dri")
    if recipe.start is not None:
        load_weights(system, recipe.start, new=("",))
    of_types, pairs = drawn(recipe)
    described = degraded(recipe, system, of_types, pairs)
    found = {"retrieval": fit_degradation(recipe, system.degradation, described)}
    if system.restorer is None:
        return write_checkpoint(recipe, system, found)
    with torch.no_grad():
        vectors = system.degradation.of(described[1].statistics)
    parts = [
        Spoiled(SyntheticPictures(made, 0, recipe.crop, made is pairs[0], (0, 1), pairs=True), of)
        for made, of in zip(pairs, (vectors[: len(pairs[0])], vectors[len(pairs[0]) :]), strict=True)
    ]
    everything: ConcatDataset = ConcatDataset(parts[:1])
    sampler = MixedBatches(everything, [1.0], recipe.batch, recipe.steps, recipe.seed)
    facts: dict[str, dict] = {"synthetic pairs": {"train": len(parts[0]), "val": len(parts[1])}, "degradations": found}
    return run(recipe, Restoration(recipe, system), everything, sampler, parts[1:], facts)


def drawn(recipe: Recipe) -> tuple[list[SyntheticSet], list[SyntheticSet]]:
    """Pictures of all types, to tell them apart, and pictures to restore; of each some to train on and some of photos
    held out.

    Raises:
        ValueError: if no type of noise, blur or codec is left to restore.
    """
    kinds, restored = (tuple(k for k in of if k not in recipe.synthetic_without) for of in (KINDS, RESTORED))
    if not restored:
        raise ValueError(f"got --synthetic-without all of {', '.join(dict.fromkeys(RESTORED))}, want some to restore")
    named = SyntheticConfig(
        recipe.synthetic_count,
        recipe.synthetic_size,
        recipe.synthetic_seed + 2,  # the validation pictures of a seed are those of the next
        untouched=0.05,
        chained=0.1,
        restored=0.0,
        kinds=kinds,
    )
    spoiled = dataclasses.replace(
        named,
        seed=recipe.synthetic_seed,
        untouched=0.12,  # it must know when to leave a picture alone
        chained=0.28,
        covered=recipe.synthetic_covered,
        rendered=0.1,
        families=UNDONE,
        kinds=restored,
    )
    return draw(recipe, named), draw(recipe, spoiled)


def degraded(
    recipe: Recipe, system: DRI, of_types: Sequence[SyntheticSet], pairs: Sequence[SyntheticSet]
) -> list[Degraded]:
    """What the degradation vectors of these pictures are made of; kept in ``recipe.out``."""
    out = []
    for name, made, share in (("types", of_types, CONTRAST), ("pairs", pairs, 1 - CONTRAST)):
        pictures = [picture for one in made for picture in one.pixels]
        folder = recipe.out / f"{name}-{fingerprint(system.encoder, pictures)}"
        sources = [(picture,) for picture in pictures]
        (kept,) = keep(folder, Described(system), sources, 0, device=device_of(recipe))
        out.append(Degraded.of(kept, made, share))
    return out


class Spoiled(Dataset):
    """Pairs, and beside each the degradation vector of its whole picture."""

    def __init__(self, pairs: SyntheticPictures, vectors: Tensor) -> None:
        self.pairs, self.vectors = pairs, vectors

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return self.pairs[i] | {"vector": self.vectors[i]}


class Restoration(Monitored):
    """DRI-IQA's restorer, which learns to the highest PSNR; the rest of the system is not touched."""

    monitor = "val/gain"

    def __init__(self, recipe: Recipe, system: DRI) -> None:
        super().__init__()
        self.recipe, self.system = recipe, system
        assert system.restorer is not None
        self.restorer: nn.Module = system.restorer
        system.requires_grad_(False)
        self.restorer.requires_grad_(True)
        self.answers: list[dict[str, Tensor]] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        x, reference = turned(batch["x"], batch["reference"])
        estimate = self.restorer(x, F.dropout(batch["vector"], FORGOTTEN))[0].float()
        loss = -0.1 * psnr(estimate, reference).mean()
        self.log("train/psnr", -10 * loss.detach(), on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        x, reference = batch["x"], batch["reference"]
        estimate = self.restorer(x, batch["vector"])[0].float().clamp(0, 1)
        gain = psnr(estimate, reference) - psnr(x, reference)
        self.answers.append({"gain": gain, "kind": batch["kind"], "severity": batch["severity"]})

    def on_validation_epoch_end(self) -> None:
        columns = {k: torch.cat([a[k] for a in self.answers]).float() for k in self.answers[0]}
        self.answers.clear()
        kind = label(columns["kind"], columns["severity"])[:, 0]
        groups = {"clean": kind == len(KINDS)}
        for name, kinds in (("noise", NOISE), ("blur", BLUR), ("codecs", CODECS)):
            groups[name] = torch.isin(kind, kind.new_tensor([KINDS.index(k) for k in kinds]))
        found = {name: columns["gain"][rows].mean() for name, rows in groups.items() if rows.any()}
        self.log_dict({f"val/{name}": value for name, value in found.items()})
        self.log("val/gain", columns["gain"].mean())

    def configure_optimizers(self) -> Any:
        return scheduled([{"params": list(self.restorer.parameters()), "lr": self.recipe.lr}], 1e-4, self.trainer)


def turned(*pictures: Tensor) -> list[Tensor]:
    """Batches of pictures, all upside down or not, and all with rows for columns or not, at random."""
    down, aside = (torch.rand(2) < 0.5).tolist()
    out = [p.flip(2) if down else p for p in pictures]
    out = [p.transpose(2, 3) if aside else p for p in out]
    return [p.contiguous(memory_format=torch.channels_last) for p in out]


def psnr(x: Tensor, reference: Tensor, floor: float = 1e-5) -> Tensor:
    """Of each picture, in dB; at most 50, that of the floor, an error that is added to every picture's."""
    return -10 * ((x - reference).square().mean((1, 2, 3)) + floor).log10()
