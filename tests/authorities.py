"""
Certificate authorities of the proxy's, and TLS in memory with what they issue.
"""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime
from functools import cache

import attrs
from cryptography import x509
from OpenSSL import SSL

from aibridge.mitm.authority import Authority, as_pem, create
from aibridge.mitm.hosts import BUILTIN, Hosts

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOST = "api.openai.com"


@cache
def authority() -> Authority:
    """
    One for the hosts that are intercepted by default, good now.
    """
    return create("AI Bridge Proxy CA tests", Hosts(BUILTIN).names(), datetime.now(UTC))


def trusting(*certificates: x509.Certificate) -> ssl.SSLContext:
    """
    How a client verifies that trusts these alone, and takes every rule at its word, as Python does from 3.13 on.
    """
    context = ssl.create_default_context(cadata=as_pem(certificates).decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@attrs.define
class Shaken:
    """
    What became of a handshake.

    :ivar client: the client's end, or None if it failed.
    :ivar said: what the client said of it, or empty.
    :ivar heard: what the server said of it, or empty.
    """

    client: ssl.SSLObject | None
    server: SSL.Connection
    said: str = ""
    heard: str = ""


def shake(
    server: SSL.Context,
    client: ssl.SSLContext,
    server_name: str | None = HOST,
    offers: tuple[str, ...] = (),
    app_data: object = None,
) -> Shaken:
    """
    A handshake in memory.

    :param offers: of the client's, by ALPN.
    :param app_data: whom the server's callbacks are about.
    """
    there = SSL.Connection(server, None)
    there.set_accept_state()
    there.set_app_data(app_data)
    if offers:
        client.set_alpn_protocols(list(offers))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(incoming, outgoing, server_hostname=server_name)
    shaken = Shaken(here, there)
    for _ in range(6):
        try:
            here.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            shaken.said, shaken.client = str(error), None
        data = outgoing.read()
        if data:
            there.bio_write(data)
        try:
            there.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            shaken.heard = str(error)
        with contextlib.suppress(SSL.WantReadError):
            incoming.write(there.bio_read(65536))
        if shaken.client is None:
            break
    return shaken
