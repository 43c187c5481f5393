"""The offline stand-in model: answers without a key and without a network, and says so.

For whoever builds a frontend: it repeats what it was asked, counts the images, writes Markdown with a code block and
streams in small chunks. The same prompt always gets the same answer.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from gateway.state.records import Usage
from workers.json_example import example
from workers.model import End, Sink
from workers.prompt import Blob, Message, Prompt, text_tokens

_QUOTE_LIMIT = 2000
_IMAGE_TOKENS = 258
_PIECE = re.compile(r"\s*\S{1,12}\s*")

Sleep = Callable[[float], Awaitable[None]]


class OfflineModel:
    """Implements ``workers.model.Model``. ``delay`` is the pause before each chunk, in seconds."""

    def __init__(self, delay: float, *, sleep: Sleep = asyncio.sleep) -> None:
        self._delay = delay
        self._sleep = sleep

    async def generate(self, prompt: Prompt, model: str, sink: Sink) -> End:
        """Raises what ``sink`` raises; ``model`` is named in the answer but not asked."""
        asked = sum(_tokens(message) for message in prompt.messages)
        said = 0
        for piece in pieces(answer(prompt, model)):
            await self._sleep(self._delay)
            await sink.room()
            said += len(piece)
            sink.put(piece, _usage(asked, said))
        return End("STOP", _usage(asked, said))

    async def aclose(self) -> None:
        """Has nothing to give back."""


def answer(prompt: Prompt, model: str) -> str:
    """The whole answer; JSON where the prompt asks for that."""
    question = prompt.messages[-1]
    text = "\n".join(part for part in question.parts if isinstance(part, str))
    images = sum(isinstance(part, Blob) for part in question.parts)
    if prompt.mime_type == "application/json" or prompt.schema is not None:
        return _structured(text, prompt)
    return _markdown(text, images, len(prompt.messages), model)


def pieces(text: str) -> Iterator[str]:
    """``text`` in chunks of about a word; together they are the text again."""
    end = 0
    for match in _PIECE.finditer(text):
        yield text[end : match.end()]
        end = match.end()
    if end < len(text):
        yield text[end:]


def _structured(text: str, prompt: Prompt) -> str:
    if prompt.schema is None:
        what = {"offline": True, "note": "This is the offline stand-in model, not Gemini.", "prompt": text}
        return msgspec.json.encode(what).decode()
    value = example(prompt.schema)
    # Gemini answers text/x.enum with the bare value.
    return str(value) if prompt.mime_type == "text/x.enum" else msgspec.json.encode(value).decode()


def _markdown(text: str, images: int, messages: int, model: str) -> str:
    quote = text[:_QUOTE_LIMIT] + ("…" if len(text) > _QUOTE_LIMIT else "")
    lines = [
        f"**Offline stand-in model.** No API key is set, so this is not {model} but a canned answer for trying things.",
        "",
        *(["You wrote:", "", *(f"> {line}" for line in quote.splitlines())] if text else ["You wrote nothing."]),
        "",
        f"- images with this message: {images}",
        f"- messages that Gemini would be sent: {messages}",
        "",
        "A code block, to see how the page shows one:",
        "",
        "```python",
        'print("Hello from the offline model")',
        "```",
        "",
        "Set `GOOGLE_API_KEY` to talk to Gemini.",
        "",
    ]
    return "\n".join(lines)


def _tokens(message: Message) -> int:
    return sum(text_tokens(part) if isinstance(part, str) else _IMAGE_TOKENS for part in message.parts)


def _usage(asked: int, characters: int) -> Usage:
    answered = -(-characters // 4)
    return Usage(asked, answered, asked + answered)
