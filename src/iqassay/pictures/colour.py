"""How samples stand for light where a file says it by numbers instead of a profile, and the way from there to sRGB.

The numbers are the code points of ITU-T H.273 (CICP: `nclx` in HEIF and AVIF, `cICP` in PNG and in profiles), or PNG's
gAMA and cHRM. HDR (PQ and HLG, ITU-R BT.2100) is brought to an ordinary screen by the curve of Report ITU-R BT.2408-7,
Annex 5 (until revision 7 of BT.2390: "EETF"), on the largest of a pixel's three channels, so that hues stay; its white
is the 203 cd/m2 of that report. Colours outside sRGB are clipped, channel by channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SDR_WHITE = 203.0  # cd/m2: HDR reference white, BT.2408-7, 2.2
HDR_PEAK = 1000.0  # cd/m2, where a file does not say how bright it gets: the nominal peak of HLG, and of most PQ
TONE_MAPPED = "HDR ({}) brought to an ordinary screen by a tone curve"
BAD_GAMMA = "gamma or chromaticities that cannot be used: the picture is taken as sRGB"
UNKNOWN = "colours told as code points {} of H.273, which are not known here: the picture is taken as sRGB"

_D65 = (0.3127, 0.3290)
# x and y of red, green, blue and white. H.273, table 2.
_PRIMARIES = {
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),  # BT.709, sRGB
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),  # BT.470 M
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),  # BT.470 B, G
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),  # BT.601 525
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),  # SMPTE 240M
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),  # film
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),  # BT.2020
    10: (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3),  # XYZ
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),  # DCI-P3
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),  # Display P3
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),  # EBU 3213
}
ADOBE_RGB = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060, *_D65)
_SRGB = _PRIMARIES[1]
# H.273, table 3. The curves of cameras (BT.709 and its kin) are shown as sRGB's, which is what viewers do with stills.
_CURVES: dict[int, str | float] = {
    **dict.fromkeys((1, 6, 11, 12, 13, 14, 15), "sRGB"),
    **{4: 2.2, 5: 2.8, 7: "240M", 8: 1.0, 9: "log 100", 10: "log 316", 16: "PQ", 17: "428", 18: "HLG"},
}
_NEAR = 0.01  # chromaticities that differ by less are the same


@dataclass(frozen=True)
class Encoding:
    """How samples in [0, 1] stand for light.

    curve: a name of _CURVES, or the exponent that light is of the sample. primaries: x and y of red, green, blue and
    white. peak: the brightest light of an HDR picture in cd/m2. narrow: black and white are at 16 and 235 of 255.
    """

    curve: str | float
    primaries: tuple[float, ...] = _SRGB
    peak: float = HDR_PEAK
    narrow: bool = False

    @property
    def is_hdr(self) -> bool:
        return self.curve in ("PQ", "HLG")

    @property
    def is_srgb(self) -> bool:
        return self.curve == "sRGB" and self.primaries == _SRGB and not self.narrow


def of_code_points(primaries: int, transfer: int, peak: float = HDR_PEAK, narrow: bool = False) -> Encoding | None:
    """What two code points of H.273 mean; 2 ("unspecified") is sRGB's. None when one of them means nothing here."""
    colours, curve = _PRIMARIES.get(1 if primaries == 2 else primaries), _CURVES.get(13 if transfer == 2 else transfer)
    return Encoding(curve, colours, peak, narrow) if curve is not None and colours is not None else None


def of_gamma(gamma: float | None, chromaticities: tuple[float, ...] | None) -> Encoding | None:
    """What PNG's gAMA (sample = light ** gamma) and cHRM (x and y of white, red, green, blue) mean; either may lack.

    Chromaticities within 0.01 of sRGB's are its own. Beside them, or beside none, 1 / 2.2 within five percent stands
    for its curve, as libpng has it: that is what writers put beside sRGB. None when the numbers are of no use.
    """
    if gamma is not None and not 0.01 <= gamma <= 100:
        return None
    primaries: tuple[float, ...] = _SRGB
    if chromaticities is not None:
        told = (*chromaticities[2:], *chromaticities[:2])
        if max(abs(a - b) for a, b in zip(told, _SRGB, strict=True)) >= _NEAR:
            primaries = told
    try:
        if not np.abs(_matrix(primaries)).max() < 100:  # written so that NaN fails
            return None
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    if gamma is None or (primaries == _SRGB and abs(gamma * 2.2 - 1) < 0.05):
        return Encoding("sRGB", primaries)
    return Encoding(1 / gamma, primaries)


def brightest(content: float, screen: float) -> float:
    """The peak of an HDR picture in cd/m2, of what a file says of its content (MaxCLL) and of the screen it was made on
    (0 when it does not say)."""
    return min(max(content or screen or HDR_PEAK, SDR_WHITE), 10_000.0)


def to_srgb(pixels: np.ndarray, encoding: Encoding) -> np.ndarray:
    """(H, W, 1) or (H, W, 3) of uint8, uint16 or float32 in [0, 1] -> the same in sRGB, of the same type."""
    if encoding.is_srgb:
        return pixels
    out = np.empty_like(pixels)
    table = None
    if pixels.dtype != np.float32:
        top = np.iinfo(pixels.dtype).max
        codes = np.arange(top + 1, dtype=np.float32) / top
        if encoding.narrow:  # H.273, 8.3: steps of 219, from 16, at 8 bits
            step = (top + 1) // 256
            codes = np.clip((np.arange(top + 1, dtype=np.float32) - 16 * step) / (219 * step), 0, 1)
        table = _light(codes, encoding.curve).astype(np.float32)
    matrix = _matrix(encoding.primaries).astype(np.float32)
    rows = max(1, 2**18 // pixels.shape[1])
    for start in range(0, len(pixels), rows):  # in strips: the temporaries stay small
        strip = pixels[start : start + rows]
        light = table[strip] if table is not None else _light(strip, encoding.curve)
        if encoding.is_hdr:
            light = _to_screen(light, encoding)
        if pixels.shape[2] == 3 and encoding.primaries != _SRGB:
            light = light @ matrix.T
        encoded = encode(light)
        out[start : start + rows] = encoded if table is None else np.rint(encoded * np.iinfo(pixels.dtype).max)
    return out


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light -> sRGB in [0, 1] (IEC 61966-2-1), same shape; what is outside [0, 1] is clipped."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)


def _light(signal: np.ndarray, curve: str | float) -> np.ndarray:
    """Samples in [0, 1] -> light: 1 is white, but for PQ, where it is 203 cd/m2, and for HLG's light of the scene."""
    if isinstance(curve, float):
        return signal ** np.float32(curve)
    if curve == "sRGB":
        return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** np.float32(2.4))
    if curve == "240M":
        return np.where(signal < 0.0912, signal / 4, ((signal + 0.1115) / 1.1115) ** np.float32(1 / 0.45))
    if curve in ("log 100", "log 316"):
        decades = 2.0 if curve == "log 100" else 2.5
        return np.where(signal <= 0, 0, 10 ** (decades * (signal - 1)))
    if curve == "428":
        return signal ** np.float32(2.6) * (52.37 / 48)
    if curve == "HLG":  # BT.2100, table 5, the inverse of the OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return _from_pq(signal) / SDR_WHITE


_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32  # ST 2084


def _from_pq(signal: np.ndarray) -> np.ndarray:
    """In cd/m2. BT.2100, table 4."""
    power = np.asarray(signal, np.float64) ** (1 / _M2)
    return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def _to_pq(light: np.ndarray) -> np.ndarray:
    power = np.clip(light / 10_000, 0, 1) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _to_screen(light: np.ndarray, encoding: Encoding) -> np.ndarray:
    """HDR light -> light in [0, 1] of a screen whose white is 203 cd/m2."""
    if encoding.curve == "HLG":  # BT.2100: the OOTF of a screen of 1000 cd/m2 has an exponent of 1.2
        weights = _to_xyz(encoding.primaries)[1].astype(np.float32)
        scene = light @ weights if light.shape[2] == 3 else light[..., 0]
        light = light * scene[..., None] ** np.float32(0.2) * np.float32(HDR_PEAK / SDR_WHITE)
    largest = light.max(axis=2, keepdims=True)
    shown = np.interp(largest, *_tone_curve(HDR_PEAK if encoding.curve == "HLG" else encoding.peak))
    return light * (shown / np.maximum(largest, 1e-9)).astype(np.float32)


@lru_cache(maxsize=16)
def _tone_curve(peak: float) -> tuple[np.ndarray, np.ndarray]:
    """Light of up to `peak` cd/m2 and what it becomes on the screen, both in units of its white. BT.2408-7, Annex 5."""
    signal = np.linspace(0, 1, 4096) * _to_pq(np.array(peak))
    most = float(_to_pq(np.array(SDR_WHITE)) / signal[-1])
    knee = 1.5 * most - 0.5
    e1 = signal / signal[-1]
    t = np.maximum(e1 - knee, 0) / max(1 - knee, 1e-9)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    e2 = np.where(e1 < knee, e1, spline)
    return _from_pq(signal) / SDR_WHITE, _from_pq(e2 * signal[-1]) / SDR_WHITE


@lru_cache(maxsize=64)
def _matrix(primaries: tuple[float, ...]) -> np.ndarray:
    """(3, 3): linear light by these primaries -> linear sRGB. Another white is adapted to D65 by Bradford's matrix."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    white, wanted = _xyz(*primaries[6:]), _xyz(*_D65)
    adapt = np.linalg.solve(bradford, np.diag((bradford @ wanted) / (bradford @ white)) @ bradford)
    return np.linalg.solve(_to_xyz(_SRGB), adapt @ _to_xyz(primaries))


def _to_xyz(primaries: tuple[float, ...]) -> np.ndarray:
    """(3, 3): linear light by these primaries -> XYZ, in which white has a Y of 1."""
    columns = np.array([[primaries[i], primaries[i + 1], 1 - primaries[i] - primaries[i + 1]] for i in (0, 2, 4)]).T
    return columns * np.linalg.solve(columns, _xyz(*primaries[6:]))


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])
