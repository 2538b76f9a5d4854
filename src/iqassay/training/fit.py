"""Training with Lightning: data, module, callbacks, and a run that can be killed and started again."""

from __future__ import annotations

import csv
import ctypes
import dataclasses
import json
import logging
import math
import pickle
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from iqassay.data.distortions import KINDS
from iqassay.data.opening import open_set
from iqassay.data.pipeline import MixedBatches, RatedPictures, SyntheticPictures, standard_of
from iqassay.data.rating import Ratings
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet, pristine_files, render
from iqassay.statistics.correlation import srcc
from iqassay.systems.blocks import Prediction
from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.mfen import MFEN, MFENConfig
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import ExtendedYOTO, ExtendedYOTOConfig, rename
from iqassay.training.losses import SetScales, kind_loss, ranking_loss, score_loss, severity_loss
from iqassay.training.recipes import Recipe

if TYPE_CHECKING:
    from iqassay.training.restoration import Assistants

System = MFEN | ExtendedYOTO | DRI


class Training(lightning.LightningModule):
    """A system, a learned scale for each data set, and the losses of the recipe."""

    monitor = "val/srcc"

    def __init__(self, recipe: Recipe, sets: list[str], chosen_by: int, standards: list[tuple[float, float]]) -> None:
        super().__init__()
        self.recipe, self.sets, self.chosen_by = recipe, sets, chosen_by
        self.system = build_system(recipe)
        self.scales = SetScales(standards)
        self.pretrained = list(self.system.encoder.levels)
        fixed = self.pretrained[: recipe.frozen]
        if isinstance(self.system, MFEN) and recipe.dan:
            fixed += self.system.dan.levels[: max(0, recipe.dan_frozen - self.system.dan.shared)]
            self.pretrained += self.system.dan.levels
        assistants = (self.system.degradation, self.system.restorer) if isinstance(self.system, DRI) else ()
        self.learned = [part for part in assistants if part is not None]  # before, from pairs
        for part in fixed + self.learned:
            part.requires_grad_(False)
        self.answers: list[tuple[Tensor, ...]] = []
        self.train()

    def train(self, mode: bool = True) -> Training:
        super().train(mode)
        for part in self.learned:
            part.eval()  # or its batch normalisation would follow these pictures
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
        """The system's answer to a batch, with the references where it has them."""
        pictures = [batch[k].contiguous(memory_format=torch.channels_last) for k in ("x", "reference") if k in batch]
        return self.system(*pictures)

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
            {"params": [p for p in self.parameters() if p.requires_grad and p not in pretrained], "lr": recipe.lr},
            {"params": [p for p in pretrained if p.requires_grad], "lr": recipe.lr * recipe.encoder_lr},
        ]
        return scheduled([g for g in groups if g["params"]], recipe.decay, self.trainer)


def scheduled(groups: list[dict], decay: float, trainer: lightning.Trainer) -> Any:
    """AdamW with the step sizes of ``step_size``, as Lightning wants it."""
    optimizer = torch.optim.AdamW(groups, weight_decay=decay)
    total = max(2, int(trainer.estimated_stepping_batches))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step_size(step, total))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def step_size(step: int, total: int) -> float:
    """Relative step size: up in a line over the first tenth, then down a cosine. Keeps no state, so a run can be longer
    when it goes on."""
    warm = max(1, total // 10)
    return (step + 1) / warm if step < warm else 0.5 + 0.5 * math.cos(math.pi * min(1, (step - warm) / (total - warm)))


def build_system(recipe: Recipe) -> System:
    """The recipe's system with its pretrained encoders, untrained otherwise."""
    name = recipe.encoder
    system: System
    if recipe.system == "yoto":
        switches = ("adapter", "sda", "windows", "segments", "normalise")
        network = YOTOConfig(name, recipe.tokens, **{key: getattr(recipe, key) for key in switches})
        system = ExtendedYOTO(ExtendedYOTOConfig(network, recipe.whole_picture, recipe.distance, recipe.sway))
    elif recipe.system == "dri":
        system = DRI(DRIConfig(name, **{k: getattr(recipe, k) for k in ("restoration", "interaction", "two_vectors")}))
    else:
        config = MFENConfig(name, name, hfen=recipe.hfen, dan=recipe.dan, fusion=recipe.fusion, width=recipe.width)
        system = MFEN(config)
    return system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclasses.dataclass
class Sets:
    """The pictures of a run. ``chosen_by`` counts the sets, first in ``names``, whose validation picks the epoch;
    ``paired`` are the numbers of those that come with references.
    """

    names: list[str]
    chosen_by: int
    paired: list[int]
    train: ConcatDataset
    val: ConcatDataset
    facts: dict[str, dict]


def load_sets(recipe: Recipe) -> Sets:
    """Read the rated sets, render the synthetic ones, and add those left out, which are only looked at.

    YOTO has a second set of those with references, "NAME with reference", unless ``recipe.mode`` leaves it out.
    """
    names, train, val, facts, paired = [], [], [], {}, []
    alone = recipe.system != "yoto" or recipe.mode != "full-reference"  # pictures by themselves
    pairs = recipe.system == "yoto" and recipe.mode != "no-reference"

    def ways(ratings: Ratings) -> list[bool]:
        """Whether a set is looked at with its references; twice where it is looked at in both ways."""
        return [False] * alone + [True] * (pairs and all(row.reference for row in ratings.rows))

    def add(name: str, new_train: Any, new_val: Any, standard: tuple[float, float]) -> None:
        names.append(name)
        val.append(new_val)
        facts[name] = {"mean": standard[0], "deviation": standard[1], "train": 0, "val": len(new_val)}
        if new_train is not None:
            train.append(new_train)
            facts[name]["train"] = len(new_train)

    for argument in recipe.data:
        ratings = open_set(argument)
        parts = [_first(ratings.split(split), recipe.limit) for split in ("train", "val")]
        if min(map(len, parts)) < 2:
            raise ValueError(
                f"{argument}: got {len(parts[0])} train and {len(parts[1])} val rows, want at least 2 of each"
            )
        standard = standard_of([row.score for row in parts[0].rows])
        for with_reference in ways(ratings):
            index = len(names)
            paired += [index] if with_reference else []
            make = [
                RatedPictures(part, index, recipe.crop, part is parts[0], standard, recipe.scales, with_reference)
                for part in parts
            ]
            add(ratings.name + " with reference" * with_reference, make[0], make[1], standard)
    synthetic = synthetic_sets(recipe) if recipe.synthetic else None
    if synthetic is not None:
        for with_reference in [False] * alone + [True] * pairs:
            index = len(names)
            paired += [index] if with_reference else []
            standard = standard_of(synthetic[0].pair_score if with_reference else synthetic[0].score)
            make_synthetic = [
                SyntheticPictures(s, index, recipe.crop, s is synthetic[0], standard, with_reference)
                for s in synthetic[:2]
            ]
            add("synthetic" + " with reference" * with_reference, make_synthetic[0], make_synthetic[1], standard)
    if not names:
        raise ValueError("got --mode full-reference and no set with references, want --synthetic or a reference column")
    chosen_by = len(names)
    if synthetic is not None and recipe.synthetic_without:
        add("unseen_types", None, SyntheticPictures(synthetic[2], len(names), recipe.crop, False, standard), standard)
    for argument in recipe.left_out:
        ratings = open_set(argument)
        rows = _first(ratings.split("val"), recipe.limit)
        standard = standard_of([row.score for row in rows.rows])
        for with_reference in ways(rows):
            name = f"left_out_{ratings.name}" + " with reference" * with_reference
            looked_at = RatedPictures(rows, len(names), recipe.crop, False, standard, recipe.scales, with_reference)
            add(name, None, looked_at, standard)
    return Sets(names, chosen_by, paired, ConcatDataset(train), ConcatDataset(val), facts)


def held_out(files: list[Path]) -> list[Path]:
    """The clean photos that are kept for validation: every tenth, or the first where there are few."""
    return files[::10] if len(files) >= 20 else files[:1]


def synthetic_sets(recipe: Recipe) -> list[SyntheticSet]:
    """Rendered pictures to train on; to validate on, of photos held out; and of types left out, of photos held out."""
    unknown = set(recipe.synthetic_without) - set(KINDS)
    if unknown:
        raise ValueError(f"got --synthetic-without {', '.join(unknown)}, want types among {', '.join(KINDS)}")
    seen = tuple(kind for kind in KINDS if kind not in recipe.synthetic_without)
    config = SyntheticConfig(recipe.synthetic_count, recipe.synthetic_size, recipe.synthetic_seed, kinds=seen)
    unseen = tuple(recipe.synthetic_without)
    return draw(recipe, config, [{}, {"kinds": unseen, "chained": 0, "restored": 0}] if unseen else [{}])


def draw(recipe: Recipe, config: SyntheticConfig, held: Sequence[dict[str, Any]] = ({},)) -> list[SyntheticSet]:
    """Render a set to train on and, of photos held out, smaller ones that differ in what ``held`` says of each."""
    files, cache = pristine_files(recipe.synthetic), recipe.out.parent / "cache"
    kept = held_out(files)
    few = dataclasses.replace(config, count=max(8, min(800, config.count // 10)), seed=config.seed + 1)
    train = render([f for f in files if f not in kept] or files, config, cache)
    return [train, *(render(kept, dataclasses.replace(few, **changes), cache) for changes in held)]


def shares_of(recipe: Recipe, sets: Sets) -> list[float]:
    """Share of a batch for each training set: the recipe's, which a set and its pairs have in common."""
    given = dict(zip([*recipe.set_names(), "synthetic"], recipe.shares, strict=False))
    trained = [name for name in sets.names if sets.facts[name]["train"]]
    return [given.get(name.removesuffix(" with reference"), 1.0) for name in trained]


def _first(ratings: Ratings, limit: int) -> Ratings:
    return dataclasses.replace(ratings, rows=ratings.rows[:limit]) if limit else ratings


def fit(recipe: Recipe) -> Path:
    """Run a recipe, going on from its last checkpoint if there is one. Returns the best checkpoint's path."""
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    sets = load_sets(recipe)
    standards = [(fact["mean"], fact["deviation"]) for fact in sets.facts.values()]
    module = Training(recipe, sets.names, sets.chosen_by, standards)
    if recipe.start is not None:
        load_weights(module.system, recipe.start, new=("",))
    sampler = MixedBatches(sets.train, shares_of(recipe, sets), recipe.batch, recipe.steps, recipe.seed, sets.paired)
    return run(recipe, module, sets.train, sampler, sets.val.datasets, sets.facts)


def run(
    recipe: Recipe,
    module: Training | Assistants,
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
    _keep_memory()
    _quiet()
    resume = recipe.out / "last.ckpt"
    recipe.out.mkdir(parents=True, exist_ok=True)
    log = recipe.out / "metrics.csv"
    if log.exists():  # Lightning's logger would start it anew
        log.rename(recipe.out / f"metrics-{len(list(recipe.out.glob('metrics-*.csv'))) + 1}.csv")
    (recipe.out / "recipe.json").write_text(
        json.dumps({"recipe": dataclasses.asdict(recipe), "sets": facts}, indent=1, default=str)
    )
    more = recipe.workers > 0
    batches = DataLoader(pictures, batch_sampler=sampler, num_workers=recipe.workers, persistent_workers=more)
    # One loader for each set: some have references and some have not.
    answers = [DataLoader(part, batch_size=recipe.batch, num_workers=recipe.workers) for part in judged]
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


def recipe_of(checkpoint: Path) -> Recipe:
    """The recipe of the run that a checkpoint lies in.

    Raises:
        ValueError: if there is no recipe beside it.
    """
    try:
        settings = json.loads((checkpoint.parent / "recipe.json").read_text())["recipe"]
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{checkpoint}: no recipe.json beside it, want a checkpoint of iqassay train") from None
    folders = {"out": Path(settings["out"]), "synthetic": [Path(folder) for folder in settings["synthetic"]]}
    return Recipe(**(settings | folders))


def load_weights(system: System, checkpoint: Path, new: tuple[str, ...] = ()) -> None:
    """Take the system's weights from a checkpoint. Those whose names start as in ``new`` may be missing there, or have
    another shape: they keep what they are.

    Raises:
        ValueError: if the file is no such checkpoint, or not of this network in all its other parts.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    except (OSError, EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError):
        raise ValueError(f"{checkpoint}: cannot be read as a checkpoint of iqassay train") from None
    weights = {k.removeprefix("system."): v for k, v in state.items() if k.startswith("system.")}
    if isinstance(system, ExtendedYOTO):
        rename(weights)
    own = system.state_dict()
    weights = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    missing = [k for k in own if k not in weights and not k.startswith(new)]
    if missing:
        raise ValueError(
            f"{checkpoint}: got no weights that fit {missing[0]} and {len(missing) - 1} others, "
            "want a checkpoint of the same network and version"
        )
    system.load_state_dict(weights, strict=False)


def draw_curve(folder: Path) -> None:
    """The learning curve of all metrics*.csv as curve.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows: list[dict[str, str]] = []
    for file in sorted(folder.glob("metrics*.csv"), key=lambda f: f.stat().st_mtime):
        with file.open() as stream:
            rows += csv.DictReader(stream)
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.5))
    for axis, prefix in zip(axes, ("train/", "val/"), strict=True):
        for column in dict.fromkeys(c for row in rows for c in row if c.startswith(prefix)):
            points = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
            axis.plot(*zip(*points, strict=True), marker=".", label=column.removeprefix(prefix))
        axis.set(xlabel="epoch", title=prefix.rstrip("/"))
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "curve.png", dpi=110)
    pyplot.close(figure)


def _keep_memory() -> None:
    """Tell glibc to keep freed memory, or a step's large tensors are mapped afresh each time (5x slower on a CPU)."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-4, 0)  # M_MMAP_MAX: no block has a mapping of its own
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def _quiet() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
