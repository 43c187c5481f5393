"""POST /upload and GET /images/ID."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.edge import Edge, picture
from tests.servers import RedisServer

STORED = '{{"success":true,"message":"File uploaded successfully and added to the conversation","filename":"{}"}}'


async def test_a_picture_is_taken(edge: Edge) -> None:
    browser = edge.browser()
    answer = await browser.upload(("cat.png", picture()))
    assert answer.status == 200
    assert answer.body.decode() == STORED.format("cat.png")
    assert (await browser.get("/session")).okay["pending"] == {"message": False, "images": 1}


async def test_several_pictures_are_taken_together(edge: Edge) -> None:
    browser = edge.browser()
    answer = await browser.upload(("a.png", picture()), ("b.jpg", picture(form="JPEG")))
    assert answer.okay["filename"] == "a.png, b.jpg"
    assert (await browser.get("/session")).okay["pending"]["images"] == 2


async def test_the_last_upload_takes_the_place_of_the_one_before(edge: Edge) -> None:
    browser = edge.browser()
    await browser.upload(("a.png", picture()), ("b.png", picture(colour="blue")))
    await browser.upload(("c.png", picture(colour="green")))
    assert (await browser.get("/session")).okay["pending"]["images"] == 1


async def test_the_same_picture_twice_is_one(edge: Edge) -> None:
    browser = edge.browser()
    await browser.upload(("a.png", picture()), ("b.png", picture()))
    assert (await browser.get("/session")).okay["pending"]["images"] == 1


async def test_all_are_taken_or_none(edge: Edge) -> None:
    browser = edge.browser()
    answer = await browser.upload(("a.png", picture()), ("b.svg", b"<svg/>"))
    answer.refused(415, "not_an_image")
    assert answer.json["message"].startswith("b.svg ")
    assert (await browser.get("/session")).okay["pending"]["images"] == 0


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\photos\\\\cat.png", "cat.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("Käse \U0001f9c0.png", "Käse \U0001f9c0.png"),
        ("x" * 1000, "x" * 255),
        ("...", "..."),
        ("/", "file"),
    ],
)
async def test_a_files_name_is_told_without_what_a_name_should_not_have(edge: Edge, name: str, shown: str) -> None:
    assert (await edge.browser().upload((name, picture()))).okay["filename"] == shown


async def test_pictures_and_message_become_one_turn_and_its_history(edge: Edge) -> None:
    browser = edge.browser()
    await browser.upload(("a.png", picture((12, 8))))
    await browser.chat("what is this?")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        claim = await edge.work("red")
    assert claim.input.text == "what is this?"
    [image] = (await browser.get("/history")).okay["messages"][0]["images"]
    assert image == {
        "id": claim.input.images[0].id,
        "url": f"/images/{claim.input.images[0].id}",
        "mime_type": "image/png",
        "width": 12,
        "height": 8,
    }
    shown = await browser.get(image["url"])
    assert shown.status == 200
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["cache-control"].startswith("private")
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert shown.body.startswith(b"\x89PNG")
    again = await browser.get(image["url"], headers={"If-None-Match": shown.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_a_picture_alone_begins_a_turn(edge: Edge) -> None:
    browser = edge.browser()
    await browser.upload(("a.png", picture()))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        claim = await edge.work("red")
    assert claim.input.text is None
    assert len(claim.input.images) == 1
    assert (await browser.get("/history")).okay["messages"][0]["text"] == ""


async def test_a_picture_is_shown_to_its_session_alone(edge: Edge) -> None:
    alice, mallory = edge.browser(), edge.browser()
    await alice.upload(("a.png", picture()))
    await alice.chat()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(alice.read())
        claim = await edge.work("red")
    path = f"/images/{claim.input.images[0].id}"
    assert (await alice.get(path)).status == 200
    (await mallory.get(path)).refused(404, "not_found")
    await mallory.get("/session")
    (await mallory.get(path)).refused(404, "not_found")


@pytest.mark.parametrize("name", ["0" * 32, "x", "..", "%00", "a" * 500])
async def test_a_picture_that_is_not_there_is_404(edge: Edge, name: str) -> None:
    browser = edge.browser()
    await browser.get("/session")
    (await browser.get(f"/images/{name}")).refused(404, "not_found")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("", b"", 415, "unsupported_media_type"),
        ("multipart/form-data", b"x", 400, "bad_request"),
        ("multipart/form-data; boundary=b", b"", 400, "bad_request"),
        ("multipart/form-data; boundary=b", b"nonsense", 400, "bad_request"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno name\r\n--b--\r\n", 400, "bad_request"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--b--\r\n',
            400,
            "bad_request",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--b--\r\n',
            400,
            "bad_request",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="other"; filename="a.png"\r\n\r\nx\r\n--b--\r\n',
            400,
            "bad_request",
        ),
        ("multipart/form-data; boundary=ü", b"x", 400, "bad_request"),
    ],
)
async def test_a_form_without_a_file_is_refused(
    edge: Edge, content_type: str, body: bytes, status: int, code: str
) -> None:
    answer = await edge.browser().post("/upload", data=body, headers={"Content-Type": content_type})
    answer.refused(status, code)


async def test_a_form_of_endless_parts_is_refused(edge: Edge) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n'
    answer = await edge.browser().post(
        "/upload", data=part * 100, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    answer.refused(413, "too_large")


async def test_more_files_than_allowed_are_refused(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, upload_max_files=2)
    files = [(f"{n}.png", picture()) for n in range(3)]
    (await edge.browser().upload(*files)).refused(413, "too_large")


async def test_more_bytes_than_allowed_are_refused(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, upload_max_bytes=1000)
    (await edge.browser().upload(("a.png", b"x" * 100_000))).refused(413, "too_large")


async def test_a_picture_beyond_the_sessions_quota_is_refused(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, image_quota_count=1)
    browser = edge.browser()
    answer = await browser.upload(("a.png", picture()), ("b.png", picture(colour="blue")))
    answer.refused(413, "too_large")
    assert (await browser.upload(("a.png", picture()))).status == 200
