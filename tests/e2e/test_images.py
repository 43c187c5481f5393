"""Pictures on their way from the upload to Gemini, and back to a reloaded page."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.client import User, picture, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer
from tests.processes import Process, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


async def _contents(gemini: Gemini, asked: str) -> list[dict[str, Any]]:
    """What the one call for a prompt carried."""
    [call] = [call for call in await gemini.calls(bodies=True) if asked in call.text]
    assert call.body is not None
    contents: list[dict[str, Any]] = call.body["contents"]
    return contents


def _pixels(image: bytes) -> tuple[tuple[int, int], bytes]:
    opened = Image.open(BytesIO(image)).convert("RGB")
    return opened.size, opened.tobytes()


def _inline(part: dict[str, Any]) -> bytes:
    assert part["inlineData"]["mimeType"] == "image/png"
    return base64.b64decode(part["inlineData"]["data"], altchars=b"-_")


async def test_gemini_gets_the_pictures_inline_before_the_text(user: User, gemini: Gemini) -> None:
    pictures = [picture(), picture((20, 10))]
    asked = prompt("What is on these?")
    await user.upload(*pictures)
    await user.chat(asked)
    assert (await user.session())["pending"] == {"message": True, "images": 2}

    reader = await user.read()

    assert reader.text == expected_answer(asked)
    [content] = await _contents(gemini, asked)
    first, second, text = content["parts"]
    assert [_pixels(_inline(part)) for part in (first, second)] == [_pixels(each) for each in pictures]
    assert text == {"text": asked}


async def test_pictures_stay_where_they_stood_in_the_conversation(user: User, gemini: Gemini) -> None:
    shown = picture()
    first, second = prompt("Look"), prompt("And what did you see?")
    await user.upload(shown)
    await user.ask(first)
    await user.ask(second)

    before, answer, question = await _contents(gemini, second)
    assert (before["role"], answer["role"], question["role"]) == ("user", "model", "user")
    assert _pixels(_inline(before["parts"][0])) == _pixels(shown)
    assert before["parts"][1:] == [{"text": first}]
    assert answer["parts"] == [{"text": expected_answer(first)}]
    assert question["parts"] == [{"text": second}]


async def test_a_picture_without_a_word_is_a_turn_of_its_own(user: User, gemini: Gemini) -> None:
    shown = picture((31, 7))
    await user.upload(shown)
    reader = await user.read()
    assert reader.types() == ["done"]
    [message, _] = await user.history()
    assert message["text"] == ""
    assert [(image["width"], image["height"]) for image in message["images"]] == [(31, 7)]


async def test_the_last_upload_replaces_the_one_before(user: User, gemini: Gemini) -> None:
    kept = picture()
    asked = prompt("Which one?")
    await user.upload(picture(), picture())
    await user.chat(asked)
    await user.upload(kept)
    await user.read()
    [content] = await _contents(gemini, asked)
    assert [_pixels(_inline(part)) for part in content["parts"][:-1]] == [_pixels(kept)]


async def test_a_reloaded_page_shows_what_gemini_got(cluster: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("Remember this")
    await user.upload(picture((12, 12)))
    await user.ask(asked)
    [message, _] = await user.history()
    [image] = message["images"]
    assert (image["mime_type"], image["width"], image["height"]) == ("image/png", 12, 12)

    shown = await user.call("GET", image["url"])

    [content] = await _contents(gemini, asked)
    assert shown.status == 200
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.body == _inline(content["parts"][0])


async def test_a_picture_is_shown_to_its_own_session_alone(cluster: Cluster, user: User, gemini: Gemini) -> None:
    await user.upload(picture())
    await user.ask(prompt("Mine"))
    [message, _] = await user.history()
    url = message["images"][0]["url"]
    async with User(cluster.any_url) as stranger:
        (await stranger.call("GET", url)).refused(404, "not_found")
        await stranger.session()
        (await stranger.call("GET", url)).refused(404, "not_found")
    assert (await user.call("GET", url)).status == 200


async def test_a_cleared_conversation_takes_its_pictures_along(user: User, gemini: Gemini) -> None:
    await user.upload(picture())
    await user.ask(prompt("Forget this"))
    [message, _] = await user.history()
    assert (await user.call("DELETE", "/history")).okay == {"success": True}
    (await user.call("GET", message["images"][0]["url"])).refused(404, "not_found")
    assert await user.history() == []


async def test_a_jpeg_reaches_gemini_without_what_it_said_of_its_maker(user: User, gemini: Gemini) -> None:
    exif = Image.Exif()
    exif[0x010F] = "secret camera"
    content = BytesIO()
    Image.new("RGB", (16, 16), "red").save(content, "JPEG", exif=exif)
    asked = prompt("A photograph")
    await user.upload(content.getvalue(), name="photo.jpg")
    await user.ask(asked)
    [message] = await _contents(gemini, asked)
    sent = base64.b64decode(message["parts"][0]["inlineData"]["data"], altchars=b"-_")
    assert b"secret camera" in content.getvalue()
    assert b"secret camera" not in sent
    assert _pixels(sent)[0] == (16, 16)


def _children(process: Process) -> list[Path]:
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [Path("/proc") / pid for task in tasks for pid in (task / "children").read_text().split()]


def _lives(process: Path) -> bool:
    try:
        return "State:\tZ" not in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _with_children(clusters: Clusters) -> tuple[Cluster, list[Path]]:
    """Where a picture was uploaded, and the gateway's own processes by then."""
    cluster = await clusters.start()
    gateway = cluster.gateways[0]
    assert _children(gateway) == [], "none before the first picture"
    async with User(cluster.any_url) as user:
        await user.upload(picture())
    children = _children(gateway)
    assert len(children) == 1
    return cluster, children


async def test_a_drained_gateway_ends_what_decoded_its_pictures(clusters: Clusters) -> None:
    cluster, [child] = await _with_children(clusters)
    await cluster.retire(cluster.gateways[0])
    assert not _lives(child)


async def test_a_killed_gateway_leaves_nobody_behind(clusters: Clusters) -> None:
    cluster, [child] = await _with_children(clusters)
    cluster.kill(cluster.gateways[0])
    await until(lambda: not _lives(child), "the gateway's process to end")
