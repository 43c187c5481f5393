"""A prompt's contents as the JSON that Gemini is sent (https://ai.google.dev/api/caching#Content).

A conversation made of the SDK's models is checked and converted piece by piece, at half a millisecond a message. What
it sends then is this, to the letter: ``tests/integration/workers/test_gemini.py`` holds the two together.
"""

from base64 import urlsafe_b64encode
from typing import Any

from workers.prompt import Blob, Message, Prompt


def contents(prompt: Prompt) -> list[dict[str, Any]]:
    """Raises ``UnicodeEncodeError`` for text that is no Unicode (a lone surrogate)."""
    return [_content(message) for message in prompt.messages]


def _content(message: Message) -> dict[str, Any]:
    return {"parts": [_part(part) for part in message.parts], "role": message.role}


def _part(part: str | Blob) -> dict[str, Any]:
    if isinstance(part, Blob):
        return {"inlineData": {"data": urlsafe_b64encode(part.content).decode(), "mimeType": part.mime_type}}
    part.encode()
    return {"text": part}
