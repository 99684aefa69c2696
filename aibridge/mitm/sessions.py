"""
Intercepted connections: what is known of each, and the layer that its requests come through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from aibridge.mitm.hosts import Intercepted

UNTRUSTED: Final = "tls_untrusted"
"""The client does not trust the authority."""
MISNAMED: Final = "tls_server_name"
"""It asked for another host than its CONNECT did."""
TLS_FAILED: Final = "tls_failed"
COMPLETED: Final = "completed"

# bad_certificate, certificate_expired, certificate_unknown, unknown_ca (RFC 8446, 6.2).
_DISTRUST: Final = frozenset((42, 45, 46, 48))


@attrs.define(kw_only=True, eq=False)
class Session:
    """
    One intercepted connection.

    :ivar token: with which the client came in, or None.
    :ivar context: in which its host is spoken for; None where clients speak no TLS.
    :ivar ended: called once with how it ended.
    """

    id: str
    client_host: str
    place: Intercepted
    principal: str
    token: bytes | None = attrs.field(repr=False)
    context: SSL.Context | None = attrs.field(default=None, repr=False)
    ended: Callable[[Session, str], None] = attrs.field(repr=False)
    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class SecuredClient(TLSMemoryBIOProtocol):
    """
    TLS towards an intercepted client.
    """

    session: Session
    secured = False
    alert = 0

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The client is gone, perhaps since it did not like what it saw.
        """
        cause = self._cause()
        super().connectionLost(reason)
        self.session.ended(self.session, cause)

    def _cause(self) -> str:
        if self.secured:
            return COMPLETED
        if self.alert in _DISTRUST:
            return UNTRUSTED
        name = self.getHandle().get_servername()
        if name is not None and name.decode("ascii", "replace").lower() != self.session.place.host:
            return MISNAMED
        return TLS_FAILED


class PlainClient(ProtocolWrapper):
    """
    Nothing between an intercepted client and its requests, where its provider speaks no TLS.
    """

    session: Session

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The client is gone.
        """
        super().connectionLost(reason)
        self.session.ended(self.session, COMPLETED)


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    """
    Speaks for the host of each session.
    """

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """
        A connection that has not begun its handshake.
        """
        return SSL.Connection(tlsProtocol.session.context, None)


class Layers:
    """
    Makes the layers between intercepted clients and a site.
    """

    def __init__(self, site: Any, clock: IReactorTime) -> None:
        self._secured = TLSMemoryBIOFactory(_Creator(), False, site, clock)
        self._secured.protocol = SecuredClient
        self._plain: Any = WrappingFactory(site)
        self._plain.protocol = PlainClient

    def make(self, session: Session) -> Any:
        """
        A protocol that has no transport yet.
        """
        factory = self._plain if session.context is None else self._secured
        protocol: Any = factory.buildProtocol(address_of(session.client_host))
        protocol.session = session
        return protocol


def watch(context: SSL.Context) -> None:
    """
    Have a context tell `SecuredClient` how its handshake goes.
    """
    context.set_info_callback(_note)


def _note(connection: SSL.Connection, where: int, code: int) -> None:
    client: Any = connection.get_app_data()
    if client is None:
        return
    if where & SSL.SSL_CB_HANDSHAKE_DONE:
        client.secured = True
    elif where == SSL.SSL_CB_READ_ALERT:
        client.alert = code & 0xFF


def address_of(client_host: str) -> IAddress:
    """
    The address of a client that is known by its host alone; its transport's may be a balancer's.
    """
    if client_host == "unix":
        return UNIXAddress(None)
    kind = IPv6Address if ":" in client_host else IPv4Address
    return kind("TCP", client_host, 0)
