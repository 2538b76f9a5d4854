"""A linear score beside what a system has learned: it follows the opinions of training less closely, and errs less on
kinds of pictures that training lacks.
"""

from __future__ import annotations

from torch import Tensor, nn

from iqassay.systems.blocks import Standardise

APART = 1.0  # raw score: by how much at most the linear score is heard when it differs from the learned one


class LinearScore(nn.Module):
    """A raw score (B,), linear in numbers (B, D) that say what a whole picture is like."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.scale = Standardise(inputs)
        self.weigh = nn.Linear(inputs, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.weigh(self.standard(numbers))[:, 0]

    def standard(self, numbers: Tensor) -> Tensor:
        """Numbers (B, D) in deviations of the training pictures', held within six."""
        return self.scale(numbers.float()).clamp(-6, 6)


def beside(score: Tensor, linear: Tensor, weight: float) -> Tensor:
    """Raw scores (B,), in which those of a linear score are heard by so much, from 0 to 1."""
    return score + weight * (linear - score).clamp(-APART, APART)
