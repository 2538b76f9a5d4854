"""Fifteen clean pictures of many kinds, drawn on the spot: nothing is downloaded and nothing lies in the package.

They are renderings, not photographs: everything in them is made here by rules and by numpy's generator with fixed
seeds, so that they need no licence but the package's own and are the same wherever numpy and Pillow are the same. Each
is drawn at twice its size and made smaller, as a camera does, so that no edge is sharper than pixels can show.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

HEIGHT, WIDTH = 384, 512
_H, _W = 2 * HEIGHT, 2 * WIDTH  # what is drawn
GRAIN = 0.004  # of scenes: about one step of 255, as a good camera leaves
SENTENCE = (
    "the quality of a picture is what people see in it and no one has to be told that a sharp one beats a blurred one "
    "yet every measure of it so far has surprised those who use it with an answer that nobody would have given"
)
WORDS = SENTENCE.split()


@lru_cache(maxsize=len(WORDS))
def content(name: str) -> Pixels:
    """The clean picture of a name of CONTENTS, (384, 512, 3); not to be written to."""
    pixels = CONTENTS[name](np.random.default_rng(sum(map(ord, name))))
    pixels.setflags(write=False)
    return pixels


# ---- what scenes are made of ----------------------------------------------------------------------------------------


def _finished(image: Floats, rng: np.random.Generator, grain: float = GRAIN) -> Pixels:
    """A drawing of twice the size, (768, 1024, 3) in [0, 1], at its size, with a little grain, in bytes."""
    small = image.reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    small = small + grain * rng.standard_normal((HEIGHT, WIDTH, 1))
    return np.asarray(np.clip(small * 255 + 0.5, 0, 255), np.uint8)


def _places() -> tuple[Floats, Floats]:
    """How far down and how far right every point is, in shares of the height."""
    y, x = np.mgrid[0:_H, 0:_W] / _H
    return y, x


def _cloudy(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> Floats:
    """Noise whose amplitude falls with frequency to the power of slope, from 0 to 1. stretch: wider than high."""
    fy, fx = np.fft.fftfreq(_H)[:, None] / stretch, np.fft.rfftfreq(_W)[None] * stretch
    fy = fy * stretch**2
    amplitude = np.maximum(np.hypot(fy, fx), 1 / _W) ** -slope
    amplitude[0, 0] = 0
    phases = np.exp(2j * np.pi * rng.random(amplitude.shape))
    noise = np.fft.irfft2(amplitude * phases, (_H, _W))
    low, high = np.percentile(noise, (0.5, 99.5))
    return np.asarray(np.clip((noise - low) / (high - low), 0, 1))


def _mixed(share: Floats, first: tuple[float, ...], second: tuple[float, ...]) -> Floats:
    """Colours from the first (share 0) to the second (share 1), (768, 1024, 3)."""
    return np.asarray(np.array(first) + share[..., None] * (np.array(second) - np.array(first)))


def _smooth(low: float, high: float, x: Floats) -> Floats:
    """A soft step from 0 at low to 1 at high."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _canvas(colour: tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (_W, _H), colour)
    return image, ImageDraw.Draw(image)


def _of(image: Image.Image) -> Floats:
    return np.asarray(image, np.float64) / 255


def _sky(rng: np.random.Generator, cover: float) -> Floats:
    y, _ = _places()
    blue = _mixed(np.clip(y * 1.2, 0, 1), (0.27, 0.48, 0.78), (0.76, 0.85, 0.93))
    clouds = _smooth(1 - cover, 1.15 - cover / 2, _cloudy(rng, 1.7, 1.6))[..., None]
    return np.asarray(blue + clouds * (0.96 - 0.1 * y[..., None] - blue))


def _ball(image: Floats, cy: float, cx: float, radius: float, colour: tuple[float, ...], shine: float = 0.5) -> None:
    """Paint a ball that is lit from the upper left."""
    y, x = _places()
    dy, dx = (y - cy) / radius, (x - cx) / radius
    depth = np.sqrt(np.clip(1 - dy**2 - dx**2, 0, 1))
    light = np.clip(-0.55 * dy - 0.45 * dx + 0.7 * depth, 0, 1)
    cover = _smooth(1.0, 1 - 0.006 / radius, np.hypot(dy, dx))[..., None]
    paint = np.array(colour) * (0.22 + 0.85 * light[..., None]) + shine * (light**40)[..., None]
    image += cover * (np.clip(paint, 0, 1) - image)


# ---- the pictures ---------------------------------------------------------------------------------------------------


def _landscape(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    image = _sky(rng, 0.5)
    for i, (height, haze) in enumerate(((0.42, 0.72), (0.5, 0.45), (0.58, 0.15))):
        waves = sum(np.sin(x * k * (i + 1.5) + rng.uniform(0, 6)) / k for k in (2.0, 5.0, 11.0, 23.0, 47.0))
        ridge = height - 0.06 * np.asarray(waves)
        green = _mixed(_cloudy(rng, 0.9), (0.10, 0.22, 0.08), (0.33, 0.42, 0.18))
        image = np.where((y > ridge)[..., None], haze * np.array((0.62, 0.72, 0.82)) + (1 - haze) * green, image)
    blades = _cloudy(rng, 0.55, 0.35)
    meadow = _mixed(blades, (0.16, 0.27, 0.06), (0.62, 0.66, 0.27)) * (0.75 + 0.35 * (y[..., None] - 0.6))
    edge = 0.7 + 0.02 * np.sin(5 * x) + 0.015 * _cloudy(rng, 0.8, 0.5)
    return _finished(np.where((y > edge)[..., None], meadow, image), rng)


def _foliage(rng: np.random.Generator) -> Pixels:
    image, draw = _canvas((18, 28, 12))
    for i in range(2600):
        depth = i / 2600
        cy, cx, length = rng.uniform(0, _H), rng.uniform(0, _W), rng.uniform(18, 46)
        angle, width = rng.uniform(0, 2 * math.pi), length * rng.uniform(0.2, 0.34)
        u, v = np.array((math.cos(angle), math.sin(angle))), np.array((-math.sin(angle), math.cos(angle)))
        turn = np.linspace(0, 2 * math.pi, 24)
        outline = np.array((cx, cy)) + np.outer(np.cos(turn) * length, u) + np.outer(np.sin(turn) ** 3 * width, v)
        bright = (0.25 + 0.75 * depth) * rng.uniform(0.65, 1.1)
        colour = np.array((rng.uniform(60, 150), rng.uniform(120, 190), rng.uniform(25, 70))) * bright
        draw.polygon([tuple(p) for p in outline], fill=tuple(int(c) for c in np.clip(colour, 0, 255)))
        tip, stem = np.array((cx, cy)) + u * length, np.array((cx, cy)) - u * length
        vein = tuple(int(c) for c in np.clip(colour * 1.3, 0, 255))
        draw.line([tuple(tip), tuple(stem)], fill=vein, width=2)
    return _finished(_of(image) * (0.7 + 0.5 * _cloudy(rng, 2.0)[..., None]), rng)


def _bricks(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    row = np.floor(y * 14).astype(int)
    along = x * 5 + 0.5 * (row % 2)
    column = np.floor(along).astype(int)
    down, across = np.abs(y * 14 % 1 - 0.5), np.abs(along % 1 - 0.5)
    edge = np.maximum((down - 0.5) / 14, (across - 0.5) / 5) + 0.004 * _cloudy(rng, 1.0)
    tone = rng.uniform(-1, 1, (16, 10, 1))[row, column]
    brick = np.array((0.58, 0.27, 0.19)) * (1 + 0.28 * tone) + np.array((0.02, 0.03, 0.03)) * tone
    brick = brick * (0.72 + 0.5 * _cloudy(rng, 0.6)[..., None])
    mortar = np.array((0.66, 0.63, 0.58)) * (0.75 + 0.4 * _cloudy(rng, 0.4)[..., None])
    wall = np.where((edge > -0.004)[..., None], mortar, brick)
    shade = 1.1 - 0.35 * _smooth(0.2, 1.2, x * 0.8 + y * 0.6)
    return _finished(wall * shade[..., None], rng)


def _fabric(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    y, x = y + 0.012 * np.sin(4 * x), x + 0.015 * np.sin(3 * y)
    colours = np.array([(0.62, 0.08, 0.12), (0.08, 0.16, 0.34), (0.9, 0.85, 0.7), (0.1, 0.3, 0.18)])
    stripes = np.repeat([0, 1, 0, 2, 0, 3, 1, 3, 0], [14, 10, 3, 2, 3, 12, 4, 12, 4])  # the sett, in threads
    threads = 96
    down, across = np.floor(y * threads).astype(int), np.floor(x * threads).astype(int)
    weft, warp = colours[stripes[down % len(stripes)]], colours[stripes[across % len(stripes)]]
    over = ((down + across) % 4 < 2)[..., None]  # twill: two over, two under
    bulge = np.where(over[..., 0], np.sin(np.pi * (y * threads % 1)), np.sin(np.pi * (x * threads % 1)))
    fibre = 0.85 + 0.3 * _cloudy(rng, 0.3)
    folds = 0.78 + 0.3 * _cloudy(rng, 2.4)
    return _finished(np.where(over, weft, warp) * ((0.55 + 0.5 * bulge) * fibre * folds)[..., None], rng)


def _portrait(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    image = _mixed(gaussian_filter(_cloudy(rng, 1.5), 12), (0.16, 0.22, 0.24), (0.52, 0.56, 0.46))
    for _ in range(14):  # lights out of focus
        spot = _smooth(0.07, 0.04, np.hypot(y - rng.uniform(0, 0.6), x - rng.uniform(0, 1.33)))
        image += 0.16 * gaussian_filter(spot, 6)[..., None] * np.array((1, 0.85, 0.6))
    middle = 0.66

    def oval(cy: float, cx: float, height: float, width: float, soft: float = 0.03) -> Floats:
        return _smooth(1 + soft, 1 - soft, np.hypot((y - cy) / height, (x - cx) / width))[..., None]

    def paint(cover: Floats, colour: Floats | tuple[float, ...]) -> None:
        nonlocal image
        image = image + cover * (np.asarray(colour) - image)

    strands = np.sin(150 * (x - middle) / (0.35 + y) + 7 * _cloudy(rng, 1.4)) * 0.5 + 0.5
    hair = _mixed(strands * _cloudy(rng, 0.7, 0.3), (0.10, 0.06, 0.03), (0.50, 0.32, 0.18))
    paint(oval(0.44, middle, 0.36, 0.27), hair)
    skin = np.array((0.86, 0.65, 0.53)) * (1.04 - 0.5 * (x - middle + 0.1) ** 2 * 6)[..., None]
    skin = skin * (0.97 + 0.05 * _cloudy(rng, 0.5)[..., None])
    paint(_smooth(0.11, 0.10, np.abs(x - middle))[..., None] * _smooth(0.55, 0.6, y)[..., None], skin * 0.82)
    knit = 0.75 + 0.25 * np.sin(x * 260) * np.sin(y * 200 + 20 * np.abs(x - middle))
    paint(oval(1.12, middle, 0.34, 0.5), np.array((0.20, 0.33, 0.46)) * knit[..., None])
    paint(oval(0.46, middle, 0.27, 0.19), skin)
    cheeks = np.exp(-(((y - 0.54) / 0.05) ** 2) - ((np.abs(x - middle) - 0.1) / 0.05) ** 2)
    image -= 0.08 * cheeks[..., None] * np.array((0, 1, 1))
    for side in (-1, 1):
        eye = middle + 0.075 * side
        paint(oval(0.43, eye, 0.018, 0.036, 0.1), (0.95, 0.93, 0.91))
        paint(oval(0.43, eye, 0.017, 0.017, 0.1), (0.25, 0.38, 0.30))
        paint(oval(0.43, eye, 0.008, 0.008, 0.2), (0.02, 0.02, 0.02))
        paint(oval(0.425, eye - 0.005, 0.003, 0.003, 0.3), (1, 1, 1))
        brow = oval(0.388 + 0.0, eye, 0.011, 0.046, 0.25) * (0.55 + 0.45 * np.sin(x * 700 + y * 500)[..., None])
        paint(brow, (0.22, 0.14, 0.09))
    paint(0.3 * oval(0.535, middle, 0.014, 0.033, 0.6), (0.45, 0.22, 0.18))
    paint(oval(0.607, middle, 0.016, 0.055, 0.15), (0.70, 0.33, 0.33))
    paint(oval(0.605, middle, 0.003, 0.05, 0.4), (0.40, 0.15, 0.15))
    fringe = _smooth(0.32, 0.29, y + 0.5 * (x - middle + 0.12) ** 2)[..., None] * oval(0.44, middle, 0.36, 0.27)
    paint(fringe, hair)
    return _finished(image, rng)


def _night(rng: np.random.Generator) -> Pixels:
    y, _ = _places()
    image = _mixed(_smooth(0, 0.75, y), (0.01, 0.015, 0.05), (0.10, 0.09, 0.14))
    lights = np.zeros((_H, _W, 3))
    left = 0
    while left < _W:
        width, top = int(rng.uniform(60, 130)), int(_H * rng.uniform(0.22, 0.52))
        bottom = int(_H * 0.72)
        image[top:bottom, left : left + width] = np.array((0.03, 0.03, 0.05)) * rng.uniform(0.7, 1.5)
        for wy in range(top + 10, bottom - 14, 20):
            for wx in range(left + 8, min(left + width, _W) - 12, 16):
                if rng.random() < 0.42:
                    colour = np.array((1, rng.uniform(0.7, 0.95), rng.uniform(0.35, 0.8))) * rng.uniform(0.3, 1)
                    lights[wy : wy + 11, wx : wx + 9] = colour
        left += width
    for lamp in np.linspace(40, _W - 40, 9).astype(int):
        lights[int(_H * 0.69) : int(_H * 0.69) + 10, lamp - 5 : lamp + 5] = (3.0, 2.2, 1.2)
    image += lights + 0.5 * gaussian_filter(lights, (9, 9, 0)) + 0.8 * gaussian_filter(lights, (40, 40, 0))
    shore = int(_H * 0.72)
    mirrored = image[shore - np.arange(1, _H - shore + 1) * 2]
    ripples = (6 * np.sin(np.arange(_H - shore) * 0.5) + 9 * (_cloudy(rng, 0.8, 3.0)[shore:, 0] - 0.5)).astype(int)
    for i, shift in enumerate(ripples):
        image[shore + i] = 0.55 * np.roll(mirrored[i], shift, axis=0) + (0.0, 0.005, 0.015)
    image[shore:] = gaussian_filter(image[shore:], (5, 1.5, 0))
    return _finished(np.clip(image, 0, 1), rng)


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _text(rng: np.random.Generator) -> Pixels:
    image, draw = _canvas((252, 251, 247))
    draw.text((90, 50), "On the Quality of Pictures", font=_font(52), fill=(20, 20, 24))
    y = 140
    while y < _H - 60:
        x, indent = 90, 40 if rng.random() < 0.18 else 0
        x += indent
        while True:
            word = str(rng.choice(WORDS))
            wide = draw.textlength(word + " ", font=_font(26))
            if x + wide > _W - 90:
                break
            draw.text((x, y), word, font=_font(26), fill=(30, 30, 34))
            x += int(wide)
        y += 40
    return _finished(_of(image), rng, 0)


def _drawing(rng: np.random.Generator) -> Pixels:
    image, draw = _canvas((246, 241, 228))
    ink = (32, 30, 36)

    def stroke(points: list[tuple[float, float]], width: int = 4) -> None:
        draw.line(points, fill=ink, width=width, joint="curve")

    def curve(cx: float, cy: float, rx: float, ry: float, start: float = 0, end: float = 2 * math.pi) -> None:
        turn = np.linspace(start, end, 60)
        wobble = 1 + 0.01 * np.cumsum(rng.standard_normal(60)) / 4
        stroke([(cx + rx * w * math.cos(t), cy + ry * w * math.sin(t)) for t, w in zip(turn, wobble, strict=True)])

    stroke([(0, 600), (250, 585), (600, 610), (_W, 590)])
    stroke([(330, 590), (330, 340), (620, 340), (620, 595)])  # a house
    stroke([(290, 350), (475, 200), (660, 350)], 5)
    stroke([(430, 592), (430, 450), (520, 450), (520, 595)])
    for wx in (355, 545):
        stroke([(wx, 390), (wx + 50, 390), (wx + 50, 440), (wx, 440), (wx, 390)], 3)
        stroke([(wx + 25, 390), (wx + 25, 440)], 3)
    for i in range(16):  # its roof and its shaded wall are hatched
        high = 310 - 3 * i if i < 8 else 215 + 8 * (i - 8)
        stroke([(320 + i * 20, 335 - 10 * (i % 3)), (342 + i * 17, high)], 2)
        stroke([(540 + 5 * i, 590), (545 + 5 * i, 455 + 4 * (i % 4))], 2)
    stroke([(810, 595), (800, 470), (815, 360)], 7)  # a tree
    for _ in range(26):
        angle, far = rng.uniform(0, 6.28), rng.uniform(0, 110)
        curve(815 + far * math.cos(angle), 290 + far * math.sin(angle), 38, 30, rng.uniform(0, 3), rng.uniform(4, 6.2))
    curve(150, 130, 60, 60)  # the sun
    for ray in np.linspace(0, 6.28, 14)[:-1]:
        c, s = math.cos(ray), math.sin(ray)
        stroke([(150 + 78 * c, 130 + 78 * s), (150 + 112 * c, 130 + 112 * s)], 3)
    for _ in range(150):  # grass
        gx, gy = rng.uniform(0, _W), rng.uniform(620, 750)
        stroke([(gx, gy), (gx + rng.uniform(-6, 6), gy - rng.uniform(12, 30))], 3)
    for bx, by in ((560, 110), (640, 80), (700, 140)):  # birds
        stroke([(bx - 26, by - 10), (bx - 10, by - 16), (bx, by), (bx + 10, by - 16), (bx + 26, by - 10)], 3)
    return _finished(_of(image), rng, 0)


def _screenshot(rng: np.random.Generator) -> Pixels:
    image, draw = _canvas((236, 239, 244))
    draw.rectangle((0, 0, _W, 56), fill=(46, 52, 64))
    for i, colour in enumerate(((191, 97, 106), (235, 203, 139), (163, 190, 140))):
        draw.ellipse((20 + 40 * i, 16, 44 + 40 * i, 40), fill=colour)
    draw.text((400, 12), "Results of the year", font=_font(28), fill=(236, 239, 244))
    draw.rectangle((0, 56, 190, _H), fill=(216, 222, 233))
    for i, word in enumerate(("Overview", "Pictures", "Scores", "Compare", "Export", "Settings")):
        if i == 2:
            draw.rounded_rectangle((10, 88 + 52 * i, 180, 132 + 52 * i), 10, fill=(94, 129, 172))
        draw.text((26, 96 + 52 * i), word, font=_font(24), fill=(255, 255, 255) if i == 2 else (46, 52, 64))
    draw.rounded_rectangle((220, 86, 990, 470), 14, fill=(255, 255, 255))
    for i in range(6):
        draw.line((290, 130 + 56 * i, 960, 130 + 56 * i), fill=(220, 224, 230), width=2)
        draw.text((240, 118 + 56 * i), f"{100 - 20 * i}", font=_font(20), fill=(90, 96, 110))
    for colour, level, slope in (((191, 97, 106), 250, 90), ((94, 129, 172), 330, 40), ((120, 160, 100), 200, -60)):
        values = level - slope * np.linspace(-1, 1, 24) + 14 * rng.standard_normal(24)
        draw.line([(300 + 28 * i, v) for i, v in enumerate(values)], fill=colour, width=5, joint="curve")
    draw.rounded_rectangle((220, 500, 590, 740), 14, fill=(255, 255, 255))
    for i, bar in enumerate(rng.uniform(40, 170, 9)):
        draw.rectangle((250 + 36 * i, 715 - bar, 276 + 36 * i, 715), fill=(143, 188, 187) if i % 2 else (94, 129, 172))
    draw.rounded_rectangle((620, 500, 990, 740), 14, fill=(255, 255, 255))
    for i in range(5):
        draw.text((645, 520 + 42 * i), f"photo_{int(rng.integers(1000, 9999))}.jpg", font=_font(22), fill=(46, 52, 64))
        draw.text((900, 520 + 42 * i), f"{rng.uniform(20, 95):.1f}", font=_font(22), fill=(94, 129, 172))
    return _finished(_of(image), rng, 0)


def _clouds(rng: np.random.Generator) -> Pixels:
    y, _ = _places()
    image = _sky(rng, 0.75)
    evening = _mixed(_smooth(0.3, 1.0, y), (1.0, 1.0, 1.0), (1.12, 0.86, 0.66))
    return _finished(np.clip(image * evening, 0, 1), rng)


def _water(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    horizon = 0.3
    near = np.maximum(y - horizon, 0.004)
    depth = 0.35 / near
    slope = np.zeros((_H, _W))
    for k in np.geomspace(3, 90, 40):
        angle, phase = rng.normal(0, 0.5), rng.uniform(0, 2 * np.pi)
        fade = np.exp(-((k * depth / 180) ** 2))  # waves too far to be told apart
        across = (x - 0.66) * depth
        slope += fade * k**-0.35 * np.cos(k * (across * np.sin(angle) + depth * np.cos(angle)) * 2 + phase)
    slope = slope / 3
    water = _mixed(np.clip(0.5 + 0.35 * slope, 0, 1), (0.03, 0.16, 0.24), (0.50, 0.68, 0.74))
    glints = _smooth(0.75, 1.3, slope) * np.exp(-(((x - 0.75) / 0.28) ** 2))
    water = water + 0.7 * glints[..., None]
    sky = _sky(rng, 0.35)
    return _finished(np.where((y > horizon)[..., None], water, sky), rng)


def _crowd(rng: np.random.Generator) -> Pixels:
    image, draw = _canvas((128, 124, 118))
    row = 0.0
    skins = ((240, 205, 180), (205, 155, 120), (150, 100, 70), (95, 62, 45))
    hairs = ((35, 25, 20), (90, 58, 34), (190, 150, 90), (120, 120, 124))
    while row < _H + 60:
        size = 14 + 22 * row / _H
        for cx in np.arange(-size, _W + size, size * 2.1) + rng.uniform(-size, size):
            px, py, s = cx + rng.normal(0, size * 0.3), row + rng.normal(0, size * 0.25), size * rng.uniform(0.85, 1.1)
            coat = tuple(int(c) for c in rng.uniform(25, 235, 3))
            dark = tuple(int(0.7 * c) for c in coat)
            skin, hair = skins[rng.integers(4)], hairs[rng.integers(4)]
            draw.rounded_rectangle((px - s, py + s * 0.7, px + s, py + s * 4), s * 0.6, fill=coat)
            draw.rectangle((px - s * 0.08, py + s * 0.9, px + s * 0.08, py + s * 4), fill=dark)
            draw.ellipse((px - s * 0.62, py - s * 0.95, px + s * 0.62, py + s * 0.6), fill=hair)
            draw.ellipse((px - s * 0.5, py - s * 0.6, px + s * 0.5, py + s * 0.75), fill=skin)
            for side in (-1, 1):
                ex, r = px + side * s * 0.2, s * 0.07
                draw.ellipse((ex - r, py - r, ex + r, py + r), fill=(30, 22, 20))
            draw.line((px - s * 0.16, py + s * 0.4, px + s * 0.16, py + s * 0.4), fill=(140, 60, 55), width=2)
        row += size * 1.3
    light = 0.72 + 0.4 * _cloudy(rng, 2.0)
    return _finished(np.clip(_of(image) * light[..., None], 0, 1), rng)


def _building(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    image = _sky(rng, 0.2)
    facade = y > 0.16 + 0.1 * x
    rows = (y - 0.16 - 0.1 * x) / (1.0 - 0.06 * x) * 7.5  # lines run towards a point far on the right
    columns = np.log1p(x * 0.6) / np.log1p(0.8) * 8
    v, u = rows % 1, columns % 1
    stone = np.array((0.78, 0.72, 0.62)) * (0.86 + 0.2 * _cloudy(rng, 0.5)[..., None])
    course = (np.abs(rows * 6 % 1 - 0.5) > 0.46)[..., None]
    wall = np.where(course, stone * 0.88, stone)
    frame = (v > 0.2) & (v < 0.86) & (u > 0.22) & (u < 0.78)
    pane = (v > 0.25) & (v < 0.82) & (u > 0.27) & (u < 0.73)
    bars = (np.abs(u - 0.5) < 0.02) | (np.abs(v - 0.45) < 0.015)
    sill = (v > 0.86) & (v < 0.92) & (u > 0.18) & (u < 0.82)
    row, column = np.floor(rows).astype(int) % 12, np.floor(columns).astype(int) % 12
    tone = rng.uniform(0.4, 1.2, (12, 12))[row, column]
    glass = _mixed(np.clip(v * 0.8 + 0.5 * u, 0, 1), (0.10, 0.16, 0.22), (0.42, 0.52, 0.60)) * tone[..., None]
    wall = np.where(frame[..., None], np.array((0.93, 0.92, 0.88)), wall)
    wall = np.where((pane & ~bars)[..., None], glass, wall)
    wall = np.where(sill[..., None], np.array((0.86, 0.82, 0.74)), wall)
    wall = np.where(((v < 0.05) & (rows > 0))[..., None], wall * 0.7, wall)
    shade = np.where(y > 0.55 + 0.45 * (x - 0.6), 0.62, 1.0)  # of the house across the street
    return _finished(np.where(facade[..., None], wall * shade[..., None], image), rng)


def _fruit(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    image = _mixed(_smooth(0, 0.6, y), (0.30, 0.27, 0.26), (0.46, 0.42, 0.38))
    rings = np.sin(90 * (y + 0.06 * _cloudy(rng, 1.6, 4.0)) + 3 * _cloudy(rng, 1.5, 3.0))
    wood = _mixed(0.5 + 0.3 * rings + 0.2 * (_cloudy(rng, 0.6, 5.0) - 0.5), (0.36, 0.20, 0.10), (0.66, 0.44, 0.25))
    image = np.where((y > 0.56)[..., None], wood, image)
    fruit = (
        (0.5, 0.38, 0.17, (0.86, 0.13, 0.10)),
        (0.52, 0.98, 0.18, (0.96, 0.55, 0.08)),
        (0.44, 0.68, 0.15, (0.62, 0.74, 0.16)),
        (0.68, 0.57, 0.16, (0.95, 0.80, 0.18)),
        (0.72, 0.86, 0.13, (0.45, 0.10, 0.28)),
    )
    for cy, cx, r, _ in fruit:
        shadow = np.exp(-(((y - cy - r * 0.95) / (0.3 * r)) ** 2 + ((x - cx - 0.35 * r) / (1.1 * r)) ** 2))
        image = image * (1 - 0.6 * shadow[..., None] * (y > 0.5)[..., None])
    for cy, cx, r, colour in fruit:
        _ball(image, cy, cx, r, colour)
        inside = (np.hypot(y - cy, x - cx) < r * 0.99)[..., None]
        image = np.where(inside, image * (0.9 + 0.2 * _cloudy(rng, 0.6)[..., None]), image)
    return _finished(np.clip(image, 0, 1), rng)


def _stones(rng: np.random.Generator) -> Pixels:
    y, x = _places()
    seeds = rng.uniform((-0.05, -0.05), (1.05, 1.4), (420, 2))
    (first, second), owner = (
        found if i else found.transpose(2, 0, 1)
        for i, found in enumerate(cKDTree(seeds).query(np.stack([y, x], axis=-1), k=2))
    )
    owner = owner[..., 0]
    gap = second - first
    round_ = np.sqrt(np.clip(gap / 0.05, 0, 1))
    away = (np.stack([y, x], axis=-1) - seeds[owner]) / 0.05
    light = 0.55 - 0.22 * away[..., 0] - 0.16 * away[..., 1]
    colours = np.array(
        [(0.62, 0.60, 0.57), (0.45, 0.43, 0.42), (0.72, 0.64, 0.54), (0.34, 0.36, 0.40), (0.58, 0.42, 0.34)]
    )
    tint = colours[rng.integers(len(colours), size=len(seeds))] * rng.uniform(0.75, 1.2, (len(seeds), 1))
    speckle = 0.8 + 0.4 * _cloudy(rng, 0.35)
    stone = tint[owner] * (np.clip(light, 0.2, 1.2) * (0.35 + 0.95 * round_) * speckle)[..., None] * 1.3
    return _finished(np.clip(stone * (gap > 0.004)[..., None], 0, 1), rng)


CONTENTS: dict[str, Callable[[np.random.Generator], Pixels]] = {
    "landscape": _landscape,
    "foliage": _foliage,
    "bricks": _bricks,
    "fabric": _fabric,
    "portrait": _portrait,
    "night": _night,
    "text": _text,
    "drawing": _drawing,
    "screenshot": _screenshot,
    "clouds": _clouds,
    "water": _water,
    "crowd": _crowd,
    "building": _building,
    "fruit": _fruit,
    "stones": _stones,
}
