"""The API document: the tables beside this file, and the models by which bodies are checked and made."""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway import shapes
from gateway.openapi import conversation, response_schema, responses, service, streams, text
from gateway.openapi.headers import HEADERS
from gateway.openapi.operation import Operation, Parameter
from gateway.openapi.responses import responses_of
from gateway.routes.text import TAKE_SCHEMAS
from gateway.settings import GatewaySettings

VERSION = "1.0.0"
"""Of the HTTP API, not of the program."""

Document = dict[str, Any]

_ABOUT = (
    "Lets many browser users chat with Google Gemini while the API key stays on the server.\n\n"
    "A session is a cookie: `GET /session` is a page's first call. `POST /upload` and `POST /chat` leave images and a "
    "message, `GET /stream` begins the turn that answers them and follows it, and `GET /history` keeps both.\n\n"
    "Every error has a true status and the body `Error`. An address that is not described here is 404, a method that "
    "is not described for its address 405 with `Allow`; `HEAD` is answered where `GET` is, but for `/stream`, and "
    "`OPTIONS` everywhere. Pages of other origins may call as `CORS_ORIGIN` says: those that it names with the "
    "cookie; where it names none, all, but without the cookie. Clients must bear fields and events new to them."
)
_TAGS = {
    "conversation": "Chat: one session, one conversation",
    "text": "Text without a conversation",
    "service": "For balancers and operators",
    "pages": "For people",
}


def build(settings: GatewaySettings) -> Document:
    """OpenAPI 3.1.1, with this gateway's own limits."""
    told = operations(settings)
    paths: dict[str, dict[str, Any]] = {}
    for operation in told:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "gemini-gateway",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Beside this document, wherever a proxy may serve it.
        "servers": [{"url": "./"}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(told, settings),
            "headers": HEADERS,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": settings.cookie_name,
                    "description": "Handed out by the first call that needs it. Over TLS its name is "
                    f"`__Host-{settings.cookie_name}`. One that is not known is replaced, never adopted.",
                }
            },
        },
    }


def operations(settings: GatewaySettings) -> list[Operation]:
    """Every call that the gateway answers."""
    return [
        *conversation.operations(settings),
        *streams.operations(),
        *text.operations(settings),
        *service.operations(),
    ]


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description or operation.summary,
        "security": [{}, {"session": []}] if operation.guarded else [],
    }
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {operation.body.media_type: responses.media(operation.body)},
        }
    described["responses"] = responses_of(operation)
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": parameter.schema,
        "example": parameter.example,
    }


def _schemas(told: list[Operation], settings: GatewaySettings) -> dict[str, Any]:
    kinds = dict.fromkeys((*_models(told), shapes.Error, *streams.EVENT_DATA))
    _, components = msgspec.json.schema_components(kinds, ref_template=responses.REF)
    asked = {operation.body.of.__name__ for operation in told if operation.body and isinstance(operation.body.of, type)}
    for name in components.keys() - asked:
        _promise(components[name])
    components["StreamEvent"] = streams.stream_event()
    components["ChatRequest"]["properties"]["message"]["maxLength"] = settings.message_max_chars
    components["ResponseSchema"] = response_schema.RESPONSE_SCHEMA
    components["TextPrompt"] |= response_schema.takes_schemas(TAKE_SCHEMAS, settings.text_mime_type)
    components["TextPrompt"]["properties"]["prompt"]["maxLength"] = settings.prompt_max_chars
    return components


def _promise(answered: dict[str, Any]) -> None:
    """What a caller may leave out, for its default, no answer comes without."""
    properties = answered.get("properties", {})
    for name in [name for name, described in properties.items() if "default" in described]:
        answered["required"].append(name)
        del properties[name]["default"]


def _models(told: Iterable[Operation]) -> Iterable[type[msgspec.Struct]]:
    for operation in told:
        bodies = [operation.body] if operation.body else []
        for content in [*bodies, *(content for answer in operation.answers for content in answer.contents)]:
            if isinstance(content.of, type):
                yield content.of
