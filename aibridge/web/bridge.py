"""
The resource at the root of the API listener: every request below it becomes an exchange.
"""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aibridge.web.exchange import Exchange
from aibridge.web.request import Request
from aibridge.web.terms import Bridge


class BridgeResource(Resource):
    """
    Renders a request as soon as its head is complete, whatever its path and method.

    :cvar renders_on_head: tells the channel not to read the body first.
    """

    isLeaf = True
    renders_on_head = True

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def render(self, request: Request) -> int:
        """
        Begin an exchange; it answers when it can.
        """
        Exchange(self._bridge, request).begin()
        return NOT_DONE_YET
