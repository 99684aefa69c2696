"""
What is asked for of a JSON value.
"""

from __future__ import annotations

from typing import Final


class Part:
    """
    What is kept of a value.

    :param fields: of an object, or of each object in a list: the names that are asked for, and what is kept of each.
    :param rest: what is kept of all others.
    """

    __slots__ = ("fields", "rest")

    def __init__(self, fields: dict[bytes, Part] | None = None, rest: Part | None = None) -> None:
        self.fields: dict[bytes, Part] = {} if fields is None else fields
        self.rest: Part | None = rest


WHOLE: Final[Part] = Part()
"""All of it, its long texts aside."""

COUNTED: Final[Part] = Part()
"""Nothing of it, but the bytes of its texts are counted."""

NOTHING: Final[Part] = Part()
"""Nothing of it."""
