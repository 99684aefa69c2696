"""
The proxy without sockets: its clients, the hosts it tunnels to, and the bridge, each under a test's control.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from aibridge.daemon.proxy.config import ProxyLoaded
from aibridge.daemon.proxy.settings import ProxyDaemonSettings
from aibridge.mitm.addresses import Guard
from aibridge.mitm.dial import Route
from aibridge.mitm.front import Front, Within
from aibridge.mitm.hosts import BUILTIN, Hosts
from aibridge.mitm.leaves import Leaves
from aibridge.mitm.lines import Line
from aibridge.mitm.metrics import ProxyMetrics
from aibridge.mitm.places import Places
from aibridge.mitm.sessions import Layers
from aibridge.mitm.settings import ProxiedProvider
from aibridge.mitm.targets import Target
from aibridge.mitm.terms import Proxy, ProxyTerms
from aibridge.mitm.tunnel import Tunnels
from aibridge.relay.outage import Outage
from aibridge.web.completions import Completions
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite
from aibridge.wire.request import METHODS
from authorities import HOST, authority, trusting
from channels import Answer, Talk, answers
from fakes import TOKEN, KnowsOne, Upstream
from upstreams import FakeTransport

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
WALL = 1.7e9

PLAIN = ProxiedProvider(name="plain", type="openai-compatible", base_url="http://llm.test:8000/v1")


class Kept(Completions[Line]):
    """
    Keeps what has ended.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, None, str)
        self.lines: list[Any] = []

    def add(self, completion: Line) -> None:
        """
        One more.
        """
        self.lines.append(completion)


class FakeDialer:
    """
    Connects when a test says so.

    :ivar asked: every target.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[Target, Route]] = []
        self.waiting: list[Deferred[Any]] = []
        self.cancelled = 0

    def dial(self, target: Target, route: Route) -> Deferred[Any]:
        """
        Remember it.
        """
        self.asked.append((target, route))
        self.waiting.append(Deferred(self._cancel))
        return self.waiting[-1]

    def _cancel(self, _: Deferred[Any]) -> None:
        self.cancelled += 1

    def succeed(self) -> FakeTransport:
        """
        The host of the last one answers.
        """
        transport = FakeTransport(self.clock)
        self.waiting.pop().callback(transport)
        return transport

    def fail(self, error: Exception) -> None:
        """
        It does not.
        """
        self.waiting.pop().errback(error)


class Rig:
    """
    A proxy.
    """

    def __init__(
        self,
        *,
        identity: Any = None,
        providers: Iterable[ProxiedProvider] = (),
        most_tunnels: int = 100,
        http: HttpSettings | None = None,
        **terms: Any,
    ) -> None:
        self.clock = Clock()
        self.upstream = Upstream()
        self.identity = identity or KnowsOne()
        self.dialer = FakeDialer(self.clock)
        self.metrics = ProxyMetrics(CollectorRegistry())
        self.kept = Kept(self.clock)
        ids = iter(range(10**6))
        known = Hosts([*providers, *BUILTIN, PLAIN])
        self.proxy = Proxy(
            terms=ProxyTerms(
                **{
                    "hosts": known,
                    "identity": self.identity,
                    "client": self.upstream,
                    "bridge_url": b"http://bridge.test:4000",
                    "outage": Outage("The bridge"),
                    "leaves": leaves(self.metrics),
                    "tunnel": "authenticated",
                    "ports": frozenset((80, 443)),
                    "route": Route(guard=Guard()),
                    "max_body": 1000,
                    **terms,
                }
            ),
            clock=self.clock,
            wall_clock=lambda: WALL,
            new_id=lambda: f"s-{next(ids)}",
            new_request_id=lambda: f"r-{next(ids)}",
            metrics=self.metrics,
            completions=self.kept,
            dialer=self.dialer,  # type: ignore[arg-type]  # it is as good as one
            tunnels=Tunnels(self.clock, 3600.0),
            places=Places(most_tunnels),
        )
        settings = http or HttpSettings()
        self.proxy.site = BridgeSite(Within(self.proxy), settings, self.clock)
        self.proxy.layers = Layers(self.proxy.site, self.clock)
        self.site = BridgeSite(Front(self.proxy), settings, self.clock, methods=METHODS | {b"CONNECT"})

    @property
    def lines(self) -> list[Any]:
        """
        What was logged.
        """
        return self.kept.lines

    def count(self, series: str, **labels: str) -> float:
        """
        The value of a metric.
        """
        return self.metrics.registry.get_sample_value(f"aibridge_proxy_{series}", labels) or 0.0

    def turn(self) -> None:
        """
        Let the reactor turn.
        """
        for _ in range(4):
            self.clock.advance(0)

    def client(self) -> Talk:
        """
        One more connection to the proxy.
        """
        return Talk(site=self.site)

    def asks(self, *pieces: bytes) -> Talk:
        """
        A connection on which this was sent.
        """
        talk = self.client()
        talk.send(*pieces)
        return talk

    def connects(self, authority: str = f"{HOST}:443", token: bytes | None = TOKEN) -> Talk:
        """
        A client that asks for a connection.
        """
        return self.asks(connect(authority, token))


def loaded(**changes: Any) -> ProxyLoaded:
    """
    A configuration that is the default but for these.
    """
    told: dict[str, Any] = {
        "settings": ProxyDaemonSettings(),
        "hosts": Hosts(BUILTIN),
        "authority": authority(),
        "upstream": None,
        "origins": {},
    }
    return ProxyLoaded(**{**told, **changes})


def leaves(metrics: ProxyMetrics) -> Leaves:
    """
    Of the tests' authority.
    """
    return Leaves(authority(), 7, 256, lambda: datetime.now(UTC).timestamp(), metrics.leaf_looked_up)


def shows(token: bytes, name: bytes = b"ada") -> bytes:
    """
    The header that shows a token to the proxy.
    """
    return b"Proxy-Authorization: Basic " + base64.b64encode(name + b":" + token)


def connect(authority: str, token: bytes | None = TOKEN, *fields: bytes) -> bytes:
    """
    A CONNECT.
    """
    lines = [f"CONNECT {authority} HTTP/1.1".encode(), f"Host: {authority}".encode(), *fields]
    if token is not None:
        lines.append(shows(token))
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Secured:
    """
    A client that speaks TLS through its connection, once that is established.

    :ivar received: what has come, decrypted.
    :ivar error: why there was no handshake, or empty.
    :ivar ended: the other side has said all it has to say.
    """

    def __init__(
        self,
        talk: Talk,
        server_name: str | None = HOST,
        context: ssl.SSLContext | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        self.talk = talk
        self.received = b""
        self.error = ""
        self.ended = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        trusts = context or trusting(authority().certificate)
        self._tls = trusts.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._moved = 0
        if not at_once:
            assert talk.received.startswith(ESTABLISHED), talk.received
            self._moved = len(ESTABLISHED)
            self.move()

    def hello(self) -> bytes:
        """
        What the client begins with, to be sent by the test.
        """
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        self._moved = len(ESTABLISHED)
        return self._outgoing.read()

    def move(self) -> None:
        """
        Move everything, both ways, until nothing comes any more.
        """
        for _ in range(20):
            try:
                if self._tls.version() is None or not self._shaken():
                    self._tls.do_handshake()
                while True:
                    data = self._tls.read(65536)
                    if not data:
                        self.ended = True
                        break
                    self.received += data
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.error = self.error or str(error)
            data = self._outgoing.read()
            if data:
                self.talk.send(data)
            self.talk.clock.advance(0.002)
            received = self.talk.transport.received
            if len(received) == self._moved and not data:
                return
            self._incoming.write(received[self._moved :])
            self._moved = len(received)

    def _shaken(self) -> bool:
        return self._tls.cipher() is not None

    def send(self, data: bytes) -> None:
        """
        Send something.
        """
        self._tls.write(data)
        self.move()

    def answers(self, *methods: bytes) -> list[Answer]:
        """
        What has come, read as whole answers.
        """
        self.move()
        return answers(self.received, methods)
