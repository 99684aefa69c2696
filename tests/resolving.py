"""
A reactor in memory whose names are resolved by a test.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer


@implementer(IHostnameResolver)
class Resolver:
    """
    Answers when a test says so.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.receivers: list[Any] = []
        self.broken = False

    def resolveHostName(self, receiver: Any, host: str, port: int = 0, *_: Any) -> Any:
        if self.broken:
            raise OSError("no threads")
        self.asked.append((host, port))
        self.receivers.append(receiver)
        receiver.resolutionBegan(None)

    def answer(self, *addresses: Any, which: int = -1) -> None:
        for address in addresses:
            self.receivers[which].addressResolved(address)
        self.receivers[which].resolutionComplete()


@implementer(IReactorPluggableNameResolver)
class Reactor(MemoryReactorClock):
    """
    A reactor in memory whose names are resolved by a test.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resolver = Resolver()
        self.nameResolver = self.resolver

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError
