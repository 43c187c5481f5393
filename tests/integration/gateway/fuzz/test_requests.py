"""Whatever comes: an answer of the documented kind, never a failure of ours."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from gateway.settings import GatewaySettings
from gateway.state.ids import TurnId
from tests.client import Answer
from tests.contract import Contract
from tests.fuzz.multipart import content_types, forms, mutations
from tests.integration.gateway.edge import Browser, Edge, picture
from tests.servers import RedisServer
from tests.sse import parse, text_of

CONTRACT = Contract.of(GatewaySettings())
BOUNDS = settings(
    max_examples=200,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.timeout(60)

# Header values as they can come over the wire: no control characters but the tab (RFC 9110 section 5.5).
header_values = st.text("\t" + "".join(chr(code) for code in range(0x100) if chr(code).isprintable()), max_size=200)
tokens = st.from_regex(r"[A-Za-z0-9_-]{42,44}", fullmatch=True)


@pytest.fixture
async def edge(serve: Callable[..., Any], valkey: RedisServer) -> Edge:
    off = dict.fromkeys(("rate_session_requests", "rate_address_requests", "rate_address_sessions"), "off")
    opened: Edge = await serve(valkey, upload_max_bytes=200_000, upload_max_files=3, image_max_pixels=100_000, **off)
    return opened


def checked(method: str, path: str, answer: Answer) -> Answer:
    assert answer.status < 500, answer.body
    CONTRACT.check(method, path, answer)
    return answer


@BOUNDS
@given(
    body=forms(st.sampled_from([picture(), picture(form="GIF"), b"", b"<svg/>"]) | st.binary(max_size=50)),
    kind=content_types,
)
async def test_a_form(edge: Edge, body: bytes, kind: str) -> None:
    checked("POST", "/upload", await edge.browser().post("/upload", data=body, headers={"Content-Type": kind}))


def image(form: str) -> bytes:
    out = io.BytesIO()
    noise = Pillow.effect_noise((24, 16), 80).convert("RGB")
    noise.save(out, form, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" if form != "GIF" else b"", comment=b"taken in secret")
    return out.getvalue()


IMAGES = st.sampled_from([image(form) for form in ("PNG", "JPEG", "WEBP", "GIF")])


@BOUNDS
@given(content=IMAGES.flatmap(mutations).flatmap(mutations))
async def test_the_bytes_of_an_image(edge: Edge, content: bytes) -> None:
    browser = edge.browser()
    answer = checked("POST", "/upload", await browser.upload(("a.png", content)))
    if answer.status == 200:
        await _is_a_plain_picture(edge, browser)


async def _is_a_plain_picture(edge: Edge, browser: Browser) -> None:
    """What was accepted is kept as pixels and nothing else."""
    [name] = [key for key in await edge.keys() if key.endswith(":images")]
    [stored] = await edge.scene.raw.hvals(name)
    content = stored.partition(b"\n")[2]
    with Pillow.open(io.BytesIO(content)) as kept:
        kept.load()
        assert not kept.getexif()
    assert b"secret" not in content
    await browser.call("DELETE", "/session")


@BOUNDS
@given(value=header_values | tokens.map("gateway_session={}".format) | header_values.map("gateway_session={}".format))
async def test_a_cookie(edge: Edge, value: str) -> None:
    answer = checked("GET", "/session", await edge.browser().get("/session", headers={"Cookie": value}))
    assert answer.status == 200
    token = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert token not in value, "a cookie was adopted"
    assert answer.json["pending"] == {"message": False, "images": 0}


@BOUNDS
@given(key=header_values)
async def test_an_idempotency_key(edge: Edge, key: str) -> None:
    answer = await edge.browser().post("/chat", json={"message": "hi"}, headers={"Idempotency-Key": key})
    assert checked("POST", "/chat", answer).status in (200, 400)


@BOUNDS
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "TRACE"]),
    path=st.text(),
    query=st.text(),
)
async def test_an_address(edge: Edge, method: str, path: str, query: str) -> None:
    assume(path.isprintable() and "?" not in path)
    answer = await edge.browser().call(method, f"/{path}", query_string={"q": query})
    assert answer.status < 500
    if answer.status >= 400 and method != "HEAD":
        assert set(answer.json) == {"success", "error", "message"}


numbers = st.integers(-1, 4).map(str) | st.sampled_from(["00", "1000000000", "999999999", "", " 1", "+1", "1.0", "٣"])


@st.composite
def positions(draw: st.DrawFn) -> str:
    """Places in the log of the turn ``{0}``, near misses of one, and anything else."""
    name = draw(st.sampled_from(["{0}", "{0}", "{0}", "{0}0", "gone", "f" * 24, ""]))
    place = f"{name}:{draw(numbers)}-{draw(numbers)}"
    return draw(st.one_of(st.just(place), st.just(place), mutations(place.encode()).map(_as_header)))


def _as_header(raw: bytes) -> str:
    return "".join(c for c in raw.decode("latin-1") if c.isprintable())


@pytest.fixture
async def reader(edge: Edge) -> tuple[Browser, TurnId]:
    """A user whose turn has ended."""
    browser = edge.browser()
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        claim = await edge.work("one ", "two ", "three")
    return browser, claim.ref.turn


@BOUNDS
@given(place=positions() | header_values, by_query=st.booleans())
async def test_a_place_to_resume_at(reader: tuple[Browser, TurnId], place: str, by_query: bool) -> None:
    browser, turn = reader
    whole = parse((await browser.get("/stream", headers={"Last-Event-ID": f"{turn}:0-0"})).body)
    assert text_of(whole) == "one two three"
    named = place.replace("{0}", turn)
    more: dict[str, Any] = (
        {"query_string": {"last_event_id": named}} if by_query else {"headers": {"Last-Event-ID": named}}
    )
    answer = checked("GET", "/stream", await browser.get("/stream", **more))
    assert answer.status in (200, 204, 409)
    events = parse(answer.body)
    assert events == whole[len(whole) - len(events) :] or [event.type for event in events] == ["expired"]
