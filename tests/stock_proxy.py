"""
What one would write with twisted.web and treq alone: the reverse proxy that the traps are set for.

    python tests/stock_proxy.py PROVIDER_URL TIMEOUT_S [ENDPOINT]

It prints its port. The endpoint is a server endpoint of Twisted's; without it, any port of the loopback interface.
"""

from __future__ import annotations

import sys
from typing import Any

import treq
from twisted.internet import reactor as global_reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

reactor: Any = global_reactor


class Body(Protocol):
    """
    Passes a body on.
    """

    def __init__(self, request: Request) -> None:
        self.request = request

    def dataReceived(self, data: bytes) -> None:
        """
        Pass it on.
        """
        self.request.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        End, however it ended.
        """
        self.request.finish()


class Proxy(Resource):
    """
    Passes requests on.
    """

    isLeaf = True

    def __init__(self, provider: str) -> None:
        super().__init__()
        self.provider = provider

    def render(self, request: Any) -> int:
        """
        Ask the provider.
        """
        asked = treq.request(
            request.method.decode(), self.provider + request.uri.decode(), data=request.content.read(), unbuffered=True
        )

        def answered(response: Any) -> None:
            request.setResponseCode(response.code)
            for name, values in response.headers.getAllRawHeaders():
                if name.lower() not in (b"content-length", b"transfer-encoding", b"connection"):
                    request.responseHeaders.setRawHeaders(name, values)
            response.original.deliverBody(Body(request)) if hasattr(response, "original") else None

        def failed(_: Failure) -> None:
            request.setResponseCode(502)
            request.finish()

        asked.addCallbacks(answered, failed).addErrback(lambda failure: failure.printTraceback())
        return NOT_DONE_YET


def listen(provider: str, timeout_s: float, endpoint: str = "tcp:0:interface=127.0.0.1") -> None:
    """
    Serve.
    """
    listening = serverFromString(reactor, endpoint).listen(Site(Proxy(provider), timeout=timeout_s))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))


if __name__ == "__main__":
    listen(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])
    reactor.run()
