"""Scores and kinds of damage in plain words."""

from __future__ import annotations

ANCHORS = {10: "ruined", 30: "bad", 50: "flaws plainly visible", 70: "good", 90: "flawless at a normal look"}
NEAR = 5  # points: so near to an anchor a score has its word alone
NOTHING_DONE = "No damage"

# Kind -> its name, what it looks like, and its usual cause with what can be done.
KINDS: dict[str, tuple[str, str, str]] = {
    "gaussian_blur": (
        "Soft blur",
        "Edges and fine detail are smeared evenly in all directions.",
        "Usually a missed focus, strong noise reduction or an enlarged small picture: go back to a sharper original.",
    ),
    "lens_blur": (
        "Out of focus",
        "Points of light turn into small discs and edges double.",
        "The lens was focused elsewhere: focus again or use a smaller aperture; sharpening helps only a little.",
    ),
    "motion_blur": (
        "Motion blur",
        "Everything is smeared in one direction.",
        "Camera or subject moved while the shutter was open: use a shorter exposure, a support or a stabiliser.",
    ),
    "color_diffusion": (
        "Colours bleed",
        "Colours run over the edges of things while light and dark stay sharp.",
        "Usually stored with too little colour detail (video, old tapes, strong compression): use a better source.",
    ),
    "color_shift": (
        "Colour fringes",
        "Edges have coloured borders, since the colour channels do not lie on each other.",
        "Usually the lens or a scan that moved: lens correction, or aligning the channels, removes most of it.",
    ),
    "color_quantization": (
        "Too few colours",
        "Smooth areas break up into flat patches of one colour.",
        "Usually saved with a palette (GIF, PNG of 256 colours or fewer): save in full colour instead.",
    ),
    "color_saturation_1": (
        "Washed-out or wrong colours",
        "Colours are pale, gone, or turned to their opposites.",
        "Usually an edit or a lost colour profile: lift the saturation, or start from the original file.",
    ),
    "color_saturation_2": (
        "Overdone colours",
        "Colours are glaring, and detail inside them is lost.",
        "Usually a filter or a strong saturation setting: lower it, best on the original file.",
    ),
    "jpeg2000": (
        "JPEG 2000 compression",
        "Detail is smeared into soft ripples, most of all beside edges.",
        "Saved too small with a wavelet codec: save again from the original at a higher rate.",
    ),
    "jpeg": (
        "JPEG compression",
        "Small square blocks show, and a shimmer lies around edges.",
        "Saved at a low quality, or many times over: save again from the original at quality 85 or more.",
    ),
    "white_noise": (
        "Noise",
        "A fine random grain lies over everything, most visible in smooth and dark areas.",
        "Usually too little light and a high ISO: more light, a longer exposure, or noise reduction.",
    ),
    "white_noise_color": (
        "Colour noise",
        "Random specks of wrong colour lie over the picture.",
        "Usually too little light and a high ISO: reducing colour noise alone costs little sharpness.",
    ),
    "impulse_noise": (
        "Specks",
        "Single pixels are black, white or brightly coloured.",
        "Usually defective sensor pixels or faults in transmission: a median filter removes them.",
    ),
    "multiplicative_noise": (
        "Speckle",
        "A grain that is stronger in bright areas than in dark ones.",
        "Comes with amplified light, radar and ultrasound: average several pictures, or reduce the noise.",
    ),
    "denoise": (
        "Smoothed by noise reduction",
        "Fine texture such as skin, grass and hair is wiped to plastic.",
        "Noise reduction was too strong: lower it, since some grain looks better than none.",
    ),
    "brighten": (
        "Too bright",
        "The picture is pale and bright areas lose their detail.",
        "Overexposed or lifted too far: lower the exposure; what is purely white cannot come back.",
    ),
    "darken": (
        "Too dark",
        "The picture is dim and dark areas lose their detail.",
        "Underexposed or lowered too far: lift the exposure; it brings noise with it.",
    ),
    "mean_shift": (
        "All lighter or darker",
        "Every part is lighter or darker by one amount, so that black is not black or white not white.",
        "Usually a wrong black level or brightness setting: set the black and white points.",
    ),
    "jitter": (
        "Jagged pixels",
        "Pixels are displaced at random, so that edges look frayed.",
        "Comes from rough rescaling, warping or faults in transmission: make the picture anew from its source.",
    ),
    "non_eccentricity_patch": (
        "Moved patches",
        "Small squares of the picture sit a little beside their place.",
        "Comes from faults in transmission or in editing: copy or export the file anew.",
    ),
    "pixelate": (
        "Pixelation",
        "The picture is made of visible squares.",
        "Enlarged from a small picture without smoothing: use a larger original, or a better enlargement.",
    ),
    "quantization": (
        "Too few tones",
        "Skies and skin show bands instead of smooth changes.",
        "Edited or saved with too few steps for each channel: work at 16 bits, and save with dithering.",
    ),
    "color_block": (
        "Coloured blocks",
        "Flat coloured squares cover parts of the picture.",
        "Comes from a damaged file or transmission: copy or download it again.",
    ),
    "high_sharpen": (
        "Oversharpened",
        "Bright and dark halos run along edges, and grain stands out.",
        "Sharpening was too strong, or applied twice: lower it, and sharpen once, at the end.",
    ),
    "contrast_change": (
        "Wrong contrast",
        "The picture is flat and gray, or so hard that shadows and lights are lost.",
        "Comes from haze, scattered light or a strong tone curve: set the contrast anew on the original.",
    ),
}


def meaning(score: float) -> str:
    """A score from 0 to 100 in the words of the nearest anchor, or of the two that it lies between."""
    low = max((at for at in ANCHORS if at <= score), default=min(ANCHORS))
    high = min((at for at in ANCHORS if at >= score), default=max(ANCHORS))
    if score - low <= NEAR or low == high:
        return ANCHORS[low]
    if high - score <= NEAR:
        return ANCHORS[high]
    return f"between {ANCHORS[low]} and {ANCHORS[high]}"


def about(kind: str) -> tuple[str, str, str]:
    """The name of a kind of damage, what it looks like, and its usual cause; only the name of an unknown kind."""
    return KINDS.get(kind, (kind.replace("_", " ").capitalize(), "", ""))
