"""
Pages that take long to make, made bit by bit.

Note [One slice a turn]: whoever asks for a long page gets it in slices, and in each turn of the reactor one slice is
made, whatever the number of those who ask; in between everybody else is served. Who does not take what was made for it
gets no more until it has. A short page is made and sent at once.

Note [Stuck]: who has taken nothing for some seconds makes room for somebody who asks now, if there are as many as there
may be. Otherwise a few clients that do not read would keep the page from everybody until the listener cuts them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

SLICE_S: Final = 0.01
"""How long one slice may take to make; a piece that was begun is finished."""

SLICE: Final = 1 << 17
"""Bytes at which a slice ends."""

MOST_AT_ONCE: Final = 8
"""Long pages that are on their way at once; each keeps a copy of what it is made of."""

STUCK_S: Final = 3.0
"""How long a client may take nothing before it makes room for another."""


def one_slice_a_turn() -> Cooperator:
    """
    Lets one of its tasks make one step in each turn of the reactor.
    """
    return Cooperator(terminationPredicateFactory=lambda: lambda: True)


class Scrapes:
    """
    A page that may be long.

    :param pieces: begins to make it.
    :param cooperator: who divides the time among those who ask.
    :param timer: seconds; only differences count.
    :ivar running: long pages that are on their way, the one that was asked for first at the beginning.
    """

    def __init__(
        self,
        pieces: Callable[[], Iterator[str]],
        cooperator: Cooperator | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._pieces = pieces
        self._cooperator = cooperator or one_slice_a_turn()
        self._timer = timer
        self.running: dict[Scrape, None] = {}

    def render(self, request: Any) -> Any:
        """
        Answer with the page, or with 503 if too many are on their way. The head of the answer is set already.

        :return: the page, or that it will follow.
        """
        if len(self.running) >= MOST_AT_ONCE and not self._make_room():
            request.setResponseCode(503)
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            request.setHeader(b"Retry-After", b"1")
            return b"too many of these pages are on their way\n"
        pieces = self._pieces()
        first, is_all = self.slice(pieces)
        if is_all:
            return first
        scrape = Scrape(self, request, pieces)
        self.running[scrape] = None
        request.write(first)
        scrape.start(self._cooperator)
        return NOT_DONE_YET

    def _make_room(self) -> bool:
        """
        See Note [Stuck].
        """
        stuck = max(self.running, key=lambda scrape: scrape.stuck_s)
        if stuck.stuck_s < STUCK_S:
            return False
        stuck.cut()
        return True

    def now(self) -> float:
        """
        Seconds; only differences count.
        """
        return self._timer()

    def slice(self, pieces: Iterator[str]) -> tuple[bytes, bool]:
        """
        The next slice, and whether it is the last one.
        """
        made: list[str] = []
        length, until = 0, self._timer() + SLICE_S
        for piece in pieces:
            made.append(piece)
            length += len(piece)
            if length >= SLICE or self._timer() >= until:
                return "".join(made).encode(), False
        return "".join(made).encode(), True


@implementer(IPushProducer)
class Scrape:
    """
    One long page on its way to one client.
    """

    def __init__(self, scrapes: Scrapes, request: Any, pieces: Iterator[str]) -> None:
        self._scrapes = scrapes
        self._request = request
        self._pieces = pieces
        self._task: Any = None
        self._is_paused = False
        self._paused_at = 0.0

    @property
    def stuck_s(self) -> float:
        """
        For how long its client has not taken what was made.
        """
        return self._scrapes.now() - self._paused_at if self._is_paused else 0.0

    def cut(self) -> None:
        """
        End it, and its connection with it, since half a page must not look like a whole one.
        """
        transport = self._request.transport
        self.stopProducing()
        transport.abortConnection()

    def start(self, cooperator: Cooperator) -> None:
        """
        Make the rest.
        """
        self._task = cooperator.cooperate(self._steps())
        self._task.whenDone().addErrback(self._failed)
        self._request.notifyFinish().addErrback(lambda _: self.stopProducing())
        self._request.registerProducer(self, True)

    def pauseProducing(self) -> None:
        """
        The client has not taken what was made yet.
        """
        if self._task is not None and not self._is_paused:
            self._is_paused = True
            self._paused_at = self._scrapes.now()
            self._task.pause()

    def resumeProducing(self) -> None:
        """
        Now it has.
        """
        if self._task is not None and self._is_paused:
            self._is_paused = False
            self._task.resume()

    def stopProducing(self) -> None:
        """
        It has left.
        """
        task, self._task = self._task, None
        if task is not None:
            self._scrapes.running.pop(self, None)
            task.stop()

    def _steps(self) -> Iterator[None]:
        is_all = False
        while not is_all:
            data, is_all = self._scrapes.slice(self._pieces)
            if data:
                self._request.write(data)
            yield None
        self._end()
        self._request.finish()

    def _end(self) -> None:
        self._task = None
        self._scrapes.running.pop(self, None)
        self._request.unregisterProducer()

    def _failed(self, failure: Failure) -> None:
        if self._task is not None:
            # Half a page must not look like a whole one.
            self._end()
            self._request.processingFailed(failure)
