"""What ``gateway.schema`` lets pass, as a schema itself."""

from typing import Any

from gateway.openapi.operation import Schema
from gateway.schema import LISTS_OF_TEXT, NAMED_SCHEMAS, SAYS_WHAT, SCHEMA, SCHEMAS, TYPES

_KIND = {"enum": [name for kind in sorted(TYPES) for name in (kind, kind.upper())]}
_BELOW = {"anyOf": [{"$ref": "#/components/schemas/ResponseSchemaPart"}, {"type": "boolean"}]}


def components() -> dict[str, Schema]:
    """``ResponseSchema`` and what it is made of."""
    whole = {
        "description": "The schema that a JSON answer follows: the subset of JSON Schema that Gemini reads",
        "type": "object",
        "allOf": [{"$ref": "#/components/schemas/ResponseSchemaPart"}],
        "anyOf": [{"required": [name]} for name in sorted(SAYS_WHAT)],
    }
    return {"ResponseSchema": whole, "ResponseSchemaPart": _part()}


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


def _part() -> Schema:
    text = {"type": "array", "items": {"type": "string"}}
    properties: dict[str, Any] = {
        "type": {"anyOf": [_KIND, {"type": "array", "items": _KIND, "minItems": 1}]},
        "enum": {"type": "array", "minItems": 1},
        **dict.fromkeys(LISTS_OF_TEXT, text),
        **dict.fromkeys(SCHEMA, _BELOW),
        **{key: {"type": "array", "items": _BELOW, "minItems": 1} for key in SCHEMAS},
        **{key: {"type": "object", "additionalProperties": _BELOW} for key in NAMED_SCHEMAS},
    }
    return {"description": "A schema within a schema", "type": "object", "properties": properties}
