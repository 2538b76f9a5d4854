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
    check_references,
    one_picture,
    open_model,
    say,
    stdout,
)


def explain(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="A picture, or several.")],
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
    page. Of several pictures each has a folder of its name in DIR. Exit status: 0 explained, 1 a picture could not be
    read, 2 wrong usage.
    """
    import os

    from iqassay.folders.folder import map_names
    from iqassay.pages import explanation_page
    from iqassay.pictures.image import ImageError
    from iqassay.scoring.explanation import explain as explain_picture
    from iqassay.support.errors import UsageError
    from iqassay.support.progress import with_bar

    inputs = pictures if ref is None else [*pictures, ref]
    for path in inputs:
        one_picture(path)
    check_references(ref, None, align)
    scorer, healer = open_model(model, False, threads, max_pixels), open_model(restorer, False, threads, max_pixels)
    if not healer.restores:
        raise UsageError(f"--restorer {restorer}: restores nothing, want a model that does, such as 'dri'")
    names = {} if len(pictures) == 1 else map_names(pictures)  # those of maps are no two alike
    folders = {path: os.path.join(output, names[path].removesuffix(".png")) if names else output for path in pictures}
    for folder in folders.values():
        explanation_page.check_folder(folder, *inputs)  # before the work
    out, failed = stdout(), False
    for path in with_bar(folders, len(folders), same_screen=out.isatty()):
        try:
            explanation = explain_picture(path, scorer, healer, ref, align.value)
        except (ImageError, MemoryError) as error:
            say(str(error) or "not enough memory")
            failed = True
            continue
        print(explanation_page.write_page(explanation, folders[path]), file=out, flush=True)
    return int(failed)
