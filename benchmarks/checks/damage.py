"""Damage done to files by one who knows what is in them: PNG chunks, TIFF tags, JSON values; used by fuzz.py.

Each function takes the file, the dice, and what damages plain bytes, and gives the damaged file.
"""

from __future__ import annotations

import contextlib
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

NASTY = (0, 1, 2, 3, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
NASTY_JSON: tuple[Any, ...] = (
    *(None, True, 0, -1, 0.5, 1e308, 10**400, float("nan"), float("-inf"), [1e308] * 3),
    *("", "\0", "\ud800", "x" * 5000, "../../x", "1", "NaN", [], {}, [[]], [None], {"": None}),
)


def damage_picture(data: bytes, dice: random.Random, damage: Callable[[bytes], bytes]) -> bytes:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return damage_png(data, dice, damage)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return damage_tiff(data, dice)
    return damage(data)


def damage_png(data: bytes, dice: random.Random, damage: Callable[[bytes], bytes]) -> bytes:
    """One chunk changed, doubled, dropped or moved; what it holds compressed is changed inside, checksums are right."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return damage(data)
    place, deed = dice.randrange(len(chunks)), dice.randrange(10)
    name, body = chunks[place]
    if deed == 0:
        chunks.insert(dice.randrange(len(chunks) + 1), (name, body))
    elif deed == 1:
        del chunks[place]
    elif deed == 2:
        chunks[place] = (dice.choice([b"IDAT", b"fdAT", b"acTL", b"fcTL", b"PLTE", b"tRNS", b"iTXt", b"eXIf"]), body)
    else:
        start = {b"IDAT": 0, b"fdAT": 4, b"iCCP": body.find(b"\0") + 2, b"zTXt": body.find(b"\0") + 2}.get(name, -1)
        if start >= 0 and dice.random() < 0.8:
            with contextlib.suppress(zlib.error):
                inner = zlib.decompressobj().decompress(body[start:], 2**16)
                body = body[:start] + zlib.compress(damage(inner))
        else:
            body = damage(body)
        chunks[place] = (name, body)
    sealed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return data[:8] + b"".join(sealed)


def damage_tiff(data: bytes, dice: random.Random) -> bytes:
    """Up to three fields of entries of the first directory replaced by numbers that are known to hurt."""
    order, out = "<" if data[:1] == b"I" else ">", bytearray(data)
    (at,) = struct.unpack_from(order + "L", data.ljust(8, b"\0"), 4)
    count = struct.unpack_from(order + "H", data, at)[0] if at + 2 <= len(data) else 0
    for _ in range(dice.randint(1, 3)):
        entry = at + 2 + 12 * dice.randrange(max(1, count))
        if entry + 12 <= len(data):
            kind, start = dice.choice([("H", 0), ("H", 2), ("L", 4), ("L", 8), ("L", 8), ("H", 8)])
            struct.pack_into(order + kind, out, entry + start, dice.choice(NASTY) % 2 ** (16 if kind == "H" else 32))
    return bytes(out)


def damage_json(data: bytes, dice: random.Random, damage: Callable[[bytes], bytes]) -> bytes:
    """One value replaced, dropped, doubled or wrapped; or brackets in brackets, too deep for a recursive parser."""
    if dice.random() < 0.01:
        return (dice.choice([b"[", b'{"a":']) * 5000)[:5000]
    try:
        whole = {"": json.loads(data)}
    except (ValueError, RecursionError):
        return damage(data)
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [whole]
    while waiting:
        node = waiting.pop()
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    node, key = dice.choice(places)
    deed = dice.randrange(8)
    if deed == 0 and node is not whole:
        del node[key]
    elif deed == 1 and isinstance(node, list):
        node.insert(key, node[key])
    elif deed == 2:
        node[key] = [node[key]]
    else:
        other, there = dice.choice(places)
        node[key] = (
            json.loads(json.dumps(other[there])) if deed == 3 and other is not whole else dice.choice(NASTY_JSON)
        )
    return json.dumps(whole.get("")).encode("utf-8", "surrogatepass")
