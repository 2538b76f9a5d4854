"""Recipes: everything that decides a training run, as dataclasses whose fields become command line flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Recipe:
    """A run of ``iqassay train mfen``. The defaults trained the shipped model (see docs/mfen.md for both commands)."""

    data: list[str] = field(default_factory=list, metadata={"help": "ratings CSV, or CSV:FOLDER of its pictures; repeatable"})
    shares: list[float] = field(default_factory=list, metadata={"help": "share of each batch for each set (the synthetic one last); default: equal"})
    synthetic: list[Path] = field(default_factory=list, metadata={"help": "folder of clean photos to distort; repeatable"})
    synthetic_count: int = field(default=10_000, metadata={"help": "how many distorted pictures to render"})
    synthetic_without: list[str] = field(default_factory=list, metadata={"help": "distortion type to leave out; repeatable"})
    left_out: list[str] = field(default_factory=list, metadata={"help": "ratings CSV (or CSV:FOLDER) to look at but never train on or choose by; repeatable"})
    synthetic_seed: int = field(default=0, metadata={"help": "seed of the distorted pictures; runs that share it share them"})
    out: Path = field(default=Path("runs/mfen"), metadata={"help": "folder for checkpoints, log and curve; a run found there is resumed"})
    start: Path | None = field(default=None, metadata={"help": "checkpoint to take weights from (not a resume)"})

    encoder: str = field(default="efficientnet_lite0", metadata={"help": "encoder of QEN and DAN"})
    hfen: bool = field(default=True, metadata={"help": "high-frequency extraction network"})
    dan: bool = field(default=True, metadata={"help": "distortion-aware network"})
    fusion: str = field(default="attention", metadata={"help": "attention, concat or sum"})
    width: int = field(default=128, metadata={"help": "width of the quality head"})

    epochs: int = field(default=8, metadata={"help": "epochs; one is --steps batches"})
    steps: int = field(default=250, metadata={"help": "batches in an epoch"})
    batch: int = field(default=24, metadata={"help": "pictures in a batch, on each device"})
    crop: int = field(default=224, metadata={"help": "crop size in pixels, a multiple of 32"})
    scales: list[float] = field(default_factory=lambda: [1.0, 0.75, 0.5], metadata={"help": "scales of a rated photo in training; the last one is used in validation"})
    lr: float = field(default=1e-3, metadata={"help": "peak step of the new parts"})
    encoder_lr: float = field(default=0.05, metadata={"help": "step of the pretrained levels, relative to --lr"})
    frozen: int = field(default=2, metadata={"help": "how many early levels of the encoders stay fixed (0 to 4)"})
    decay: float = field(default=0.01, metadata={"help": "weight decay"})
    average: float = field(default=0.995, metadata={"help": "decay of the running average of the weights; 0 for none"})
    rank: float = field(default=0.5, metadata={"help": "weight of the ranking loss"})
    kind: float = field(default=0.2, metadata={"help": "weight of the distortion-type loss"})
    severity: float = field(default=0.1, metadata={"help": "weight of the severity loss"})
    patience: int = field(default=5, metadata={"help": "stop after so many epochs without a better validation SRCC"})

    seed: int = field(default=0, metadata={"help": "seed of everything random"})
    workers: int = field(default=1, metadata={"help": "processes that read pictures"})
    precision: str = field(default="32-true", metadata={"help": "Lightning's precision, for example bf16-mixed"})
    accelerator: str = field(default="auto", metadata={"help": "Lightning's accelerator"})
    devices: str = field(default="auto", metadata={"help": "Lightning's devices: a number, a list, or auto"})
    limit: int = field(default=0, metadata={"help": "use only the first so many rows of each rated split; 0 for all"})

    def __post_init__(self) -> None:
        if self.crop % 32 or self.crop < 64:
            raise ValueError(f"got --crop {self.crop}, want a multiple of 32, at least 64")
        if not 0 <= self.frozen <= 4:
            raise ValueError(f"got --frozen {self.frozen}, want 0 to 4")
        if not self.data and not self.synthetic:
            raise ValueError("got neither --data nor --synthetic, want at least one set to train on")
        sets = len(self.data) + bool(self.synthetic)
        if self.shares and len(self.shares) != sets:
            raise ValueError(f"got {len(self.shares)} --shares for {sets} sets, want one each")


def smoke(**changes: object) -> Recipe:
    """The two-minute recipe: tiny crops, a few steps; shows that everything runs, not how good it can be."""
    settings: dict = {"epochs": 2, "steps": 4, "batch": 6, "crop": 64, "synthetic_count": 48, "workers": 0, "average": 0.5, "devices": "1", "accelerator": "cpu"}
    return Recipe(**(settings | changes))
