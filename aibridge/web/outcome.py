"""
How an answer that began well has ended: what counts for its provider is known at its end, not at its head.

A status of 200 is a promise. What follows may be an error, or break off, or end without its end; all of these count
as the status that a provider would have sent had it known. A client that leaves says nothing of the provider, but what
had been told before does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aibridge import errors
from aibridge.dialects.inband import status_of
from aibridge.dialects.reader import UsageReader
from aibridge.dialects.usage import Report
from aibridge.model import Dialect
from aibridge.web.entrance import Entrance

COMPLETED: Final = "completed"

ANSWER_ERROR: Final = "answer_error"
"""The cause of an exchange whose answer was whole, and tells an error."""

_BROKE_OFF: Final = (errors.UpstreamTruncated.kind, errors.UpstreamReset.kind, errors.SilenceTimeout.kind)


def outcome_of(cause: str, report: Report | None, dialect: Dialect) -> errors.UpstreamError | int | None:
    """
    What counts for the provider of an answer with a status of 2xx: a status, an error, or None if nothing does.

    :param cause: why it is over.
    :param report: what was read of it, if it was read.
    """
    if report is not None and report.error:
        return status_of(report.error, dialect)
    if cause in _BROKE_OFF:
        return errors.UpstreamTruncated()
    if report is not None and report.complete:
        return 200
    if cause != COMPLETED:
        return None
    return errors.UpstreamTruncated() if report is not None and report.cut else 200


def cause_of(cause: str, report: Report | None) -> str:
    """
    How an exchange ended whose answer came to an end: also if that was none, or tells an error.
    """
    if cause != COMPLETED or report is None:
        return cause
    if report.error:
        return ANSWER_ERROR
    return errors.UpstreamTruncated.kind if report.cut else cause


def watched(reader: UsageReader | None, entrance: Entrance | None) -> UsageReader | None:
    """
    A reader of an answer, which tells a breaker that waits for it when the answer has begun.
    """
    if reader is None or entrance is None or not entrance.is_probe:
        return reader
    return Probing(reader, entrance.begun)


class Probing:
    """
    Reads an answer for another reader, and tells when the first piece of text is there.

    A breaker that is half-open waits for its probes. An answer may take an hour; that its provider serves again is
    known when it has begun to write.

    :param begun: called once, if there is such a piece.
    """

    __slots__ = ("_begun", "_reader")

    def __init__(self, reader: UsageReader, begun: Callable[[], None]) -> None:
        self._reader = reader
        self._begun: Callable[[], None] | None = begun

    @property
    def pieces(self) -> int:
        """
        Those that were seen.
        """
        return self._reader.pieces

    def feed(self, data: bytes) -> bool:
        """
        The next bytes.
        """
        more = self._reader.feed(data)
        self._look()
        return more

    def go_on(self) -> bool:
        """
        Do the next of what is to be done.
        """
        more = self._reader.go_on()
        self._look()
        return more

    def end(self) -> Report:
        """
        The body is over.
        """
        self._begun = None
        return self._reader.end()

    def _look(self) -> None:
        begun = self._begun
        if begun is not None and self._reader.pieces:
            self._begun = None
            begun()
