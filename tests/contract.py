"""The API document as a promise: what an answer must be to keep it.

Strict where clients are told to be lenient: what an answer has must be described, fields and headers alike.
"""

import re
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker

from gateway.openapi.document import build
from gateway.settings import GatewaySettings
from tests.client import Answer
from tests.sse import Event, parse

_NOT_OURS = {"content-type", "content-length", "connection", "date", "transfer-encoding", "vary"}
"""What HTTP and CORS themselves ask for."""

Key = tuple[str, str, int]
"""Method, path, status."""


class Contract:
    def __init__(self, document: Any) -> None:
        self.document = document
        self._schemas = {"components": {"schemas": _closed(document["components"]["schemas"])}}

    @classmethod
    def of(cls, settings: GatewaySettings) -> "Contract":
        return cls(msgspec.json.decode(msgspec.json.encode(build(settings))))

    def answers(self) -> list[Key]:
        """Every answer that is described."""
        return [
            (method.upper(), path, int(status))
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
            for status in operation["responses"]
        ]

    def operation(self, method: str, path: str) -> Any:
        """The description of a call to a real path."""
        bare = path.partition("?")[0]
        exact = self.document["paths"].get(bare)
        found = exact or next(methods for name, methods in self.document["paths"].items() if _matches(name, bare))
        return found[method.lower()]

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Raises ``AssertionError`` where the answer is not as described."""
        described = self.operation(method, path)["responses"]
        assert str(answer.status) in described, f"{method} {path}: {answer.status} is not described: {answer.body!r}"
        promise = described[str(answer.status)]
        self._check_headers(promise.get("headers", {}), {name.lower(): value for name, value in answer.headers.items()})
        contents = promise.get("content", {})
        if not contents:
            assert answer.body == b"", f"{method} {path}: a body where none is described"
            return
        kind = answer.headers["content-type"]
        assert kind in contents, f"{method} {path}: {kind} is not described"
        self._check_body(kind, contents[kind], answer.body)

    def validator(self, schema: Any) -> Draft202012Validator:
        return Draft202012Validator({**_closed(schema), **self._schemas}, format_checker=FormatChecker())

    def _check_headers(self, promised: Any, headers: dict[str, str]) -> None:
        known = {name.lower(): self.document["components"]["headers"][name] for name in promised}
        unknown = {name for name in headers if not name.startswith("access-control-")} - known.keys() - _NOT_OURS
        assert not unknown, f"headers that are not described: {unknown}"
        missing = {name for name, header in known.items() if header.get("required")} - headers.keys()
        assert not missing, f"headers that are promised and missing: {missing}"
        for name, value in headers.items():
            schema = known.get(name, {}).get("schema", {})
            self.validator(schema).validate(int(value) if schema.get("type") == "integer" else value)

    def _check_body(self, kind: str, content: Any, body: bytes) -> None:
        if kind == "application/json":
            self.validator(content["schema"]).validate(msgspec.json.decode(body))
        elif kind == "text/event-stream":
            for event in parse(body):
                told = {"event": event.type, "id": event.last_event_id, "data": event.data}
                self.validator(content["schema"]).validate(told)
                self._check_event_data(event)

    def _check_event_data(self, event: Event) -> None:
        """A validator does not look into strings."""
        [described] = [one for one in self.events() if one["title"] == event.type]
        inside = described["properties"]["data"].get("contentSchema")
        if inside is not None:
            self.validator(inside).validate(msgspec.json.decode(event.data))

    def events(self) -> list[Any]:
        events: list[Any] = self.document["components"]["schemas"]["StreamEvent"]["anyOf"]
        return events


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", ".+", template), path) is not None


def _closed(schema: Any) -> Any:
    """The schema with objects that may have the described fields alone."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
