"""`iqassay curve`: quality against size, codec by codec."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from iqassay.commands.options import Codecs, MaxPixels, Threads, open_models, say, stdout

if TYPE_CHECKING:
    from iqassay.folders.rates import Curves

QUALITIES = "10,20,30,40,50,60,70,80,90,95"


def curve(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="The originals, or folders of them.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="The folder for plots and tables.")],
    codec: Codecs = None,
    qualities: Annotated[
        str, typer.Option(metavar="N,...", help="The qualities to encode at, at least four.")
    ] = QUALITIES,
    model: Annotated[
        str | None,
        typer.Option(
            help="Models and measures that take references, with commas between them, such as yoto,ssim,psnr. "
            "[default: yoto]",
            show_default=False,
        ),
    ] = None,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Look into subfolders too.")] = False,
    threads: Threads = None,
    max_pixels: MaxPixels = None,
) -> int:
    """Plot quality against size for each codec, and say what each saves at the same quality (BD-rate).

    Writes DIR/curve.csv (a row a file and model), DIR/bd_rate.csv and, for each model, DIR/MODEL.svg, which opens
    anywhere. BD-rate is against the first codec, the mean over the pictures, at the same score; of measures at the same
    value, such as dB. Exit status: 0 done, 1 a picture could not
    be read, 2 wrong usage.
    """
    from iqassay.folders import rates
    from iqassay.folders.finding import find_pictures
    from iqassay.measures.measure import MEASURES
    from iqassay.pages.rate_plot import write_plot
    from iqassay.pictures.encoders import find_codecs
    from iqassay.pictures.image import ImageError
    from iqassay.support.errors import UsageError
    from iqassay.support.files import make_folder, write_whole
    from iqassay.support.progress import with_bar

    codecs, steps = find_codecs(codec), _qualities(qualities)
    rates.check_scipy()
    paths = list(find_pictures(pictures, recursive, [output]))
    scorers = open_models(model, True, threads, max_pixels)
    make_folder("-o", output)
    names = [(scorer.card.name, scorer.card.version) for scorer in scorers]
    on_raw = {name: 1 if MEASURES[name].best > MEASURES[name].worst else -1 for name, _ in names if name in MEASURES}
    found = rates.Curves(names, codecs, on_raw)
    failed = False
    for path in with_bar(paths, len(paths)):
        try:
            found.add(path, rates.curve(scorers[0].read(path), codecs, steps, scorers))
        except (ImageError, ValueError, MemoryError) as error:
            say(str(error) if isinstance(error, ImageError) else f"{path}: {error or 'not enough memory'}")
            failed = True
    if not found.rows:
        raise UsageError("got no picture that can be read, want one")
    for name, text in (("curve.csv", found.csv()), ("bd_rate.csv", found.bd_csv())):
        write_whole(os.path.join(output, name), text.encode("utf-8", "backslashreplace"))
    for name in found.names():
        write_plot(os.path.join(output, f"{name}.svg"), found, name)
    print(_text(found, output), file=stdout())
    return int(failed)


def _qualities(text: str) -> list[int]:
    from iqassay.statistics.bd_rate import LEAST
    from iqassay.support.errors import UsageError

    steps = sorted({int(word) for word in text.split(",") if word.strip().isdecimal() and int(word) <= 100})
    if len(steps) < LEAST or len(steps) != len(text.split(",")):
        raise UsageError(f"--qualities: got {text!r}, want at least {LEAST} different numbers from 0 to 100")
    return steps


def _text(found: Curves, output: str) -> str:
    """What each codec saves, for people."""
    from iqassay.support.text import counted

    anchor, *others = found.codecs
    lines = []
    for model in found.names():
        lines.append(f"{model}, {counted(found.count(), 'picture')}: bytes at the same quality against {anchor}")
        for codec in others:
            mean, low, high, count = found.bd(model, codec)
            said = f"{mean:+.1f} % ({low:+.1f} to {high:+.1f})" if count else "no quality in common"
            lines.append(
                f"  {codec:<5} {said}" + (f", {counted(count, 'picture')}" if 0 < count < found.count() else "")
            )
        if not others:
            lines.append("  no other codec to compare with")
    return "\n".join([*lines, os.path.join(output, "curve.csv")])
