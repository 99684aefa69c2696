"""
Tests for `aibridge.relay.outage`.
"""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from aibridge.relay.outage import Outage


def test_told_once() -> None:
    """
    However often it is noticed; and again when it has been over.
    """
    outage = Outage("The thing")
    with capturedLogs() as logs:
        outage.is_over()
        outage.noticed("it is broken")
        outage.noticed("it is still broken")
        outage.is_over()
        outage.is_over()
        outage.noticed("it is broken again")
    assert [(event["log_level"].name, formatEvent(event)) for event in logs] == [
        ("error", "The thing cannot be used: it is broken."),
        ("info", "The thing can be used again."),
        ("error", "The thing cannot be used: it is broken again."),
    ]
