"""
The reactor's inner loop, without what nobody reads.

For each event Twisted sets up a logging context, for the ``system`` field of its old log, by way of five calls and
three dictionaries: two to three microseconds, a quarter of what an event costs otherwise, twice for each relayed
request and once for each event of a stream. Nothing here logs through that interface. How a TCP connection reads, two
more calls of Twisted's, is written out in `_read`.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from time import monotonic, thread_time
from typing import Any, Final

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Client, Connection, Server
from twisted.logger import Logger

_log = Logger(namespace=__name__)

LONG_S: Final = 0.01
"""Turns that took less processor time are not worth telling."""

_SAMPLE_S: Final = 0.001
"""
How old the processor time may be that a turn's is told from. To ask for it takes a system call, ten times as long as to
ask for the time of day, so that is asked for first: no turn can have taken more processor time than time.
"""


def _read(connection: Any) -> Exception | None:
    """
    What `twisted.internet.tcp.Connection.doRead` does; tests hold that it comes to the same.
    """
    try:
        data = connection.socket.recv(connection.bufferSize)
    except BlockingIOError:
        return None
    except OSError:
        return CONNECTION_LOST
    if not data:
        return CONNECTION_DONE
    connection.protocol.dataReceived(data)
    return None


def _nothing(seconds: float) -> None:
    pass


def quicken(reactor: Any, long_turn: Callable[[float], None] = _nothing) -> bool:
    """
    Make a reactor serve plain read events by one call.

    Everything else (writes, ends, errors, whatever comes together) goes Twisted's own way, and an exception out of a
    reader ends as it does there: logged, and the connection closed.

    :param long_turn: told the processor time, to a millisecond, of each turn of the reactor that took `LONG_S` or more:
        everything from one look for events to the next, timed calls included.
    :return: whether it was one that this is known to be right for: Twisted's own epoll reactor as it is.
    """
    parts = ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable")
    if type(reactor) is not EPollReactor or not all(hasattr(reactor, part) for part in parts):
        return False
    poll, selectables = reactor._poller.poll, reactor._selectables
    usual, disconnect = reactor._doReadOrWrite, reactor._disconnectSelectable
    readable = select.EPOLLIN
    # What a subclass reads, it may read otherwise.
    plain = {kind for kind in (Client, Server) if kind.doRead is Connection.doRead}

    began = sampled_at = math.inf
    used = 0.0

    def iterate(timeout: float | None) -> None:
        nonlocal began, sampled_at, used
        now = monotonic()
        if not 0 <= now - sampled_at < _SAMPLE_S:
            since, used, sampled_at = used, thread_time(), now
            took = min(now - began, used - since)
            if took >= LONG_S:
                long_turn(took)
        events = poll(-1 if timeout is None else timeout, len(selectables))
        began = monotonic()
        for number, event in events:
            selectable = selectables.get(number)
            if selectable is None:
                continue
            if event != readable:
                usual(selectable, number, event)
                continue
            try:
                # A client that is not connected yet is told so by its own method.
                direct = type(selectable) in plain and selectable.connected
                why = _read(selectable) if direct else selectable.doRead()
            except BaseException as error:
                _log.failure("A reader failed.")
                why = error
            if why:
                disconnect(selectable, why, True)

    setattr(reactor, "doIteration", iterate)  # noqa: B010  # to a type checker it is a method
    return True
