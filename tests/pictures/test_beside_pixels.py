"""What lies beside the pixels: metadata that is long, damaged or of no concern, and the way up."""

from __future__ import annotations

import io
import os
import zlib

import numpy as np
import pytest
from PIL import Image
from test_image import DEEP, FILES, RGB, SMALL, SRGB, SRGB_CURVE, chunk, encode, matrix_profile, png16

from iqassay.pictures import png
from iqassay.pictures.image import ImageError, read_image

SWAP = matrix_profile(SRGB[[1, 0, 2]], SRGB_CURVE)


def with_chunks(data: bytes, chunks: bytes, at: int = 33) -> bytes:
    return data[:at] + chunks + data[at:]


def spoiled(data: bytes, name: bytes) -> bytes:
    """A PNG with a wrong checksum of the chunk of that name."""
    at = data.index(name) - 4
    end = at + 8 + int.from_bytes(data[at : at + 4], "big")
    return data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]


PNGS = {"8 bits": (encode(SMALL, "PNG"), RGB), "16 bits": (png16(DEEP[..., :3]), DEEP[..., :3])}


@pytest.mark.parametrize("depth", PNGS)
@pytest.mark.parametrize("name", [b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"gAMA", b"eXIf", b"iCCP", b"prVt"])
def test_a_wrong_checksum_beside_the_pixels_is_said(depth: str, name: bytes) -> None:
    data, pixels = PNGS[depth]
    for at in (33, -12):  # before and after the pixels
        broken = spoiled(with_chunks(data, chunk(name, bytes(range(1, 40))), at), name)
        picture = read_image(broken)
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.warnings == (f"damaged data beside the pixels ({name.decode()}) is left out",)


def test_a_wrong_checksum_of_transparency_is_said_too() -> None:
    data = encode(SMALL.quantize(9), "PNG", transparency=3)
    assert read_image(data).warnings == ("transparency shown over white",)
    assert read_image(spoiled(data, b"tRNS")).warnings == ("damaged data beside the pixels (tRNS) is left out",)


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE"])
def test_a_wrong_checksum_of_what_the_pixels_need_is_an_error(name: bytes) -> None:
    data = encode(SMALL.quantize(9), "PNG")
    with pytest.raises(ImageError, match="PNG picture that cannot be decoded"):
        read_image(spoiled(data, name))


@pytest.mark.parametrize("depth", PNGS)
def test_an_end_that_is_missing_behind_the_pixels_is_said(depth: str) -> None:
    data, pixels = PNGS[depth]
    whole = data[:-12] + chunk(b"tEXt", b"a\0b") + data[-12:]
    for missing in (1, 4, 11, 12, 13, 26):
        picture = read_image(whole[:-missing])
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.warnings == ("end of the file is missing, behind the pixels",)
    with pytest.raises(ImageError, match="PNG picture that cannot be decoded"):
        read_image(data[:-40])


def test_a_damaged_animation_still_has_a_picture() -> None:
    frames = encode(SMALL, "PNG", save_all=True, append_images=[SMALL.rotate(90)])
    at = frames.index(b"fcTL") + 4
    broken = frames[: at - 4] + chunk(b"fcTL", b"\0\0\0\7" + frames[at + 4 : at + 26])[4:] + frames[at + 30 :]
    picture = read_image(broken)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.warnings == ("damaged animation: the still picture is shown",)


def test_chunks_that_are_too_short_are_left_out() -> None:
    data, pixels = PNGS["8 bits"]
    picture = read_image(with_chunks(data, chunk(b"cICP", b"\x09") + chunk(b"gAMA", b"") + chunk(b"iCCP", b"")))
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.warnings == ("damaged data beside the pixels (cICP, gAMA, iCCP) is left out",)


@pytest.mark.parametrize("depth", PNGS)
def test_long_metadata_of_png(depth: str) -> None:
    """A profile of 2 MB is used; texts, more of them than Pillow would hold, are none of our concern."""
    data, pixels = PNGS[depth]
    noise = os.urandom(200_000) * 10
    icc = chunk(b"iCCP", b"long\0\0" + zlib.compress(SWAP + noise, 1))
    texts = b"".join(chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(3_000_000), 1)) for i in range(30))
    picture = read_image(with_chunks(data, icc + texts + chunk(b"tEXt", b"plain\0" + noise)))
    assert picture.warnings == ()
    assert np.abs(picture.pixels.astype(int) - pixels[..., [1, 0, 2]]).max() <= (2 if depth == "8 bits" else 40)


def test_a_profile_that_unpacks_to_too_much_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "LONGEST_METADATA", 1_000_000)
    for packed in (zlib.compress(SWAP + bytes(2_000_000)), b"no zlib at all"):
        picture = read_image(with_chunks(PNGS["8 bits"][0], chunk(b"iCCP", b"x\0\0" + packed)))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert picture.warnings == ("colour profile cannot be used: the picture is taken as sRGB",)


def test_exif_of_png_wherever_it_is() -> None:
    """In its own chunk, before or after the pixels, or as the text that ImageMagick wrote before there was one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    turned = np.rot90(RGB, -1)
    for made in (
        chunk(b"eXIf", block[6:]),
        chunk(b"tEXt", b"Raw profile type exif\0" + text),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)),
    ):
        for at in (33, -12):
            np.testing.assert_array_equal(read_image(with_chunks(PNGS["8 bits"][0], made, at)).pixels, turned)


def test_a_png_that_is_only_looked_at_up_to_its_end() -> None:
    data = PNGS["8 bits"][0]
    rest = chunk(b"tEXt", b"after the end") + os.urandom(100)
    np.testing.assert_array_equal(read_image(data + rest).pixels, RGB)
    assert read_image(spoiled(data + chunk(b"tEXt", b"x\0yyy"), b"tEXt")).warnings == ()


# ---- the way up -----------------------------------------------------------------------------------------------------

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_orientation_in_xmp_alone_is_not_obeyed(kind: str) -> None:
    """Browsers and viewers look into EXIF. As a file and as Pillow's image (it turns a TIFF itself)."""
    options = {"lossless": True} if kind == "WEBP" else {}
    plain = read_image(encode(SMALL, kind, **options)).pixels
    exif = Image.Exif()
    if kind == "PNG":
        made = {6: with_chunks(PNGS["8 bits"][0], chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))}
        made[3] = with_chunks(
            made[6], chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0")
        )
    elif kind == "TIFF":
        made = {6: encode(SMALL, kind, tiffinfo={700: XMP})}
        made[3] = encode(SMALL, kind, tiffinfo={700: XMP, 274: 3})
    else:
        made = {6: encode(SMALL, kind, xmp=XMP, **options)}
        exif[0x0112] = 3
        made[3] = encode(SMALL, kind, xmp=XMP, exif=exif, **options)
    assert Image.open(io.BytesIO(made[6])).getexif().get(0x0112) == 6  # Pillow would
    for source in (made[6], *([Image.open(io.BytesIO(made[6]))] if kind != "TIFF" else [])):
        np.testing.assert_array_equal(read_image(source).pixels, plain)
    for source in (made[3], Image.open(io.BytesIO(made[3]))):
        np.testing.assert_array_equal(read_image(source).pixels, np.rot90(plain, 2))


def test_all_files_are_read_without_a_word() -> None:
    """No ordinary file of the other tests is suspected of anything."""
    for kind, data in FILES.items():
        said = [word for word in read_image(data).warnings if "animation" not in word and "CMYK" not in word]
        assert not [word for word in said if "transparency" not in word], kind
