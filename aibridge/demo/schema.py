"""
Makes up a value that fits a JSON schema, well enough for a tool call that is only a demonstration.

The same schema always gives the same value. The words are harmless on purpose: a coding agent that is pointed at the
demo may really run what it is told to.
"""

from __future__ import annotations

from typing import Any

_MOST_VALUES = 200
_MOST_DEPTH = 12
_MOST_PROPERTIES = 8
_MOST_CHARACTERS = 1000

WORDS = {
    "city": "Paris",
    "cmd": "echo demo",
    "command": "echo demo",
    "country": "France",
    "file_path": "demo.txt",
    "location": "Paris",
    "name": "demo",
    "path": "demo.txt",
    "query": "demo",
    "timezone": "UTC",
    "unit": "celsius",
    "url": "http://localhost/",
}
"""What a text is, by the name of its property; ``demo`` where the name is not here."""

FORMATS = {
    "date": "2026-11-01",
    "date-time": "2026-11-01T12:00:00Z",
    "time": "12:00:00Z",
    "email": "demo@example.com",
    "hostname": "localhost",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "http://localhost/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


ANY_OBJECT = {"type": "object", "properties": {"message": {"type": "string"}}}
"""Where a client wants JSON and does not say which."""


def instance(schema: object) -> Any:
    """
    A value that fits `schema`, as far as types, required properties, choices, references and sizes go; patterns and
    conditions are not looked at. What is no schema gives None.
    """
    return _Maker(schema).make(schema, "", 0)


def arguments(schema: object) -> dict[str, Any]:
    """
    The arguments of a tool whose input has `schema`: always an object.
    """
    made = instance(schema)
    return made if isinstance(made, dict) else {}


class _Maker:
    """
    Makes one value; counts what it makes, since references can make a small schema endless.
    """

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = _MOST_VALUES

    def make(self, schema: object, name: str, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0 or depth > _MOST_DEPTH:
            return None
        if "const" in schema:
            return schema["const"]
        for key in ("enum", "examples"):
            choices = schema.get(key)
            if isinstance(choices, list) and choices:
                return choices[0]
        if "default" in schema:
            return schema["default"]
        if "$ref" in schema:
            return self.make(self._find(schema["$ref"]), name, depth + 1)
        for key in ("anyOf", "oneOf", "allOf"):
            choices = schema.get(key)
            if isinstance(choices, list) and choices and "properties" not in schema:
                return self.make(_first_real(choices), name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                least = _whole(schema.get("minItems"), 1)
                items = schema.get("items")
                return [self.make(items, name, depth + 1) for _ in range(min(least, _MOST_PROPERTIES)) if items]
            case "string":
                return _text(schema, name)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case _:
                return None

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return {}
        required = schema.get("required")
        listed = required if isinstance(required, list) else []
        wanted = [name for name in listed if isinstance(name, str) and name in properties]
        names = wanted or list(properties)[:_MOST_PROPERTIES]
        return {name: self.make(properties[name], name, depth + 1) for name in names[:_MOST_VALUES]}

    def _find(self, reference: object) -> object:
        """
        What a reference within the same schema points to (RFC 6901, without its escapes).
        """
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self._root
        for key in reference[1:].strip("/").split("/"):
            if key:
                found = found.get(key) if isinstance(found, dict) else None
        return found


def _first_real(choices: list[Any]) -> Any:
    return next((c for c in choices if not (isinstance(c, dict) and c.get("type") == "null")), choices[0])


def _type_of(schema: dict[str, Any]) -> object:
    found = schema.get("type")
    if isinstance(found, list):
        found = next((kind for kind in found if kind != "null"), "null")
    if found is None:
        found = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return found


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _text(schema: dict[str, Any], name: str) -> str:
    format_ = schema.get("format")
    text = FORMATS.get(format_, "") if isinstance(format_, str) else ""
    text = text or WORDS.get(name.lower(), "demo")
    least = min(_whole(schema.get("minLength"), 0), _MOST_CHARACTERS)
    most = max(_whole(schema.get("maxLength"), _MOST_CHARACTERS), 0)
    return text.ljust(least, "o")[:most]


def _number(schema: dict[str, Any]) -> int:
    """
    1, or the whole number nearest to it that is allowed.
    """
    value = min(1, _whole(schema.get("maximum"), 1), _whole(schema.get("exclusiveMaximum"), 2) - 1)
    least = max(_whole(schema.get("minimum"), value), _whole(schema.get("exclusiveMinimum"), value - 1) + 1)
    return max(value, least)
