"""Asks Gemini whether it takes the key and knows a model (https://ai.google.dev/api/models#method:-models.get).

One small request by the same way as every other (session, proxy, bounds, reading of errors), without the SDK, which
takes seconds to import.
"""

import asyncio
import time

import aiohttp
import msgspec

from workers.exchange import ConnectTimeout, Exchange, open_session
from workers.faults import from_answer, one_line
from workers.model import Fault, GenerationError
from workers.request import resource
from workers.settings import WorkerSettings

_GOOGLES = "https://generativelanguage.googleapis.com"
_PATIENCE = 20.0
_MOST = 1024 * 1024


class Entry(msgspec.Struct, rename="camel"):
    """What Gemini says of a model."""

    name: str
    supported_generation_methods: tuple[str, ...] = ()

    @property
    def answers(self) -> bool:
        return not self.supported_generation_methods or "generateContent" in self.supported_generation_methods


async def look_up(settings: WorkerSettings, model: str) -> Entry:
    """Raises GenerationError, whose ``detail`` holds no secret."""
    exchange = Exchange()
    try:
        async with open_session(settings.gemini_connect_timeout) as session, asyncio.timeout(_PATIENCE):
            with exchange.attached():
                status, asked, body = await _get(session, settings, model)
    except ConnectTimeout:
        raise GenerationError(Fault.UNAVAILABLE, detail="no connection in time") from None
    except TimeoutError:
        raise GenerationError(Fault.TIMEOUT, detail="silence") from None
    except (aiohttp.ClientError, OSError) as error:
        detail = one_line(f"{type(error).__name__}: {error}", settings.api_key)
        raise GenerationError(Fault.UNAVAILABLE, detail=detail) from None
    if status != 200:
        raise from_answer(status, _json(body), asked, now=time.time(), key=settings.api_key)
    try:
        return msgspec.json.decode(body, type=Entry)
    except msgspec.MsgspecError:
        raise GenerationError(Fault.GARBLED, detail="no description of a model") from None


async def _get(session: aiohttp.ClientSession, settings: WorkerSettings, model: str) -> tuple[int, str | None, bytes]:
    base = (settings.google_gemini_base_url or _GOOGLES).rstrip("/")
    headers = {"x-goog-api-key": settings.api_key}
    async with session.get(f"{base}/v1beta/{resource(model)}", headers=headers, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Retry-After"), await answer.content.read(_MOST)


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
