"""What is suspicious in the answers of a model: a harness that prints a figure for these would be believed.

Every check is a function of kept results that yields one line for each thing it finds, and nothing for honest answers,
however noisy.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from iqassay.bench.results import Results, Row, shipped_row
from iqassay.bench.summary import answered, contents_of
from iqassay.data.checks import check_opinions
from iqassay.data.splits import SEEDS, SPLITS
from iqassay.statistics.correlation import bootstrap, srcc, within_groups
from iqassay.support.text import counted

ON_SCALE = ("network", "trained")  # kinds of models whose scores are meant to lie on 0 to 100


def check_results(results: Results) -> list[str]:
    """One line for each thing that is suspicious in the answers of a model; none for honest ones."""
    known = answered(results)
    return [*_missing(results), *(text for check in CHECKS for text in check(known))]


def _missing(results: Results) -> Iterator[str]:
    without = [row for row in results.rows if row.error or not np.isfinite(row.score)]
    if without:
        why = f" ({without[0].error})" if without[0].error else ""
        yield f"gave no score for {len(without):,} of {len(results.rows):,} pictures, the first {without[0].image}{why}"
    wanted, seeds = int(results.about.get("pictures") or 0), Counter(row.seed for row in results.rows)
    if len(results.rows) >= wanted:
        return
    if "" in seeds or not seeds:
        yield f"has answers for {len(results.rows):,} of {wanted:,} pictures: the run was not finished"
    elif len(seeds) < wanted // seeds[results.rows[0].seed]:  # wanted: as many for each seed as the first has
        yield f"has answers of {len(seeds)} of {wanted // seeds[results.rows[0].seed]} seeds: the run was not finished"


def _opinions(results: Results) -> Iterator[str]:
    yield from check_opinions(results.column("mos"))


def _constant(results: Results) -> Iterator[str]:
    said, mos = results.column("score"), results.column("mos")
    if len(said) < 3:
        return
    values, counts = np.unique(said, return_counts=True)
    most = f"{values[counts.argmax()]:.4g}"
    if len(values) == 1:
        yield f"gave {most} for all {len(said):,} pictures"
    elif len(said) >= 50 and counts.max() > len(said) / 2:
        yield f"gave {most} for {counts.max():,} of {len(said):,} pictures"
    elif len(said) >= 100 and len(values) <= 10:
        yield f"gave only {len(values)} different scores for {len(said):,} pictures"
    elif results.about.get("kind") in ON_SCALE and said.std() < 1 and mos.std() > 5:
        yield (
            f"gave scores of {said.min():.4g} to {said.max():.4g}, nearly the same for all, where opinions go from "
            f"{mos.min():.4g} to {mos.max():.4g}"
        )


def _off_scale(results: Results) -> Iterator[str]:
    said = results.column("score")
    off = (said < -1e-6) | (said > 100 + 1e-6)
    if results.about.get("kind") in ON_SCALE and off.any():
        yield f"gave {off.sum():,} scores outside 0 to 100: {said.min():.4g} to {said.max():.4g}"


def _reversed(results: Results) -> Iterator[str]:
    """Below zero beyond what chance does: the whole 99 % interval, pictures of one content drawn together."""
    said, mos = results.column("score"), results.column("mos")
    if len(said) < 10 or not srcc(said, mos) < 0:
        return
    low, high = bootstrap(said, mos, srcc, confidence=0.99, groups=contents_of(results))
    if high < 0:
        advice = "want --lower-is-better" if results.about.get("kind") == "scores" else "want higher is better"
        yield f"SRCC {srcc(said, mos):.2f} ({low:.2f} to {high:.2f}): is a lower score better here? {advice}"


def _group_only(results: Results) -> Iterator[str]:
    """Where groups or subsets differ in mean, knowing them earns a correlation over all that is none inside them."""
    said, mos = results.column("score"), results.column("mos")
    if len(said) < 50 or not srcc(said, mos) > 0.4:
        return
    for what in ("group", "subset"):
        names = np.array(results.words(what))
        size = Counter(names.tolist())
        at = np.array([bool(name) and size[name] >= 5 for name in names.tolist()])
        inside = within_groups(said[at], mos[at], names[at]) if at.any() else {}
        known = {name: value for name, value in inside.items() if not np.isnan(value)}
        count = sum(size[name] for name in known)
        if len(known) < 3 or count < 50:
            continue
        mean = sum(size[name] * value for name, value in known.items()) / count
        if mean + 2 / np.sqrt(count - len(known)) < 0.2:
            yield (
                f"SRCC {srcc(said, mos):.2f} over all but {mean:.2f} inside the {len(known)} {what}s: "
                f"it tells {what}s apart, not the quality of pictures"
            )


def _twice(results: Results) -> Iterator[str]:
    times = Counter((row.seed, row.image, row.reference) for row in results.rows)
    found = [image for (_, image, _), count in times.items() if count > 1]
    if found:
        yield f"has several answers for {counted(len(found), 'picture')}, the first {found[0]}"


def _seen(results: Results) -> Iterator[str]:
    """Answers to pictures that the model may have been trained on, as its card says."""
    seen = int(results.about.get("seen") or 0)
    if seen:
        yield f"may have been trained on {seen:,} of these {len(results.rows):,} pictures: its card names the set"


def _leaks(results: Results) -> Iterator[str]:
    """A group on both sides of a seed's split, or answers as test pictures to some that a seed trains on."""
    of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in results.rows:
        if row.group and row.split in SPLITS:
            of[row.seed, row.group].add(row.split)
    both = [(seed, group, splits) for (seed, group), splits in of.items() if len(splits) > 1]
    if both:
        seed, group, splits = both[0]
        yield (
            f"has {counted(len(both), 'group')} in two splits, the first {group!r} in {' and '.join(sorted(splits))}"
            f"{f' of seed {seed}' if seed else ''}: a leak"
        )
    if results.about.get("kind") == "trained" and results.about.get("split") == "test":
        trained = [row for row in results.rows if _letter(results.set, row) in ("t", "v")]
        if trained:
            yield (
                f"has {counted(len(trained), 'test answer')} to what the seed trains on or chooses by, the first "
                f"{trained[0].image} of seed {trained[0].seed}: a leak"
            )


def _letter(name: str, row: Row) -> str:
    """Where the shipped splits of a set put a picture under the row's seed; "" where they do not know."""
    letters = shipped_row(name, row)
    return letters[int(row.seed)] if letters and row.seed in map(str, range(SEEDS)) else ""


CHECKS: tuple[Callable[[Results], Iterator[str]], ...] = (
    *(_opinions, _twice, _seen, _leaks),
    *(_off_scale, _constant, _reversed, _group_only),
)
