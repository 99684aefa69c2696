"""
TLS in memory: an authority that is trusted, what it issues, and providers with certificates.
"""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from certificates import Authority
from upstreams import Asked, FakeTransport, Lab

URL = b"https://provider.example/v1/models"


@cache
def directory() -> Path:
    """
    Where certificates are, for as long as the tests run.
    """
    made = tempfile.TemporaryDirectory()
    atexit.register(made.cleanup)
    return Path(made.name)


@cache
def authority() -> Authority:
    """
    The one whose certificates are trusted here.
    """
    return Authority(directory())


@cache
def issued(*names: str, **more: Any) -> bytes:
    """
    A key and a certificate of that authority.
    """
    made = authority().issue(*names, **more)
    return made.key.read_bytes() + made.chain.read_bytes()


class _Provider(Protocol):
    """
    The provider's side of a connection, above TLS.
    """

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


@implementer(IOpenSSLServerConnectionCreator)
class ProviderTLS:
    """
    The provider's side of TLS: one context, so that sessions can be resumed.

    :param identity: private key and certificate.
    :param protocols: what it agrees on by ALPN; empty if it knows nothing of that.
    """

    def __init__(self, identity: bytes, protocols: tuple[bytes, ...] = (), highest: int = SSL.TLS1_3_VERSION) -> None:
        self.context = context = SSL.Context(SSL.TLS_METHOD)
        key: Any = load_pem_private_key(identity, None)
        context.use_privatekey(key)
        context.use_certificate(x509.load_pem_x509_certificate(identity))
        context.set_min_proto_version(min(highest, SSL.TLS1_2_VERSION))
        context.set_max_proto_version(highest)
        context.set_session_id(b"tests")
        if protocols:
            context.set_alpn_select_callback(lambda _, offered: next((p for p in protocols if p in offered), b""))

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self.context, None)


class Wire:
    """
    A connection with TLS on both sides, whose bytes are moved by a test.
    """

    def __init__(self, lab: SecureLab, client: FakeTransport) -> None:
        self.client = client
        self.provider = _Provider()
        self._moved = [0, 0]
        plain = Factory.forProtocol(lambda: self.provider)
        factory = TLSMemoryBIOFactory(lab.tls, False, plain, lab.clock)
        self.server = FakeTransport(lab.clock)
        self.server.protocol = factory.buildProtocol(None)
        self.server.protocol.makeConnection(self.server)
        self.tls: SSL.Connection = self.server.protocol.getHandle()
        self._lab = lab

    @property
    def flight(self) -> int:
        """
        Bytes that the provider has sent, TLS included.
        """
        return len(self.server.sent)

    def move(self) -> None:
        """
        Move everything, both ways, until nothing comes any more.
        """
        for _ in range(20):
            for number, (here, there) in enumerate(((self.client, self.server), (self.server, self.client))):
                data = here.sent[self._moved[number] :]
                self._moved[number] += len(data)
                if data:
                    there.receive(data)
                if not here.connected and there.connected:
                    there.finish()
            self._lab.turn()

    def say(self, data: bytes) -> None:
        """
        The provider says something.
        """
        assert self.provider.transport is not None
        self.provider.transport.write(data)
        self.move()


class SecureLab(Lab):
    """
    A lab whose providers have certificates.
    """

    def __init__(self, identity: bytes = b"", *, trusts: bool = True, **settings: Any) -> None:
        super().__init__(ca_file=str(authority().certificate) if trusts else "", **settings)
        self.tls = ProviderTLS(identity or issued("provider.example"))

    def get(self, url: bytes = URL) -> tuple[Asked, Wire]:
        """
        Ask on a new connection, up to where the provider would answer.
        """
        before = len(self.endpoint.transports)
        asked = self.ask(b"GET", None, url)
        assert len(self.endpoint.transports) == before + 1
        wire = Wire(self, self.transport)
        wire.move()
        return asked, wire
