"""What becomes of uploaded files."""

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms

from gateway.images.limits import ImageLimits
from gateway.images.picture import ImageTooLarge, NotAnImage, decode
from gateway.state.ids import image_id
from gateway.state.records import Image

LIMITS = ImageLimits(pixels=100_000, side=200, frames=20, stored_bytes=200_000)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def drawn(size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Pillow.Image:
    return Pillow.radial_gradient("L").resize(size).convert(mode)


def file(form: str, picture: Pillow.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (picture or drawn()).save(out, form, **options)
    return out.getvalue()


def animation(form: str, frames: int) -> bytes:
    pictures = [Pillow.new("L", (8, 8), level * 97 % 256) for level in range(frames)]
    return file(form, pictures[0], save_all=True, append_images=pictures[1:], duration=10)


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def reopened(image: Image) -> Pillow.Image:
    picture = Pillow.open(io.BytesIO(image.content))
    picture.load()
    return picture


@pytest.mark.parametrize(
    ("form", "kept"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/png")]
)
def test_each_format_is_kept_as_what_it_is_or_as_a_lossless_one(form: str, kept: str) -> None:
    image = decode(file(form), "cat", LIMITS)
    assert image.ref.mime_type == kept
    assert (image.ref.width, image.ref.height) == reopened(image).size == (40, 30)
    assert image.ref.size == len(image.content)
    assert image.ref.id == image_id(image.content)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_stays_lossless(mode: str) -> None:
    original = drawn(mode=mode) if mode != "I;16" else drawn().convert("I").convert("I;16")
    again = reopened(decode(file("PNG", original), "cat", LIMITS))
    assert again.mode == original.mode
    assert again.tobytes() == original.tobytes()


def test_a_lossless_webp_stays_lossless() -> None:
    again = reopened(decode(file("WEBP", lossless=True), "cat", LIMITS))
    assert again.convert("RGB").tobytes() == drawn().tobytes()


def test_transparency_survives() -> None:
    picture = Pillow.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    again = reopened(decode(file("GIF", picture, transparency=1), "cat", LIMITS))
    assert again.convert("RGBA").getpixel((0, 0)) == (255, 0, 0, 0)


@pytest.mark.parametrize("form", FORMATS)
def test_a_large_picture_is_scaled_down(form: str) -> None:
    image = decode(file(form, drawn((400, 100))), "cat", LIMITS)
    assert reopened(image).size == (200, 50)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_a_large_png_of_any_kind_is_scaled_down(mode: str) -> None:
    assert reopened(decode(file("PNG", Pillow.new(mode, (400, 100))), "cat", LIMITS)).size == (200, 50)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_cameras_notes_are_heeded_and_dropped(form: str) -> None:
    notes = Pillow.Exif()
    notes[0x0112] = 6  # lies on its side
    notes[0x010F] = "SecretCamera"
    notes.get_ifd(0x8825)[2] = (47.0, 22.0, 11.0)
    remarks: dict[str, Any] = {"comment": b"SecretComment"} if form == "JPEG" else {}
    content = file(form, None, exif=notes, **remarks)
    assert b"SecretCamera" in content
    image = decode(content, "cat", LIMITS)
    assert (image.ref.width, image.ref.height) == (30, 40)
    assert b"Secret" not in image.content
    assert not reopened(image).getexif()


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
def test_no_colour_profile_is_kept(form: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = decode(file(form, icc_profile=profile), "cat", LIMITS)
    assert "icc_profile" not in reopened(image).info


def test_a_broken_colour_profile_does_no_harm() -> None:
    assert reopened(decode(file("JPEG", icc_profile=b"nonsense" * 30), "cat", LIMITS)).mode == "RGB"


def test_a_jpeg_for_print_becomes_one_for_screens() -> None:
    assert reopened(decode(file("JPEG", drawn(mode="CMYK")), "cat", LIMITS)).mode == "RGB"


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_kept(form: str) -> None:
    again = reopened(decode(animation(form, 20), "cat", LIMITS))
    assert getattr(again, "n_frames", 1) == 1
    assert again.convert("L").getpixel((4, 4)) == 0


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_an_animation_without_end_is_refused(form: str) -> None:
    with pytest.raises(ImageTooLarge) as caught:
        decode(animation(form, 21), "cat.gif", LIMITS)
    assert caught.value.message == "cat.gif has more than 20 frames."


@pytest.mark.parametrize("size", [(401, 250), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_with_too_many_pixels_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLarge):
        decode(png_claiming(*size), "cat.png", LIMITS)


def test_a_picture_that_is_too_large_to_keep_is_refused() -> None:
    noise = Pillow.effect_noise((199, 199), 100)
    with pytest.raises(ImageTooLarge, match="larger than 1000 bytes"):
        decode(file("PNG", noise), "cat.png", ImageLimits(100_000, 200, 20, stored_bytes=1000))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("missing", [1, 20, 100])
def test_a_file_that_ends_early_is_refused(form: str, missing: int) -> None:
    with pytest.raises(NotAnImage):
        decode(file(form)[:-missing], "cat", LIMITS)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("second", [b"PK\x03\x04rest of a ZIP", b"<script>alert(1)</script>", b"%PDF-1.7", b"MZ\x90"])
def test_a_file_that_is_a_second_kind_of_file_too_is_refused(form: str, second: bytes) -> None:
    with pytest.raises(NotAnImage) as caught:
        decode(file(form) + second, "cat", LIMITS)
    assert caught.value.message == "cat holds more than an image."


def test_a_zip_behind_a_cameras_film_is_found() -> None:
    with pytest.raises(NotAnImage):
        decode(file("JPEG") + b"\0\0\0\x18ftypmp42" + b"\0" * 500 + b"PK\x05\x06" + b"\0" * 18, "cat", LIMITS)


def test_what_cameras_put_behind_a_jpeg_is_dropped() -> None:
    plain = file("JPEG")
    film = b"\0\0\0\x18ftypmp42" + b"\0" * 500
    assert decode(plain + film, "cat", LIMITS) == decode(plain, "cat", LIMITS)
    assert decode(plain + plain, "cat", LIMITS) == decode(plain, "cat", LIMITS)


@pytest.mark.parametrize("form", FORMATS)
def test_padding_behind_an_image_is_no_second_file(form: str) -> None:
    assert decode(file(form) + b"\0\0\r\n", "cat", LIMITS) == decode(file(form), "cat", LIMITS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='1'/></svg>",
        b"just text",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        file("BMP"),
        file("TIFF"),
        file("ICO"),
    ],
)
def test_what_is_no_accepted_image_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(NotAnImage) as caught:
        decode(content, "cat.png", LIMITS)
    assert caught.value.message.startswith("cat.png ")
    assert caught.value.message.endswith(".")


def test_a_jpeg_that_asks_for_endless_passes_is_refused() -> None:
    content = file("JPEG", progressive=True)
    scan = content[content.index(b"\xff\xda") : -2]
    with pytest.raises(NotAnImage):
        decode(content[:-2] + scan * 100 + b"\xff\xd9", "cat", LIMITS)


@given(form=st.sampled_from(FORMATS), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_kept_whole_or_refused_and_nothing_else(form: str, data: st.DataObject) -> None:
    content = bytearray(file(form))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(content), "cat", LIMITS)
    except (NotAnImage, ImageTooLarge):
        return
    assert reopened(image).size == (image.ref.width, image.ref.height)
