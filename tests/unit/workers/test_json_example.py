"""Examples are valid by their schemas, judged by an independent validator."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.json_example import example

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children"],
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"poem": {"type": "string"}}, "required": ["poem"]},
        {"type": "array", "items": {"type": "number"}, "minItems": 3},
        {"type": "array", "maxItems": 0},
        {"type": "string", "minLength": 10},
        {"type": "string", "maxLength": 2},
        {"type": "string", "format": "date-time"},
        {"type": "integer", "minimum": 5},
        {"type": "integer", "maximum": -5},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["integer", "null"]},
        {"const": 7},
        {"enum": ["a", "b"]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"properties": {"a": {"items": {"type": "boolean"}}}},
        {"type": "object", "required": ["unknown"]},
        {},
        TREE,
    ],
)
def test_an_example_is_valid(schema: dict[str, Any]) -> None:
    jsonschema.validate(example(schema), schema)


def test_types_may_be_in_capitals_as_gemini_writes_them() -> None:
    assert example({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}) == {"a": "text"}


def test_optional_properties_are_shown() -> None:
    assert example({"type": "object", "properties": {"a": {"type": "string"}}}) == {"a": "text"}


@pytest.mark.parametrize("reference", ["#", "#/$defs/missing", "https://example.com/schema", ""])
def test_a_reference_that_leads_nowhere_or_in_circles_ends(reference: str) -> None:
    assert example({"$ref": reference}) is None


bounds = st.tuples(st.integers(-9, 9), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))
leaves = st.one_of(
    bounds.map(lambda pair: {"type": "integer", "minimum": pair[0], "maximum": pair[1]}),
    bounds.map(lambda pair: {"type": "number", "minimum": pair[0], "maximum": pair[1]}),
    bounds.map(lambda pair: {"type": "string", "minLength": max(0, pair[0]), "maxLength": max(0, pair[1])}),
    st.just({"type": "boolean"}),
    st.lists(st.text(), min_size=1).map(lambda values: {"type": "string", "enum": values}),
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.integers(0, 3)).map(lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(
            lambda properties: {"type": "object", "properties": properties, "required": list(properties)[:2]}
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda choices: {"anyOf": choices}),
    ),
    max_leaves=8,
)


@given(schemas)
def test_examples_of_any_schema_of_the_everyday_part_are_valid(schema: dict[str, Any]) -> None:
    jsonschema.validate(example(schema), schema)
