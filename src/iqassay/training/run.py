"""A Lightning run that can be killed and started again: it goes on from its last checkpoint."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset

from iqassay.data.pipeline import MixedBatches
from iqassay.support.memory import keep_freed
from iqassay.support.parallel import leads
from iqassay.training.learning_curve import draw_curve
from iqassay.training.recipes import Recipe
from iqassay.training.run_folder import write_recipe


class Monitored(lightning.LightningModule):
    """A module that says what chooses the epoch."""

    monitor: str  # the name of a value that validation logs, of which higher is better


def run(
    recipe: Recipe,
    module: Monitored,
    pictures: Dataset,
    sampler: MixedBatches,
    judged: Sequence[Dataset],
    facts: dict[str, dict],
) -> Path:
    """Train a module; the epoch is chosen by its ``monitor``, of which higher is better.

    In ``recipe.out``: last.ckpt and best.ckpt, recipe.json, metrics.csv (metrics-N.csv from before the run went on),
    curve.png; of a system, val-EPOCH.npz (raw score, standardised opinion and set of every picture of the epoch's
    validation; for each set the learned gain and offset from raw scores to standardised opinions).
    """
    keep_freed()
    _quiet()
    resume = recipe.out / "last.ckpt"
    recipe.out.mkdir(parents=True, exist_ok=True)
    if leads():  # another process of several would take the first one's log for that of an older run
        log = recipe.out / "metrics.csv"
        if log.exists():  # Lightning's logger would start it anew
            log.rename(recipe.out / f"metrics-{len(list(recipe.out.glob('metrics-*.csv'))) + 1}.csv")
        write_recipe(recipe, sets=facts)
    more = recipe.workers > 0
    batches = DataLoader(pictures, batch_sampler=sampler, num_workers=recipe.workers, persistent_workers=more)
    # One loader for each set: some have references and some have not, some have several crops of each picture.
    size = max(1, recipe.batch // max(1, recipe.test_crops))
    answers = [DataLoader(part, batch_size=size, num_workers=recipe.workers) for part in judged]
    best = ModelCheckpoint(recipe.out, "best", monitor=module.monitor, mode="max", enable_version_counter=False)
    last = ModelCheckpoint(recipe.out, "last", save_top_k=1, monitor=None, enable_version_counter=False)
    stop = EarlyStopping(module.monitor, mode="max", patience=recipe.patience)
    averaging = [EMAWeightAveraging(decay=recipe.average)] if recipe.average else []
    bar = RichProgressBar() if sys.stderr.isatty() else TQDMProgressBar(refresh_rate=0)
    several = recipe.devices not in ("auto", "1") or (recipe.devices == "auto" and torch.cuda.device_count() > 1)
    trainer = lightning.Trainer(
        accelerator=recipe.accelerator,
        devices=recipe.devices if not recipe.devices.isdigit() else int(recipe.devices),
        # A batch of one of YOTO's modes leaves the other's parts without a gradient, which several devices must expect.
        strategy="ddp_find_unused_parameters_true" if several else "auto",
        precision=recipe.precision,  # type: ignore[arg-type]
        max_epochs=recipe.epochs,
        logger=CSVLogger(recipe.out, name="", version=""),
        callbacks=[*averaging, best, last, stop, bar, Narrator()],
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        gradient_clip_val=5.0,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    trainer.fit(module, batches, answers, ckpt_path=resume if resume.exists() else None, weights_only=False)
    if trainer.is_global_zero:
        draw_curve(recipe.out)
    return recipe.out / "best.ckpt"


class Narrator(lightning.Callback):
    """One line an epoch on standard error, for logs without a terminal."""

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        shown = {k: round(float(v), 4) for k, v in trainer.callback_metrics.items() if k.startswith(("val/", "train/"))}
        if trainer.is_global_zero:
            print(
                f"epoch {trainer.current_epoch}", *(f"{k} {v}" for k, v in shown.items()), file=sys.stderr, flush=True
            )


def _quiet() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
