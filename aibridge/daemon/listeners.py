"""
Listening sockets: all of them, or none and one clear line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

BACKLOG = 4096
"""Connections that may wait to be accepted; Twisted's 50 overflow when a few hundred clients come back at once."""

_TAKES_BACKLOG = ("tcp:", "tcp6:", "ssl:", "unix:")


class StartError(Exception):
    """
    The daemon cannot start, and this sentence says why.
    """


class Listeners:
    """
    The ports of one factory.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._addresses: list[str] = []
        self.ports: list[IListeningPort] = []

    def open(self, descriptions: Iterable[str], factory: IProtocolFactory) -> None:
        """
        Listen on every endpoint.

        :param descriptions: Twisted server endpoint strings.
        :raises StartError: one of them cannot be listened on; the others are closed again.
        """
        try:
            for description in descriptions:
                self._open(description, factory)
        except StartError:
            self.close()
            raise

    def _open(self, description: str, factory: IProtocolFactory) -> None:
        try:
            listening = serverFromString(self._reactor, _with_backlog(description)).listen(factory)
        except Exception as error:
            raise StartError(f"cannot listen on {description}: {error}") from error
        outcome: list[Any] = []
        listening.addBoth(outcome.append)
        if not outcome:
            raise StartError(f"cannot listen on {description}: it takes too long")
        if isinstance(outcome[0], Failure):
            raise StartError(f"cannot listen on {description}: {_why(outcome[0].value)}")
        self.ports.append(outcome[0])
        self._addresses.append(_address(outcome[0], is_tls=description.startswith(("ssl:", "tls:"))))

    def close(self) -> list[Deferred[None]]:
        """
        Stop listening; connections that were made stay.
        """
        ports, self.ports, self._addresses = self.ports, [], []
        return [stopped for port in ports if isinstance(stopped := port.stopListening(), Deferred)]

    def addresses(self) -> list[str]:
        """
        Where it listens, for people: ``http://host:port``, or the path of a Unix socket.
        """
        return list(self._addresses)


def _with_backlog(description: str) -> str:
    if description.startswith(_TAKES_BACKLOG) and ":backlog=" not in description:
        return f"{description}:backlog={BACKLOG}"
    return description


def _address(port: IListeningPort, *, is_tls: bool) -> str:
    host: Any = port.getHost()
    name = getattr(host, "name", None)
    if name is not None:
        return f"unix:{name.decode() if isinstance(name, bytes) else name}"
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host.host, host.host)
    if ":" in shown and not shown.startswith("["):
        shown = f"[{shown}]"
    return f"{'https' if is_tls else 'http'}://{shown}:{host.port}"


def _why(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError) and isinstance(error.socketError, OSError):
        return str(error.socketError.strerror)
    return str(error) or type(error).__name__
