"""
The resources at the two doors of the proxy: where clients ask for connections, and where intercepted requests come out.
"""

from __future__ import annotations

from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aibridge.mitm.connecting import Connecting
from aibridge.mitm.forwarding import Forwarding
from aibridge.mitm.plain import PlainRequest
from aibridge.mitm.sessions import Session
from aibridge.mitm.terms import Proxy
from aibridge.web.request import Request


class Front(Resource):
    """
    What clients of the proxy meet.

    :cvar renders_on_head: tells the channel not to read the body first.
    """

    isLeaf = True
    renders_on_head = True

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def render(self, request: Request) -> int:
        """
        Begin what was asked for; it answers when it can.
        """
        kind = Connecting if request.method == b"CONNECT" else PlainRequest
        kind(self._proxy, request).begin()
        return NOT_DONE_YET


class Within(Resource):
    """
    What the requests of intercepted connections meet.

    :cvar renders_on_head: likewise.
    """

    isLeaf = True
    renders_on_head = True

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def render(self, request: Request) -> int:
        """
        Hand it to the bridge.
        """
        layer: Any = request.transport
        session: Session = layer.session
        Forwarding(self._proxy, request, session, request.uri).begin()
        return NOT_DONE_YET
