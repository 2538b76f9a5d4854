"""How weights go down a loss: AdamW and its step sizes, in a Lightning run and in a plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from iqassay.training.recipes import Recipe


def device_of(recipe: Recipe) -> str:
    """Where the stage of the head computes: on a GPU of CUDA if there is one, unless ``accelerator`` is another."""
    gpu = recipe.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "cuda" if gpu else "cpu"


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


def descend(
    parameters: Iterable[nn.Parameter], loss: Callable[[], Tensor], steps: int, lr: float, decay: float = 0.0
) -> None:
    """So many steps of AdamW down ``loss``, which draws a batch of its own at every call; one cycle of step sizes."""
    optimizer = torch.optim.AdamW(parameters, lr, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()
