"""
How answers begin: the status line and the date.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

PHRASES: Final[dict[int, bytes]] = {status.value: status.phrase.encode() for status in HTTPStatus}
"""Status → phrase (RFC 9110, 15)."""


class StatusLines:
    """
    Makes the first two lines of an answer, each once a second.

    :param seconds: monotonic seconds.
    :param wall_clock: Unix seconds.
    """

    __slots__ = ("_lines", "_second", "_seconds", "_wall_clock")

    def __init__(self, seconds: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._wall_clock = wall_clock
        self._second = -1
        self._lines: dict[int, bytes] = {}

    def of(self, status: int) -> bytes:
        """
        The status line and ``Date`` (RFC 9110, 6.6.1), with their line ends.
        """
        second = int(self._seconds())
        if second != self._second:
            self._second = second
            self._lines.clear()
        lines = self._lines.get(status)
        if lines is None:
            date = formatdate(self._wall_clock(), usegmt=True).encode()
            lines = b"HTTP/1.1 %d %b\r\nDate: %b\r\n" % (status, PHRASES.get(status, b""), date)
            self._lines[status] = lines
        return lines
