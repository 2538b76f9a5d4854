"""The tensors stored in an ONNX graph, read without the onnx package, which scoring and fine-tuning have no need of.

A graph is a message of protobuf: fields, each with a number, a kind and a value. Of those that onnx.proto lists, these
are read: field 7 of a model is its graph; fields 5 of a graph are its stored tensors; of a tensor, fields 1 are its
sizes, 2 is its type, 8 its name and 9 its values. All else is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

GRAPH, TENSOR = 7, 5
SIZES, TYPE, NAME, VALUES = 1, 2, 8, 9
TYPES = {1: "<f4", 2: "<u1", 3: "<i1", 10: "<f2", 11: "<f8", 6: "<i4", 7: "<i8"}  # of TensorProto.DataType -> of numpy
NUMBER, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # the kinds of fields


def stored_tensors(content: bytes) -> dict[str, NDArray]:
    """The stored tensors of a graph by their names, as copies. Ones of other types than TYPES, and ones whose values
    are not in one piece, as exporters write them, are left out.

    Raises:
        ValueError: if the bytes are no protobuf message, or a tensor has another number of values than its sizes say.
    """
    found = {}
    for graph in _messages(memoryview(content), GRAPH):
        for tensor in _messages(graph, TENSOR):
            name, values = _tensor(tensor)
            if values is not None:
                found[name] = values
    return found


def _tensor(message: memoryview) -> tuple[str, NDArray | None]:
    name, kind, sizes, values = "", 0, list[int](), None
    for number, value in _fields(message):
        if number == SIZES:
            sizes += [value] if isinstance(value, int) else _numbers(value)
        elif number == TYPE and isinstance(value, int):
            kind = value
        elif number == NAME and not isinstance(value, int):
            name = str(value, "utf-8")
        elif number == VALUES and not isinstance(value, int):
            values = value
    if values is None or kind not in TYPES:
        return name, None
    try:
        return name, np.frombuffer(values, TYPES[kind]).reshape(sizes).astype(TYPES[kind][1:])
    except (OverflowError, ValueError):
        raise ValueError(f"got a tensor {name!r} of sizes {sizes}, want ones that its values fill") from None


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The fields of this number that hold bytes, among them messages in messages."""
    return (value for number, value in _fields(message) if number == wanted and not isinstance(value, int))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of one field after another."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        number, kind = key >> 3, key & 7
        if kind == NUMBER:
            value, at = _number(message, at)
            yield number, value
            continue
        length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind)
        if kind == BYTES:
            length, at = _number(message, at)
        if length is None or at + length > len(message):
            raise ValueError(f"got a field of kind {kind} that is unknown or cut off")
        yield number, message[at : at + length]
        at += length


def _numbers(packed: memoryview) -> list[int]:
    found, at = list[int](), 0
    while at < len(packed):
        number, at = _number(packed, at)
        found.append(number)
    return found


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte with the lowest first, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):  # 64 bits take ten bytes at most
        if at == len(message):
            break
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("got a number that is cut off or too long")
