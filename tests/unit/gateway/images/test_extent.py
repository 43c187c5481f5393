"""Where image files end, byte for byte."""

import io

import pytest
from PIL import Image as Pillow

from gateway.images.extent import extent, is_two_files

FORMS = ("PNG", "JPEG", "WEBP", "GIF")


def file(form: str) -> bytes:
    out = io.BytesIO()
    Pillow.effect_noise((61, 47), 90).convert("RGB").save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_a_files_end_is_the_images_end(form: str) -> None:
    content = file(form)
    found = extent(form, content)
    assert found is not None
    assert found.end == len(content)


@pytest.mark.parametrize("form", FORMS)
def test_what_follows_does_not_move_the_end(form: str) -> None:
    content = file(form)
    assert extent(form, content + b"\xff\xd9;IEND" * 3) == extent(form, content)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_anywhere_has_no_end(form: str) -> None:
    content = file(form)
    assert all(extent(form, content[:cut]) is None for cut in range(14, len(content) - 1, 97))


def test_a_progressive_jpegs_scans_are_counted() -> None:
    out = io.BytesIO()
    Pillow.effect_noise((64, 64), 90).convert("RGB").save(out, "JPEG", progressive=True)
    found = extent("JPEG", out.getvalue())
    assert found is not None
    assert 5 < found.parts < 20


@pytest.mark.parametrize(
    ("form", "tail", "two"),
    [
        ("PNG", b"", False),
        ("PNG", b"\0\n", False),
        ("PNG", b"\0x", True),
        ("JPEG", b"x", False),
        ("JPEG", b"  <html>", True),
        ("JPEG", b"film" + b"PK\x05\x06" + b"\0" * 18, True),
        ("JPEG", b"film" + b"PK\x05\x06" + b"\0" * 70_000, False),
    ],
)
def test_only_a_jpeg_may_be_followed_by_something_and_by_no_other_kind_of_file(
    form: str, tail: bytes, two: bool
) -> None:
    assert is_two_files(form, b"image" + tail, len(b"image")) is two
