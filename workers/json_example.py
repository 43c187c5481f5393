"""A small instance of a JSON Schema: what the offline model answers when it is asked for structured output."""

from typing import Any

Schema = dict[str, Any]

_DEEPEST = 24
_GENEROUS = 4
"""Levels on which optional properties and items are shown too; below, the least that is valid, so recursion ends."""

_FORMATS = {
    "date-time": "2024-01-01T00:00:00Z",
    "date": "2024-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: Schema) -> Any:
    """A value that fits the everyday part of JSON Schema; ``None`` (null) where the schema says nothing known.

    Known are ``const``, ``default``, ``enum``, ``examples``, ``$ref`` into the same document, ``anyOf``, ``oneOf``,
    ``type`` (in capitals too, as Gemini writes it), properties, items, and the inclusive bounds of strings, numbers
    and arrays.
    """
    return _of(schema, schema, 0)


def _of(schema: Any, root: Schema, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if "$ref" in schema:
        return _of(_resolved(root, str(schema["$ref"])), root, depth + 1)
    given = [schema[key] for key in ("const", "default") if key in schema]
    given += [schema[key][0] for key in ("enum", "examples") if schema.get(key)]
    if given:
        return given[0]
    choices = schema.get("anyOf") or schema.get("oneOf")
    return _of(choices[0], root, depth + 1) if choices else _typed(schema, root, depth)


def _typed(schema: Schema, root: Schema, depth: int) -> Any:
    match _kind(schema):
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "string":
            text = _FORMATS.get(schema.get("format", ""), "text").ljust(int(schema.get("minLength", 0)), ".")
            return text[: int(schema.get("maxLength", len(text)))]
        case "integer":
            return int(_nearest_to_zero(schema))
        case "number":
            return _nearest_to_zero(schema)
        case "boolean":
            return False
    return None


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(iter(kind), None)
    if isinstance(kind, str):
        return kind.lower()
    return "object" if "properties" in schema else "array" if "items" in schema else ""


def _object(schema: Schema, root: Schema, depth: int) -> Schema:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    names = [*properties, *required] if depth < _GENEROUS else required
    return {name: _of(properties.get(name), root, depth + 1) for name in dict.fromkeys(names)}


def _array(schema: Schema, root: Schema, depth: int) -> list[Any]:
    count = int(schema.get("minItems", 0))
    if depth < _GENEROUS:
        count = min(max(count, 1), int(schema.get("maxItems", count + 1)))
    return [_of(schema.get("items"), root, depth + 1) for _ in range(count)]


def _nearest_to_zero(schema: Schema) -> float:
    return float(min(max(0, schema.get("minimum", 0)), schema.get("maximum", float("inf"))))


def _resolved(root: Schema, reference: str) -> Any:
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
    return place
