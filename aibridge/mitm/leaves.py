"""
Certificates of intercepted hosts: made when they are asked for, and kept for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

import attrs
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions, TLSVersion

from aibridge.mitm.authority import Authority
from aibridge.mitm.sessions import watch

PROTOCOLS: Final = (b"http/1.1",)
"""What is agreed on by ALPN, whatever else a client offers: there is no HTTP/2 here."""


@attrs.frozen(eq=False)
class _Leaf:
    """
    :ivar renew_at: Unix seconds from which a new one is made.
    """

    context: SSL.Context
    renew_at: float


class Leaves:
    """
    The TLS contexts of intercepted hosts.

    All of them share one key, which is made anew with each process: what would a key for each protect from each other,
    that are in one memory?

    :param days: how long a certificate is good.
    :param size: how many are kept; beyond it the one unused for longest goes.
    :param wall_clock: Unix seconds.
    :param looked_up: told of each look-up: ``hit``, or ``miss`` if the certificate had to be made.
    """

    def __init__(
        self,
        authority: Authority,
        days: int,
        size: int,
        wall_clock: Callable[[], float],
        looked_up: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self.authority = authority
        self._days = days
        self._size = size
        self._wall_clock = wall_clock
        self._looked_up = looked_up
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaves: dict[str, _Leaf] = {}
        self._refusing: SSL.Context | None = None

    def __len__(self) -> int:
        return len(self._leaves)

    def __contains__(self, host: str) -> bool:
        return host in self._leaves

    def context_for(self, host: str) -> SSL.Context:
        """
        The context in which a server speaks for `host`.
        """
        leaf = self._leaves.pop(host, None)
        if leaf is None or self._wall_clock() >= leaf.renew_at:
            self._looked_up("miss")
            leaf = self._make(host)
        else:
            self._looked_up("hit")
        self._leaves[host] = leaf
        if len(self._leaves) > self._size:
            del self._leaves[next(iter(self._leaves))]
        return leaf.context

    def _make(self, host: str) -> _Leaf:
        now = datetime.fromtimestamp(self._wall_clock(), UTC)
        certificate = self.authority.issue(host, self._key.public_key(), now, self._days)
        half = (certificate.not_valid_after_utc - now) / 2

        def context_for_server_name(name: bytes | None) -> SSL.Context | None:
            # A name that is not the host's is refused. An address has none to be asked for by (RFC 6066, 3).
            if name is None or name.decode("ascii", "replace").lower() == host:
                return None
            return self._without_certificate()

        # pyOpenSSL takes cryptography's objects, and has deprecated its own, which are what Twisted is annotated with.
        key: Any = self._key
        chain: list[Any] = list(self.authority.chain)
        options = CertificateOptions(
            privateKey=key,
            certificate=cast("Any", certificate),
            extraCertChain=chain,
            raiseMinimumTo=TLSVersion.TLSv1_2,
            enableSessionTickets=True,
            contextForServerName=context_for_server_name,
        )
        context = options.getContext()
        context.set_alpn_select_callback(_choose)
        watch(context)
        return _Leaf(context, (now + half).timestamp())

    def _without_certificate(self) -> SSL.Context:
        """
        A context that can agree on nothing: the handshake ends with an alert.
        """
        if self._refusing is None:
            self._refusing = SSL.Context(SSL.TLS_METHOD)
        return self._refusing


def _choose(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
    """
    Agree on HTTP/1.1 if it was offered; if not, on nothing, and let the client find out what is spoken.
    """
    return next((protocol for protocol in PROTOCOLS if protocol in offered), SSL.NO_OVERLAPPING_PROTOCOLS)
