"""The control API: what a test in another process tells and asks the stand-in. Described in the package's docstring."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from tests.gemini_server.calls import Call
from tests.gemini_server.script import Queued, Script
from tests.gemini_server.wire import Request

if TYPE_CHECKING:
    from tests.gemini_server.server import GeminiServer

_JSON = {"Content-Type": "application/json"}


class CallsAnswer(msgspec.Struct):
    version: int
    calls: list[Call]


async def control_answer(server: "GeminiServer", request: Request) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of the answer. A misspelt order is a 400 that says what is wrong with it."""
    try:
        body: Any = msgspec.json.decode(request.body) if request.body else {}
        answer = await _obey(server, request.path.removeprefix("/control/"), request.query, body)
    except (msgspec.MsgspecError, KeyError) as error:
        return 400, _JSON, msgspec.json.encode({"error": str(error)})
    return 200, _JSON, msgspec.json.encode(answer)


async def _obey(server: "GeminiServer", order: str, query: Mapping[str, str], body: Any) -> Any:
    match order:
        case "calls":
            return await _calls(server, query)
        case "script":
            queued = msgspec.convert(body, Queued)
            server.script(queued.script, match=queued.match, model=queued.model, times=queued.times)
        case "default":
            server.default(msgspec.convert(body, Script))
        case "release":
            server.release(body.get("call"))
        case "refuse":
            await server.refuse()
        case "listen":
            await server.listen()
        case "clear":
            server.clear()
        case _:
            raise KeyError(order)
    return {}


async def _calls(server: "GeminiServer", query: Mapping[str, str]) -> CallsAnswer:
    if "since" in query:
        since = int(query["since"])
        with suppress(TimeoutError):  # the answer is then what it was before
            await server.wait_for(lambda _: server.version > since, float(query.get("timeout", "5")))
    calls = list(server.calls)
    if query.get("bodies") != "1":
        calls = [msgspec.structs.replace(call, body=None) for call in calls]
    return CallsAnswer(server.version, calls)
