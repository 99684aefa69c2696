"""
A forward proxy that is not ours, on a loopback socket.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from typing import Any

from certificates import Issued
from wires import PATIENCE_S, Provider, address, read_until


class Forward:
    """
    Tunnels wherever it is told to, unless it is told what to answer instead.

    :param issued: its certificate, if it speaks TLS itself.
    :param answer: what it answers to every CONNECT, if not that it is done.
    :param leads_to: where every tunnel leads, whatever it was asked for; there are no names in a test.
    :ivar asked: the heads of all CONNECTs.
    """

    def __init__(self, *, issued: Issued | None = None, answer: bytes = b"", leads_to: str = "") -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._leads_to = leads_to
        self._context: ssl.SSLContext | None = None
        if issued is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(issued.chain, issued.key)
        self._listening = Provider(lambda _, stream: self._accept(stream))

    @property
    def port(self) -> int:
        """
        Where it is, on this machine.
        """
        return address(self._listening.url)[1]

    def close(self) -> None:
        """
        Accept no more.
        """
        self._listening.close()

    def _accept(self, stream: socket.socket) -> None:
        if self._context is None:
            self._serve(stream)
            return
        with self._context.wrap_socket(stream, server_side=True) as secured:
            self._serve(secured)

    def _serve(self, stream: socket.socket) -> None:
        head = read_until(stream, b"\r\n\r\n")
        self.asked.append(head)
        if self._answer:
            stream.sendall(self._answer)
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        target = address(self._leads_to) if self._leads_to else (host.strip("[]"), int(port))
        with socket.create_connection(target, PATIENCE_S) as there:
            stream.sendall(b"HTTP/1.1 200 Done\r\nVia: 1.1 somebody\r\n\r\n")
            _splice(stream, there)


def _splice(here: socket.socket, there: socket.socket) -> None:
    # In one thread, since two may not use one TLS connection at once.
    with selectors.DefaultSelector() as selector:
        selector.register(here, selectors.EVENT_READ, there)
        selector.register(there, selectors.EVENT_READ, here)
        while True:
            for key, _ in selector.select(PATIENCE_S):
                stream: Any = key.fileobj
                data = stream.recv(65536)
                while isinstance(stream, ssl.SSLSocket) and stream.pending():
                    data += stream.recv(65536)
                if not data:
                    return
                key.data.sendall(data)
