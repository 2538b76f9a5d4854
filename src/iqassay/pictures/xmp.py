"""Stars in XMP, in sidecars and inside JPEG files, beside whatever else is there; never over those a person gave.

A rating of ours is marked by a property of our own with the same value. One without it, or another value than it, is a
person's. Rating 0 is none, as photo programs have it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import BinaryIO
from xml.etree import ElementTree

from iqassay.pictures import formats

RDF, XMP, META = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://ns.adobe.com/xap/1.0/", "adobe:ns:meta/"
OURS = "urn:iqassay:xmp#"
NAMES = {"rdf": RDF, "xmp": XMP, "x": META, "iqassay": OURS}
EXIF_RATING = 0x4746
MOST = 1 << 24  # bytes of a sidecar: longer ones are no sidecars
_HEAD = b"http://ns.adobe.com/xap/1.0/\0"  # of the segment of a JPEG
_SEGMENT = 65533 - len(_HEAD)  # bytes that it holds
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
_END = b'\n<?xpacket end="w"?>'


@dataclass(frozen=True)
class Stars:
    """What there is: stars from -1 (rejected) to 5, and whether they are ours."""

    value: int = 0
    ours: bool = False

    @property
    def by_a_person(self) -> bool:
        return self.value != 0 and not self.ours


def stars_in(packet: bytes | None) -> Stars:
    """The stars in an XMP packet or sidecar. Raises ValueError where it cannot be read."""
    if not packet:
        return Stars()
    root = _parsed(packet)
    value, ours = _number(root, XMP), _number(root, OURS)
    return Stars(value, value == ours) if value else Stars()


def with_stars(packet: bytes | None, stars: int, score: float, model: str) -> bytes:
    """The packet with a rating of ours, and all else that is in it. Raises ValueError where it cannot be read."""
    if packet:
        root = _parsed(packet)
    else:
        root = ElementTree.Element(f"{{{META}}}xmpmeta")
        ElementTree.SubElement(root, f"{{{RDF}}}RDF")
    rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f"{{{RDF}}}RDF")
    if rdf is None:
        raise ValueError("it has no RDF in it")
    descriptions = rdf.findall(f"{{{RDF}}}Description")
    said = {(XMP, "Rating"): str(stars), (OURS, "Rating"): str(stars)}
    said |= {(OURS, "Score"): f"{score:.2f}", (OURS, "Model"): model}
    for one in descriptions:  # wherever they were
        for space, name in said:
            one.attrib.pop(f"{{{space}}}{name}", None)
            for child in one.findall(f"{{{space}}}{name}"):
                one.remove(child)
    place = descriptions[0] if descriptions else ElementTree.SubElement(rdf, f"{{{RDF}}}Description")
    place.attrib.setdefault(f"{{{RDF}}}about", "")
    for (space, name), value in said.items():
        place.set(f"{{{space}}}{name}", value)
    for prefix, space in (*_prefixes(packet or b""), *NAMES.items()):
        ElementTree.register_namespace(prefix, space)
    return _BEGIN + ElementTree.tostring(root, encoding="utf-8") + _END


def _parsed(packet: bytes) -> ElementTree.Element:
    if re.search(rb"<!(DOCTYPE|ENTITY)", packet):
        raise ValueError("it declares entities, which XMP has not")
    text = packet.strip(b"\0 \r\n\t")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"it is broken XML ({error})") from error


def _prefixes(packet: bytes) -> list[tuple[str, str]]:
    """The prefixes that the packet has, so that it keeps them; those that Python keeps for itself are left."""
    found = re.findall(rb'xmlns:([A-Za-z_][\w.-]*)\s*=\s*["\']([^"\']+)["\']', packet)
    pairs = [(prefix.decode("ascii"), space.decode("utf-8", "replace")) for prefix, space in found]
    return [(prefix, space) for prefix, space in pairs if not re.fullmatch(r"ns\d+", prefix)]


def _number(root: ElementTree.Element, space: str) -> int:
    """A rating, as an attribute or an element; 0 for none, and for what is no number."""
    name = f"{{{space}}}Rating"
    for one in root.iter():
        text = one.get(name) if one.tag != name else one.text
        if text is not None:
            try:
                return round(float(text))
            except ValueError:
                return 0
    return 0


# ---- where they are kept --------------------------------------------------------------------------------------------


def sidecars(path: str) -> tuple[str, str]:
    """What sidecars of a picture are called: photo.jpg.xmp (darktable, digiKam) and photo.xmp (Lightroom, for RAW)."""
    return f"{path}.xmp", f"{os.path.splitext(path)[0]}.xmp"


def read_sidecar(path: str) -> bytes | None:
    """What is in a sidecar; None where there is none. Raises ValueError for one that is far too long, and OSError."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        packet = file.read(MOST + 1)
    if len(packet) > MOST:
        raise ValueError(f"it has more than {MOST:,} bytes")
    return packet


def stars_by_a_person(path: str) -> str:
    """Where a person gave a picture stars: the path of a sidecar, or of the picture itself; "" where nobody did.

    Raises ValueError for a sidecar that cannot be read, which nobody should write over, and OSError.
    """
    for sidecar in sidecars(path):
        try:
            if stars_in(read_sidecar(sidecar)).by_a_person:
                return sidecar
        except ValueError as error:
            raise ValueError(f"{sidecar}: {error}") from error
    packet, exif = embedded(path)
    try:
        found = stars_in(packet)
    except ValueError:
        found = Stars()
    return path if found.by_a_person or (exif and not found.ours) else ""


def embedded(path: str) -> tuple[bytes | None, int]:
    """The XMP packet inside a picture, and its rating in EXIF, 0 for none. Raises OSError."""
    with open(path, "rb") as file:
        kind = formats.kind_of(file.read(4096))
        if kind not in formats.PLUGINS:
            return None, 0
        try:
            image = formats.open_header(kind, file)
            packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
            rating = image.getexif().get(EXIF_RATING, 0)
        except Exception:  # what cannot be opened was not scored either
            return None, 0
    if isinstance(packet, str):
        packet = packet.encode()
    return (packet if isinstance(packet, bytes) else None), rating if isinstance(rating, int) else 0


def embed(path: str, stars: int, score: float, model: str, out: BinaryIO) -> None:
    """Write the JPEG of `path` with a rating of ours in its XMP; not a byte else is changed.

    Raises ValueError for another kind of file, and where the packet would be too long for its segment; OSError.
    """
    with open(path, "rb") as file:
        data = file.read()
    if formats.kind_of(data[:4096]) != "JPEG":
        raise ValueError("only a JPEG can hold stars without being written anew, want a sidecar")
    at, spans, exif_end = 2, [], 2
    while data[at : at + 1] == b"\xff" and data[at + 1] not in (0xDA, 0xD9):
        if data[at + 1] == 0xFF:  # fill
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xE1 and data[at + 4 : at + 4 + len(_HEAD)] == _HEAD:
            spans.append((at, end))
        elif data[at + 1] in (0xE0, 0xE1):
            exif_end = end
        at = end
    old = data[spans[0][0] + 4 + len(_HEAD) : spans[0][1]] if spans else None
    packet = with_stars(old, stars, score, model)
    if len(packet) > _SEGMENT:
        raise ValueError(f"its XMP would have {len(packet):,} bytes, want at most {_SEGMENT:,}: use a sidecar")
    segment = b"\xff\xe1" + (len(_HEAD) + len(packet) + 2).to_bytes(2, "big") + _HEAD + packet
    start, end = spans[0] if spans else (exif_end, exif_end)
    out.write(data[:start] + segment + data[end:])
