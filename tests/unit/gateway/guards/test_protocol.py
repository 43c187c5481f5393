"""What the server takes and the gateway does not speak."""

import pytest

from gateway.guards.body import Message, Receive, Scope, Send
from gateway.guards.protocol import ProtocolGuard


async def answers(scope: Scope) -> list[Message]:
    """What goes out; empty when the request was let in."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    async def receive() -> Message:
        raise AssertionError("nothing has to be read")

    async def send(message: Message) -> None:
        sent.append(message)

    await ProtocolGuard(app)(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("version", "path", "status"), [("2", "/", 505), ("3", "/", 505), ("1.1", "", 400), ("1.1", "*", 400)]
)
async def test_a_request_that_is_not_ours_is_refused(version: str, path: str, status: int) -> None:
    start, body = await answers({"type": "http", "http_version": version, "path": path})
    assert start["status"] == status
    assert body["more_body"] is False


async def test_a_websocket_is_closed() -> None:
    [message] = await answers({"type": "websocket", "path": "/"})
    assert message["type"] == "websocket.close"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_http_1_is_let_in(version: str) -> None:
    assert await answers({"type": "http", "http_version": version, "path": "/"}) == []
    assert await answers({"type": "lifespan"}) == []
