"""
Those who ask: each is a principal, and each request a connection of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IConsumer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from aibridge.web.site import BridgeSite
from benchmarks.heeding.bridge import PROVIDER, Simulated
from benchmarks.heeding.vendor import BYTES_PER_TOKEN

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
PATHS = {"openai": CHAT, "anthropic": MESSAGES}

REASON = b"\r\nX-AI-Bridge-Reason: "


@dataclass(frozen=True)
class Caller:
    """
    Somebody and what it asks for.

    :ivar principal: who it is at the bridge; empty for its name.
    :ivar every_s: between two requests: exactly, or on average where they come by chance.
    :ivar steady: they come like a clock.
    :ivar begins_s: when it asks for the first time, at the earliest.
    :ivar most: how many requests it makes; 0 for as many as there is time for.
    :ivar input: tokens of a request.
    :ivar output: tokens of its answer, on average; a half to twice of it.
    :ivar max_tokens: that it allows.
    :ivar path: below the provider; empty for the usual one.
    :ivar retries: how often a refused request is sent again, as SDKs do: after the time they were told, or after half a
        second, then after twice that.
    """

    name: str
    every_s: float
    steady: bool = False
    begins_s: float = 0.0
    most: int = 0
    model: str = "m"
    input: int = 200
    output: int = 200
    max_tokens: int = 1024
    method: str = "POST"
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    retries: int = 0
    principal: str = ""


@dataclass
class Fate:
    """
    What became of what a caller wanted.

    :ivar statuses: of every answer, by status and who gave it: the bridge's reason, or empty.
    :ivar bodies: of the provider's refusals.
    """

    wanted: int = 0
    served: int = 0
    statuses: dict[tuple[int, str], int] = field(default_factory=dict)
    bodies: set[bytes] = field(default_factory=set)

    @property
    def share(self) -> float:
        """
        Served, of what it wanted.
        """
        return self.served / self.wanted if self.wanted else 1.0

    @property
    def refused_by_bridge(self) -> int:
        """
        Answers that the bridge gave itself.
        """
        return sum(count for (_, reason), count in self.statuses.items() if reason)


@implementer(ITransport, IConsumer)
class Line:
    """
    The client's end of a connection, which takes whatever comes.
    """

    def __init__(self, site: BridgeSite, clock: Clock, request: bytes, done: Callable[[bytes], None]) -> None:
        self._clock = clock
        self._received: list[bytes] = []
        self._done = done
        self._channel: Any = site.buildProtocol(self.getPeer())
        self._channel.makeConnection(self)
        self._channel.dataReceived(request)

    def write(self, data: bytes) -> None:
        """
        Take it.
        """
        self._received.append(data)

    def writeSequence(self, data: Any) -> None:
        """
        Take all.
        """
        self._received.extend(data)

    def loseConnection(self) -> None:
        """
        The server has answered.
        """
        self._clock.callLater(0, self._over)

    abortConnection = loseWriteConnection = loseConnection

    def _over(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.connectionLost(Failure(ConnectionDone()))
            self._done(b"".join(self._received))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        It is never told to stop.
        """

    def unregisterProducer(self) -> None:
        """
        Likewise.
        """

    def pauseProducing(self) -> None:
        """
        Everything was sent.
        """

    resumeProducing = pauseProducing

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        There is no delay.
        """

    def getPeer(self) -> IPv4Address:
        """
        The client.
        """
        return IPv4Address("TCP", "192.0.2.7", 40000)

    def getHost(self) -> IPv4Address:
        """
        The bridge.
        """
        return IPv4Address("TCP", "192.0.2.1", 4000)


class Asking:
    """
    A caller at a bridge.

    :param within: no request begins after the second of these times; those that begin before the first are made, and
        do not count.
    """

    def __init__(
        self, caller: Caller, simulated: Simulated, type_: str, within: tuple[float, float], seed: int
    ) -> None:
        self.caller = caller
        self.fate = Fate()
        self._simulated = simulated
        self._clock = simulated.clock
        self._type = type_
        self._from_s, self._until_s = within
        self._made = 0
        # Arrivals and answers are drawn apart, so that nothing that happens changes what is asked for.
        self._arrivals = Random(f"{seed} {caller.name} arrivals")
        self._sizes = Random(f"{seed} {caller.name} sizes")
        self._clock.callLater(caller.begins_s + self._gap(), self._ask)

    def _gap(self) -> float:
        every = self.caller.every_s
        return every if self.caller.steady else self._arrivals.expovariate(1 / every)

    def _ask(self) -> None:
        caller = self.caller
        fate = self.fate if self._clock.seconds() >= self._from_s else Fate()
        fate.wanted += 1
        self._made += 1
        output = max(1, round(caller.output * 2.0 ** self._sizes.uniform(-1, 1)))
        self._send(request(caller, self._type, output), caller.retries, fate)
        gap = self._gap()
        if self._clock.seconds() + gap < self._until_s and self._made != caller.most:
            self._clock.callLater(gap, self._ask)

    def _send(self, data: bytes, retries: int, fate: Fate) -> None:
        Line(self._simulated.site, self._clock, data, lambda answer: self._answered(data, retries, fate, answer))

    def _answered(self, data: bytes, retries: int, fate: Fate, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head[9:12])
        reason = head.partition(REASON)[2].partition(b"\r\n")[0].decode()
        fate.statuses[status, reason] = fate.statuses.get((status, reason), 0) + 1
        if status < 300:
            fate.served += 1
            return
        if not reason:
            fate.bodies.add(body)
        if retries and status in (429, 503, 529):
            pause = told(head) or 0.5 * 2 ** (self.caller.retries - retries)
            self._clock.callLater(pause, self._send, data, retries - 1, fate)


def told(head: bytes) -> float:
    """
    Seconds that an answer says to wait; 0.0 if it does not.
    """
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        if name.lower() == b"retry-after-ms":
            return float(value) / 1000
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        if name.lower() == b"retry-after":
            return float(value)
    return 0.0


def request(caller: Caller, type_: str, output: int) -> bytes:
    """
    One of its requests, as bytes.

    :param output: tokens of the answer.
    """
    path = caller.path or PATHS[type_]
    body = b""
    if caller.method == "POST":
        said = {
            "model": caller.model,
            "max_tokens": caller.max_tokens,
            "stream": True,
            "messages": [{"role": "user", "content": "Hello"}],
            "caller": caller.name,
            "produce": output,
        }
        body = json.dumps(said).encode()
        body += b" " * max(0, caller.input * BYTES_PER_TOKEN - len(body))
    fields = [
        ("Host", "bridge"),
        ("Authorization", f"Bearer aib_{caller.principal or caller.name}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("User-Agent", "OpenAI/Python 3.54.0" if type_ == "openai" else "claude-cli/2.1.330 (external, sdk-cli)"),
        ("Connection", "close"),
        *caller.headers,
    ]
    head = f"{caller.method} /{PROVIDER}{path} HTTP/1.1\r\n"
    return (head + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n").encode() + body
