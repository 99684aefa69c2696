"""
What holds for one request, and how its bucket stands.
"""

from __future__ import annotations

from aibridge.admission.limit import Limit, State


def test_a_state_tells_its_level() -> None:
    """
    In requests or tokens, debts included.
    """
    assert State(Limit("a", True, 2.0, 10.0, False), 0, 7.5).level == 15
