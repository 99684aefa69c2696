"""
What an answer counts for when it has ended.
"""

from __future__ import annotations

import pytest

from aibridge import errors
from aibridge.dialects.reader import reader_for
from aibridge.dialects.usage import Report, Unread
from aibridge.model import Dialect
from aibridge.web.outcome import ANSWER_ERROR, COMPLETED, Probing, cause_of, outcome_of
from answers import EVENTS, MESSAGES_START, named

WHOLE = Report(complete=True)
CUT = Report(cut=True)
OVERLOADED = Report(error="overloaded_error")


@pytest.mark.parametrize(
    ("cause", "report", "outcome", "told"),
    [
        (COMPLETED, WHOLE, 200, COMPLETED),
        (COMPLETED, None, 200, COMPLETED),
        (COMPLETED, Report(unread=Unread.ENCODED), 200, COMPLETED),
        (COMPLETED, Report(), 200, COMPLETED),
        (COMPLETED, OVERLOADED, 529, ANSWER_ERROR),
        (COMPLETED, CUT, errors.UpstreamTruncated, "truncated"),
        ("truncated", CUT, errors.UpstreamTruncated, "truncated"),
        ("reset", None, errors.UpstreamTruncated, "reset"),
        ("silence_timeout", CUT, errors.UpstreamTruncated, "silence_timeout"),
        ("truncated", OVERLOADED, 529, "truncated"),
        ("client_left", CUT, None, "client_left"),
        ("client_left", None, None, "client_left"),
        ("client_left", WHOLE, 200, "client_left"),
        ("client_left", OVERLOADED, 529, "client_left"),
        ("total_timeout", CUT, None, "total_timeout"),
        ("draining", CUT, None, "draining"),
        ("internal", CUT, None, "internal"),
    ],
)
def test_what_counts(cause: str, report: Report | None, outcome: object, told: str) -> None:
    """
    An error that was told, an end that was none; and who leaves says nothing of the provider.
    """
    found = outcome_of(cause, report, Dialect.MESSAGES)
    assert found == outcome if not isinstance(outcome, type) else isinstance(found, outcome)
    assert cause_of(cause, report) == told


def test_a_probe_tells_when_its_answer_has_begun() -> None:
    """
    Once, with the first piece of text, and not at the head.
    """
    reader = reader_for(Dialect.MESSAGES, EVENTS, None)
    assert reader is not None
    begun: list[int] = []
    probing = Probing(reader, lambda: begun.append(probing.pieces))
    probing.feed(MESSAGES_START.partition(b"event: content_block_delta")[0])
    assert begun == []
    piece = named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}})
    probing.feed(piece)
    probing.feed(piece)
    assert not probing.go_on()
    assert begun == [1]
    assert probing.end().pieces == 2
