"""Contents drawn by ourselves: screenshots, plots, pages of text and line drawings. Clean by construction.

They are what a folder holds beside photos, and no folder of clean photos has them. Fonts: the one inside Pillow.

Each is a float32 array (size, size, 3), sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]


def draw_content(size: int, rng: np.random.Generator) -> np.ndarray:
    """One of `RENDERED`, drawn at random."""
    names = tuple(RENDERED)
    return render_content(names[rng.integers(len(names))], size, rng)


def render_content(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """A picture of a kind of `RENDERED`, a detail of a larger one as a crop of a screen is.

    Raises:
        ValueError: on an unknown name.
    """
    if name not in RENDERED:
        raise ValueError(f"got the drawing {name!r}, want one of: {', '.join(RENDERED)}")
    fine = 1 if name in ("screenshot", "page") else 2  # text has smooth edges as it is, lines of Pillow do not
    side = max(size, 256) * fine
    picture = Image.new("RGB", (side, side), "white")
    RENDERED[name](picture, ImageDraw.Draw(picture), fine, rng)
    if fine > 1:
        picture = picture.reduce(fine)
    left, top = (int(n) for n in rng.integers(0, max(size, 256) - size + 1, size=2))
    crop = picture.crop((left, top, left + size, top + size))
    return np.asarray(crop, np.float32) / 255


def _screenshot(picture: Image.Image, pen: ImageDraw.ImageDraw, fine: int, rng: np.random.Generator) -> None:
    """A window with a bar, a list at its side, cards with text, buttons and a picture of its own."""
    side = picture.width
    dark = rng.random() < 0.35
    ground, card, ink = (_gray(rng, 15, 40), _gray(rng, 40, 60), _gray(rng, 200, 245))
    if not dark:
        ground, card, ink = _gray(rng, 235, 250), (255, 255, 255), _gray(rng, 15, 70)
    accent = _colour(rng)
    pen.rectangle((0, 0, side, side), fill=ground)
    bar = int(rng.integers(22, 40))
    pen.rectangle((0, 0, side, bar), fill=accent if rng.random() < 0.5 else card)
    pen.text((10, bar // 2 - 7), _words(rng, 3), font=_font(13), fill=(255, 255, 255) if dark else ink)
    list_width = int(rng.integers(50, 110))
    for y in range(bar + 12, side, int(rng.integers(18, 28))):
        pen.ellipse((8, y, 18, y + 10), fill=accent if rng.random() < 0.3 else _mixed(ink, ground, 0.6))
        pen.text((24, y - 2), _words(rng, 1), font=_font(11), fill=ink)
    y = bar + 10
    while y < side:
        height = int(rng.integers(60, 130))
        box = (list_width, y, side - 10, y + height)
        pen.rounded_rectangle(box, radius=int(rng.integers(0, 10)), fill=card, outline=_mixed(ink, card, 0.8))
        pen.text((list_width + 10, y + 6), _words(rng, 3), font=_font(15), fill=ink)
        for line in range(y + 28, y + height - 38, 15):
            text = _line(rng, _font(11), side - 30 - list_width)
            pen.text((list_width + 10, line), text, font=_font(11), fill=_mixed(ink, card, 0.25))
        button = (list_width + 10, y + height - 24, list_width + 80, y + height - 6)
        pen.rounded_rectangle(button, radius=4, fill=accent)
        pen.text((button[0] + 8, button[1] + 2), _words(rng, 1), font=_font(11), fill="white")
        wide = min(int(rng.integers(40, 80)), side - 26 - button[2])
        if wide > 20 and rng.random() < 0.5:
            place = (side - 16 - wide, y + 8, side - 16, y + height - 8)
            picture.paste(_gradient(place[2] - place[0], place[3] - place[1], rng), place[:2])
        y += height + 10


def _page(picture: Image.Image, pen: ImageDraw.ImageDraw, fine: int, rng: np.random.Generator) -> None:
    """A page of a book, a letter or a program, black on white or otherwise."""
    side = picture.width
    ground, ink = (_gray(rng, 245, 255), _gray(rng, 0, 50)) if rng.random() < 0.75 else (_gray(rng, 0, 40), (220,) * 3)
    pen.rectangle((0, 0, side, side), fill=ground)
    size = int(rng.integers(9, 22))
    program = rng.random() < 0.3
    y, left = int(rng.integers(4, 30)), int(rng.integers(6, 40))
    if not program and rng.random() < 0.6:
        pen.text((left, y), _words(rng, 3), font=_font(2 * size), fill=ink)
        y += 3 * size
    indent, margin = 0, int(rng.integers(0, 40))
    while y < side:
        if program:
            indent = int(np.clip(indent + rng.integers(-1, 2), 0, 4))
            ink = _colour(rng) if rng.random() < 0.4 else ink
            pen.text((left + 2 * size * indent, y), _words(rng, int(rng.integers(1, 6))), font=_font(size), fill=ink)
        else:
            text = _words(rng, 4) if rng.random() < 0.15 else _line(rng, _font(size), side - left - margin)
            pen.text((left, y), text, font=_font(size), fill=ink)
        y += round(1.35 * size)


def _plot(picture: Image.Image, pen: ImageDraw.ImageDraw, fine: int, rng: np.random.Generator) -> None:
    """Axes with ticks and numbers, and curves, bars or points with a legend."""
    side = picture.width
    left, top, right, bottom = side // 8, side // 12, side - side // 16, side - side // 8
    font = _font(11 * fine)
    for i in range(6):
        x, y = left + i * (right - left) // 5, top + i * (bottom - top) // 5
        pen.line((x, top, x, bottom), fill=(225,) * 3, width=fine)
        pen.line((left, y, right, y), fill=(225,) * 3, width=fine)
        pen.text((x - 8 * fine, bottom + 4 * fine), f"{i * 20}", font=font, fill=(40,) * 3)
        pen.text((4 * fine, y - 6 * fine), f"{1 - i / 5:.1f}", font=font, fill=(40,) * 3)
    pen.line((left, top, left, bottom, right, bottom), fill=(0, 0, 0), width=fine)
    pen.text((left + 20 * fine, 2 * fine), _words(rng, 3), font=_font(13 * fine), fill=(20,) * 3)
    way = rng.integers(3)
    for i in range(int(rng.integers(1, 5))):
        colour = _colour(rng)
        n = 60 if way != 1 else 8
        walk = np.cumsum(rng.standard_normal(n))
        walk = (walk - walk.min()) / (np.ptp(walk) + 1e-6) * rng.uniform(0.4, 0.95)
        xs, ys = np.linspace(left, right, n), bottom - walk * (bottom - top)
        if way == 0:
            pen.line([(float(x), float(y)) for x, y in zip(xs, ys, strict=True)], fill=colour, width=2 * fine)
        for x, y in zip(xs, ys, strict=True) if way else ():
            if way == 1:
                x0 = left + (x - left) * 0.85 + i * (right - left) / 40
                pen.rectangle((x0, y, x0 + (right - left) / 45, bottom), fill=colour)
            else:
                pen.ellipse((x - 2 * fine, y - 2 * fine, x + 2 * fine, y + 2 * fine), fill=colour)
        y = top + (6 + 15 * i) * fine
        pen.rectangle((right - 70 * fine, y, right - 60 * fine, y + 8 * fine), fill=colour)
        pen.text((right - 55 * fine, y - 3 * fine), _words(rng, 1), font=font, fill=(20,) * 3)


def _drawing(picture: Image.Image, pen: ImageDraw.ImageDraw, fine: int, rng: np.random.Generator) -> None:
    """Lines, outlines and hatching, with or without flat colours: a sketch, a comic, a plan."""
    side = picture.width
    coloured = rng.random() < 0.6
    if coloured:
        pen.rectangle((0, 0, side, side), fill=_colour(rng, 170, 255))
    width = int(rng.integers(1, 4)) * fine
    for _ in range(int(rng.integers(8, 22))):
        y, x = rng.uniform(-0.1, 1.1, 2) * side
        size = rng.uniform(0.05, 0.3) * side
        fill = _colour(rng, 60, 250) if coloured and rng.random() < 0.7 else None
        turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        corners = [(x + size * np.cos(t), y + size * np.sin(t)) for t in turns]
        way = rng.integers(4)
        if way == 0:
            pen.ellipse((x - size, y - size * 0.7, x + size, y + size * 0.7), fill=fill, outline="black", width=width)
        elif way == 1:
            pen.polygon(corners, fill=fill, outline="black", width=width)
        elif way == 2:
            for i in range(0, round(size), 6 * fine):
                pen.line((x + i, y, x + i - size / 2, y + size), fill="black", width=max(1, width // 2))
        else:
            t = np.linspace(0, 1, 40)
            a, b, c = rng.uniform(-1, 1, (3, 2)) * size * 3
            curve = np.outer(t, a) + np.outer(t**2, b) + np.outer(t**3, c) + (x, y)
            pen.line([(float(u), float(v)) for u, v in curve], fill="black", width=width, joint="curve")


RENDERED: dict[str, Callable[[Image.Image, ImageDraw.ImageDraw, int, np.random.Generator], None]] = {
    "screenshot": _screenshot,
    "page": _page,
    "plot": _plot,
    "drawing": _drawing,
}


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


_SYLLABLES = (
    *("ba", "ce", "di", "fi", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo"),
    *("za", "drum", "ing", "mond", "str", "qu", "al", "en", "or", "ost"),
)


def _words(rng: np.random.Generator, count: int) -> str:
    """Words of no language, some with a capital, a comma or as numbers."""
    words = []
    for _ in range(count):
        word = "".join(_SYLLABLES[i] for i in rng.integers(len(_SYLLABLES), size=rng.integers(1, 4)))
        word = word.capitalize() if rng.random() < 0.2 else word
        word = str(rng.integers(1, 2000)) if rng.random() < 0.06 else word
        words.append(word + ("," if rng.random() < 0.08 else ""))
    return " ".join(words)


def _line(rng: np.random.Generator, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: float) -> str:
    """As many words as there is room for, in pixels."""
    words = ""
    while True:
        more = f"{words} {_words(rng, 1)}".strip()
        if font.getlength(more) > room:
            return words
        words = more


def _colour(rng: np.random.Generator, low: int = 20, high: int = 225) -> Colour:
    red, green, blue = (int(n) for n in rng.integers(low, high, 3))
    return red, green, blue


def _gray(rng: np.random.Generator, low: int, high: int) -> Colour:
    value = int(rng.integers(low, high + 1))
    return value, value, value


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _gradient(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """A smooth change between four colours, as thumbnails and banners have."""
    corners = Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8))
    return corners.resize((max(1, width), max(1, height)), Image.Resampling.BICUBIC)
