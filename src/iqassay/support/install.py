"""What to type for what is not installed: the one place that knows, so that every hint works as it stands."""

from __future__ import annotations

from pathlib import Path

# The extras of one package, as pyproject.toml has them: that package is all there is to install.
ALONE = {
    "bench": "scipy>=1.12",
    "parquet": "pyarrow>=16",
    "heif": "pillow-heif>=0.20",
    "raw": "rawpy>=0.24",
    "jxl": "pillow-jxl-plugin>=1.3.4",
    "video": "av>=17",
    "hub": "transformers>=4.45",
    "mcp": "mcp>=2",
}
_CLONE = Path(__file__).resolve().parents[3]  # where this runs from a clone; else some folder above site-packages


def install_command(extra: str) -> str:
    """The pip command that adds an extra: its one package, or else the extra of where this iqassay came from.

    That is a clone or a wheel, if it is still there; an iqassay of an index is asked for by its name.
    """
    return f"pip install '{ALONE[extra]}'" if extra in ALONE else f"pip install {iqassay_from_its_source(extra)}"


def iqassay_from_its_source(extra: str = "") -> str:
    """What pip is given to install this iqassay again, with an extra: '/where/it/came/from[train]', quoted."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    wanted = f"[{extra}]" if extra else ""
    try:
        origin = json.loads(distribution("iqassay").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {"url": _CLONE.as_uri(), "dir_info": {"editable": True}}
    place = urlparse(origin.get("url", ""))
    source = Path(url2pathname(place.path))
    if place.scheme == "file" and (source.is_file() or (source / "pyproject.toml").is_file()):
        return f"{'-e ' * origin.get('dir_info', {}).get('editable', False)}'{source}{wanted}'"
    return f"'iqassay{wanted}'"


def needs(what: str, missing: str | None, extra: str) -> str:
    """The sentence about a package that is not installed, and what installs it."""
    return f"{what} needs {missing}, which is not installed: want {install_command(extra)}"
