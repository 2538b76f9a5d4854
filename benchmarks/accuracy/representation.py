"""How well a model tells the 25 distortion types apart on unseen contents, and a picture of the space they lie in.

    python benchmarks/accuracy/representation.py --pristine FOLDER... [--models dri mfen yoto] [--count 50]

Crops of 256x256 of the photos that training on these folders holds out; each is shown with every type, at two of its
five levels by turns. The first half of the contents is to learn from, the second to test on. Of every model the
presence of the types (log probabilities), and of DRI-IQA's also ``nearness``, the similarity of its degradation vector
to known degradations; columns standardised by the learning half.

retrieval: is the nearest test picture of another content, by cosine, of the same type? probe: multinomial logistic
regression, its weight decay chosen inside the learning half. guess: the model's own most probable type, where "none" is
wrong. All are shares of test pictures, with 95 % bootstrap intervals over contents. Prints Markdown; writes
benchmarks/accuracy/representation.csv and docs/img/degradations.png, a map of the nearness of the test pictures by
t-SNE (van der Maaten, Hinton, JMLR 2008).
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import torch
from contents import SEED, batch, clean_crops, eight_bits, interval
from torch.nn import functional as F

from iqassay.data.distortions import GROUPS, KINDS, LEVELS, distort
from iqassay.scoring.model_file import load_model_file, open_session

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import ROOT, commit, which

SHOWN = 2  # levels of each type on each content
DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)
COLOURS = ("#1f77b4", "#b8860b", "#d62728", "#9467bd", "#17a2a2", "#2ca02c", "#555555")  # of the groups of types


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pristine", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--models", nargs="+", default=["dri", "mfen", "yoto"], help="shipped models or .onnx files")
    parser.add_argument("--count", type=int, default=50, help="how many contents")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "img" / "degradations.png")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    try:
        models = [load_model_file(name) for name in args.models]
        sessions = {model.card.name: open_session(model, args.threads) for model in models}
    except ValueError as error:
        parser.error(str(error))

    said: dict[str, list[np.ndarray]] = {}
    places: list[tuple[int, int, int]] = []  # content, type, level
    for content, (clean, rng) in enumerate(clean_crops(args.pristine, args.count)):
        turns = [(kind, (content + kind + 2 * i) % 5 + 1) for kind in range(len(KINDS)) for i in range(SHOWN)]
        places += [(content, *turn) for turn in turns]
        made = [eight_bits(distort(clean, KINDS[kind], level, rng)) for kind, level in turns]
        for i in range(0, len(made), 5):
            for space, found in look(sessions, batch(made[i : i + 5])).items():
                said.setdefault(space, []).append(found)

    content, kind, level = np.array(places).T
    learning = content < (content.max() + 1) // 2
    rows = []
    for space, parts in said.items():
        x = np.concatenate(parts)
        right = measures(x, content, kind, learning)
        if space.endswith("presence"):
            right["guess"] = x[~learning].argmax(1) == kind[~learning]
        for measure, hits in right.items():
            for some in ("all", *LEVELS):
                chosen = np.ones(len(hits), bool) if some == "all" else level[~learning] == some
                where = content[~learning][chosen]
                low, high = interval(np.array([hits[chosen][where == c].mean() for c in np.unique(where)]))
                numbers = {"share": hits[chosen].mean(), "low": low, "high": high}
                rows.append({"space": space, "measure": measure, "level": some, "pictures": int(chosen.sum())})
                rows[-1] |= {key: round(float(value), 4) for key, value in numbers.items()}
    print(markdown(rows))
    where = {"models": "; ".join(which(model.card) for model in models), "commit": commit()}
    print("\n" + ", ".join(f"{key} {value}" for key, value in where.items()) + f", seed {SEED}")
    with args.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*rows[0], *where])
        writer.writeheader()
        writer.writerows(row | where for row in rows)
    nearness = next((space for space in said if space.endswith("nearness")), None)
    if nearness is not None:
        draw(
            tsne(standardised(np.concatenate(said[nearness]), learning)[~learning]),
            kind[~learning],
            level[~learning],
            args.picture,
        )


def look(sessions: dict, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What every model says of pictures (B, 3, H, W), by the names of the spaces: (B, 126) or (B, 26)."""
    found = {}
    for name, session in sessions.items():
        given = {
            "image": pictures,
            "pictures": np.array([len(pictures)]),  # of a model that could take references too
            "meaning": np.zeros((len(pictures), 512), np.float32),  # neither answer depends on it
            "square": np.zeros((1, 3, 1, 1), np.float32),  # so small that the semantic encoder has nothing to do
        }
        feed = {value.name: given[value.name] for value in session.get_inputs()}
        for output in (value.name for value in session.get_outputs() if value.name in ("nearness", "presence")):
            (values,) = session.run([output], feed)
            found[f"{name}, {output}"] = np.log(values + 1e-6) if output == "presence" else values
    return found


def standardised(x: np.ndarray, learning: np.ndarray) -> np.ndarray:
    return (x - x[learning].mean(0)) / (x[learning].std(0) + 1e-6)


def measures(x: np.ndarray, content: np.ndarray, kind: np.ndarray, learning: np.ndarray) -> dict[str, np.ndarray]:
    """Which test pictures are found right, by retrieval and by the probe; (N, D), then (N,) each."""
    x = standardised(x, learning)
    unit = x[~learning] / np.linalg.norm(x[~learning], axis=1, keepdims=True)
    alike = unit @ unit.T
    alike[content[~learning][:, None] == content[~learning][None, :]] = -2
    some = learning & (content % 4 != 0)
    check = learning & ~some
    best = max(DECAYS, key=lambda decay: (probe(x[some], kind[some], decay, x[check]) == kind[check]).mean())
    return {
        "retrieval": kind[~learning][alike.argmax(1)] == kind[~learning],
        "probe": probe(x[learning], kind[learning], best, x[~learning]) == kind[~learning],
    }


def probe(x: np.ndarray, kind: np.ndarray, decay: float, asked: np.ndarray) -> np.ndarray:
    """The types that a multinomial logistic regression, fitted to x (N, D) and kind (N,), sees in ``asked`` (M, D)."""
    features, types = torch.from_numpy(x).float(), torch.from_numpy(kind)
    weight = torch.zeros(x.shape[1], len(KINDS), requires_grad=True)
    bias = torch.zeros(len(KINDS), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(features @ weight + bias, types) + decay * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return (asked @ weight.detach().numpy() + bias.detach().numpy()).argmax(1)


def tsne(x: np.ndarray, perplexity: float = 30, rounds: int = 600) -> np.ndarray:
    """(N, D) -> (N, 2): neighbours stay neighbours. Starts from the two first principal axes, so without chance."""
    x = x - x.mean(0)
    squares = (x**2).sum(1)
    apart = np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0).astype(np.float32)
    np.fill_diagonal(apart, np.inf)
    sharp = np.full(len(x), 1 / np.median(apart), np.float32)
    low, high = np.zeros(len(x), np.float32), np.full(len(x), np.inf, np.float32)
    for _ in range(40):  # bisection: each picture's own neighbourhood has so many effective members
        p = np.exp(-(apart - apart.min(1, keepdims=True)) * sharp[:, None])
        p /= p.sum(1, keepdims=True)
        wide = -(p * np.log(np.maximum(p, 1e-30))).sum(1) > np.log(perplexity)
        low, high = np.where(wide, sharp, low), np.where(wide, high, sharp)
        sharp = np.where(np.isinf(high), sharp * 2, (low + high) / 2)
    p = np.maximum((p + p.T) / (2 * len(x)), 1e-12).astype(np.float32)
    axes = np.linalg.svd(x, full_matrices=False)[2][:2]
    y = (x @ axes.T).astype(np.float32)
    y *= 1e-4 / y.std()
    speed, gains = np.zeros_like(y), np.ones_like(y)
    for i in range(rounds):
        squares = (y**2).sum(1)
        near = 1 / (1 + np.maximum(squares[:, None] + squares[None, :] - 2 * y @ y.T, 0))
        np.fill_diagonal(near, 0)
        pull = (p * (12 if i < 150 else 1) - near / near.sum()) * near
        slope = 4 * (pull.sum(1)[:, None] * y - pull @ y)
        gains = np.maximum(np.where(slope * speed < 0, gains + 0.2, gains * 0.8), 0.01)
        speed = (0.5 if i < 150 else 0.8) * speed - max(200, len(x) / 12) * gains * slope
        y += speed
    return y


def draw(y: np.ndarray, kind: np.ndarray, level: np.ndarray, file: Path) -> None:
    """Every picture a dot, larger for higher levels, in the colour of its group; names where a type is densest."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import patheffects, pyplot
    from PIL import Image

    group = {name: number for number, names in enumerate(GROUPS.values()) for name in names}
    figure, axis = pyplot.subplots(figsize=(11, 8.5))
    order = np.argsort(-level, kind="stable")  # small dots above large ones
    colours = np.array([COLOURS[group[KINDS[k]]] for k in kind])
    axis.scatter(*y[order].T, s=5 + 9 * level[order], c=colours[order], alpha=0.55, linewidths=0)
    at = np.array([densest(y[kind == k]) for k in range(len(KINDS))])
    halo = [patheffects.withStroke(linewidth=3, foreground="white")]
    named = {"ha": "center", "va": "center", "fontsize": 10.5, "weight": "bold", "path_effects": halo}
    for name, place in zip(KINDS, spread_out(at, y), strict=True):
        axis.text(*place, name.replace("_", " "), color=COLOURS[group[name]], **named)
    for number, name in enumerate(GROUPS):
        axis.text(0.01 + 0.14 * number, -0.03, name, color=COLOURS[number], transform=axis.transAxes, weight="bold")
    dot = {"c": "#555555", "linewidths": 0, "transform": axis.transAxes, "clip_on": False}
    for i, size in enumerate(LEVELS):
        axis.scatter([0.80 + 0.035 * i], [1.025], s=5 + 9 * size, **dot)
        axis.text(0.812 + 0.035 * i, 1.025, str(size), transform=axis.transAxes, va="center")
    axis.text(0.75, 1.025, "level", transform=axis.transAxes, va="center")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
    Image.open(file).convert("RGB").quantize(64).save(file, optimize=True)


def densest(points: np.ndarray) -> np.ndarray:
    """The point with the most others about it: a type may lie in several places."""
    apart = np.linalg.norm(points[:, None] - points[None, :], axis=2)
    return points[np.exp(-((apart / (0.25 * np.median(apart) + 1e-9)) ** 2)).sum(1).argmax()]


def spread_out(at: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The places of the types' names, moved up and down until none covers another."""
    at, (wide, tall) = at.copy(), np.ptp(y, axis=0) * (0.011, 0.032)  # of a letter
    for _ in range(200):
        for i, j in zip(*np.triu_indices(len(at), 1), strict=True):
            gap = at[j] - at[i]
            if abs(gap[0]) < wide * (len(KINDS[i]) + len(KINDS[j])) / 2 and abs(gap[1]) < tall:
                push = (tall - abs(gap[1])) / 2 * (1 if gap[1] >= 0 else -1)
                at[i, 1] -= push
                at[j, 1] += push
    return at


def markdown(rows: list[dict]) -> str:
    """A row for each space and measure: over all levels with its interval, then level by level."""
    lines = ["| space | measure | right | " + " | ".join(f"level {level}" for level in LEVELS) + " |", "|" + "---|" * 8]
    for first in (row for row in rows if row["level"] == "all"):
        own = [r for r in rows if r["level"] != "all" and all(r[k] == first[k] for k in ("space", "measure"))]
        cells = [first["space"], first["measure"], f"{first['share']:.3f} ({first['low']:.3f} to {first['high']:.3f})"]
        lines.append("| " + " | ".join(cells + [f"{r['share']:.3f}" for r in own]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
