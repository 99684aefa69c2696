"""
What comes to the proxy's door and is no CONNECT: requests for other servers in clear text, and those for the proxy
itself.

Plain HTTP is not forwarded: it would be an open door into whatever speaks it. To a provider's host it is answered as
an intercepted request is, which takes it no further than to the bridge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aibridge.mitm.asking import Asking
from aibridge.mitm.forwarding import Forwarding
from aibridge.mitm.hosts import Intercepted
from aibridge.mitm.refusals import Refusal, Refused
from aibridge.mitm.sessions import Session
from aibridge.mitm.targets import Malformed, read_absolute
from aibridge.mitm.terms import Proxy

if TYPE_CHECKING:
    from aibridge.web.request import Request


class PlainRequest(Asking):
    """
    Serves one of them.
    """

    __slots__ = ("_path", "_place")

    def __init__(self, proxy: Proxy, request: Request) -> None:
        super().__init__(proxy, request)
        self._place: Intercepted | None = None
        self._path = b""

    def _enter(self) -> None:
        line = self._line
        uri = self._request.uri.decode("ascii")
        if uri.startswith("/"):
            raise Refused(Refusal.NOT_PROXIED)
        try:
            _, target, path = read_absolute(uri)
        except Malformed as malformed:
            raise Refused(Refusal.MALFORMED, str(malformed)) from None
        line.host, line.port = target.host, target.port
        self._path = path.encode("ascii")
        self._place = self._terms.hosts.find_plain(target)
        if self._place is None:
            raise Refused(Refusal.PLAIN_HTTP)
        self._identify()

    def _admitted(self) -> None:
        proxy, request, line = self._proxy, self._request, self._line
        assert self._place is not None
        session = Session(
            id=line.session,
            client_host=line.client,
            place=self._place,
            principal=line.principal,
            token=self._token,
            ended=_nobody_asks,
        )
        self._end()
        # The host is the target's; what the Host field says does not count beside it (RFC 9112, 3.2.2).
        Forwarding(proxy, request, session, self._path, checks_host=False).begin()


def _nobody_asks(session: Session, cause: str) -> None:
    """
    Each request tells of itself, and the connection is the client's for more than one.
    """
