"""
The way of a tunnel to its host: resolved once, checked, and connected to at the address that was checked.

Note [No second look-up]: a name that led to a public address when it was checked can lead to a private one a moment
later (DNS rebinding). So the addresses that passed the guard are what is connected to, and nothing resolves the name
again; an upstream proxy is told an address too, unless it was decided that it has to resolve by itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError, TimeoutError, UnknownHostError
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aibridge.deadlines import Deadlines
from aibridge.mitm.addresses import Guard
from aibridge.mitm.refusals import Refusal, Refused
from aibridge.mitm.targets import Target
from aibridge.relay.endpoint import Found, OriginEndpoint
from aibridge.relay.viaproxy import ForwardProxy

MOST_LOOKUPS: Final = 256
"""Questions to the resolver at once, those that nobody waits for any more among them: its threads are few."""

Addresses = list[IAddress]


@attrs.frozen(kw_only=True, eq=False)
class Route:
    """
    How tunnels get out.

    :ivar guard: which addresses they may lead to.
    :ivar proxy: through which they go, or None.
    :ivar resolves_here: names are resolved here for it.
    """

    guard: Guard
    proxy: ForwardProxy | None = None
    resolves_here: bool = True


class Dialer:
    """
    Connects tunnels.

    :param reactor: for connections, time, and its name resolver.
    :param timeout_s: for all of one connection.
    """

    def __init__(self, reactor: Any, timeout_s: float) -> None:
        self.reactor = reactor
        self.waits: Deadlines[_Dial] = Deadlines(reactor, timeout_s, lambda dial: dial.timed_out())
        self.lookups = 0

    def dial(self, target: Target, route: Route) -> Deferred[Any]:
        """
        Connect to `target`.

        :return: fires with the transport, which has nobody to serve yet, or fails with `Refused`. Cancelling it ends
            the attempt.
        """
        return _Dial(self, target, route).start()


class _Dial:
    """
    One connection being made.
    """

    _log = Logger()

    def __init__(self, dialer: Dialer, target: Target, route: Route) -> None:
        self._dialer = dialer
        self._target = target
        self._route = route
        self._step: Deferred[Any] | None = None
        self._deferred: Deferred[Any] | None = Deferred(self._cancelled)

    def start(self) -> Deferred[Any]:
        """
        Begin with what the target's address is.
        """
        deferred = self._deferred
        assert deferred is not None
        self._dialer.waits.start(self)
        self._next(self._addresses(), self._found)
        return deferred

    def timed_out(self) -> None:
        """
        It has taken too long.
        """
        self._refuse(Refused(Refusal.CONNECT_TIMEOUT))

    def _next(self, step: Deferred[Any], then: Callable[[Any], None]) -> None:
        self._step = step
        step.addCallbacks(then, self._failed)
        step.addErrback(self._failed)

    def _addresses(self) -> Deferred[Addresses | None]:
        """
        The addresses that may be connected to; None where somebody else is to find them.
        """
        target, route = self._target, self._route
        if target.address is not None:
            return succeed(None) if route.guard.admits(target.address) else fail(Refused(Refusal.ADDRESS))
        # Whoever is told a name will choose among all of its addresses.
        named = route.proxy is not None and not route.resolves_here
        found = _Lookup(self._dialer, target, route.guard, all_of_them=named).start()
        return found.addErrback(_unless_refused) if named else found

    def _found(self, addresses: Addresses | None) -> None:
        endpoint = self._endpoint(addresses)
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        self._next(endpoint.connect(factory), self._connected)

    def _endpoint(self, addresses: Addresses | None) -> IStreamClientEndpoint:
        reactor, target, proxy = self._dialer.reactor, self._target, self._route.proxy
        if proxy is not None:
            checked: Any = addresses[0] if addresses and self._route.resolves_here else target
            return proxy.to(checked.host, target.port)
        timeout_s = self._dialer.waits.seconds
        if addresses is None:
            return OriginEndpoint(reactor, target.host, target.port, timeout_s)
        return HostnameEndpoint(Found(reactor, addresses), target.host, target.port, timeout_s)

    def _connected(self, protocol: Any) -> None:
        deferred = self._end()
        if deferred is None:
            protocol.transport.abortConnection()
        else:
            deferred.callback(protocol.transport)

    def _failed(self, failure: Failure) -> None:
        if self._deferred is not None:
            self._refuse(self._reason(failure))

    def _refuse(self, refused: Refused) -> None:
        step = self._step
        deferred = self._end()
        if deferred is not None:
            if step is not None:
                step.cancel()
            deferred.errback(refused)

    def _cancelled(self, deferred: Deferred[Any]) -> None:
        self._refuse(Refused(Refusal.CONNECT))

    def _end(self) -> Deferred[Any] | None:
        deferred, self._deferred = self._deferred, None
        self._step = None
        self._dialer.waits.cancel(self)
        return deferred

    def _reason(self, failure: Failure) -> Refused:
        error = failure.value
        if isinstance(error, Refused):
            return error
        if isinstance(error, DNSLookupError | UnknownHostError | ValueError):
            kind = Refusal.RESOLVE
        elif isinstance(error, TimeoutError):
            kind = Refusal.CONNECT_TIMEOUT
        elif isinstance(error, ConnectError | CancelledError):
            kind = Refusal.CONNECT
        else:
            self._log.failure("A connection could not be made, for a reason of the proxy's own.", failure)
            kind = Refusal.INTERNAL
        refused = Refused(kind)
        refused.__cause__ = error
        return refused


@implementer(IResolutionReceiver)
class _Lookup:
    """
    One question to the resolver, of whose answer only what the guard admits is kept.

    :param all_of_them: it has to admit all of it.
    """

    def __init__(self, dialer: Dialer, target: Target, guard: Guard, *, all_of_them: bool) -> None:
        self._dialer = dialer
        self._target = target
        self._guard = guard
        self._all_of_them = all_of_them
        self._admitted: Addresses = []
        self._refused = False
        self._deferred: Deferred[Addresses | None] = Deferred()

    def start(self) -> Deferred[Addresses | None]:
        """
        Ask.
        """
        if self._dialer.lookups >= MOST_LOOKUPS:
            self._deferred.errback(Refused(Refusal.AT_CAPACITY))
            return self._deferred
        self._dialer.lookups += 1
        self._dialer.reactor.nameResolver.resolveHostName(self, self._target.host, self._target.port)
        return self._deferred

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        Nothing: threads cannot be called back.
        """

    def addressResolved(self, address: IAddress) -> None:
        """
        One more address.
        """
        found: Any = address
        if self._guard.admits(ipaddress.ip_address(found.host)):
            self._admitted.append(address)
        else:
            self._refused = True

    def resolutionComplete(self) -> None:
        """
        There are no more.
        """
        self._dialer.lookups -= 1
        if self._admitted and not (self._refused and self._all_of_them):
            self._deferred.callback(self._admitted)
        else:
            self._deferred.errback(Refused(Refusal.ADDRESS if self._refused else Refusal.RESOLVE))


def _unless_refused(failure: Failure) -> None:
    """
    What cannot be resolved here may be where it is to be resolved; what may not be connected to may not.
    """
    if isinstance(failure.value, Refused) and failure.value.refusal is Refusal.RESOLVE:
        return
    failure.raiseException()
