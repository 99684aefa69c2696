"""
One CONNECT, from its head to what it becomes: an interception, a tunnel, or a refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aibridge.identity.address import place_of
from aibridge.mitm.asking import DRAIN_RETRY_S, Asking
from aibridge.mitm.hosts import Intercepted
from aibridge.mitm.refusals import Refusal, Refused
from aibridge.mitm.sessions import COMPLETED, Session
from aibridge.mitm.targets import Malformed, Target, read_authority
from aibridge.mitm.terms import OFF, OPEN, Proxy
from aibridge.mitm.tunnel import Tunnel
from aibridge.relay.takeover import take_over

if TYPE_CHECKING:
    from aibridge.web.request import Request

MITM: Final = "mitm"
TUNNELED: Final = "tunneled"

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
CROWDED_RETRY_S: Final = 1.0


class Connecting(Asking):
    """
    Serves one CONNECT.
    """

    __slots__ = ("_holder", "_is_tunnel", "_target")

    def __init__(self, proxy: Proxy, request: Request) -> None:
        super().__init__(proxy, request)
        self._target = Target("", 0)
        # Who has a place for a tunnel, once it is taken.
        self._holder = ""
        self._is_tunnel = False

    def _enter(self) -> None:
        request, terms, line = self._request, self._terms, self._line
        try:
            self._target = target = read_authority(request.uri.decode("ascii"))
        except Malformed as malformed:
            raise Refused(Refusal.MALFORMED, str(malformed)) from None
        line.host, line.port = target.host, target.port
        if request.declared_length != 0:
            raise Refused(Refusal.MALFORMED, "CONNECT has no body.")
        if self._proxy.draining:
            raise Refused(Refusal.DRAINING, retry_after_s=DRAIN_RETRY_S)
        if terms.tunnel == OPEN and terms.hosts.find(target) is None:
            self._admitted()
        else:
            self._identify()

    def _admitted(self) -> None:
        terms, target, proxy = self._terms, self._target, self._proxy
        place = terms.hosts.find(target)
        if place is not None:
            self._intercept(place)
            return
        if terms.tunnel == OFF:
            raise Refused(Refusal.TUNNEL_OFF)
        if target.port not in terms.ports:
            raise Refused(Refusal.PORT)
        # Those being connected have their places as well, as each of them will be a tunnel.
        holder = self._who or place_of(self._request.client_host)
        if not proxy.places.take(holder):
            raise Refused(Refusal.AT_CAPACITY, retry_after_s=CROWDED_RETRY_S)
        self._holder = holder
        self._wait(proxy.dialer.dial(target, terms.route), self._tunnel)

    # -- what it becomes -----------------------------------------------------------------------------------------

    def _intercept(self, place: Intercepted) -> None:
        proxy, line = self._proxy, self._line
        if proxy.site.crowded:
            raise Refused(Refusal.AT_CAPACITY, retry_after_s=CROWDED_RETRY_S)
        line.provider = place.name
        session = Session(
            id=line.session,
            client_host=line.client,
            place=place,
            principal=line.principal,
            token=self._token,
            context=self._terms.leaves.context_for(place.host) if place.secure else None,
            ended=self._intercepted,
        )
        transport, rest = self._request.hand_over()
        self._end()
        proxy.metrics.session_began(MITM)
        transport.write(ESTABLISHED)
        take_over(transport, proxy.layers.make(session), rest)

    def _intercepted(self, session: Session, cause: str) -> None:
        line = self._line
        line.requests, line.bytes_in, line.bytes_out = session.requests, session.bytes_in, session.bytes_out
        if cause != COMPLETED:
            self._proxy.metrics.handshake_failed(cause)
        self._told(MITM, 200, cause)

    def _tunnel(self, host: Any) -> None:
        proxy = self._proxy
        client, rest = self._request.hand_over()
        self._is_tunnel = True
        proxy.metrics.session_began(TUNNELED)
        Tunnel(proxy.tunnels, self._tunnelled).start(client, host, ESTABLISHED, rest)
        self._end()

    def _tunnelled(self, tunnel: Tunnel, cause: str) -> None:
        proxy, line = self._proxy, self._line
        proxy.places.give_back(self._holder)
        line.bytes_in, line.bytes_out = tunnel.client.received, tunnel.host.received
        proxy.metrics.tunnelled(line.bytes_in, line.bytes_out)
        self._told(TUNNELED, 200, cause)
        proxy.ended()

    def _end(self) -> None:
        if self._holder and not self._is_tunnel:
            self._proxy.places.give_back(self._holder)
            self._holder = ""
        super()._end()
