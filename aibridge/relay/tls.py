"""
TLS to providers: verified always, with the system's authorities and perhaps some more, resumed where that is possible.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion, platformTrust
from zope.interface import implementer

from aibridge.errors import TLSFailed

PROTOCOLS: Final = (b"http/1.1",)
"""What is offered by ALPN. There is no HTTP/2 client here, and so it must not be agreed on."""


SESSION_S: Final = 3600.0
"""Seconds after which a chain is verified anew, in a full handshake, however often its session was resumed."""


class ClientTLS:
    """
    What all TLS connections of one agent share: one context, with its authorities.

    :param ca_file: PEM file of authorities to trust beside the system's, or empty.
    :param trust: what to trust instead of the system's authorities; for tests.
    :raises ValueError: `ca_file` cannot be read, or has no certificate in it.
    """

    def __init__(self, ca_file: str = "", trust: Any = None) -> None:
        options = CertificateOptions(
            trustRoot=platformTrust() if trust is None else trust,
            acceptableProtocols=PROTOCOLS,
            raiseMinimumTo=TLSVersion.TLSv1_2,
            enableSessionTickets=True,
        )
        # Only before the first connection can a context be changed.
        store = options.getContext().get_cert_store()
        if ca_file and store is not None:
            for authority in _authorities(ca_file):
                store.add_cert(authority)
        self._options = options

    def for_host(self, host: str, now: Callable[[], float]) -> HostTLS:
        """
        How connections to `host` are made and checked.

        :param host: a name in its ASCII form, or an address without brackets.
        :param now: monotonic seconds.
        """
        return HostTLS(self._options, host, now)


@implementer(IOpenSSLClientConnectionCreator)
class HostTLS:
    """
    TLS to one host.

    Note [Identity]: OpenSSL verifies the chain within the handshake, and breaks it off if that fails. Whether the
    certificate is one for `host` is asked of service-identity as soon as the handshake is complete and before the
    connection is given to anybody, so that not a byte of a request leaves before it. It is asked for every connection.
    A resumed handshake sends no certificate, but its session keeps the one that was verified, and that one is asked
    about again.

    Note [Sessions]: a session is taken from a connection that has been verified and has served a call, and is offered
    by later connections to the same host, made from the same context, until `SESSION_S` after the last full handshake.
    """

    def __init__(self, options: CertificateOptions, host: str, now: Callable[[], float]) -> None:
        self._options = options
        self._host = host
        self._now = now
        self._full: WeakSet[SSL.Connection] = WeakSet()
        self._verified_at = 0.0
        self._is_address = isIPAddress(host) or isIPv6Address(host)
        self._session: SSL.Session | None = None

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """
        A TLS connection that has not begun its handshake.
        """
        connection = self._options.clientConnectionForTLS(protocol)
        if not self._is_address:
            # An address is no server name (RFC 6066, 3).
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        if self._session is not None and self._now() - self._verified_at < SESSION_S:
            connection.set_session(self._session)
        else:
            self._full.add(connection)
        return connection

    def verify(self, connection: SSL.Connection) -> None:
        """
        See Note [Identity].

        :raises TLSFailed: the certificate is not one for this host.
        """
        try:
            if connection.get_peer_certificate() is None:
                raise TLSFailed
            if self._is_address:
                verify_ip_address(connection, self._host)
            else:
                verify_hostname(connection, self._host)
        except (VerificationError, CertificateError) as wrong:
            self._session = None
            raise TLSFailed from wrong

    def remember(self, connection: SSL.Connection) -> None:
        """
        Offer this connection's session to the next one. See Note [Sessions].
        """
        self._session = connection.get_session()
        if connection in self._full:
            self._verified_at = self._now()


def _authorities(ca_file: str) -> list[crypto.X509]:
    try:
        found = x509.load_pem_x509_certificates(Path(ca_file).read_bytes())
    except OSError as error:
        raise ValueError(f"ca_file {ca_file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"ca_file {ca_file} holds no PEM certificates") from error
    return [crypto.X509.from_cryptography(certificate) for certificate in found]
