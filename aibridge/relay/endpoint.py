"""
How the host of an origin is found and connected to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

LOOKUP_S: Final = 60.0
"""Seconds after which a look-up that has not come back is given up for lost, and another one may be begun."""


@implementer(IResolutionReceiver)
class _Lookup:
    """
    One question to the resolver, and all who wait for its answer.
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self.waiting: dict[Deferred[list[IAddress]], None] = {}
        self.done = False
        self._addresses: list[IAddress] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        Nothing: threads cannot be called back.
        """

    def addressResolved(self, address: IAddress) -> None:
        """
        One more address.
        """
        self._addresses.append(address)

    def resolutionComplete(self) -> None:
        """
        There are no more.
        """
        self.done = True
        waiting, self.waiting = self.waiting, {}
        for deferred in waiting:
            deferred.callback(self._addresses)


@implementer(IStreamClientEndpoint)
class OriginEndpoint:
    """
    Connects to the address of a host that answers first (RFC 8305). It is made once for an origin.

    Note [One thread]: names are resolved in the reactor's few threads, where a resolver that hangs takes one for each
    question. So an origin asks one question at a time, and whoever wants the answer meanwhile waits for the same one;
    one provider's dead name server leaves the threads to the others. Whoever waits may give up at any time.

    :param reactor: for connections, delays, and its name resolver.
    :param host: a name in its ASCII form, or an address without brackets.
    :param timeout_s: how long a single address may take.
    """

    def __init__(self, reactor: Any, host: str, port: int, timeout_s: float) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._timeout = timeout_s
        self._lookup: _Lookup | None = None
        self._literal: Any = None
        if isIPAddress(host):
            self._literal = TCP4ClientEndpoint(reactor, host, port, timeout_s)
        elif isIPv6Address(host):
            self._literal = TCP6ClientEndpoint(reactor, host, port, timeout_s)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect. Fails with `DNSLookupError` if there is no address, also if it is cancelled before there is one.
        """
        if self._literal is not None:
            connecting: Deferred[IProtocol] = self._literal.connect(factory)
            return connecting
        return self._resolve().addCallback(self._dial, factory)

    def _resolve(self) -> Deferred[list[IAddress]]:
        now = self._reactor.seconds()
        lookup = self._lookup
        begins = lookup is None or lookup.done or now - lookup.began >= LOOKUP_S
        if begins:
            lookup = self._lookup = _Lookup(now)
        assert lookup is not None
        waiting = lookup.waiting

        def give_up(cancelled: Deferred[list[IAddress]]) -> None:
            waiting.pop(cancelled, None)
            cancelled.errback(DNSLookupError())

        deferred: Deferred[list[IAddress]] = Deferred(give_up)
        waiting[deferred] = None
        if begins:
            try:
                self._reactor.nameResolver.resolveHostName(lookup, self._host, self._port)
            except Exception:
                self._lookup = None
                raise
        return deferred

    def _dial(self, addresses: list[IAddress], factory: IProtocolFactory) -> Deferred[IProtocol]:
        found = Found(self._reactor, addresses)
        return HostnameEndpoint(found, self._host, self._port, self._timeout).connect(factory)


@implementer(IReactorPluggableNameResolver, IHostnameResolver)
class Found:
    """
    A reactor for `HostnameEndpoint` in which the one name that it asks for has been resolved already.
    """

    def __init__(self, reactor: Any, addresses: list[IAddress]) -> None:
        self._reactor = reactor
        self._addresses = addresses

    @property
    def nameResolver(self) -> IHostnameResolver:
        """
        Itself.
        """
        return self

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """
        Nobody does.
        """
        raise NotImplementedError

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        Tell at once what is known.
        """
        for address in self._addresses:
            resolutionReceiver.addressResolved(address)
        resolutionReceiver.resolutionComplete()
        return None  # type: ignore[return-value]  # there is nothing in progress

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
