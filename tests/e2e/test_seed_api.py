"""The API that existing frontends speak, to the letter."""

import json
from typing import Any

import pytest

from tests.client import User, picture, prompt
from tests.cluster import Cluster
from tests.gemini_server import expected_answer
from tests.sse import parse
from tests.tcp import exchange, post

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


async def test_the_health_check_says_what_it_always_said(user: User) -> None:
    answer = await user.call("GET", "/")
    assert answer.okay == {"status": "healthy", "message": "Gemini API backend running"}
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_chat_message_is_answered_with_success_alone(user: User) -> None:
    answer = await user.call("POST", "/chat", json={"message": "Hello"})
    assert answer.okay == {"success": True}


async def test_an_upload_is_answered_with_its_file_name(user: User) -> None:
    boundary = "----frontend"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="my cat.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode()
        + picture()
        + f"\r\n--{boundary}--\r\n".encode()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = await user.call("POST", "/upload", data=body, headers=headers)
    assert answer.okay == {
        "success": True,
        "message": "File uploaded successfully and added to the conversation",
        "filename": "my cat.png",
    }


async def test_generated_text_is_the_only_field_of_its_answer(user: User) -> None:
    asked = prompt("Write poetry. Build your response in JSON format like this : {'poem':'...'}")
    answer = await user.generate_text(asked)
    assert answer.okay == {"generated_text": expected_answer(asked, json=True)}
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_frontend_that_knows_onmessage_alone_gets_the_whole_answer(cluster: Cluster) -> None:
    """Message and stream as raw requests: nothing but a cookie holds them together."""
    asked = prompt("Tell me a story")
    gateway = cluster.gateways[0]
    request = post("/chat", {"message": asked})
    head, answer = await exchange(gateway.host, gateway.port, request)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer) == {"success": True}
    cookie = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"set-cookie: "))

    head, answer = await exchange(
        cluster.gateways[1].host,
        cluster.gateways[1].port,
        b"GET /stream HTTP/1.1\r\nHost: api\r\nConnection: close\r\nCookie: %b\r\n\r\n"
        % cookie.partition(b": ")[2].partition(b";")[0],
    )
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 200 "
    assert [line for line in lines if line.startswith(b"content-type: ")] in (
        [b"content-type: text/event-stream"],
        [b"content-type: text/event-stream; charset=utf-8"],
    )
    assert b"x-accel-buffering: no" in lines
    assert answer.startswith(b"retry: ")
    unnamed = [event.data for event in parse(answer) if event.type == "message"]
    assert "".join(unnamed) == expected_answer(asked)


async def test_without_cors_origin_any_page_may_call(user: User) -> None:
    async with User(user.url("")) as stranger:
        answer = await stranger.call("GET", "/", headers={"Origin": "https://frontend.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("POST", "/chat", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "bad_request"),
        ("POST", "/chat", {"json": {"text": "no message"}}, 400, "bad_request"),
        ("POST", "/chat", {"json": {"message": 7}}, 400, "bad_request"),
        ("POST", "/chat", {"data": b"message=Hello"}, 415, "unsupported_media_type"),
        ("POST", "/chat", {"json": {"message": "x" * 40_000}}, 413, "too_large"),
        ("POST", "/generate_text", {"json": {}}, 400, "bad_request"),
        ("POST", "/generate_text", {"json": {"prompt": "p", "response_schema": []}}, 400, "bad_request"),
        ("GET", "/stream", {}, 409, "nothing_pending"),
        ("GET", "/stream", {"headers": {"Accept": "text/event-stream"}}, 409, "nothing_pending"),
        ("GET", "/chat", {}, 405, "method_not_allowed"),
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/images/" + "0" * 32, {}, 404, "not_found"),
    ],
)
async def test_an_error_has_its_true_status_and_one_shape(
    user: User, method: str, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    (await user.call(method, path, **more)).refused(status, code)


async def test_a_file_that_is_no_image_is_refused(user: User) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\nno image\r\n--b--\r\n'
    answer = await user.call("POST", "/upload", data=form, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status == 415
    assert answer.json["success"] is False
