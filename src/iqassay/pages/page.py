"""An explanation as one self-contained page for people, beside its data: index.html, explain.json and estimate.png."""

from __future__ import annotations

import base64
import io
import json
import math
import os
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iqassay.pages.markup import anchors, bullets, text
from iqassay.pictures.image import Picture
from iqassay.scoring import heatmap
from iqassay.scoring.explanation import Degradation, Difference, Explanation
from iqassay.scoring.tiles import shrink_to
from iqassay.scoring.verdict import Distortion, Verdict
from iqassay.scoring.words import NOTHING_DONE, about, meaning
from iqassay.support.errors import UsageError
from iqassay.support.files import make_folder, replace_file

PAGE, DATA, ESTIMATE = "index.html", "explain.json", "estimate.png"
LONG_SIDE = 1600  # pixels: the most of a picture on the page
MAP_SIDE = 1024  # pixels: the same of a map; and larger pictures get a close-up
CLOSE_UP = (480, 640)  # pixels: its short and its long side
QUALITY = 90  # of the JPEGs on the page; colour is kept at full resolution, since noise and blocks show in it
MAP_QUALITY = 75
LITTLE = 0.5  # of 255: a smaller mean change cannot be seen
# How far two pictures are apart, 0 to 255 -> red, green, blue. An absolute scale, so that maps of different pictures
# compare, and one that doubles from step to step: damage of 4 and of 40 shall both be seen. Lightness rises throughout.
APART = (
    (0, 0.06, 0.07, 0.12),
    (1, 0.12, 0.13, 0.30),
    (2, 0.13, 0.22, 0.45),
    (4, 0.12, 0.39, 0.55),
    (8, 0.20, 0.60, 0.56),
    (16, 0.62, 0.79, 0.38),
    (32, 1.00, 0.95, 0.70),
)
LIMITS = (
    "The estimate is a guess by a small network: it shows what the model takes for damage. It is no restoration tool.",
    "Names of damage are resemblances to the 25 kinds of KADID-10k; other damage gets the name that comes nearest.",
    "The score is about technical quality. Composition, faces, beauty and truth it does not judge.",
    "A difference smaller than the interval is no difference. The maps are the models' opinion, on a coarse grid.",
)


def write_page(explanation: Explanation, folder: str | os.PathLike[str]) -> str:
    """Write index.html, explain.json and estimate.png to a folder, which is made if need be; returns the page's path.

    Each file is replaced as a whole, the page last. Raises UsageError when the folder cannot be made or a file of it is
    the picture or its reference, OSError when a file cannot be written.
    """
    folder = os.fspath(folder)
    check_folder(folder, explanation.path, explanation.reference_path)
    data = {**explanation.record(), "meaning": meaning(explanation.verdict.score), "estimate": ESTIMATE}
    data |= {"limits": list(LIMITS)}
    said = json.dumps(data, ensure_ascii=False, allow_nan=False)
    estimate = Image.fromarray(explanation.estimate)
    # An explicit level: the best compression takes four times as long and saves a tenth.
    replace_file(os.path.join(folder, ESTIMATE), lambda out: estimate.save(out, "PNG", compress_level=3))
    replace_file(os.path.join(folder, DATA), lambda out: out.write(said.encode("utf-8", "backslashreplace")))
    replace_file(os.path.join(folder, PAGE), lambda out: out.write(page(explanation).encode()))
    return os.path.join(folder, PAGE)


def check_folder(folder: str, *inputs: str) -> None:
    """Make the folder, and see that no file that is written there is one of the inputs. Raises UsageError."""
    make_folder("-o", folder)
    for name in (PAGE, DATA, ESTIMATE):
        for path in (os.path.join(folder, name), os.path.join(folder, f"{name}.partial")):
            if os.path.exists(path) and any(os.path.exists(one) and os.path.samefile(path, one) for one in inputs):
                raise UsageError(
                    f"-o {folder}: its {os.path.basename(path)} is one of the pictures, want another folder"
                )


def page(explanation: Explanation) -> str:
    """The page as HTML. Everything is in it; nothing is loaded from elsewhere."""
    verdict, picture = explanation.verdict, explanation.picture
    name = text(os.path.basename(explanation.path) or "picture")
    against = explanation.reference_verdict
    cards = [_score_card("By itself" if against else "Score", verdict)]
    if against:
        cards.append(_score_card("Against its reference", against, "100 is the same picture."))
    cards += [_damage_card(verdict.distortions), _nearest_card(explanation.nearest)]
    top = 4 if against else 2  # cards side by side above the pictures
    sections = [f'<section class="pair">{"".join(cards[:top])}</section>', _wipes(explanation), _maps(explanation)]
    sections += [f"<section>{card}</section>" for card in cards[top:]]
    members = f" ({', '.join(verdict.raws)})" if len(verdict.raws) > 1 else ""
    models = [f"{verdict.model} {verdict.version}{members}: score, damage, quality map"]
    if against:
        models.append(f"{against.model} {against.version}: score and map against the reference")
    models.append(f"{explanation.restorer.name} {explanation.restorer.version}: restored estimate, nearest damage")
    return Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).substitute(
        style=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
        name=name,
        score=f"{verdict.score:.0f}",
        size=f"{picture.width} × {picture.height} pixels"
        + (f", beside {text(os.path.basename(explanation.reference_path) or 'its reference')}" if against else ""),
        body="\n".join(sections),
        footer=f"<h2>Limits</h2>{bullets(map(text, LIMITS))}<h2>Models</h2>{bullets(map(text, models))}",
    )


# ---- parts of the page ----------------------------------------------------------------------------------------------


def _score_card(title: str, verdict: Verdict, note: str = "") -> str:
    warnings = "".join(f"<li>{text(warning)}</li>" for warning in verdict.warnings)
    return f"""<div class="card"><h2>{title}</h2>
<div class="number">{verdict.score:.1f} <small>of 100</small></div>
<p class="meaning">{meaning(verdict.score).capitalize()}.</p>
<div class="scale" role="img" aria-label="{verdict.score:.1f} on a scale from 0 to 100, interval {verdict.low:.1f} to
{verdict.high:.1f}"><span class="range" style="left:{verdict.low:.2f}%;right:{100 - verdict.high:.2f}%"></span>
<span class="at" style="left:{verdict.score:.2f}%"></span></div>
{anchors()}
<p class="soft">90 % interval {verdict.low:.1f} to {verdict.high:.1f}: meant to hold the mean opinion of people nine
times out of ten. {note}</p>
{f'<ul class="warnings">{warnings}</ul>' if warnings else ""}</div>"""


def _damage_card(found: tuple[Distortion, ...]) -> str:
    rows = []
    for damage in found:
        title, looks, remedy = about(damage.name)
        rows.append(
            f'<li><div class="row"><h3>{text(title)}</h3><span class="soft">{damage.severity:.1f} of 5</span></div>'
            f"{_bar(damage.severity / 5)}{text(' '.join([looks, remedy]).strip())}</li>"
        )
    body = f'<ul class="damage">{"".join(rows)}</ul>' if rows else "<p>No damage of a known kind was found.</p>"
    return f'<div class="card"><h2>What is wrong</h2>{body}</div>'


def _wipes(explanation: Explanation) -> str:
    pixels = {"picture": explanation.picture.pixels, "estimate": explanation.estimate}
    if explanation.reference is not None:
        pixels["reference"] = explanation.reference.pixels
    height, width = explanation.estimate.shape[:2]
    html = f"""<section class="card"><h2>Picture and restored estimate</h2>
<p class="screen">What the restorer believes the picture looked like before it was spoiled. Drag the slider, or move it
with the arrow keys.</p>
{_wipe("whole", pixels)}{_psnr_table(explanation)}</section>"""
    if max(height, width) > MAP_SIDE:
        top, left, tall, wide = close_up(explanation.change, height, width)
        html += f"""<section class="card"><h2>Close-up at full size</h2>
<p>Where the restorer changed most: {wide} × {tall} pixels, {left} from the left and {top} from the top.</p>
{_wipe("near", {name: whole[top : top + tall, left : left + wide] for name, whole in pixels.items()})}</section>"""
    return html


def _wipe(key: str, pixels: dict[str, np.ndarray]) -> str:
    titles = {"picture": "picture", "estimate": "restored estimate", "reference": "reference"}
    height, width = pixels["picture"].shape[:2]
    sides = "".join(
        f'<div class="side {name}"><img src="{jpeg(fit(image, LONG_SIDE))}" alt="The {titles[name]}">'
        f'<span class="tag">{titles[name]}</span></div>'
        for name, image in pixels.items()
    )
    choices = ""
    if "reference" in pixels:
        pairs = ("picture estimate", "picture reference", "estimate reference")
        choices = "".join(
            f'<label><input type="radio" name="{key}" value="{pair}"{" checked" if pair == pairs[0] else ""}>'
            f"{' and '.join(titles[name] for name in pair.split())}</label>"
            for pair in pairs
        )
        choices = f'<fieldset class="choices"><legend>Compare</legend>{choices}</fieldset>'
    return f"""<div class="wipe" data-left="picture" data-right="estimate">{choices}
<div class="stage" style="--w:{width};--h:{height}">{sides}
<input type="range" min="0" max="100" step="0.5" value="50" aria-label="How much is shown of the left picture"></div>
</div>"""


def _psnr_table(explanation: Explanation) -> str:
    mean = explanation.change.mean
    did = "left the picture nearly as it was: it changed" if mean < LITTLE else "changed"
    changed = f'<p class="soft">The restorer {did} the colour values by {mean:.1f} of 255 on average.</p>'
    if explanation.loss is None or explanation.remaining_loss is None:
        return changed
    rows = "".join(
        f"<tr><th>{name}</th><td>{_decibel(found.psnr)}</td><td>{found.mean:.1f}</td></tr>"
        for name, found in (("picture", explanation.loss), ("restored estimate", explanation.remaining_loss))
    )
    head = "<thead><tr><th>to the reference</th><th>PSNR</th><th>mean difference, of 255</th></tr></thead>"
    return f"{changed}<table>{head}<tbody>{rows}</tbody></table>"


def _maps(explanation: Explanation) -> str:
    picture, against = explanation.picture, explanation.reference_verdict
    figures = [
        _quality_figure(
            "Where quality is lost",
            "Gray is good; yellow, orange and purple are worse.",
            picture,
            explanation.verdict,
        ),
        _apart_figure(
            "What the restorer changed",
            "Bright is where the estimate is far from the picture: the mean difference of the colours, of 255.",
            explanation.change,
        ),
    ]
    if against and explanation.loss:
        figures.append(
            _quality_figure(
                "Where quality is lost against the reference",
                "Gray is as in the reference; yellow, orange and purple are further from it.",
                picture,
                against,
            )
        )
        figures.append(
            _apart_figure(
                "How picture and reference differ",
                "On the same scale. Where this and what the restorer changed look alike, it has understood the damage.",
                explanation.loss,
            )
        )
    return f'<section class="maps">{"".join(figures)}</section>'


def _quality_figure(title: str, caption: str, picture: Picture, verdict: Verdict) -> str:
    return _figure(title, caption, heatmap.heatmap(picture, verdict.map, MAP_SIDE), heat_legend())


def _apart_figure(title: str, caption: str, found: Difference) -> str:
    return _figure(title, caption, apart_image(found), _legend(_css(APART), ("0", "1", "2", "4", "8", "16", "32+")))


def _figure(title: str, caption: str, image: Image.Image, legend: str) -> str:
    return (
        f'<figure class="card"><figcaption><h3>{title}</h3><span class="soft">{caption}</span></figcaption>'
        f'<img src="{jpeg(image, MAP_QUALITY)}" alt="Map: {title.lower()}">{legend}</figure>'
    )


def heat_legend() -> str:
    """The colours of a heatmap from 0 to 100."""
    return _legend(_heat_colours(), ("0", "20", "40", "60", "80", "100"))


def _legend(colours: str, ticks: tuple[str, ...]) -> str:
    marks = "".join(f"<span>{tick}</span>" for tick in ticks)
    return f'<div class="legend" style="background:{colours}"></div><div class="ticks">{marks}</div>'


def _nearest_card(nearest: tuple[Degradation, ...]) -> str:
    rows = []
    for near in nearest:
        level = f", level {near.level} of 5" if near.level else ""
        title = about(near.name)[0] if near.level else NOTHING_DONE
        rows.append(
            f'<li><div class="row"><h3>{text(title)}{level}</h3><span class="soft">{near.similarity:.2f}</span></div>'
            f"{_bar(near.similarity)}</li>"
        )
    return (
        '<div class="card"><h2>Nearest known damage</h2><p class="soft">How the damage of this picture resembles '
        "that of pictures spoiled on purpose; 1 is the most alike. Kinds of nearly the same value are hard to tell "
        "apart.</p>"
        f'<ol class="near">{"".join(rows)}</ol></div>'
    )


def _bar(share: float) -> str:
    return f'<div class="bar" aria-hidden="true"><i style="width:{100 * min(1.0, max(0.0, share)):.1f}%"></i></div>'


def _decibel(psnr: float) -> str:
    return f"{psnr:.2f} dB" if math.isfinite(psnr) else "the same picture"


# ---- pictures on the page -------------------------------------------------------------------------------------------


def fit(pixels: np.ndarray, long_side: int) -> Image.Image:
    """(H, W, 3) of any depth at 8 bits, shrunk by area to at most `long_side` pixels."""
    return Image.fromarray(np.rint(shrink_to(pixels, long_side) * 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = QUALITY, full_colour: bool = True) -> str:
    """A data URI; with colour at full resolution, or at half of it."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling="4:4:4" if full_colour else "4:2:0")
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def apart_image(found: Difference) -> Image.Image:
    """A difference in colours, one pixel for each of its squares."""
    at, *channels = np.array(APART).T
    mixed = np.stack([np.interp(found.map, at, channel) for channel in channels], axis=-1)
    return Image.fromarray(np.rint(mixed * 255).astype(np.uint8))


def close_up(change: Difference, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width, in pixels, of the part of a picture that changed most."""
    short, long = CLOSE_UP
    tall, wide = (min(height, short), min(width, long)) if width >= height else (min(height, long), min(width, short))
    rows, columns = max(1, tall // change.cell), max(1, wide // change.cell)
    sums = np.pad(change.map.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
    inside: NDArray[np.floating] = (
        sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    )
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return min(int(top) * change.cell, height - tall), min(int(left) * change.cell, width - wide), tall, wide


def _heat_colours() -> str:
    """The colours of the heatmap over middle gray, as a CSS gradient."""
    return _css(tuple((at, *(0.6 * (1 - a) + a * c for c in rgb)) for at, *rgb, a in heatmap.RAMP))


def _css(ramp: tuple[tuple[float, ...], ...]) -> str:
    stops = (f"rgb({' '.join(str(round(255 * channel)) for channel in rgb)})" for _, *rgb in ramp)
    return f"linear-gradient(90deg, {', '.join(stops)})"  # evenly spaced, as the ticks are
