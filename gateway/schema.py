"""Checks a ``response_schema`` before it is sent: the subset of OpenAPI 3.0 and JSON Schema that Gemini reads.

Source: Gemini API, "Structured output" and the ``Schema`` type of its reference. Types are written in lower case (JSON
Schema) or in capitals (the reference's enum).
"""

from typing import Any

import msgspec

# Keywords by what they hold.
TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_SCHEMA = ("items", "additionalProperties", "not")
_SCHEMAS = ("anyOf", "any_of", "oneOf", "allOf", "prefixItems")
_NAMED_SCHEMAS = ("properties", "$defs", "defs", "definitions", "patternProperties")
_LISTS_OF_TEXT = ("required", "propertyOrdering", "property_ordering")
_SAYS_WHAT = frozenset({"type", "anyOf", "any_of", "oneOf", "allOf", "$ref", "ref", "enum"})


class SchemaError(ValueError):
    """A sentence that names the place."""


def check_schema(schema: dict[str, Any], *, max_bytes: int, max_depth: int) -> None:
    """Raises SchemaError unless ``schema`` is small, flat and meaningful enough to be sent."""
    if _too_deep(schema, max_depth):
        raise SchemaError(f"response_schema is nested deeper than {max_depth} levels.")
    if len(msgspec.json.encode(schema)) > max_bytes:
        raise SchemaError(f"response_schema is larger than {max_bytes} bytes.")
    if not _SAYS_WHAT & schema.keys():
        raise SchemaError("response_schema must have a type.")
    places: list[tuple[str, Any]] = [("response_schema", schema)]
    while places:
        where, node = places.pop()
        if isinstance(node, bool) and where != "response_schema":
            continue
        if not isinstance(node, dict):
            raise SchemaError(f"{where} must be an object.")
        _check_node(where, node)
        places += _below(where, node)


def _too_deep(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [below for item in level for below in _children(item)]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_node(where: str, node: dict[str, Any]) -> None:
    if "type" in node:
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        if not kinds or not all(isinstance(kind, str) and kind.lower() in TYPES for kind in kinds):
            raise SchemaError(f"{where}.type must be one of {', '.join(sorted(TYPES))}.")
    for name in _LISTS_OF_TEXT:
        if name in node and not _is_list_of_text(node[name]):
            raise SchemaError(f"{where}.{name} must be a list of strings.")
    if "enum" in node and not (isinstance(node["enum"], list) and node["enum"]):
        raise SchemaError(f"{where}.enum must be a list with at least one value.")


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _below(where: str, node: dict[str, Any]) -> list[tuple[str, Any]]:
    """The schemas inside a schema, each with its place."""
    found = [(f"{where}.{name}", node[name]) for name in _SCHEMA if name in node]
    for name in _SCHEMAS:
        if name in node:
            if not isinstance(node[name], list) or not node[name]:
                raise SchemaError(f"{where}.{name} must be a list with at least one schema.")
            found += [(f"{where}.{name}[{i}]", below) for i, below in enumerate(node[name])]
    for name in _NAMED_SCHEMAS:
        if name in node:
            if not isinstance(node[name], dict):
                raise SchemaError(f"{where}.{name} must be an object.")
            found += [(f"{where}.{name}.{key}", below) for key, below in node[name].items()]
    return found
