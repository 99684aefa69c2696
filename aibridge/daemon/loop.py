"""
The reactor's inner loop, without what nobody reads.

For each event Twisted sets up a logging context, for the ``system`` field of its old log, by way of five calls and
three dictionaries: two to three microseconds, a quarter of what an event costs otherwise, twice for each relayed
request and once for each event of a stream. Nothing here logs through that interface.
"""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

_log = Logger(namespace=__name__)


def quicken(reactor: Any) -> bool:
    """
    Make a reactor serve plain read events by one call.

    Everything else (writes, ends, errors, whatever comes together) goes Twisted's own way, and an exception out of a
    reader ends as it does there: logged, and the connection closed.

    :return: whether it was one that this is known to be right for: Twisted's own epoll reactor as it is.
    """
    parts = ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable")
    if type(reactor) is not EPollReactor or not all(hasattr(reactor, part) for part in parts):
        return False
    poll, selectables = reactor._poller.poll, reactor._selectables
    usual, disconnect = reactor._doReadOrWrite, reactor._disconnectSelectable
    readable = select.EPOLLIN

    def iterate(timeout: float | None) -> None:
        for number, event in poll(-1 if timeout is None else timeout, len(selectables)):
            selectable = selectables.get(number)
            if selectable is None:
                continue
            if event != readable:
                usual(selectable, number, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException as error:
                _log.failure("A reader failed.")
                why = error
            if why:
                disconnect(selectable, why, True)

    setattr(reactor, "doIteration", iterate)  # noqa: B010  # to a type checker it is a method
    return True
