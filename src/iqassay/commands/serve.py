"""`iqassay serve`: the same answers over HTTP, and a page to drop pictures on."""

from __future__ import annotations

from typing import Annotated

import typer

from iqassay.commands.options import Device, Threads, at_least_1, say, stdout

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def above_0(value: float) -> float:
    """The check of an option that counts seconds."""
    if not 0 < value <= 86_400:  # NaN is not
        raise typer.BadParameter(f"got {value:g}, want seconds above 0 and at most 86400")
    return value


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen at; another than this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any that is free.")] = 8000,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="What is served, the default first; may be given several times. [default: every shipped model, the "
            "panel first, and every measure]",
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="IQASSAY_TOKEN",
            metavar="TOKEN",
            help="What those who ask must send, as `Authorization: Bearer TOKEN`. Better set in the environment, since "
            "others on the machine see a command's options.",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen at another address without a token: whoever reaches it may ask.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A host name under which a proxy on this machine passes requests on."),
    ] = None,
    max_bytes: Annotated[int, typer.Option(callback=at_least_1, help="The longest body of a request.")] = 200_000_000,
    max_pixels: Annotated[int, typer.Option(callback=at_least_1, help="Refuse larger pictures.")] = 100_000_000,
    max_files: Annotated[int, typer.Option(callback=at_least_1, help="The most pictures in a request.")] = 100,
    upload_seconds: Annotated[float, typer.Option(callback=above_0, help="For the body of a request to arrive.")] = 60,
    work_seconds: Annotated[float, typer.Option(callback=above_0, help="From there to the answer.")] = 120,
    waiting: Annotated[
        int, typer.Option(min=0, help="Requests that may wait for their turn; more are told to come later.")
    ] = 32,
    workers: Annotated[
        int | None,
        typer.Option(
            callback=at_least_1, help="Pictures worked on at once. [default: as many as processors, 4 at most]"
        ),
    ] = None,
    threads: Threads = None,
    device: Device = "cpu",
    log: Annotated[bool, typer.Option("--log", help="Say each request on standard error.")] = False,
) -> int:
    """Answer over HTTP: scores, comparisons and explanations of pictures that are sent, and a page to drop them on.

    Listens on this machine alone unless --host says otherwise. Prints its address once it takes requests, and runs
    until Ctrl-C or SIGTERM; what has begun is then finished. Nothing that is sent is kept. /docs is the reference.
    """
    from iqassay.support.errors import UsageError

    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
        raise UsageError("--token: got one that no header can carry, want printable ASCII without blanks at its ends")
    if host not in LOOPBACK and token is None and not insecure:
        raise UsageError(
            f"--host {host}: others could reach the service there, want --token too, or --insecure to let everybody in"
        )
    try:
        from iqassay.service.app import make_app
        from iqassay.service.running import address_of, listen, make_server, run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "iqassay":
            raise
        from iqassay.support.install import install_command

        raise UsageError(f"serve needs {error.name}, want `{install_command('serve')}`") from error
    from iqassay.service.guard import LOOPBACK as OWN_NAMES
    from iqassay.service.guard import Entrance
    from iqassay.service.limits import Limits, default_workers
    from iqassay.service.shelf import Shelf

    limits = Limits(
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        max_files=max_files,
        upload_seconds=upload_seconds,
        work_seconds=work_seconds,
        waiting=waiting,
        workers=workers or default_workers(),
    )
    # Whoever can be reached by this machine alone answers to its own names alone; a page elsewhere may have made up one
    # that leads here. Where there is a token, or everybody may ask, that would win nothing.
    guarded = token is None and not insecure
    hosts = OWN_NAMES | {name.lower() for name in allow_host or ()} if guarded or allow_host else frozenset()
    shelf = Shelf(model or (), threads, max_pixels, device)
    listening = listen(host, port)
    address = address_of(listening)

    def started() -> None:
        print(address, file=stdout(), flush=True)
        say(f"{shelf.default} answers at {address}; Ctrl-C ends it")
        if open_page:
            import webbrowser

            webbrowser.open(f"{address}#token={token}" if token else address)

    with listening:
        app = make_app(shelf, limits, Entrance(token, frozenset(hosts), host in LOOPBACK and not allow_host))
        run(make_server(app, limits, log, started), listening)
    return 0
