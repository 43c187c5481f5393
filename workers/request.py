"""A call's request as Gemini is sent it: address and JSON (https://ai.google.dev/api/generate-content).

A conversation made of the SDK's models is checked and converted piece by piece, at half a millisecond a message. What
it sends then is this, to the letter: ``tests/integration/workers/test_gemini.py`` holds the two together.
"""

from base64 import urlsafe_b64encode
from typing import Any

from workers.prompt import Blob, Message, Prompt


def resource(model: str) -> str:
    """A model's name as addresses have it."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def body(prompt: Prompt, standing: dict[str, Any]) -> dict[str, Any]:
    """The prompt after what every request says, its ``generationConfig`` for one.

    Raises ``UnicodeEncodeError`` for text that is no Unicode (a lone surrogate).
    """
    asked = {"responseMimeType": prompt.mime_type, "responseJsonSchema": prompt.schema}
    wanted = {name: value for name, value in asked.items() if value is not None}
    return {
        **standing,
        "contents": [_content(message) for message in prompt.messages],
        "generationConfig": {**standing["generationConfig"], **wanted},
    }


def _content(message: Message) -> dict[str, Any]:
    return {"parts": [_part(part) for part in message.parts], "role": message.role}


def _part(part: str | Blob) -> dict[str, Any]:
    if isinstance(part, Blob):
        return {"inlineData": {"data": urlsafe_b64encode(part.content).decode(), "mimeType": part.mime_type}}
    part.encode()
    return {"text": part}
