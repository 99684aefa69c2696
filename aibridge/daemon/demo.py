"""
The simulated provider's listener: a loopback socket of its own, so that its requests take the whole way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aibridge.demo.resource import demo_resource
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite


class DemoListener:
    """
    Listens once somebody needs it, on a free port of 127.0.0.1.
    """

    def __init__(self, reactor: Any, wall_clock: Callable[[], float], http: HttpSettings) -> None:
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._http = http
        self._port: Any = None

    def url(self) -> str:
        """
        Where it listens; begins to if it did not.
        """
        if self._port is None:
            site = BridgeSite(demo_resource(self._reactor, self._wall_clock), self._http, self._reactor)
            self._port = self._reactor.listenTCP(0, site, interface="127.0.0.1")
        return f"http://127.0.0.1:{self._port.getHost().port}"

    def close(self) -> None:
        """
        Listen no more.
        """
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()
