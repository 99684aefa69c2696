"""
The resources at the two doors of the proxy: where clients ask for connections, and where intercepted requests come out.
"""

from __future__ import annotations

from twisted.web.resource import Resource

from aibridge.mitm.connecting import Connecting
from aibridge.mitm.forwarding import Forwarding
from aibridge.mitm.plain import PlainRequest
from aibridge.mitm.sessions import Session
from aibridge.mitm.terms import Proxy
from aibridge.web.request import Request


class Front(Resource):
    """
    What clients of the proxy meet.
    """

    isLeaf = True

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def render_on_head(self, request: Request) -> None:
        """
        Begin what was asked for; it answers when it can. That this is here tells the site not to read the body first.
        """
        kind = Connecting if request.method == b"CONNECT" else PlainRequest
        kind(self._proxy, request).begin()


class Within(Resource):
    """
    What the requests of intercepted connections meet.
    """

    isLeaf = True

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def render_on_head(self, request: Request) -> None:
        """
        Hand it to the bridge.
        """
        session: Session = request.channel.transport.session
        Forwarding(self._proxy, request, session, request.uri).begin()
