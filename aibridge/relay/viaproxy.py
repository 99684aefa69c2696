"""
The way out through a forward proxy: connections that it makes for us (CONNECT, RFC 9110, 9.3.6).
"""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from aibridge.errors import TLSFailed
from aibridge.relay.endpoint import OriginEndpoint
from aibridge.relay.outage import Outage
from aibridge.relay.proxyurl import ProxyURL
from aibridge.relay.takeover import take_over
from aibridge.relay.tls import ClientTLS, HostTLS

MOST_HEAD: Final = 16384
"""Bytes of a proxy's answer that are read before it is taken for none."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r]")
_END: Final = b"\r\n\r\n"


class ProxyRefused(ConnectError):
    """
    A proxy did not make a connection. Its text is free of credentials.
    """


class ForwardProxy:
    """
    A proxy that connections go through.

    :param timeout_s: how long a single address of its own may take to be connected to; whoever asks for a connection
        has a deadline for all of it.
    :param trust: what certificates are trusted instead of those of the system's authorities; for tests.
    :param endpoint: where it is, below TLS; for tests.
    :raises ValueError: the URL's ``ca_file`` cannot be used.
    """

    def __init__(
        self,
        reactor: Any,
        url: ProxyURL,
        timeout_s: float,
        *,
        trust: Any = None,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        self.url = url
        self.clock = reactor
        self.endpoint: Any = endpoint or OriginEndpoint(reactor, url.host, url.port, timeout_s)
        self.tls: HostTLS | None = None
        if url.secure:
            self.tls = ClientTLS(url.ca_file, trust).for_host(url.host, reactor.seconds)
        self.outage = Outage(f"The proxy {url.label}")

    def to(self, host: str, port: int) -> IStreamClientEndpoint:
        """
        The way to a host through it.

        :param host: as the proxy is to look it up, or an address without brackets.
        """
        return _Way(self, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


@implementer(IStreamClientEndpoint)
class _Way:
    """
    The way to one host through a proxy.
    """

    def __init__(self, proxy: ForwardProxy, authority: str) -> None:
        self._proxy = proxy
        self._authority = authority

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect. Fails with `ProxyRefused` if the proxy does not, or with why the proxy itself was not reached.
        """
        return _Attempt(self._proxy, self._authority, factory).start()


class _Attempt:
    """
    One connection being made.
    """

    def __init__(self, proxy: ForwardProxy, authority: str, factory: IProtocolFactory) -> None:
        self.proxy = proxy
        self.authority = authority
        self._factory: Any = factory
        self._dialing: Deferred[Any] | None = None
        self._asking: _Asking | None = None
        self._deferred: Deferred[Any] | None = Deferred(self._cancelled)

    def start(self) -> Deferred[Any]:
        """
        Reach the proxy.
        """
        deferred = self._deferred
        assert deferred is not None
        factory: Any = Factory.forProtocol(lambda: _Asking(self))
        factory.noisy = False
        if self.proxy.tls is not None:
            factory = TLSMemoryBIOFactory(self.proxy.tls, True, factory, self.proxy.clock)
            factory.protocol = TLSMemoryBIOProtocol
        self._dialing = dialing = self.proxy.endpoint.connect(factory)
        dialing.addCallbacks(self._reached, self._unreached)
        return deferred

    def asks(self, asking: _Asking) -> None:
        """
        The proxy is being asked.
        """
        self._asking = asking

    def established(self, transport: Any, rest: bytes) -> None:
        """
        The proxy has made the connection.
        """
        self.proxy.outage.is_over()
        deferred, self._deferred = self._deferred, None
        if deferred is None:
            return
        protocol = self._factory.buildProtocol(transport.getPeer())
        take_over(transport, protocol)
        deferred.callback(protocol)
        if rest:
            protocol.dataReceived(rest)

    def failed(self, why: str, cause: BaseException | None = None) -> None:
        """
        There will be no connection.
        """
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            self.proxy.outage.noticed(why)
            error = ProxyRefused(string=f"the proxy {self.proxy.url.label}: {why}")
            error.__cause__ = cause
            deferred.errback(error)

    def _reached(self, _: object) -> None:
        self._dialing = None

    def _unreached(self, failure: Failure) -> None:
        self._dialing = None
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            self.proxy.outage.noticed(f"it was not reached ({type(failure.value).__name__})")
            deferred.errback(failure)

    def _cancelled(self, deferred: Deferred[Any]) -> None:
        self._deferred = None
        deferred.errback(ProxyRefused(string="given up"))
        if self._dialing is not None:
            self._dialing.cancel()
        if self._asking is not None:
            self._asking.abort()


@implementer(IHandshakeListener)
class _Asking(Protocol):
    """
    Asks a proxy for a connection, and reads its answer.
    """

    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt
        self._head = b""
        self._asked = False

    def connectionMade(self) -> None:
        """
        The proxy is there; TLS, if it speaks that, begins now.
        """
        self._attempt.asks(self)
        if self._attempt.proxy.tls is None:
            self._ask()

    def handshakeCompleted(self) -> None:
        """
        TLS is there. Credentials are shown to nobody who has not shown a certificate.
        """
        transport: Any = self.transport
        tls = self._attempt.proxy.tls
        assert tls is not None
        try:
            tls.verify(transport.getHandle())
        except TLSFailed as error:
            self._fail("its certificate is not one for its name", error)
        else:
            self._ask()

    def _ask(self) -> None:
        authority, shown = self._attempt.authority, self._attempt.proxy.url.authorization
        credentials = "" if shown is None else f"Proxy-Authorization: {shown.reveal()}\r\n"
        transport: Any = self.transport
        self._asked = True
        transport.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n".encode("ascii"))

    def dataReceived(self, data: bytes) -> None:
        """
        The proxy answers.
        """
        self._head += data
        head, end, rest = self._head.partition(_END)
        status = _STATUS.match(self._head)
        if not self._asked or len(head) > MOST_HEAD or (end and status is None):
            self._fail("it does not answer as a proxy does")
        elif end and status is not None:
            code = int(status[1])
            if 200 <= code < 300:
                self._attempt.established(self.transport, rest)
            else:
                self._fail(f"it answered {code}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is gone before it has answered.
        """
        why = "it ended the connection" if reason.check(ConnectionDone) else "the connection to it was lost"
        if self._attempt.proxy.tls is not None and not self._asked:
            why = "there was no TLS with it, or its certificate is not trusted"
        self._attempt.failed(why, reason.value)

    def abort(self) -> None:
        """
        Nobody waits for the answer any more.
        """
        transport: Any = self.transport
        transport.abortConnection()

    def _fail(self, why: str, cause: BaseException | None = None) -> None:
        self._attempt.failed(why, cause)
        self.abort()
