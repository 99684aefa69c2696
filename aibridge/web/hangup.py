"""
Notices that a peer has left while nobody reads from it.

A socket that is not read is not watched by the reactor either, so that a departure stays unseen for as long as the
pause lasts. Linux tells it apart from data (``EPOLLRDHUP``): a second epoll holds the paused sockets, waits for nothing
but their ends, and is itself one descriptor that the reactor reads from. It costs nothing while nobody leaves.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class HangUps:
    """
    Watches sockets for their peer's departure: an end of its stream, or a reset.

    :param reactor: without `IReactorFDSet`, or on a system without epoll, nothing is ever noticed here, and a paused
        connection learns of its end when it is read again.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor: Any = reactor if IReactorFDSet.providedBy(reactor) and hasattr(select, "epoll") else None
        self._poll: Any = None
        self._watched: dict[int, Callable[[], None]] = {}

    def watch(self, transport: Any, gone: Callable[[], None]) -> int:
        """
        Call `gone` once when the peer of `transport` has left, even if bytes that it sent before are still unread.

        :return: for `forget`; -1 where it cannot be watched.
        """
        fileno = getattr(transport, "fileno", None)
        number: int = -1 if fileno is None or self._reactor is None else fileno()
        if number < 0:
            return -1
        if self._poll is None:
            self._poll = select.epoll()
        if not self._watched:
            self._reactor.addReader(self)
        self._poll.register(number, select.EPOLLRDHUP)
        self._watched[number] = gone
        return number

    def forget(self, number: int) -> None:
        """
        Watch it no longer. To be called in the turn in which it is closed at the latest, before its number is used
        again; it is no error if it is not watched.
        """
        if self._watched.pop(number, None) is not None:
            self._release(number)

    def fileno(self) -> int:
        """
        What the reactor watches.
        """
        return int(self._poll.fileno())

    def doRead(self) -> None:
        """
        Somebody left.
        """
        for number, _ in self._poll.poll(0):
            gone = self._watched.pop(number, None)
            self._release(number)
            if gone is not None:
                gone()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor ends.
        """
        self._watched.clear()
        poll, self._poll = self._poll, None
        if poll is not None:
            poll.close()

    def logPrefix(self) -> str:
        """
        For Twisted's own log lines.
        """
        return "HangUps"

    def _release(self, number: int) -> None:
        # A socket that was closed has left the epoll by itself.
        with contextlib.suppress(OSError):
            self._poll.unregister(number)
        if not self._watched:
            self._reactor.removeReader(self)
