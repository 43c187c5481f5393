"""The adapter to Gemini, by way of the google-genai SDK over aiohttp.

What the SDK leaves open is closed here: it knows no exception for an answer that ends early, it retries by itself, its
one timeout is for the whole answer, and ending its generator early leaves the connection open. So each call has its
own bounds on silence, and its HTTP response is held and closed when the call ends, however it ends.

Importing this module takes seconds (the SDK): only a composition root does, and only when there is a key.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from enum import Enum
from typing import Any

import aiohttp
from google import genai
from google.genai import errors, types

from gateway.state.records import Usage
from workers.exchange import ConnectTimeout, Diverted, Exchange, open_session
from workers.faults import from_answer, one_line
from workers.model import Chunk, Fault, GenerationError
from workers.prompt import Blob, Message, Prompt
from workers.reader import Response, ResponseReader, UsageMetadata
from workers.settings import WorkerSettings

_AFTER_FINISH = 5.0
"""Seconds of silence, after the finish reason, in which the stream may still end by itself."""

_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


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

    async def generate(self, prompt: Prompt, model: str) -> AsyncGenerator[Chunk, None]:
        direct = self._settings.gemini_reader == "direct"
        exchange, answer = Exchange(divert=direct), _Answer()
        # No request yet: that is made when the stream is asked for its first response.
        stream = await self._client.aio.models.generate_content_stream(
            model=model, contents=_contents(prompt), config=self._config(prompt)
        )
        responses = _below(stream, exchange) if direct else stream
        try:
            while (response := await self._next(responses, exchange, answer)) is not None:
                chunk = answer.read(response)
                if chunk.text or chunk.usage:
                    yield chunk
            yield answer.end()
        finally:
            exchange.close()
            await responses.aclose()  # type: ignore[union-attr] # an async generator, though not declared as one
            await stream.aclose()  # type: ignore[attr-defined] # as above

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        self._client.close()
        await self._session.close()

    async def _next(
        self, stream: "AsyncIterator[_Response]", exchange: Exchange, answer: "_Answer"
    ) -> "_Response | None":
        """The next response, ``None`` at the end of the stream; any fault on the way as ``GenerationError``."""
        try:
            with exchange.attached():
                async with asyncio.timeout(self._patience(answer)):
                    return await anext(stream, None)
        except Exception as error:  # noqa: BLE001 - whatever the SDK or its transport raises: each fault has one ending
            fault = self._fault(error, exchange.response)
        if answer.finish_reason:
            return None  # the answer was whole before the fault
        # Raised out here so that it does not drag along the SDK's exception, which quotes upstream bytes.
        raise fault

    def _patience(self, answer: "_Answer") -> float:
        if answer.finish_reason:
            return min(_AFTER_FINISH, self._settings.gemini_chunk_timeout)
        return self._settings.gemini_chunk_timeout if answer.begun else self._settings.gemini_first_chunk_timeout

    def _fault(self, error: Exception, response: aiohttp.ClientResponse | None) -> GenerationError:
        key = self._settings.api_key
        status, asked = (response.status, response.headers.get("Retry-After")) if response is not None else (0, None)
        match error:
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

    def _config(self, prompt: Prompt) -> types.GenerateContentConfig:
        settings, thinking = self._settings, self._settings.gemini_thinking_budget
        return types.GenerateContentConfig(
            system_instruction=settings.gemini_system_instruction or None,
            temperature=settings.gemini_temperature,
            top_p=settings.gemini_top_p,
            top_k=settings.gemini_top_k,
            max_output_tokens=settings.gemini_max_output_tokens,
            thinking_config=None if thinking is None else types.ThinkingConfig(thinking_budget=thinking),
            response_mime_type=prompt.mime_type,
            response_json_schema=prompt.schema,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )


_Response = types.GenerateContentResponse | Response
"""As the SDK reads it, or as we do."""


async def _below(sdk: AsyncIterator[Any], exchange: Exchange) -> AsyncGenerator[Response, None]:
    """The responses of a call that the SDK makes, with address, key and body, and whose answer is read here."""
    with suppress(Diverted):
        await anext(sdk)
    if exchange.response is None:
        raise RuntimeError("the SDK answered without a request")
    reader = ResponseReader()
    async for data in exchange.response.content.iter_any():
        for response in reader.feed(data):
            yield _checked(response)
    for response in reader.end():
        yield _checked(response)


def _checked(response: Response) -> Response:
    """Raises the SDK's error for an error in a response's place."""
    error = response.error
    if error is not None:
        code = error.get("code")
        raise errors.APIError(code if isinstance(code, int) else 0, {"error": error})
    return response


class _Answer:
    """What the responses of one call have said so far."""

    def __init__(self) -> None:
        self.begun = False
        self.finish_reason: str | None = None
        self._usage: Usage | None = None

    def read(self, response: _Response) -> Chunk:
        """Raises ``GenerationError`` for a blocked prompt."""
        self.begun = True
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason is not None:
            reason = _name(feedback.block_reason) or "OTHER"
            raise GenerationError(Fault.BLOCKED, message=f"Gemini refused to answer this message (reason: {reason}).")
        usage = _usage(response.usage_metadata)
        self._usage = usage or self._usage
        candidate = response.candidates[0] if response.candidates else None
        if candidate is None:
            return Chunk(usage=usage)
        self.finish_reason = _name(candidate.finish_reason) or self.finish_reason
        parts = (candidate.content and candidate.content.parts) or []
        return Chunk("".join(part.text for part in parts if part.text and not part.thought), usage)

    def end(self) -> Chunk:
        """The last chunk. Raises ``GenerationError`` where the stream ended but the answer did not."""
        if self.finish_reason is None:
            raise GenerationError(Fault.TRUNCATED if self.begun else Fault.EMPTY)
        return Chunk("", self._usage, self.finish_reason)


def _contents(prompt: Prompt) -> list[types.Content]:
    return [types.Content(role=message.role, parts=_parts(message)) for message in prompt.messages]


def _parts(message: Message) -> list[types.Part]:
    return [
        types.Part(inline_data=types.Blob(mime_type=part.mime_type, data=part.content))
        if isinstance(part, Blob)
        else types.Part(text=part)
        for part in message.parts
    ]


def _usage(counts: types.GenerateContentResponseUsageMetadata | UsageMetadata | None) -> Usage | None:
    if counts is None:
        return None
    asked = (counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0)
    answered = (counts.candidates_token_count or 0) + (counts.thoughts_token_count or 0)
    return Usage(asked, answered, counts.total_token_count or asked + answered)


def _name(reason: Enum | str | None) -> str | None:
    """A reason as Gemini spells it; ``None`` for none, for "unspecified", and for what is no such name."""
    name = str(reason.value if isinstance(reason, Enum) else reason or "")
    return name if _REASON.fullmatch(name) and not name.endswith("_UNSPECIFIED") else None
