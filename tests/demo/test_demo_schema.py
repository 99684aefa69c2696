"""
Values that are made up from a schema.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.demo.schema import arguments, instance

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)

WORDS = ["type", "properties", "items", "anyOf", "allOf", "$ref", "$defs", "enum", "required", "minItems", "minimum"]
SCHEMAS = st.recursive(
    JSON | st.sampled_from(["object", "array", "string", "integer", "null", "#", "#/$defs/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WORDS, "a"]), inner, max_size=5),
    max_leaves=20,
)

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string"}, "demo"),
        ({"type": "string", "format": "date"}, "2026-11-01"),
        ({"type": "string", "minLength": 6}, "demooo"),
        ({"type": "string", "maxLength": 2}, "de"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "number", "exclusiveMinimum": 1}, 2),
        ({"type": "number", "exclusiveMaximum": 1}, 0),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array"}, []),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 0}, 0),
        ({"type": "integer", "default": 9}, 9),
        ({"examples": ["x"]}, "x"),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": "found"}}}, "found"),
        ({"properties": {"city": {}, "path": {}}}, {"city": "Paris", "path": "demo.txt"}),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b", "c"]}, {"b": "demo"}),
        ({"type": "object"}, {}),
        ("no schema", None),
        ({"$ref": "#/nowhere"}, None),
        ({"$ref": "elsewhere.json"}, None),
    ],
)
def test_a_value_fits_its_schema(schema: object, made: object) -> None:
    """
    Types, choices, sizes, references and required properties are respected.
    """
    assert instance(schema) == made


def test_a_schema_of_itself_comes_to_an_end() -> None:
    """
    A schema that refers to itself gives a value of bounded size.
    """
    made = instance({"$ref": "#/$defs/node", "$defs": {"node": NODE}})
    assert len(json.dumps(made)) < 10_000


def test_a_schema_that_branches_without_end_comes_to_an_end() -> None:
    """
    References that would double with every level stop at a number of values.
    """
    branching: dict[str, Any] = {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefgh"}}
    assert len(json.dumps(instance(branching))) < 10_000


@pytest.mark.parametrize("schema", [None, {}, {"type": "string"}, {"type": "array"}])
def test_arguments_are_an_object(schema: object) -> None:
    """
    A tool is called with an object, whatever its schema says.
    """
    assert arguments(schema) == {}


@given(SCHEMAS)
def test_no_schema_fails(schema: object) -> None:
    """
    Whatever stands for a schema, a value comes out that can be written as JSON.
    """
    json.dumps(instance(schema))
    json.dumps(arguments(schema))
