"""Where a network runs: the name of a device -> what onnxruntime is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iqassay.support.errors import UsageError

if TYPE_CHECKING:
    import onnxruntime

# The execution provider of onnxruntime for each device, its options, and the package that brings it.
DEVICES: dict[str, tuple[str, dict[str, Any], str]] = {
    "cpu": ("CPUExecutionProvider", {}, "onnxruntime"),
    # Without TF32 and the search for the fastest convolution a score is that of the CPU but for its last digits and the
    # same on every run, and a new size of picture costs no search.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}, "onnxruntime-gpu"),
    "migraphx": ("MIGraphXExecutionProvider", {}, "onnxruntime-migraphx"),
    "directml": ("DmlExecutionProvider", {}, "onnxruntime-directml"),
    "coreml": ("CoreMLExecutionProvider", {}, "onnxruntime on macOS"),
    "openvino": ("OpenVINOExecutionProvider", {}, "onnxruntime-openvino"),
}
NUMBERED = ("cuda", "migraphx", "directml")  # of these a machine may have several
BEST_FIRST = ("cuda", "directml")  # for "auto": none that compiles anew for each size of picture, as others do

# The smallest model there is, y = |x|, to see whether a device starts.
_SMALLEST = (
    b'\x08\t:2\n\x0b\n\x01a\x12\x01b"\x03Abs\x12\x01gZ\x0f\n\x01a\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x12"
)


def find_device(device: str) -> str:
    """The device that is meant, started once to see that it works: "auto" is the best there is, "cuda" the first one.

    device: "auto", "cpu", or one of DEVICES that the installed onnxruntime has, with a number where there are several
    ("cuda:1"). Never another than was asked for: raises UsageError for one that is unknown, missing or does not start.
    """
    if device == "cpu":
        return device
    import onnxruntime

    has = set(onnxruntime.get_available_providers())
    known = [name for name, (provider, _, _) in DEVICES.items() if provider in has]
    if device == "auto":
        return next((name for name in BEST_FIRST if name in known and not trouble_with(name)), "cpu")
    name, colon, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    numbered = not colon or (name in NUMBERED and number.isdecimal())
    if name not in known or not numbered:
        package = f" ({device} needs {DEVICES[name][2]})" if name in DEVICES and numbered else ""
        raise UsageError(f"device: got {device!r}, want one of: auto, {', '.join(known)}{package}")
    if trouble := trouble_with(device):
        raise UsageError(f"device: got {device!r}, which does not start: {trouble}")
    return device


def start(content: bytes, options: onnxruntime.SessionOptions, device: str) -> onnxruntime.InferenceSession:
    """Open a model on a device that `find_device` gave. Raises what onnxruntime raises, and RuntimeError where it would
    take another device and say so in a log at most.
    """
    import onnxruntime

    name, _, number = device.partition(":")
    provider, settings, _ = DEVICES[name]
    chosen = (provider, {**settings, "device_id": int(number)} if number else settings)
    session = onnxruntime.InferenceSession(content, options, providers=[chosen], enable_fallback=0)
    if provider not in session.get_providers():
        raise RuntimeError("its driver or libraries are missing")
    return session


def trouble_with(device: str) -> str:
    """Why a device does not start; nothing when it does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # silent
    try:
        start(_SMALLEST, options, device)
    except Exception as error:  # onnxruntime raises a family of types that share no base but Exception
        return first_line(error)
    return ""


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
