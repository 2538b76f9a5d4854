"""`iqassay explain`: why a picture has its score, on one page."""

from __future__ import annotations

from typing import Annotated

import typer

from iqassay.commands.options import (
    Align,
    Alignment,
    MaxPixels,
    Model,
    Threads,
    one_picture,
    open_model,
    say,
    stdout,
)


def explain(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="The folder for the explanation.")],
    ref: Annotated[str | None, typer.Option(metavar="REF", help="The picture as it should look.")] = None,
    align: Alignment = Align.fail,
    model: Model = None,
    restorer: Annotated[
        str, typer.Option(metavar="MODEL", help="The model that restores: a shipped one, or an .onnx file.")
    ] = "dri",
    threads: Threads = None,
    max_pixels: MaxPixels = None,
) -> int:
    """Say why a picture has its score, on one page: what is wrong and where, and what it may have looked like before.

    Writes DIR/index.html (one file, opens offline), DIR/explain.json and DIR/estimate.png, and prints the path of the
    page. Exit status: 0 explained, 1 a picture could not be read, 2 wrong usage.
    """
    from iqassay.pages import explanation_page
    from iqassay.pictures.image import ImageError
    from iqassay.scoring.explanation import explain as explain_picture
    from iqassay.support.errors import UsageError

    inputs = [picture] if ref is None else [picture, ref]
    for path in inputs:
        one_picture(path)
    if ref is None and align is not Align.fail:
        raise UsageError("--align: got no reference, want --ref too")
    scorer, healer = open_model(model, False, threads, max_pixels), open_model(restorer, False, threads, max_pixels)
    if not healer.restores:
        raise UsageError(f"--restorer {restorer}: restores nothing, want a model that does, such as 'dri'")
    explanation_page.check_folder(output, *inputs)  # before the work
    try:
        explanation = explain_picture(picture, scorer, healer, ref, align.value)
    except (ImageError, MemoryError) as error:
        say(str(error) or "not enough memory")
        return 1
    print(explanation_page.write_page(explanation, output), file=stdout())
    return 0
