"""What people feed that KADID-10k and restorers do not make, each with a target by rule: one table, `COVERED`.

Extremes, empty frames, missing parts, black and white, bars and margins, resampling, today's codecs, damaged structure.
docs/distortions.md has the rules and their reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from .distortions import GROUPS, KINDS, distort, parameter_at
from .extremes import BEYOND, EMPTY, beyond, empty, missing, missing_share
from .frames import FRAMES, TONES, bar_colour, box_of, framed, tone
from .resampling import CODECS, KERNELS, UPSCALERS, resample, upscale
from .structure import STRUCTURE, spoil, structure_target
from .targets import tables, target_score

# Above KADID's 90 for untouched pictures: its raters marked those beside a reference just as good.
UNTOUCHED = 95.0


class Covered(NamedTuple):
    """A picture and its reference, float32 (H, W, 3) in [0, 1]; its score alone and beside the reference, 0..100; the
    KADID kind and its level, "none" for a content with nothing done to it, None where no name fits.
    """

    picture: np.ndarray
    reference: np.ndarray
    score: float
    pair: float
    kind: str | None = None
    level: float = 0.0


Maker = Callable[[np.ndarray, float, np.random.Generator, Sequence[str]], Covered]


def cover(
    clean: np.ndarray,
    rng: np.random.Generator,
    kinds: Sequence[str] = KINDS,
    families: Sequence[str] | None = None,
) -> tuple[str, Covered]:
    """A randomly drawn entry of `COVERED` on a clean picture: a family by `SHARES`, one of its names, any strength.

    Args:
        clean: float array (H, W, 3), sRGB in [0, 1], at least 8x8. Never changed.
        rng: source of every random choice.
        kinds: the KADID kinds that may appear, as contents, beyond their fifth level, or under another name.
        families: the families that may appear, names of `SHARES`; all of them, if not given.

    Returns:
        The name in `COVERED`, and what was made.
    """
    drawn = SHARES if families is None else families
    names = [name for name in COVERED if family_of(name) in drawn and _same_as(name) in (None, *kinds)]
    weights = np.array(
        [SHARES[family_of(name)] / sum(family_of(n) == family_of(name) for n in names) for name in names]
    )
    name = names[rng.choice(len(names), p=weights / weights.sum())]
    return name, cover_with(clean, name, float(rng.random()), rng, kinds)


def cover_with(
    clean: np.ndarray, name: str, strength: float, rng: np.random.Generator, kinds: Sequence[str] = KINDS
) -> Covered:
    """One entry of `COVERED` at a strength from 0 (mildest) to 1 (worst).

    Raises:
        ValueError: on an unknown name, a strength outside 0..1 or an array of another shape.
    """
    if name not in COVERED:
        raise ValueError(f"got the name {name!r}, want one of: {', '.join(COVERED)}")
    if not 0 <= strength <= 1:
        raise ValueError(f"got the strength {strength}, want 0 to 1")
    if clean.ndim != 3 or clean.shape[2] != 3 or min(clean.shape[:2]) < 8:
        raise ValueError(f"got an image of shape {clean.shape}, want (H, W, 3) with H and W at least 8")
    return COVERED[name](np.ascontiguousarray(clean, dtype=np.float32), strength, rng, kinds)


def beside(score: float) -> float:
    """What a score for the picture alone is worth beside the reference: 100 where KADID's raters gave their highest."""
    return min(100.0, score * 100 / float(tables().opinion[-1]))


def colourless_alone(score: float, level: float) -> float:
    """The target, without a reference, of a picture whose only damage is color_saturation_1 at this level.

    KADID's raters saw the colour picture beside it and gave about 35 to a gray one. Alone it is a black-and-white
    photo and must not have two targets: the nearer its saturation is to none, the nearer the target is to colour's.
    """
    gray = max(0.0, 1 - abs(parameter_at("color_saturation_1", level)) / 0.2)
    return score + gray * max(0.0, float(tables().opinion[-1]) - score)


# --- the makers ---------------------------------------------------------------------------------------------


class _Content(NamedTuple):
    picture: np.ndarray
    score: float
    pair: float
    kind: str | None
    level: float


def _content(clean: np.ndarray, rng: np.random.Generator, kinds: Sequence[str]) -> _Content:
    """The clean picture, or, half of the time, one with one of the kinds at any level."""
    if rng.random() < 0.5 or not kinds:
        return _Content(clean, UNTOUCHED, 100, "none", 0)
    kind, level = kinds[int(rng.integers(len(kinds)))], float(rng.uniform(1, 5))
    picture = distort(clean, kind, level, rng)
    score = target_score(clean, picture, [(kind, level)])
    pair = beside(score)
    if kind == "color_saturation_1":
        score = colourless_alone(score, level)
    return _Content(picture, score, pair, kind, level)


def _beyond(kind: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    picture, score = beyond(clean, kind, strength, rng)
    return Covered(picture, clean, score, beside(score), kind, 5.0)


def _empty(name: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    picture, score = empty(clean, name, rng)
    return Covered(picture, clean, score, beside(score))


def _missing(clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    content = _content(clean, rng, kinds)
    picture, area = missing(content.picture, strength, rng)
    left = missing_share(area)
    score = min(content.score, float(tables().opinion[-1])) * left  # a clean one counts as KADID's 90
    return Covered(picture, clean, score, content.pair * left)


# Damage that lives in colour is not there in black and white.
_OF_COLOUR = (*GROUPS["color"], "white_noise_color", "color_block", "impulse_noise")


def _toned(name: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    content = _content(clean, rng, [kind for kind in kinds if kind not in _OF_COLOUR])
    picture = tone(content.picture, name, rng)
    pair = min(content.pair, beside(target_score(clean, picture)))
    kind = None if content.kind == "none" else content.kind  # whether gray is "nothing done" is nobody's question
    return Covered(picture, clean, content.score, pair, kind, content.level)


def _framed(name: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    content = _content(clean, rng, kinds)
    box, colour = box_of(name, clean.shape[0], clean.shape[1], strength, rng), bar_colour(name, rng)
    return Covered(framed(content.picture, box, colour), framed(clean, box, colour), *content[1:])


def _by_measure(clean: np.ndarray, picture: np.ndarray) -> Covered:
    score = target_score(clean, picture)
    return Covered(picture, clean, score, beside(score))


def _resampled(up: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    down = tuple(KERNELS)[rng.integers(len(KERNELS))]
    return _by_measure(clean, resample(clean, down, up, 1.2 * (8 / 1.2) ** strength))


def _upscaled(name: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    return _by_measure(clean, upscale(clean, name, 1.5 * (6 / 1.5) ** strength))


def _resaved(name: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]) -> Covered:
    return _by_measure(clean, CODECS[name](clean, strength, rng))


def _structure(
    name: str, clean: np.ndarray, strength: float, rng: np.random.Generator, kinds: Sequence[str]
) -> Covered:
    picture, share = spoil(clean, name, strength, rng)
    score = structure_target(share, strength)
    return Covered(picture, clean, score, beside(score))


COVERED: dict[str, Maker] = {
    **{f"beyond_{kind}": partial(_beyond, kind) for kind in BEYOND},
    **{f"empty_{name}": partial(_empty, name) for name in EMPTY},
    "missing": _missing,
    **{f"toned_{name}": partial(_toned, name) for name in TONES},
    **{f"framed_{name}": partial(_framed, name) for name in FRAMES},
    **{f"resampled_{name}": partial(_resampled, name) for name in KERNELS},
    **{f"resaved_{name}": partial(_resaved, name) for name in CODECS},
    **{f"upscaled_{name}": partial(_upscaled, name) for name in UPSCALERS},
    **{f"structure_{name}": partial(_structure, name) for name in STRUCTURE},
}

# How often each family is drawn; those that are not installed leave their share to the others.
SHARES: dict[str, float] = {
    "beyond": 0.18,
    "empty": 0.05,
    "missing": 0.09,
    "toned": 0.14,
    "framed": 0.14,
    "resampled": 0.12,
    "resaved": 0.1,
    "upscaled": 0.04,
    "structure": 0.14,
}


def _same_as(name: str) -> str | None:
    """The KADID kind that a name in `COVERED` is much the same as, if any: left out, neither may appear."""
    family, _, rest = name.partition("_")
    if family == "beyond":
        return rest
    return {"resaved_jpeg": "jpeg", "resampled_nearest": "pixelate", "resampled_box": "pixelate"}.get(name)


def family_of(name: str) -> str:
    """The part of a name in `COVERED` before the first underscore."""
    return name.partition("_")[0]
