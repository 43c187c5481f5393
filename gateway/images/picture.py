"""One uploaded picture, from a stranger's bytes to what is kept of it.

A camera's notes (where, when, with what), a second file behind the image, tricks in any segment: none of it survives.
The orientation that the notes ask for is applied before they go.
"""

import io
from typing import Any, Literal

from PIL import Image as Pillow
from PIL import ImageCms, ImageOps

from gateway.images.extent import extent, is_two_files
from gateway.images.limits import ImageLimits
from gateway.state.ids import image_id
from gateway.state.records import Image, ImageRef

_ACCEPTED = ("PNG", "JPEG", "WEBP", "GIF")
_MAX_SCANS = 64
"""Progressive JPEGs have about ten; each costs a pass over all pixels."""


class Refusal(Exception):
    """``message`` is a sentence for the person who sent the picture."""

    code: Literal["not_an_image", "too_large"]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotAnImage(Refusal):
    code = "not_an_image"


class ImageTooLarge(Refusal):
    code = "too_large"


def decode(content: bytes, name: str, limits: ImageLimits) -> Image:
    """The image to keep. Raises NotAnImage, ImageTooLarge, each with a sentence about ``name``."""
    try:
        with Pillow.open(io.BytesIO(content), formats=_ACCEPTED) as picture:
            form = _check(picture, content, name, limits)
            pixels = _pixels(picture, form, limits.side)
            stored, mime_type = _written(pixels, form, lossless=form == "WEBP" and b"VP8L" in content[:64])
    except Refusal:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise ImageTooLarge(f"{name} has more than {limits.pixels} pixels.") from None
    except MemoryError as error:
        raise ImageTooLarge(f"{name} takes too much memory to be decoded.") from error
    except Exception as error:
        # Pillow's decoders raise whatever comes their way on bytes that only look like an image.
        raise NotAnImage(f"{name} is not a PNG, JPEG, WebP or GIF image, or it is damaged.") from error
    if len(stored) > limits.stored_bytes:
        raise ImageTooLarge(f"{name} is larger than {limits.stored_bytes} bytes as it would be kept.")
    ref = ImageRef(image_id(stored), mime_type, pixels.width, pixels.height, len(stored))
    return Image.of(ref, stored)


def _check(picture: Pillow.Image, content: bytes, name: str, limits: ImageLimits) -> str:
    """Its format, once header and structure are found sound; nothing was decoded by then."""
    form = "JPEG" if picture.format == "MPO" else str(picture.format)
    if picture.width * picture.height > limits.pixels:
        raise ImageTooLarge(f"{name} has more than {limits.pixels} pixels.")
    found = extent(form, content)
    if found is None:
        raise NotAnImage(f"{name} is cut off before its end.")
    if is_two_files(form, content, found.end):
        raise NotAnImage(f"{name} holds more than an image.")
    if form == "JPEG" and found.parts > _MAX_SCANS:
        raise NotAnImage(f"{name} is not an ordinary JPEG image.")
    frames = found.parts if form == "GIF" else getattr(picture, "n_frames", 1)
    if form != "JPEG" and frames > limits.frames:
        raise ImageTooLarge(f"{name} has more than {limits.frames} frames.")
    return form


def _pixels(picture: Pillow.Image, form: str, side: int) -> Pillow.Image:
    """The picture upright, no larger than is of use, and without anything but pixels."""
    if form == "JPEG":
        picture.draft(None, (side, side))  # Decodes at half, a quarter, … of the size where that is still enough.
    picture.load()
    profile = picture.info.get("icc_profile")
    upright = ImageOps.exif_transpose(picture)
    if max(upright.size) > side:
        upright = _with_plain_mode(upright)
        upright.thumbnail((side, side), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    if form in ("JPEG", "WEBP") and isinstance(profile, bytes):
        upright = _in_srgb(upright, profile)
    bare = upright.copy()
    bare.info = {key: upright.info[key] for key in ("transparency",) if key in upright.info}
    return bare


def _with_plain_mode(picture: Pillow.Image) -> Pillow.Image:
    """In a mode whose values can be averaged: palette indices cannot."""
    if picture.mode == "P" or "transparency" in picture.info:
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return picture.convert("L") if picture.mode == "1" else picture


def _in_srgb(picture: Pillow.Image, profile: bytes) -> Pillow.Image:
    """The same colours without the profile that explains them; as they are where that does not work."""
    if picture.mode not in ("RGB", "RGBA", "CMYK"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return converted or picture


def _written(picture: Pillow.Image, form: str, *, lossless: bool) -> tuple[bytes, str]:
    """The file to keep and its type: lossless stays lossless."""
    options: dict[str, Any] = {}
    if form == "JPEG":
        options = {"quality": 90, "optimize": True}
        picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    elif form == "WEBP":
        options = {"quality": 90, "lossless": lossless}
    else:
        form = "PNG"
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue(), f"image/{form.lower()}"
