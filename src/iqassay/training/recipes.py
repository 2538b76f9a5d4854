# ruff: noqa: RUF009 - _flag is dataclasses.field with a help text
"""Recipes: everything that decides a training run, as a dataclass whose fields become command line flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iqassay.data.ratings import parts_of


def _flag(default: Any, text: str) -> Any:
    """A field with its help text; a list as the default is copied for every recipe."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": text})
    return field(default=default, metadata={"help": text})


OUT = Path("runs/SYSTEM")  # stands for a folder by the system's name, and the stage's


@dataclass
class Recipe:
    """A run of ``iqassay train SYSTEM``; docs/mfen.md and docs/yoto.md have the commands of the shipped models.

    Raises:
        ValueError: for a value out of its range, or nothing to train on.
    """

    system: str = "mfen"  # the first argument of the command
    data: list[str] = _flag(
        [],
        "ratings CSV, CSV:FOLDER of its pictures, CSV:FOLDER:WORST..BEST of its score, or NAME:FOLDER of a published "
        "set (see `iqassay bench sets`); repeatable",
    )
    columns: str = _flag(
        "", "what columns of unusual names in the CSV files are: image=name,mos=quality; dmos is a score that falls"
    )
    synthetic: list[Path] = _flag([], "folder of clean photos to distort; repeatable")
    shares: list[float] = _flag(
        [], "share of a batch for each set, synthetic last; repeatable; 0 for none; equal if not given"
    )
    left_out: list[str] = _flag([], "rated set, as for --data, to look at, but never train on or choose by; repeatable")
    synthetic_count: int = _flag(12_000, "how many distorted pictures to render")
    synthetic_size: int = _flag(256, "size of the distorted pictures in pixels, at least the crop")
    synthetic_seed: int = _flag(0, "seed of the distorted pictures; runs that share it share them")
    synthetic_without: list[str] = _flag([], "distortion type to leave out; repeatable")
    synthetic_covered: float = _flag(
        0.0,
        "share of the distorted pictures that are what people feed beside photos: empty, framed, drawn, rebuilt ...",
    )
    generated: list[Path] = _flag(
        [],
        "folder of generated pictures: those that no --data rates are a further set with the teacher's opinions (mfen, "
        "and stage head of the others), or of which only what was said of them is to stay (stage semantic); repeatable",
    )
    photos: list[Path] = _flag(
        [], "folder of photos, rated or not, that are to be told from --generated (stage head of dri); repeatable"
    )
    generated_begun: bool = _flag(
        False,
        "dri: what --start knows of generated pictures stays, and what tells them from photos learns on from these "
        "alone (stage head, beside --generated)",
    )
    teacher_heads: Path | None = _flag(
        None, "JSON of the linear heads sac and laion on CLIP ViT-B/16, by which the teacher has opinions"
    )
    taught: float = _flag(
        0.0,
        "weight of the loss of what the teacher, CLIP ViT-B/16, says of pictures (mfen; stage semantic of dri, whose "
        "teacher is the encoder as it was)",
    )
    patched: float = _flag(
        0.0,
        "share of the distorted pictures that are damaged in one part only (mfen, stage head of dri, and stage map)",
    )
    damaged: float = _flag(0.0, "weight of the loss of the map on those (mfen, stage head of dri, and stage map)")
    located: bool = _flag(False, "the map of --stage map, which --stage head keeps as --start has it")
    limit: int = _flag(0, "use only the first so many rows of each rated split; 0 for all")
    out: Path = _flag(
        OUT,
        "folder for checkpoints, log and curve; a run found there goes on; of other stages runs/SYSTEM-STAGE",
    )
    start: Path | None = _flag(None, "checkpoint, or model file (.onnx), to take the first weights from")
    stage: str = _flag(
        "network",
        "network, on crops; view (mfen): only the quality network, on whole pictures as it sees them; restoration "
        "(dri): degradation encoder and restorer, on pairs; semantic (dri): only the semantic encoder, on whole "
        "pictures; head: only what makes the score, on whole pictures, after --start; or map: only what "
        "makes the map, on pictures of which a part is damaged, after --start",
    )

    config: str = _flag("light", "light, for CPUs; or paper: as near to the published network as is known")
    encoder: str = _flag("efficientnet_lite0", "encoder of every part that has one")
    dan_encoder: str = _flag("", "mfen: encoder of the distortion-aware network, if it is another")
    encoder_weights: Path | None = _flag(
        None, "state dict of a VAN or swin_t, as published, for --encoder; a --start has weights of its own"
    )
    hfen: bool = _flag(True, "mfen: high-frequency extraction network")
    high_pass: bool = _flag(True, "mfen: only detail goes into HFEN; without, all of the picture, as in 0.1.0")
    dan: bool = _flag(True, "mfen: distortion-aware network")
    fusion: str = _flag("attention", "mfen: attention, concat or sum")
    view: int = _flag(
        224,
        "mfen: side of the square to which a whole picture is shrunk for the quality network; 0: as it is, as in 0.1.0",
    )
    width: int = _flag(512, "mfen: width of the quality head")
    mode: str = _flag("joint", "yoto: joint, no-reference or full-reference")
    tokens: int = _flag(64, "yoto: width of a token")
    adapter: str = _flag("attention", "yoto: attention (HA), difference or concat")
    sda: bool = _flag(True, "yoto: semantic distortion aware attention")
    windows: bool = _flag(True, "yoto: windowed attention after the global one")
    segments: bool = _flag(True, "yoto: segment embedding")
    normalise: bool = _flag(True, "yoto: a LayerNorm of the tokens of each level")
    near: int = _flag(
        0,
        "yoto: HA and SDA look at tokens at most so many cells away (for a vision transformer); 0: at all",
    )
    heads: int = _flag(6, "yoto: heads of their attention with --near")
    detail: str = _flag(
        "", "yoto: encoder of native detail without a reference, beside a vision transformer with --near"
    )
    whole_picture: bool = _flag(True, "yoto: our regression on whole-picture statistics, without a reference")
    distance: bool = _flag(True, "yoto: our distance, with a reference")
    restoration: bool = _flag(True, "dri: restoration network")
    assistance: bool = _flag(True, "dri: the restorer tells the predictor; without, its estimate is only shown")
    interaction: bool = _flag(True, "dri: interaction of the two vectors")
    two_vectors: bool = _flag(True, "dri: a degradation vector beside the quality vector")
    predictors: int = _flag(1, "dri: so many predictors, each trained by itself, whose mean is the answer")
    linear: float = _flag(
        0.0, "mfen, dri: weight of a linear regression beside the score, 0 to 1 (stage head); 0: none"
    )
    kept_predictors: int = _flag(0, "mfen, dri: so many of these stay as --start has them (stage head)")
    semantic: str = _flag("", "dri: vision transformer that says what the whole picture shows: clip_vit_b16")
    semantic_runs: list[Path] = _flag(
        [],
        "dri: best.ckpt of a run of stage semantic, what it changed is added to the encoder (stage head); repeatable",
    )
    semantic_strength: float = _flag(1.0, "dri: so many times what each of these changed is added (stage head)")
    semantic_fixed: int = _flag(6, "dri: how many of its blocks stay as they are (stage semantic)")
    low_rank: int = _flag(16, "dri: rank of what is added to the matrices of the others (stage semantic)")
    semantic_views: int = _flag(1, "dri: of a picture, the whole and others without random margins (stage semantic)")
    sway: float = _flag(1.4, "yoto: how far the attention may scale the distance of a cell; 0 leaves it to the weights")

    epochs: int = _flag(10, "epochs; one is --steps batches")
    steps: int = _flag(250, "batches in an epoch")
    batch: int = _flag(24, "pictures in a batch, on each device")
    crop: int = _flag(224, "crop size in pixels, a multiple of 32")
    scales: list[float] = _flag([1.0, 0.75, 0.5], "scale of a rated photo; repeatable; the last one validates")
    test_crops: int = _flag(
        0,
        "answer for a rated picture of val or test by the mean over so many crops at random places, at the largest "
        "scale; 20 to 50 in papers; 0: by the centre crop at the last scale",
    )
    lr: float = _flag(7e-4, "peak step of the new parts")
    encoder_lr: float = _flag(0.05, "step of the pretrained levels, relative to --lr")
    level_decay: float = _flag(1.0, "step of a pretrained level, relative to that of the one after it")
    frozen: int = _flag(4, "how many levels of the quality encoder stay fixed (0 to 4)")
    dan_frozen: int = _flag(2, "how many levels of the distortion-aware encoder stay fixed (0 to 4)")
    decay: float = _flag(0.01, "weight decay")
    average: float = _flag(0.995, "decay of the running average of the weights; 0 for none")
    rank: float = _flag(0.5, "weight of the ranking loss")
    kind: float = _flag(0.2, "weight of the distortion-type loss")
    severity: float = _flag(0.1, "weight of the severity loss")
    representation: float = _flag(0.1, "dri: weight of the representation-based semantic loss")
    contrast: float = _flag(1.0, "dri: weight of the contrast of degradations")
    patience: int = _flag(5, "stop after so many epochs without a better validation SRCC")

    seed: int = _flag(0, "seed of everything random but the distorted pictures")
    workers: int = _flag(1, "processes that read pictures")
    precision: str = _flag("32-true", "Lightning's precision, for example bf16-mixed")
    accelerator: str = _flag("auto", "Lightning's accelerator")
    devices: str = _flag("auto", "Lightning's devices: a number, a list or auto")

    def __post_init__(self) -> None:
        if self.out == OUT:
            self.out = Path("runs") / (self.system + (f"-{self.stage}" if self.stage != "network" else ""))
        if self.crop % 32 or self.crop < 64:
            raise ValueError(f"got --crop {self.crop}, want a multiple of 32, at least 64")
        for name in ("frozen", "dan_frozen"):
            if not 0 <= getattr(self, name) <= 4:
                raise ValueError(f"got --{name.replace('_', '-')} {getattr(self, name)}, want 0 to 4")
        if not 0 <= self.synthetic_covered <= 1:
            raise ValueError(f"got --synthetic-covered {self.synthetic_covered}, want 0 to 1")
        for name in ("test_crops", "near", "semantic_fixed"):
            if getattr(self, name) < 0:
                raise ValueError(f"got --{name.replace('_', '-')} {getattr(self, name)}, want 0 or more")
        if self.test_crops and self.stage in ("head", "view", "semantic"):
            raise ValueError(
                f"got --test-crops {self.test_crops} for --stage {self.stage}, which sees whole pictures: want 0"
            )
        if not 0 <= self.average < 1:
            raise ValueError(f"got --average {self.average}, want 0 to below 1")
        if not self.scales or min(self.scales) <= 0 or max(self.scales) > 1:
            raise ValueError(f"got --scales {self.scales}, want numbers above 0 and at most 1")
        if self.mode not in ("joint", "no-reference", "full-reference"):
            raise ValueError(f"got --mode {self.mode}, want joint, no-reference or full-reference")
        for name in (
            "epochs",
            "steps",
            "batch",
            "width",
            "tokens",
            "heads",
            "synthetic_count",
            "synthetic_size",
            "predictors",
            "low_rank",
            "semantic_views",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"got --{name.replace('_', '-')} {getattr(self, name)}, want at least 1")
        if self.synthetic and self.synthetic_size < self.crop:
            raise ValueError(f"got --synthetic-size {self.synthetic_size}, want at least the crop, {self.crop}")
        if self.config not in ("light", "paper"):
            raise ValueError(f"got --config {self.config}, want light or paper")
        if self.stage not in ("network", "view", "restoration", "semantic", "head", "map"):
            raise ValueError(f"got --stage {self.stage}, want network, view, restoration, semantic, head or map")
        maps = self.stage == "map"
        if maps and not (self.start and self.synthetic and self.patched):
            raise ValueError("got --stage map, want it with a --start, --synthetic and --patched")
        self.located = self.located or maps
        if self.located and not (maps or (self.stage == "head" and self.start)):
            raise ValueError(
                f"got --located for --stage {self.stage}, want it for --stage head with a --start that has such a map"
            )
        if self.stage == "semantic" and not (self.system == "dri" and self.semantic):
            raise ValueError(
                f"got --stage semantic for {self.system}{' without --semantic' * (self.system == 'dri')}, want dri "
                "with --semantic clip_vit_b16"
            )
        if self.stage == "view" and (self.system != "mfen" or not self.view or self.config == "paper"):
            raise ValueError(f"got --stage view for {self.system} without a --view, want mfen with one")
        if self.stage == "restoration" and (self.system != "dri" or not self.synthetic):
            raise ValueError(f"got --stage restoration for {self.system}, want dri, with --synthetic to make pairs of")
        dri_head = self.system == "dri" and self.stage == "head"
        linear_head = self.system in ("mfen", "dri") and self.stage == "head"
        on_crops = self.stage != "semantic" and (self.taught or (self.generated and self.stage != "head"))
        if self.system != "mfen" and (on_crops or ((self.patched or self.damaged) and not (dri_head or maps))):
            raise ValueError(
                f"got --taught, --patched, --damaged, or --generated for --stage {self.stage} of {self.system}, want "
                "mfen; or --generated for any --stage head, and --patched and --damaged for that of dri, or --stage map"
            )
        if self.predictors > 1 and not (dri_head or (maps and self.system == "dri")):
            raise ValueError(
                f"got --predictors {self.predictors} for --stage {self.stage} of {self.system}, want them for --stage "
                "head of dri, which trains each by itself"
            )
        if self.semantic_runs and not (dri_head and self.semantic and self.start):
            raise ValueError(
                f"got --semantic-runs for --stage {self.stage} of {self.system}, want them for --stage head of dri "
                "with --semantic and a --start"
            )
        if not 0 <= self.linear <= 1 or (self.linear and not (linear_head or maps)):
            raise ValueError(
                f"got --linear {self.linear:g} for --stage {self.stage} of {self.system}, want 0 to 1, for --stage "
                "head of mfen or dri"
            )
        most = self.predictors - (not self.linear)
        if self.kept_predictors and not (linear_head and self.start and 0 < self.kept_predictors <= most):
            raise ValueError(
                f"got --kept-predictors {self.kept_predictors} and --predictors {self.predictors} for --stage "
                f"{self.stage} of {self.system}, want fewer kept than there are (or all beside --linear), for --stage "
                "head of mfen or dri with a --start"
            )
        if self.photos and not (dri_head and self.generated):
            raise ValueError(
                f"got --photos for --stage {self.stage} of {self.system}, want them beside --generated for --stage "
                "head of dri"
            )
        if self.generated_begun and not (dri_head and self.generated and self.start):
            raise ValueError(
                f"got --generated-begun for --stage {self.stage} of {self.system}, want it beside --generated for "
                "--stage head of dri with a --start"
            )
        if dri_head and bool(self.patched) != bool(self.damaged):
            raise ValueError("got one of --patched and --damaged, want both: the one makes what the other learns from")
        sets = len(self.data) + bool(self.generated) + bool(self.synthetic)
        if not sets:
            raise ValueError("got neither --data nor --synthetic, want at least one set to train on")
        names = self.set_names()
        if len(set(names)) < len(names):
            raise ValueError(f"got --data called {', '.join(names)}, want files whose names differ: they name the sets")
        if self.shares and len(self.shares) != sets:
            raise ValueError(f"got {len(self.shares)} --shares for {sets} sets, want one each")
        if self.shares and (min(self.shares) < 0 or not any(self.shares)):
            raise ValueError(f"got --shares {', '.join(f'{s:g}' for s in self.shares)}, want one above 0, none below")

    def set_names(self) -> list[str]:
        """What the rated sets are called: by their files, or their names."""
        return [Path(parts_of(argument)[0]).stem for argument in self.data]


SMOKE: dict[str, Any] = {
    "epochs": 2,
    "steps": 4,
    "batch": 6,
    "crop": 64,
    "view": 64,
    "synthetic_count": 48,
    "synthetic_size": 72,
    "workers": 0,
    "average": 0.5,
    "devices": "1",
    "accelerator": "cpu",
}


def smoke(**changes: Any) -> Recipe:
    """The two-minute recipe: small crops and a few steps, to see that everything runs; not how good it can be."""
    return Recipe(**(SMOKE | changes))
