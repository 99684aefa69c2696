"""
Tests for `aibridge.web.eager`, over pairs of connected sockets, which no network and no waiting is needed for.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aibridge.web.eager import eager_write, waiting_mark


class Watching:
    """
    A reactor that is asked to watch sockets, and does not.
    """

    def __init__(self) -> None:
        self.writers: set[object] = set()

    def addWriter(self, writer: object) -> None:
        """
        Remember it.
        """
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        """
        Forget it.
        """
        self.writers.discard(writer)

    def addReader(self, reader: object) -> None:
        """
        Nothing.
        """

    def removeReader(self, reader: object) -> None:
        """
        Nothing.
        """


class EagerWriteTests(SynchronousTestCase):
    """
    What is written when.
    """

    def setUp(self) -> None:
        """
        A transport, and the client's end of it.
        """
        own, self.client = socket.socketpair()
        self.addCleanup(own.close)
        self.addCleanup(self.client.close)
        self.client.setblocking(False)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.reactor = Watching()
        reactor: Any = self.reactor
        self.transport = Connection(own, Protocol(), reactor)
        self.transport.connected = 1
        self.write = eager_write(self.transport)

    def read(self) -> bytes:
        """
        What the client can read now.
        """
        data = b""
        while True:
            try:
                data += self.client.recv(65536)
            except BlockingIOError:
                return data

    def test_a_small_write_leaves_at_once(self) -> None:
        """
        The reactor has nothing to do with it.
        """
        self.write(b"abc")
        self.write(b"def")
        self.assertEqual(self.read(), b"abcdef")
        self.assertEqual(self.reactor.writers, set())
        self.assertIsNone(waiting_mark(self.transport))

    def test_what_does_not_fit_waits_in_its_order(self) -> None:
        """
        Behind it nothing is written out of turn, and nothing is lost.
        """
        sent = b"".join(b"%08d" % number for number in range(20000))
        self.write(sent)
        self.assertEqual(self.reactor.writers, {self.transport})
        before = waiting_mark(self.transport)
        self.assertIsNotNone(before)
        received = self.read()
        self.write(b"behind")
        self.assertEqual(self.read(), b"")
        marks = {before}
        while self.reactor.writers:
            self.transport.doWrite()
            received += self.read()
            marks.add(waiting_mark(self.transport))
        self.assertEqual(received, sent + b"behind")
        self.assertGreater(len(marks), 2)
        self.assertIsNone(waiting_mark(self.transport))
        self.write(b"after")
        self.assertEqual(self.read(), b"after")

    def test_a_socket_that_is_full_already_takes_nothing(self) -> None:
        """
        All of it waits.
        """
        while True:
            try:
                self.transport.socket.send(b"x" * 4096)
            except BlockingIOError:
                break
        self.write(b"abc")
        self.assertIsNotNone(waiting_mark(self.transport))
        self.assertTrue(self.read().endswith(b"x"))
        self.transport.doWrite()
        self.assertEqual(self.read(), b"abc")

    def test_a_client_that_is_gone_is_found_out_in_the_ordinary_way(self) -> None:
        """
        Nothing is raised here.
        """
        self.client.close()
        self.write(b"abc")
        self.assertEqual(self.reactor.writers, {self.transport})
        self.assertIsInstance(self.transport.doWrite(), Exception)

    def test_nothing_is_written_to_what_is_lost(self) -> None:
        """
        As by Twisted itself.
        """
        self.transport.connected = 0
        self.write(b"abc")
        self.assertEqual(self.read(), b"")
        self.assertEqual(self.reactor.writers, set())

    def test_other_transports_write_as_they_do(self) -> None:
        """
        TLS, and those of tests.
        """
        transport = StringTransport()
        eager_write(transport)(b"abc")
        self.assertEqual(transport.value(), b"abc")
        self.assertIsNone(waiting_mark(transport))
        self.transport.TLS = True
        self.assertEqual(eager_write(self.transport), self.transport.write)
