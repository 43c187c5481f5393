"""The adapter to Gemini, by way of the google-genai SDK over aiohttp.

What the SDK leaves open is closed here: it knows no exception for an answer that ends early, it retries by itself, its
one timeout is for the whole answer, and ending its generator early leaves the connection open. So each call has its
own bounds on silence, and its HTTP response is held and closed when the call ends, however it ends.

Importing this module takes seconds (the SDK): only a composition root does, and only when there is a key.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, cast

import aiohttp
import structlog
from google import genai
from google.genai import errors, types

from workers.answer import Answer
from workers.exchange import ConnectTimeout, Diverted, Exchange, open_session
from workers.faults import from_answer, one_line
from workers.intake import Intake
from workers.model import End, Fault, GenerationError, Sink
from workers.prompt import Prompt
from workers.reader import ErrorInStream, Response
from workers.request import body, resource
from workers.settings import WorkerSettings

_log = structlog.get_logger(__name__)

_AFTER_FINISH = 5.0
"""Seconds of silence, after the finish reason, in which the stream may still end by itself."""

_Machinery = Callable[[str, dict[str, Any]], Awaitable[object]]
"""Posts a body to a path."""


class GeminiModel:
    """Implements ``workers.model.Model``. To be made, used and closed in one running event loop."""

    def __init__(self, settings: WorkerSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._session = open_session(settings.gemini_connect_timeout)
        self._client = genai.Client(
            vertexai=False,
            api_key=settings.api_key,
            http_options=types.HttpOptions(
                api_version="v1beta",
                base_url=settings.google_gemini_base_url or None,
                aiohttp_client=self._session,
                # Set, even to one attempt, it keeps the SDK from sleeping and trying again by itself.
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )
        self._standing = _standing(settings)
        self._machinery = machinery(self._client)

    async def generate(self, prompt: Prompt, model: str, sink: Sink) -> End:
        direct = self._settings.gemini_reader == "direct"
        exchange, answer, fault = Exchange(divert=direct), Answer(sink), None
        try:
            await (self._below if direct else self._by_sdk)(prompt, model, exchange, answer, sink)
        except GenerationError:
            raise
        except Exception as error:  # Whatever the SDK or its transport raises: each fault has one ending.
            if error is answer.refusal:
                raise
            fault = self._fault(error, exchange.response)
        finally:
            exchange.close()
        # Raised out here so that it does not drag along the SDK's exception, which quotes upstream bytes.
        if fault is not None and not answer.finish_reason:  # else the answer was whole before the fault
            raise fault
        return answer.end()

    async def _by_sdk(self, prompt: Prompt, model: str, exchange: Exchange, answer: Answer, sink: Sink) -> None:
        """Takes the responses as the SDK reads them."""
        stream = self._asked(prompt, model)
        try:
            while True:
                with exchange.attached():
                    async with asyncio.timeout(self._patience(answer)):
                        response = await anext(stream, None)
                if response is None:
                    return
                answer.take(cast("Response", response))
                await asyncio.sleep(0)  # What has arrived already comes without a rest.
                await sink.room()
        finally:
            exchange.close()  # Before the SDK's own way of leaving, which may wait for the connection.
            await stream.aclose()

    async def _asked(self, prompt: Prompt, model: str) -> AsyncGenerator[types.GenerateContentResponse, None]:
        """One call by the SDK's public way."""
        # The body goes past the SDK's models: what is named here gives way to it.
        stream = await self._client.aio.models.generate_content_stream(
            model=model,
            contents="-",
            config=types.GenerateContentConfig(
                http_options=types.HttpOptions(extra_body=body(prompt, self._standing)),
                automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            ),
        )
        try:
            async for response in stream:
                yield response
        finally:
            await stream.aclose()  # type: ignore[attr-defined] # an async generator, though not declared as one

    async def _below(self, prompt: Prompt, model: str, exchange: Exchange, answer: Answer, sink: Sink) -> None:
        """Takes the responses of a call that the SDK makes and whose answer is read here."""
        begins = asyncio.get_running_loop().time() + self._settings.gemini_first_chunk_timeout
        async with asyncio.timeout_at(begins):
            with exchange.attached(), suppress(Diverted):
                await self._request(prompt, model)
        if exchange.response is None:
            raise RuntimeError("the SDK answered without a request")
        await Intake(exchange.response, answer.take, sink, lambda: self._patience(answer)).read(begins)

    async def _request(self, prompt: Prompt, model: str) -> None:
        """Sends a call that ends in ``Diverted`` once its answer begins, or in the SDK's error."""
        if self._machinery is not None:
            path = f"{resource(model)}:streamGenerateContent?alt=sse"
            await self._machinery(path, body(prompt, self._standing))
        else:
            async with aclosing(self._asked(prompt, model)) as stream:
                await anext(stream)

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        self._client.close()
        await self._session.close()

    def _patience(self, answer: Answer) -> float:
        if answer.finish_reason:
            return min(_AFTER_FINISH, self._settings.gemini_chunk_timeout)
        return self._settings.gemini_chunk_timeout if answer.begun else self._settings.gemini_first_chunk_timeout

    def _fault(self, error: Exception, response: aiohttp.ClientResponse | None) -> GenerationError:
        key = self._settings.api_key
        status, asked = (response.status, response.headers.get("Retry-After")) if response is not None else (0, None)
        match error:
            case ErrorInStream():
                code = error.error.get("code")
                known = code if isinstance(code, int) else 0
                return from_answer(known, {"error": error.error}, asked, now=self._clock(), key=key)
            case errors.APIError():
                return from_answer(error.code, error.details, asked, now=self._clock(), key=key)
            case _ if status not in (0, 200):  # an error answer whose body could not be read
                return from_answer(status, None, asked, now=self._clock(), key=key)
            case ConnectTimeout():
                return GenerationError(Fault.UNAVAILABLE, detail="no connection in time")
            case TimeoutError():
                return GenerationError(Fault.TIMEOUT, detail="silence")
            case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
                return GenerationError(Fault.UNAVAILABLE, detail=one_line(f"{type(error).__name__}: {error}", key))
            case _ if not status and not isinstance(error, aiohttp.ClientError):  # the SDK did not even send it
                return GenerationError(Fault.BAD_REQUEST, detail=type(error).__name__)
        # What the SDK says of it would quote upstream bytes, so the log gets the kind alone.
        return GenerationError(Fault.GARBLED, detail=type(error).__name__)


def _standing(settings: WorkerSettings) -> dict[str, Any]:
    """What each request says by the settings."""
    thinking = settings.gemini_thinking_budget
    generation = types.GenerationConfig(
        temperature=settings.gemini_temperature,
        top_p=settings.gemini_top_p,
        top_k=settings.gemini_top_k,
        max_output_tokens=settings.gemini_max_output_tokens,
        thinking_config=None if thinking is None else types.ThinkingConfig(thinking_budget=thinking),
    )
    said: dict[str, types.GenerationConfig | types.Content] = {"generationConfig": generation}
    if text := settings.gemini_system_instruction:
        said["systemInstruction"] = types.Content(role="user", parts=[types.Part(text=text)])
    return {name: part.model_dump(mode="json", by_alias=True, exclude_none=True) for name, part in said.items()}


def machinery(client: genai.Client) -> _Machinery | None:
    """The SDK's way to send a request, below its models, which cost a millisecond a call, and below its retries.

    Its names are not promised: with a version that has none like them, calls go the public way, at that price.
    """
    interface = getattr(client, "_api_client", None)
    build, send = (getattr(interface, name, cast("Any", None)) for name in ("_build_request", "_async_request_once"))
    try:
        inspect.signature(build).bind("post", "path", {}, None)
        inspect.signature(send).bind(None, True)
    except TypeError:
        _log.warning(
            "this version of the SDK is not known below its models: calls cost more", version=genai.__version__
        )
        return None

    async def post(path: str, content: dict[str, Any]) -> None:
        await send(build("post", path, content, None), True)

    return post
