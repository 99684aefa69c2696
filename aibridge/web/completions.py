"""
Where completions are written: one buffered write for many of them, off the path of the requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

INTERVAL_S = 0.2

MOST_HELD = 64
"""A line takes some five microseconds. Whoever asks while a batch is being written waits for all of it, which with
thousands of refusals in a second is felt; and more than that would be lost at once."""

_NEWLINE = ord("\n")

_log = Logger(namespace=__name__)

Told = TypeVar("Told")
"""What has ended; an exchange's is an `aibridge.log.Completion`."""


class Completions(Generic[Told]):
    """
    Writes a line for each completion, soon after it, and in its order.

    A sink that fails (a full disk, a closed pipe) costs lines, never requests: what could not be written is counted
    in `lost`, and the log says once that it began and once that it ended.

    :param sink: opened without buffering, or None to write nothing.
    :param render: a completion as text, without a line end.
    """

    def __init__(self, clock: IReactorTime, sink: BinaryIO | None, render: Callable[[Told], str]) -> None:
        self.lost = 0
        self._clock = clock
        self._sink = sink
        self._render = render
        self._held: list[Told] = []
        self._call: IDelayedCall | None = None
        self._failing = False
        self._torn = False

    def add(self, completion: Told) -> None:
        """
        Take a completion to be written within a fifth of a second.
        """
        if self._sink is None:
            return
        held = self._held
        held.append(completion)
        if len(held) >= MOST_HELD:
            self.flush()
        elif self._call is None:
            self._call = self._clock.callLater(INTERVAL_S, self._due)

    def flush(self) -> None:
        """
        Write what is held, now.
        """
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        held, self._held = self._held, []
        if held:
            self._write(held)

    def reopen(self, sink: BinaryIO | None, render: Callable[[Told], str]) -> None:
        """
        Write to `sink` from now on; what is held still goes to the old one, which is closed unless it is the new one.
        """
        self.flush()
        old, self._sink, self._render = self._sink, sink, render
        if old is not None and old is not sink:
            old.close()

    def _due(self) -> None:
        self._call = None
        self.flush()

    def _write(self, held: list[Told]) -> None:
        sink, render = self._sink, self._render
        if sink is None:
            return
        # What a failing sink took of a line is ended first, so that it spoils no other.
        lines = ["\n" if self._torn else "", *[render(completion) + "\n" for completion in held]]
        data = memoryview("".join(lines).encode())
        try:
            while data:
                written = sink.write(data)
                if not written:
                    raise BlockingIOError("nobody takes them")
                self._torn = data[written - 1] != _NEWLINE
                data = data[written:]
        except (OSError, ValueError) as error:
            # Which lines of the batch went is not known to the line, so none is claimed to have been kept.
            self.lost += len(held)
            if not self._failing:
                self._failing = True
                _log.error("Completions cannot be written: {error}. Requests are served on.", error=str(error))
            return
        if self._failing:
            self._failing = False
            _log.warn("Completions are written again; {lost} are missing.", lost=self.lost)
