"""What ``gateway.schema`` lets pass, in short."""

from typing import Any

from gateway.openapi.operation import Schema
from gateway.schema import TYPES

RESPONSE_SCHEMA: Schema = {
    "description": "The schema that a JSON answer follows: the subset of JSON Schema that Gemini reads, with `items`, "
    "`properties`, `enum`, `required`, `anyOf` and the others that it knows",
    "type": "object",
    "properties": {"type": {"enum": [name for kind in sorted(TYPES) for name in (kind, kind.upper())]}},
    "required": ["type"],
}


def takes_schemas(media_types: tuple[str, ...], default: str) -> Schema:
    """What a prompt with a schema has to ask for."""
    named: dict[str, Any] = {"properties": {"response_mime_type": {"enum": list(media_types)}}}
    if default in media_types:
        named["properties"]["response_mime_type"]["enum"].append(None)
    else:
        named["required"] = ["response_mime_type"]
    return {
        "if": {"required": ["response_schema"], "properties": {"response_schema": {"type": "object"}}},
        "then": named,
    }
