"""
Tests for `aibridge.web.hangup`, over pairs of connected sockets, which no network and no waiting is needed for.
"""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from aibridge.web.hangup import HangUps


class Reading:
    """
    A reactor that reads once, when it is told to.
    """

    def __init__(self) -> None:
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """
        Watch it.
        """
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        """
        Forget it.
        """
        self.readers.discard(reader)

    def turn(self) -> None:
        """
        Read from those that have something.
        """
        for reader in list(self.readers):
            if select.select([reader], [], [], 0)[0]:
                reader.doRead()


class HangUpsTests(SynchronousTestCase):
    """
    Who is noticed.
    """

    def setUp(self) -> None:
        """
        A connection, and somebody who watches.
        """
        self.reactor = Reading()
        # All that is used of it.
        alsoProvides(self.reactor, IReactorFDSet)
        self.hangups = HangUps(self.reactor)
        self.addCleanup(self.hangups.connectionLost, Failure(CONNECTION_LOST))
        self.gone: list[str] = []
        self.own, self.client = self.pair()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """
        Two ends of a connection.
        """
        own, client = socket.socketpair()
        self.addCleanup(own.close)
        self.addCleanup(client.close)
        return own, client

    def watch(self, own: socket.socket, name: str = "gone") -> int:
        """
        Watch an end.
        """
        return self.hangups.watch(own, lambda: self.gone.append(name))

    def test_t1_a_departure_behind_unread_bytes_is_noticed(self) -> None:
        """
        Once; and bytes alone are none.
        """
        self.watch(self.own)
        self.client.send(b"unread")
        self.reactor.turn()
        self.assertEqual(self.gone, [])
        self.client.close()
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(self.gone, ["gone"])
        self.assertEqual(self.own.recv(100), b"unread")

    def test_the_end_of_its_stream_is_a_departure(self) -> None:
        """
        Here as everywhere.
        """
        self.watch(self.own)
        self.client.shutdown(socket.SHUT_WR)
        self.reactor.turn()
        self.assertEqual(self.gone, ["gone"])

    def test_who_is_forgotten_is_not_noticed(self) -> None:
        """
        The others are.
        """
        other, leaving = self.pair()
        number = self.watch(self.own)
        self.watch(other, "other")
        self.hangups.forget(number)
        self.hangups.forget(number)
        self.hangups.forget(-1)
        self.client.close()
        leaving.close()
        self.reactor.turn()
        self.assertEqual(self.gone, ["other"])

    def test_a_closed_one_may_be_forgotten_too(self) -> None:
        """
        Its number can be used again.
        """
        number = self.watch(self.own)
        self.own.close()
        self.hangups.forget(number)
        other, leaving = self.pair()
        self.watch(other, "other")
        leaving.close()
        self.reactor.turn()
        self.assertEqual(self.gone, ["other"])

    def test_the_reactor_is_asked_only_while_somebody_is_watched(self) -> None:
        """
        It costs nothing otherwise.
        """
        self.assertEqual(self.reactor.readers, set())
        number = self.watch(self.own)
        verifyObject(IReadDescriptor, self.hangups)
        self.assertEqual(self.reactor.readers, {self.hangups})
        self.hangups.forget(number)
        self.assertEqual(self.reactor.readers, set())

    def test_where_nothing_can_be_watched_nothing_is(self) -> None:
        """
        Without such a reactor, or a socket.
        """
        self.assertEqual(HangUps(Clock()).watch(self.own, self.fail), -1)
        self.assertEqual(self.hangups.watch(object(), self.fail), -1)
        self.own.close()
        self.assertEqual(self.hangups.watch(self.own, self.fail), -1)
