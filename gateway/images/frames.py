"""What the gateway and the processes that decode say to each other, through a pair of sockets.

The gateway sends ``Asked`` and the file, and is answered with ``Kept`` and the image, or with ``Refused``. Each of
these heads is one line of JSON.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Size = Annotated[int, Meta(ge=0)]


class Asked(msgspec.Struct, frozen=True):
    name: str
    """What sentences call the image."""
    size: Size
    """Bytes that follow."""


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """An image as it is to be kept. What it may say is narrow: who says it has read a stranger's bytes."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    mime_type: Literal["image/png", "image/jpeg", "image/webp"]
    width: Size
    height: Size
    size: Size
    """Bytes that follow."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    code: Literal["not_an_image", "too_large"]
    message: str
    """A sentence for the person who sent it."""
    reason: str
    """What the decoder raised, by its name, for the log; may be empty."""


def head(message: Asked | Kept | Refused) -> bytes:
    return msgspec.json.encode(message) + b"\n"
