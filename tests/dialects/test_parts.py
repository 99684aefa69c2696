"""
What is asked for can be told apart.
"""

from __future__ import annotations

from aibridge.dialects.parts import COUNTED, NOTHING, WHOLE, Part


def test_parts_are_themselves() -> None:
    """
    Three of them say all there is to say; others have fields, and say what becomes of the rest.
    """
    assert len({WHOLE, COUNTED, NOTHING}) == 3
    part = Part({b"a": WHOLE}, COUNTED)
    assert (part.fields.get(b"a"), part.rest, Part().fields, Part().rest) == (WHOLE, COUNTED, {}, None)
