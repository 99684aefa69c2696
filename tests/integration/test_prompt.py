"""
Prompt writing, on real sockets without a reactor that runs.
"""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aibridge.prompt import prompt_writer


class Reactor(MemoryReactorClock):
    """
    Remembers who wants to write.
    """


class PromptWriterTests(SynchronousTestCase):
    """
    What is sent when.
    """

    def setUp(self) -> None:
        """
        A connection whose other end is `self.peer`.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        self.peer = socket.create_connection(listener.getsockname())
        near, address = listener.accept()
        listener.close()
        near.setblocking(False)
        self.reactor = Reactor()
        self.transport: Any = Server(near, Protocol(), address, cast(Any, None), 1, self.reactor)
        self.addCleanup(self.peer.close)
        self.addCleanup(near.close)

    def waits(self) -> bool:
        """
        Whether the reactor was asked to watch the socket.
        """
        return self.transport in self.reactor.writers

    def test_at_once(self) -> None:
        """
        The bytes are on the wire when the call returns, and the reactor was not asked.
        """
        prompt_writer(self.transport)(b"hello")
        self.assertEqual((self.peer.recv(100), self.waits()), (b"hello", False))

    def test_order(self) -> None:
        """
        What was written the usual way before goes first.
        """
        self.transport.write(b"one ")
        prompt_writer(self.transport)(b"two")
        self.assertTrue(self.waits())
        self.transport.doWrite()
        self.assertEqual(self.peer.recv(100), b"one two")

    def test_more_than_fits(self) -> None:
        """
        What the socket does not take waits, and nothing is lost or doubled.
        """
        data = bytes(range(256)) * 100_000
        write = prompt_writer(self.transport)
        write(data)
        write(b"end")
        self.assertTrue(self.waits())
        seen = b""
        while len(seen) < len(data) + 3:
            seen += self.peer.recv(1 << 20)
            if self.waits():
                self.transport.doWrite()
        self.assertEqual(seen, data + b"end")

    def test_closed(self) -> None:
        """
        A broken connection is not an error of the writer's.
        """
        self.peer.close()
        write = prompt_writer(self.transport)
        for _ in range(3):
            write(b"x" * 1000)
        self.assertTrue(self.waits())

    def test_other_transports(self) -> None:
        """
        Any other transport keeps its own way.
        """
        transport = StringTransport()
        write = prompt_writer(transport)
        write(b"hello")
        self.assertEqual(transport.value(), b"hello")
