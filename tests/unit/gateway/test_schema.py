"""What is sent to Gemini as a response_schema, and what is not."""

from typing import Any

import pytest

from gateway.schema import SchemaError, check_schema

RECIPES = {
    "type": "ARRAY",
    "items": {
        "type": "OBJECT",
        "properties": {
            "name": {"type": "STRING"},
            "steps": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": 1},
            "rating": {"type": ["number", "null"], "minimum": 0},
            "level": {"type": "STRING", "enum": ["easy", "hard"]},
        },
        "required": ["name"],
        "propertyOrdering": ["name", "steps"],
    },
}


def check(schema: dict[str, Any], max_bytes: int = 1000, max_depth: int = 10) -> None:
    check_schema(schema, max_bytes=max_bytes, max_depth=max_depth)


@pytest.mark.parametrize(
    "schema",
    [
        RECIPES,
        {"type": "string"},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "additionalProperties": False}}},
        {"enum": ["a", "b"]},
        {"type": "object", "properties": {"type": {"type": "string"}}},
        {"type": "array", "prefixItems": [{"type": "string"}, {}]},
    ],
)
def test_a_schema_that_gemini_reads_is_sent(schema: dict[str, Any]) -> None:
    check(schema)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({}, "must have a type"),
        ({"description": "anything"}, "must have a type"),
        ({"type": "text"}, "response_schema.type must be one of"),
        ({"type": 3}, "response_schema.type must be one of"),
        ({"type": []}, "response_schema.type must be one of"),
        ({"type": ["string", {}]}, "response_schema.type must be one of"),
        ({"type": "array", "items": "string"}, "response_schema.items must be an object"),
        ({"type": "array", "items": [{"type": "string"}]}, "response_schema.items must be an object"),
        ({"type": "object", "properties": ["a"]}, "response_schema.properties must be an object"),
        ({"type": "object", "properties": {"a": {"type": "bool"}}}, "response_schema.properties.a.type must be one of"),
        ({"type": "object", "required": "name"}, "response_schema.required must be a list of strings"),
        ({"type": "object", "required": [1]}, "response_schema.required must be a list of strings"),
        ({"anyOf": []}, "response_schema.anyOf must be a list"),
        ({"anyOf": [{"type": "string"}, 7]}, r"response_schema.anyOf\[1\] must be an object"),
        ({"type": "string", "enum": []}, "response_schema.enum must be a list"),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused_with_its_place(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        check(schema)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def test_depth_is_bounded_to_the_level() -> None:
    check(nested(9), max_depth=10)
    with pytest.raises(SchemaError, match="deeper than 10"):
        check(nested(10), max_depth=10)


def test_depth_hidden_in_a_default_counts_too() -> None:
    default: list[Any] = []
    for _ in range(300):
        default = [default]
    with pytest.raises(SchemaError, match="deeper"):
        check({"type": "array", "default": default}, max_bytes=10_000)


def test_size_is_bounded_to_the_byte() -> None:
    schema = {"type": "string", "description": "x" * 100}
    size = len('{"type":"string","description":""}') + 100
    check(schema, max_bytes=size)
    with pytest.raises(SchemaError, match="larger than"):
        check(schema, max_bytes=size - 1)
