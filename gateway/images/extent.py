"""Where an image file ends, read from its structure alone, and whether what follows makes it a second kind of file.

Decoders stop at an image's end and forgive a missing one; this does not. Sources: PNG (W3C) section 5, GIF89a, ITU T.81
annex B (JPEG), RFC 9649 (WebP).
"""

import re
from typing import NamedTuple

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_OTHER_KINDS = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"%PDF",
    b"MZ",
    b"\x7fELF",
    b"Rar!",
    b"7z\xbc\xaf",
    b"\xca\xfe\xba\xbe",
    b"<",
    b"#!",
)
_ZIP_END = b"PK\x05\x06"
_ZIP_END_WITHIN = 66_000
_PADDING = b"\0 \t\r\n"


class Extent(NamedTuple):
    end: int
    """Offset behind the image's last byte."""
    parts: int
    """Frames of a GIF, scans of a JPEG, 1 otherwise."""


def extent(form: str, content: bytes) -> Extent | None:
    """``form`` as Pillow names it. None when the file ends before the image does, or makes no sense."""
    try:
        return {"PNG": _png, "GIF": _gif, "JPEG": _jpeg, "WEBP": _webp}[form](content)
    except IndexError:
        return None


def is_two_files(form: str, content: bytes, end: int) -> bool:
    """Whether what follows the image is, or may be read as, a file of another kind.

    Cameras put films, further pictures and notes of their own behind a JPEG; nobody puts anything behind the others.
    """
    tail = content[end:].lstrip(_PADDING)
    if form != "JPEG":
        return bool(tail)
    return tail.startswith(_OTHER_KINDS) or _ZIP_END in tail[-_ZIP_END_WITHIN:]


def _png(content: bytes) -> Extent | None:
    at = 8
    while at + 12 <= len(content):
        kind = content[at + 4 : at + 8]
        at += 12 + int.from_bytes(content[at : at + 4])
        if kind == b"IEND":
            return Extent(at, 1) if at <= len(content) else None
    return None


def _webp(content: bytes) -> Extent | None:
    end = 8 + int.from_bytes(content[4:8], "little")
    end += end % 2
    return Extent(end, 1) if end <= len(content) else None


def _gif(content: bytes) -> Extent | None:
    at = 13 + _colours(content[10])
    frames = 0
    while True:
        block = content[at]
        if block == 0x3B:
            return Extent(at + 1, frames)
        if block == 0x2C:
            frames += 1
            at += 11 + _colours(content[at + 9])
        elif block == 0x21:
            at += 2
        else:
            return None
        while size := content[at]:
            at += 1 + size
        at += 1


def _colours(flags: int) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _jpeg(content: bytes) -> Extent | None:
    at = 2
    scans = 0
    while match := _JPEG_MARKER.search(content, at):
        marker = content[match.start() + 1]
        at = match.end()
        if marker == 0xD9:
            return Extent(at, scans)
        if marker in (0x01, 0xD8):
            continue
        scans += marker == 0xDA
        at += int.from_bytes(content[at : at + 2])
    return None
