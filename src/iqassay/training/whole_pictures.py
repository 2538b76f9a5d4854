"""The stages ``--stage head``, the heads alone, and ``--stage semantic``, on whole pictures.

An opinion belongs to a whole picture, and crops are a poor stand-in. With everything but the head fixed, a picture is a
vector of statistics, computed once; a thousand passes over ten thousand of them then take a minute.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import torch

from iqassay.systems.dri import DRI, Seen
from iqassay.systems.mfen import MFEN
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.build import System, build_system
from iqassay.training.checkpoints import load_weights, new_parts, settled
from iqassay.training.degradation import known_degradations
from iqassay.training.distortion_reader import fit_distortions, named
from iqassay.training.generated import fit_generated
from iqassay.training.head import fit_head, fit_heads, heads_of, usual_as_photos
from iqassay.training.kept_pictures import gather, patched_pictures, unrated_photos
from iqassay.training.linear_score import fit_linear
from iqassay.training.near_start import clean_views, start_near
from iqassay.training.pairs import Pairs, fit_distance, gather_pairs
from iqassay.training.recipes import Recipe
from iqassay.training.run_folder import refuse_another_run, write_checkpoint
from iqassay.training.semantic import Understanding, add_changes


def fit_on_whole_pictures(recipe: Recipe) -> Path:
    """``iqassay train SYSTEM --stage head``. Returns the path of a checkpoint like those of ``fit``.

    Of YOTO what there is: the whole-picture term, the distance, if any set has references. Of YOTO and DRI-IQA also
    what reads distortions, and changes from a reference, if any set names some.

    Raises:
        ValueError: without a start, with nothing to train, or with nothing to choose by.

    A YOTO among neighbours needs no start: it begins by its encoder, see ``start_near``.
    """
    start = recipe.start
    if start is None and not recipe.near:
        raise ValueError("got --stage head alone, want head together with --start, whose head is to be trained")
    if start is None and not recipe.synthetic:
        raise ValueError("got --near without --start or --synthetic, want a folder of clean photos to begin by")
    refuse_another_run(recipe)
    recipe = settled(recipe)
    torch.manual_seed(recipe.seed)  # the head may start from random weights
    system = build_system(recipe).eval()
    if start is not None:
        _load(system, recipe, new_parts(recipe))
    elif isinstance(system, ExtendedYOTO):
        start_near(system, clean_views(recipe))
    recipe.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, float] = {}
    alone = recipe.system != "yoto" or recipe.mode != "full-reference"
    whole = alone and (recipe.system != "yoto" or recipe.whole_picture)
    told = not isinstance(system, MFEN) and named(recipe)  # what was done to some pictures
    read = alone and told
    pairs: list[Pairs] = []
    if isinstance(system, ExtendedYOTO) and recipe.distance and recipe.mode != "no-reference":
        pairs = gather_pairs(recipe, system)
    far = any(part.drawn for part in pairs)
    if not whole and not read and not far:
        raise ValueError(
            "got --stage head with nothing for it to train, want --whole-picture and not --mode full-reference, or "
            "--distance with references and not --mode no-reference, or --stage network"
        )
    sets = gather(recipe, system) if whole or read else []
    if whole:
        patched = patched_pictures(recipe, system) if isinstance(system, DRI) and recipe.patched else None
        found = fit_heads(recipe, heads_of(system), sets, patched)
        if isinstance(system, MFEN | DRI) and system.linear is not None:
            found = fit_linear(recipe, system, sets)
    if read and not isinstance(system, MFEN):
        kept = [[torch.from_numpy(np.asarray(v)) for v in s.kept] for s in sets]
        found |= fit_distortions(recipe, system.distortions, [system.readable(*one) for one in kept], sets)
        if isinstance(system, DRI):
            vectors = [Seen.of(*one).degradation.numpy()[: s.train] for one, s in zip(kept, sets, strict=True)]
            labels = np.concatenate([s.labels[: s.train] for s in sets])
            if (labels[:, 0] >= 0).any():  # types without levels are not like any that is known by both
                system.known.copy_(known_degradations(system, np.concatenate(vectors), labels))
            if system.generated is not None and recipe.generated:
                usual = usual_as_photos(system, sets)
                every = [*sets, *unrated_photos(recipe, system)]
                found |= fit_generated(system.generated, every, usual, recipe.generated_begun)
    if isinstance(system, ExtendedYOTO) and far:
        found |= fit_distance(recipe, system, pairs)[1]
        if system.changes is not None and told:
            apart = [torch.from_numpy(np.asarray(part.kept[2], np.float32)) for part in pairs]
            found |= fit_distortions(dataclasses.replace(recipe, shares=[]), system.changes, apart, pairs)
    return write_checkpoint(recipe, system, found)


def fit_semantic(recipe: Recipe) -> Path:
    """``iqassay train dri --stage semantic``. Returns the path of a checkpoint with the changed encoder in it."""
    refuse_another_run(recipe)
    recipe = settled(recipe)
    torch.manual_seed(recipe.seed)
    system = build_system(recipe).eval()
    if not isinstance(system, DRI) or system.semantic is None:
        raise ValueError("got --stage semantic without a semantic encoder, want dri with --semantic clip_vit_b16")
    if recipe.start is not None:
        _load(system, recipe, ("",))
    fixed, bf16 = recipe.semantic_fixed, recipe.precision.startswith("bf16")
    if fixed >= len(system.semantic.blocks):
        raise ValueError(f"got --semantic-fixed {fixed}, want less than {len(system.semantic.blocks)}, which it has")
    recipe.out.mkdir(parents=True, exist_ok=True)
    learned = Understanding(copy.deepcopy(system.semantic), fixed, recipe.low_rank, recipe.width, bf16)
    best, found = fit_head(recipe, learned, gather(recipe, system))
    assert isinstance(best, Understanding)
    best.merge()
    system.semantic.blocks[fixed:].load_state_dict(best.blocks.state_dict())
    return write_checkpoint(recipe, system, found)


def _load(system: System, recipe: Recipe, new: tuple[str, ...]) -> None:
    """Take the weights of the recipe's start, and the semantic encoder of its runs, if it names any.

    A model file has that encoder in four bits: where it is to learn, it begins as its package has it.
    """
    assert recipe.start is not None
    semantic = system.semantic if isinstance(system, DRI) else None
    learns = recipe.stage == "semantic" and recipe.start.suffix == ".onnx"
    if semantic is None or not (recipe.semantic_runs or learns):
        load_weights(system, recipe.start, new)
        return
    packaged = copy.deepcopy(semantic.state_dict())
    load_weights(system, recipe.start, new)
    semantic.load_state_dict(packaged)
    add_changes(semantic, recipe.semantic_runs, recipe.semantic_strength)
