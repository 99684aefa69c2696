"""
Connections that a load balancer hands on, with the PROXY protocol's header in front.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibridge.deadlines import Deadlines
from aibridge.relay.takeover import take_over
from aibridge.wire.proxyprotocol import NotProxied, Source, parse

HEADER_S = 5.0
"""A balancer sends its header with its first packet."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Introduction(Protocol):
    """
    Reads the header, and then lets the real protocol take over its transport.
    """

    def __init__(self, factory: ProxiedFactory, address: IAddress) -> None:
        self._factory: Any = factory
        self._address = address
        self._data = b""

    def connectionMade(self) -> None:
        self._factory.deadlines.start(self)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        try:
            source = parse(self._data)
        except NotProxied:
            self._factory.refused(self._address)
            self.abort()
            return
        if source is not None:
            self._hand_over(source)

    def _hand_over(self, source: Source) -> None:
        self._factory.deadlines.cancel(self)
        transport: Any = self.transport
        successor = self._factory.wrapped.buildProtocol(_client(source, self._address))
        if successor is None:
            transport.loseConnection()
            return
        take_over(transport, successor, self._data[source.length :])

    def abort(self) -> None:
        """
        Not a balancer, or not a healthy one.
        """
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._factory.deadlines.cancel(self)


class ProxiedFactory(ServerFactory):
    """
    Expects the header from senders in `networks`, from each of them on each connection, and from nobody else: a
    header from elsewhere is no HTTP request, and refused as such.

    :param wrapped: serves what follows, and is told the address of the real client.
    :param networks: of the balancers.
    """

    _log = Logger()
    noisy = False

    def __init__(self, wrapped: Factory, networks: Sequence[str], clock: IReactorTime) -> None:
        self.wrapped = wrapped
        self.deadlines: Deadlines[_Introduction] = Deadlines(clock, HEADER_S, _Introduction.abort)
        self._networks: list[Network] = [ipaddress.ip_network(network) for network in networks]

    def doStart(self) -> None:
        """
        Start what is wrapped as well.
        """
        super().doStart()
        self.wrapped.doStart()

    def doStop(self) -> None:
        """
        Stop what is wrapped as well.
        """
        self.wrapped.doStop()
        super().doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        Listen for the header first, if it is to come.
        """
        if addr is not None and self._is_trusted(addr):
            return _Introduction(self, addr)
        return self.wrapped.buildProtocol(addr)

    def refused(self, address: IAddress) -> None:
        """
        A balancer sent something else.
        """
        self._log.debug("A connection from {address} had no PROXY header.", address=address)

    def _is_trusted(self, address: IAddress) -> bool:
        host = getattr(address, "host", None)
        if host is None:
            # A Unix socket is opened by whoever may open its file.
            return True
        parsed = ipaddress.ip_address(str(host).partition("%")[0])
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)


def _client(source: Source, address: IAddress) -> IAddress:
    if not source.host:
        return address
    kind = IPv6Address if ":" in source.host else IPv4Address
    return kind("TCP", source.host, source.port)
