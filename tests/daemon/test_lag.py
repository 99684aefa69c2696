"""
How late the reactor is, on a model clock.
"""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from aibridge.daemon.lag import EVERY_S, Lag


def test_on_time_and_late() -> None:
    """
    Each alarm is told by how much it was late, and one that was does not make the next one late.
    """
    clock, told = Clock(), list[float]()
    Lag(clock, told.append).start()
    for step_s in (EVERY_S, EVERY_S + 0.5, EVERY_S / 2, EVERY_S / 2):
        clock.advance(step_s)
    assert told == [pytest.approx(0.0), pytest.approx(0.5), pytest.approx(0.0)]
    assert len(clock.calls) == 1
