"""Gemini's JSON (https://ai.google.dev/api/generate-content): answers, errors, and what it refuses."""

import re
from typing import Any

from tests.gemini_server.script import Script

Json = dict[str, Any]

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Shapes:
    """The answers to one call, with usage that grows as Gemini's does."""

    def __init__(self, model: str, number: int, prompt_tokens: int) -> None:
        self._model = model
        self._number = number
        self._prompt = prompt_tokens
        self._thoughts = 0
        self._candidates = 0

    def thought(self, text: str) -> Json:
        self._thoughts += tokens(text)
        return self._answer([{"content": {"parts": [{"text": text, "thought": True}], "role": "model"}, "index": 0}])

    def text(self, text: str, finish: str = "") -> Json:
        self._candidates += tokens(text)
        candidate: Json = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return self._answer([candidate])

    def finish(self, reason: str) -> Json:
        return self._answer([{"content": {"role": "model"}, "finishReason": reason, "index": 0}])

    def blocked(self, reason: str) -> Json:
        rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}
        return self._answer([], promptFeedback={"blockReason": reason, "safetyRatings": [rating]})

    def _answer(self, candidates: list[Json], **more: Any) -> Json:
        usage: Json = {
            "promptTokenCount": self._prompt,
            "totalTokenCount": self._prompt + self._thoughts + self._candidates,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": self._prompt}],
        }
        if self._candidates:
            usage["candidatesTokenCount"] = self._candidates
        if self._thoughts:
            usage["thoughtsTokenCount"] = self._thoughts
        answer: Json = {"candidates": candidates} if candidates else {}
        identity = {"modelVersion": self._model, "responseId": f"response-{self._number}"}
        return {**answer, **more, "usageMetadata": usage, **identity}


def canonical(body: Any) -> Any:
    """``body`` with its names in camelCase: Google takes protobuf's snake_case too, and the SDK mixes them."""
    if isinstance(body, list):
        return [canonical(item) for item in body]
    if not isinstance(body, dict):
        return body
    named = {re.sub(r"_([a-z])", lambda match: match[1].upper(), name): value for name, value in body.items()}
    return {name: value if "Schema" in name else canonical(value) for name, value in named.items()}


def tokens(text: str) -> int:
    """The stand-in's count: four characters a token, at least one."""
    return max(1, len(text) // 4)


def prompt_tokens(messages: list[tuple[str, list[str]]]) -> int:
    parts = (part for _, parts in messages for part in parts)
    return sum(258 if part.startswith("<image/") else tokens(part) for part in parts)


def error(script: Script) -> Json:
    """The error that a script asks for, in Google's shape (google.rpc.Status)."""
    code = script.status if script.status != 200 else 500
    details: list[Json] = []
    if script.reason:
        details.append(
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": script.reason, "domain": "googleapis.com"}
        )
    if script.retry_delay:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": script.retry_delay})
    return _error(code, script.message, details)


def refusal(model: str, key: str, wanted_key: str | None, body: Json) -> Json | None:
    """The error with which Gemini refuses such a request, or ``None`` when there is nothing to refuse."""
    complaint = _complaint(body.get("contents"))
    return unknown(model, key, wanted_key) or (_error(400, complaint) if complaint else None)


def unknown(model: str, key: str, wanted_key: str | None) -> Json | None:
    """The error for a key or a model that Gemini does not know."""
    if not key:
        return _error(403, "Method doesn't allow unregistered callers (callers without established identity).")
    if wanted_key is not None and key != wanted_key:
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return _error(400, "API key not valid. Please pass a valid API key.", [reason])
    if not model.startswith("gemini-"):
        return _error(404, f"models/{model} is not found for API version v1beta.")
    return None


def model(name: str) -> Json:
    """What Gemini says of a model (https://ai.google.dev/api/models#Model)."""
    methods = ["embedContent"] if "embedding" in name else ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


def _complaint(contents: Any) -> str:
    if not contents:
        return "* GenerateContentRequest.contents: contents is not specified"
    for index, content in enumerate(contents):
        if content.get("role") not in ("user", "model"):
            return "Please use a valid role: user, model."
        where = f"* GenerateContentRequest.contents[{index}].parts"
        if not content.get("parts"):
            return f"{where}: contents.parts must not be empty."
        for part in content["parts"]:
            if not part.get("text") and not part.get("inlineData", {}).get("data"):
                return f"{where}: contents.parts must have one initialized field."
    if contents[0]["role"] != "user" or contents[-1]["role"] != "user":
        return "Please ensure that a multiturn conversation begins and ends with a user turn."
    return ""


def complaint(message: str) -> Json:
    return _error(400, message)


def _error(code: int, message: str, details: list[Json] | None = None) -> Json:
    status: Json = {"code": code, "message": message, "status": _STATUSES.get(code, "UNKNOWN")}
    if details:
        status["details"] = details
    return {"error": status}
