"""The model file: an ONNX graph and its JSON card, side by side. Found, verified and opened here.

A panel of models is a card alone, which names the model files that are its members; see `panel.py`.

The card tells everything that the runtime must know of a network but cannot read from its graph: which windows of a
picture it looks at, how its raw value becomes a score from 0 to 100, how wide the interval is, what the distortion
types are called. Reading a card needs neither numpy nor onnxruntime, so `iqassay models` is quick.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqassay.scoring.device import first_line, start
from iqassay.support.memory import give_back
from iqassay.support.processors import processors
from iqassay.support.text import did_you_mean

if TYPE_CHECKING:
    import onnxruntime

WEIGHTS = Path(__file__).parents[1] / "weights"
OUTPUTS = ("score", "map", "presence", "severity", "unlike")
TRAITS = ("spread", "score", "curve", "none", "severity", "map", "unlike")  # what the width of a panel may depend on


class ModelFileError(ValueError):
    """A model file that cannot be used: unknown, damaged, or with a card that does not fit. The message is one line."""


@dataclass(frozen=True)
class Views:
    """Which parts of a picture the network looks at; see `tiles.py`."""

    area: int  # pixels: up to this area a picture is looked at whole, at its native size
    window: int  # pixels: side of a detail window
    max_windows: int
    global_weight: float  # 0..1: share of the global view in the score of a large picture


@dataclass(frozen=True)
class Calibration:
    """Raw value -> score: piecewise linear through these points, clamped at the ends."""

    raw: tuple[float, ...]  # increasing
    score: tuple[float, ...]  # 0..100, never falling


@dataclass(frozen=True)
class Interval:
    """Half widths of the 90 % interval, piecewise linear in the score."""

    score: tuple[float, ...]  # increasing
    below: tuple[float, ...]  # >= 0
    above: tuple[float, ...]  # >= 0


@dataclass(frozen=True)
class Width:
    """The error to expect of a picture, in points: exp(bias + the sum of weight * trait), kept within least..most; the
    traits are those of `width.py`.
    """

    bias: float
    weights: dict[str, float]  # by the names of TRAITS
    least: float  # points, > 0
    most: float  # points, >= least


@dataclass(frozen=True)
class PanelInterval(Interval):
    """`below` and `above` are multiplied by how large an error is to be expected of the picture: by `width`, or, on
    cards of before, by `spread` points plus the deviation of the members' scores. No interval is wider than `widest`
    points, except of pictures that are unlike the training data.
    """

    spread: float | None = None  # points, > 0
    width: Width | None = None  # either this or `spread`
    widest: float = 100.0  # points, > 0


@dataclass(frozen=True)
class Reference:
    """What holds instead when a picture is scored beside its reference."""

    calibration: Calibration
    interval: Interval


@dataclass(frozen=True)
class Card:
    """What a model or a panel says of itself."""

    name: str
    version: str
    summary: str
    system: str
    licence: dict[str, str]  # code, weights and data each have their own
    training_data: tuple[str, ...]
    accuracy: tuple[dict[str, Any], ...]  # {"set", "images", "srcc", "plcc"}
    distortions: tuple[str, ...]
    calibration: Calibration
    limits: tuple[str, ...]


@dataclass(frozen=True)
class NetworkCard(Card):
    """The card of a model file."""

    sha256: str  # of the .onnx file beside the card
    views: Views
    interval: Interval
    unlike_threshold: float
    architecture: dict[str, Any] | None = None  # how to build the torch module that the weights fit
    reference: Reference | None = None  # None: the model takes no reference
    semantic: int = 0  # pixels: side of the square in which its semantic encoder sees a whole picture; 0: it has none
    synthetic_covered: float = 0.0  # share of its synthetic training pictures that were what people feed beside photos


@dataclass(frozen=True)
class Weights:
    """Of the members of a panel, by name: the share of its score that each has, 1 in all."""

    ordinary: dict[str, float]
    generated: dict[str, float]  # for a picture that a member is sure was made by a generator


@dataclass(frozen=True)
class PanelCard(Card):
    """The card of a panel; `calibration` starts from the weighted mean of the members' scores."""

    members: dict[str, str]  # name -> sha256 of its .onnx file; in the order of the names, so that it does not matter
    interval: PanelInterval
    weights: Weights
    unlike_spread: float | None = None  # points: where the members' scores deviate by more, a picture is unlike photos


@dataclass(frozen=True)
class ModelFile:
    """A model file: `content` is the graph whose sha256 the card names, if it passes its `check`."""

    path: Path
    card: NetworkCard
    content: bytes = field(repr=False)

    def check(self) -> None:
        """Raise ModelFileError when the graph is not the one that the card describes."""
        digest = hashlib.sha256(self.content).hexdigest()
        if digest != self.card.sha256:
            raise ModelFileError(
                f"the model file {str(self.path)!r} is damaged or not the one its card describes: "
                f"got sha256 {digest[:12]}..., want {self.card.sha256[:12]}..."
            )

    @contextmanager
    def checked(self) -> Iterator[None]:
        """`check` it while the block opens it, which takes longer; an error of the check goes before one of the
        block."""
        with ThreadPoolExecutor(1) as thread:
            check = thread.submit(self.check)
            try:
                yield
            finally:
                check.result()


def default_model(reference: bool) -> str:
    """The name of the shipped model to use where none is asked for, with a reference or without."""
    return "yoto" if reference else "panel"


def shipped_models() -> list[tuple[Path, NetworkCard | PanelCard]]:
    """The models and panels inside the package, by name. Only the cards are read; nothing is verified or opened."""
    return [(path, read_card(path)) for _, path in sorted(_shipped().items())]


def find_model(name_or_path: str | os.PathLike[str], others: Iterable[str] = ()) -> Path:
    """The .onnx file of a model or the .json file of a panel, from the name of a shipped one or from its path.

    others: names that would have done too, for the message. Raises ModelFileError when there is no such file.
    """
    text = os.fspath(name_or_path)
    if not isinstance(text, str):
        raise ModelFileError(f"a model is a name or a path, got {type(name_or_path).__name__}")
    shipped = _shipped()
    if text in shipped:
        return shipped[text]
    path = Path(text)
    if path.suffix.lower() in (".onnx", ".json"):
        if not os.path.isfile(path):  # of a name that is too long too
            raise ModelFileError(f"there is no model file {text!r}")
        return path
    known = sorted({*shipped, *others})
    hint = did_you_mean(text.lower(), known)
    names = ", ".join(known) or "none is shipped"
    raise ModelFileError(f"there is no model {text!r}{hint} want one of: {names}; or the path of an .onnx file")


def address(path: Path) -> str:
    """How a model file is found again by another process: the name of a shipped one, else its absolute path."""
    return path.stem if path.parent == WEIGHTS else os.path.abspath(path)


def find_member(panel: Path, name: str) -> Path:
    """The model file of a panel's member: the one beside the panel's card, else the shipped one of that name.

    Raises ModelFileError when there is neither.
    """
    for folder in (panel.parent, WEIGHTS):
        path = folder / f"{name}.onnx"
        if os.path.isfile(path):
            return path
    raise ModelFileError(f"the panel {str(panel)!r} lacks its member {name!r}: want {name}.onnx beside it")


def load_model_file(name_or_path: str | os.PathLike[str], check: bool = True) -> ModelFile:
    """Find a model file and check it against its card.

    `name_or_path` is the name of a shipped model ("mfen") or the path of an .onnx file with its card (.json) beside it.
    Raises ModelFileError when there is no such model, when the card is missing or does not make sense, and, unless the
    check is left to the caller, when the file is not the one that the card describes (sha256).
    """
    path = find_model(name_or_path)
    card = read_card(path)
    if not isinstance(card, NetworkCard):
        raise ModelFileError(f"{os.fspath(name_or_path)!r} is a panel, want one model: {', '.join(card.members)}")
    path = path.with_suffix(".onnx") if path.suffix.lower() == ".json" else path
    try:
        content = _content(path)
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {str(path)!r}: {error.strerror}") from error
    found = ModelFile(path, card, content)
    if check:
        found.check()
    return found


def open_session(model: ModelFile, threads: int | None = None, device: str = "cpu") -> onnxruntime.InferenceSession:
    """Open a model file with onnxruntime.

    threads: how many to compute with; None means as many as this process may use. device: one that `find_device` gave.
    Raises ModelFileError when the file is not an ONNX graph or has other inputs and outputs than a model file of its
    card must have.
    """
    import onnxruntime  # here, not above: reading cards must stay quick

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()  # an explicit number also keeps it from pinning threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # silent: what goes wrong also comes as an exception
    options.use_deterministic_compute = True
    options.enable_mem_pattern = False  # patterns are per input shape, and every picture has its own
    # Threads that wait in a loop take two thirds more processor time as soon as anything else runs on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights stored in int8 are put back to float32 once, when the file is opened, and not at each run.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        session = start(model.content, options, device)
        inputs = [value.name for value in session.get_inputs()]  # these names may be anything but text
        outputs = {value.name: value.shape for value in session.get_outputs()}
    except Exception as error:  # onnxruntime raises a family of types that share no base but Exception
        where = "" if device == "cpu" else f" on {device}"
        reason = first_line(error)
        raise ModelFileError(f"{str(model.path)!r} is not an ONNX model that can be opened{where}: {reason}") from error
    want_inputs = ["image"]
    if model.card.reference is not None:
        want_inputs += ["pictures"]
    if model.card.semantic:
        want_inputs += ["meaning", "square"]
    want_outputs = {*OUTPUTS, *(["understood", "generated"] if model.card.semantic else [])}
    if sorted(inputs) != want_inputs or not want_outputs <= set(outputs):
        raise ModelFileError(
            f"{str(model.path)!r} is not an iqassay model of the kind its card describes: got inputs {inputs} and "
            f"outputs {sorted(outputs)}, want {want_inputs} and {sorted(want_outputs)}"
        )
    kinds = len(model.card.distortions)
    for name, want in (("presence", kinds + 1), ("severity", kinds)):
        got = outputs[name][-1] if outputs[name] else None
        if isinstance(got, int) and got != want:
            raise ModelFileError(f"{str(model.path)!r}: output {name!r} has {got} values, want {want} by its card")
    give_back()  # what onnxruntime needed to open it
    return session


def default_threads() -> int:
    """How many threads this process may run at once, by its CPU affinity and the quota of its control group."""
    return processors()


def read_card(model_path: Path) -> NetworkCard | PanelCard:
    """Read and check the card beside a model file, or of a panel. Raises ModelFileError."""
    path = model_path.with_suffix(".json")
    where = f"the model card {str(path)!r}"
    try:
        data = json.loads(_content(path).decode())
    except FileNotFoundError:
        raise ModelFileError(f"{where} is missing: a model file needs its card beside it") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {where}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, brackets in brackets
        raise ModelFileError(f"{where} is not valid JSON: {error}") from None
    try:
        return _card(data)
    except ValueError as error:
        raise ModelFileError(f"{where}: {error}") from None


def _content(path: Path) -> bytes:
    """The bytes of a file. Raises OSError, also for what is no regular file: a pipe or a device may never end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return path.read_bytes()


def _shipped() -> dict[str, Path]:
    """The .onnx files of the package, and the cards without one: panels."""
    files = [*WEIGHTS.glob("*.json"), *WEIGHTS.glob("*.onnx")]  # in this order, so that a model is its .onnx file
    return {path.stem: path for path in files}


def _card(data: Any) -> NetworkCard | PanelCard:
    """Build a card from parsed JSON. Keys that we do not know are left alone: a newer card may have more."""
    distortions = _texts(data, "distortions")
    if not distortions or len(set(distortions)) != len(distortions):
        raise ValueError(f"distortions are {list(distortions)}, want names without a repetition")
    licence = _get(data, dict, "licence")
    accuracy = _get(data, list, "accuracy")
    if not all(isinstance(row, dict) and isinstance(row.get("set"), str) for row in accuracy):
        raise ValueError("accuracy holds something that is not a measurement, want objects with 'set'")
    shared: dict[str, Any] = {
        "name": _get(data, str, "name"),
        "version": _get(data, str, "version"),
        "summary": _get(data, str, "summary"),
        "system": _get(data, str, "system"),
        "licence": {str(key): str(value) for key, value in licence.items()},
        "training_data": _texts(data, "training_data"),
        "accuracy": tuple(accuracy),
        "distortions": distortions,
        "calibration": _calibration(data),
        "limits": _texts(data, "limits"),
    }
    if "members" not in data:
        reference = None
        if "reference" in data:
            reference = Reference(_calibration(data, "reference"), _interval(data, "reference"))
        return NetworkCard(
            **shared,
            sha256=_get(data, str, "sha256").lower(),
            views=_views(data),
            interval=_interval(data),
            unlike_threshold=_number(data, "unlike", "threshold"),
            architecture=_get(data, dict, "architecture") if "architecture" in data else None,
            reference=reference,
            semantic=_whole(data, "semantic", least=1) if "semantic" in data else 0,
            synthetic_covered=_number(data, "synthetic_covered") if "synthetic_covered" in data else 0.0,
        )
    if "sha256" in data:
        raise ValueError("has both 'members' and 'sha256', want 'members' for a panel or 'sha256' for a model file")
    spread = _number(data, "unlike", "spread") if "unlike" in data else None
    if spread is not None and spread <= 0:
        raise ValueError(f"unlike.spread is {spread:g}, want points above 0")
    members = _members(data)
    weights = panel_weights(data, members)
    return PanelCard(**shared, members=members, interval=_panel_interval(data), weights=weights, unlike_spread=spread)


def _members(data: Any) -> dict[str, str]:
    members = _get(data, dict, "members")
    if len(members) < 2:
        raise ValueError(f"members are {list(members)}, want two models or more")
    for name, digest in members.items():
        if not name or "/" in name or "\\" in name or not isinstance(digest, str):
            raise ValueError(f"members has {name!r}: {digest!r}, want the name of a model and the sha256 of its file")
    return {name: members[name].lower() for name in sorted(members)}


def panel_weights(data: Any, members: dict[str, str]) -> Weights:
    """The weights on a panel's card; equal where it says nothing. Raises ValueError for ones that make no sense."""
    ordinary = _weights(data, members, "weights")
    return Weights(ordinary, _weights(data, members, "generated") if "generated" in data else ordinary)


def _weights(data: Any, members: dict[str, str], key: str) -> dict[str, float]:
    """The members' shares, 1 in all; equal where the card says nothing."""
    given = _get(data, dict, key) if key in data else dict.fromkeys(members, 1)
    if (
        set(given) != set(members)
        or not all(_is_number(w) and w >= 0 for w in given.values())
        or not any(given.values())
    ):
        raise ValueError(f"{key} are {given}, want a number of at least 0 for each of {', '.join(members)}, not all 0")
    return {name: given[name] / sum(given.values()) for name in members}


def _views(data: Any) -> Views:
    views = Views(
        area=_whole(data, "views", "area", least=64 * 64),
        window=_whole(data, "views", "window", least=64),
        max_windows=_whole(data, "views", "max_windows", least=1),
        global_weight=_number(data, "views", "global_weight"),
    )
    if not 0 <= views.global_weight <= 1:
        raise ValueError(f"views.global_weight is {views.global_weight}, want 0 to 1")
    return views


def _calibration(data: Any, *at: str) -> Calibration:
    """The table under the keys `at`, or at the top level."""
    where = ".".join([*at, "calibration"])
    table = Calibration(*(_numbers(data, *at, "calibration", key) for key in ("raw", "score")))
    _same_length(where, table.raw, table.score)
    _rising(f"{where}.raw", table.raw, strictly=True)
    _rising(f"{where}.score", table.score, strictly=False)
    if table.score[0] < 0 or table.score[-1] > 100:
        raise ValueError(f"{where}.score runs {table.score[0]} to {table.score[-1]}, want 0 to 100")
    return table


def _interval(data: Any, *at: str) -> Interval:
    where = ".".join([*at, "interval"])
    table = Interval(*(_numbers(data, *at, "interval", key) for key in ("score", "below", "above")))
    _same_length(where, table.score, table.below, table.above)
    _rising(f"{where}.score", table.score, strictly=True)
    if min(table.below + table.above) < 0:
        raise ValueError(f"{where}.below and {where}.above are half widths, want 0 or more")
    return table


def _panel_interval(data: Any) -> PanelInterval:
    table, found = _interval(data), _get(data, dict, "interval")
    widest = _number(data, "interval", "widest") if "widest" in found else 100.0
    if widest <= 0:
        raise ValueError(f"interval.widest is {widest:g}, want points above 0")
    if "width" in found and "spread" in found:
        raise ValueError("interval has both 'width' and 'spread', want one of them")
    if "width" in found:
        return PanelInterval(table.score, table.below, table.above, width=_width(data), widest=widest)
    spread = _number(data, "interval", "spread")
    if spread <= 0:
        raise ValueError(f"interval.spread is {spread:g}, want points above 0")
    return PanelInterval(table.score, table.below, table.above, spread, widest=widest)


def _width(data: Any) -> Width:
    at = ("interval", "width")
    names = _get(data, dict, *at, "weights")
    if unknown := [name for name in names if name not in TRAITS]:
        raise ValueError(f"interval.width.weights has {unknown}, want names among {', '.join(TRAITS)}")
    weights = {name: _number(data, *at, "weights", name) for name in names}
    width = Width(_number(data, *at, "bias"), weights, _number(data, *at, "least"), _number(data, *at, "most"))
    if not 0 < width.least <= width.most:
        raise ValueError(f"interval.width runs from {width.least:g} to {width.most:g} points, want 0 < least <= most")
    return width


def _get(data: Any, kind: type, *keys: str) -> Any:
    for depth, key in enumerate(keys):
        if not isinstance(data, dict):
            raise ValueError(f"{'.'.join(keys[:depth]) or 'the whole'} is {type(data).__name__}, want an object")
        if key not in data:
            raise ValueError(f"{'.'.join(keys[: depth + 1])} is missing")
        data = data[key]
    if not isinstance(data, kind):
        raise ValueError(f"{'.'.join(keys)} is {type(data).__name__}, want {kind.__name__}")
    return data


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _number(data: Any, *keys: str) -> float:
    value = _get(data, object, *keys)
    if not _is_number(value):
        raise ValueError(f"{'.'.join(keys)} is {value!r}, want a number")
    return float(value)


def _whole(data: Any, *keys: str, least: int) -> int:
    value = _number(data, *keys)
    if value != int(value) or value < least:
        raise ValueError(f"{'.'.join(keys)} is {value:g}, want a whole number of at least {least}")
    return int(value)


def _numbers(data: Any, *keys: str) -> tuple[float, ...]:
    values = _get(data, list, *keys)
    if not values or not all(_is_number(value) for value in values):
        raise ValueError(f"{'.'.join(keys)} is {values!r}, want a list of numbers")
    return tuple(float(value) for value in values)


def _texts(data: Any, *keys: str) -> tuple[str, ...]:
    values = _get(data, list, *keys)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{'.'.join(keys)} is {values!r}, want a list of texts")
    return tuple(values)


def _same_length(what: str, *columns: tuple[float, ...]) -> None:
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"{what} has columns of {[len(column) for column in columns]} values, want equal lengths")


def _rising(what: str, values: tuple[float, ...], strictly: bool) -> None:
    steps = [after - before for before, after in itertools.pairwise(values)]
    if any(step < 0 or (strictly and step == 0) for step in steps):
        raise ValueError(f"{what} is {list(values)}, want {'increasing' if strictly else 'non-decreasing'} numbers")
