"""
Tests for `aibridge.web.status`.
"""

from __future__ import annotations

from aibridge.web.faults import FAULTS
from aibridge.web.status import PHRASES


def test_what_the_bridge_says_has_a_phrase() -> None:
    """
    Every status that it chooses itself, but for the one that nobody is told.
    """
    chosen = {words.status for words in FAULTS.values()} - {499}
    assert chosen <= set(PHRASES)
    assert PHRASES[429] == b"Too Many Requests"
