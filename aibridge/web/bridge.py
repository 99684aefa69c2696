"""
The resource at the root of the API listener: every request below it becomes an exchange.
"""

from __future__ import annotations

from functools import partial

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aibridge.web.exchange import serve
from aibridge.web.request import Request
from aibridge.web.terms import Bridge


class BridgeResource(Resource):
    """
    Renders a request as soon as its head is complete, whatever its path and method.

    :ivar render_on_head: begins an exchange, which answers when it can. That it is there tells the site not to read
        the body first.
    """

    isLeaf = True

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.render_on_head = partial(serve, bridge)

    def render(self, request: Request) -> int:
        """
        The same, for those who render resources themselves.
        """
        self.render_on_head(request)
        return NOT_DONE_YET
