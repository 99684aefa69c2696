"""
Stand-ins for what is on the other side of an exchange, each saying by its name how it behaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.breakers import Breakers
from aibridge.admission.keypool import KeyPool
from aibridge.admission.policies import Policies
from aibridge.admission.policy import Policy, Scope
from aibridge.admission.retries import RetryBudget
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.errors import Unauthenticated
from aibridge.interfaces import IIdentity
from aibridge.log import Completion
from aibridge.metrics import Metrics
from aibridge.model import Principal
from aibridge.providers.provider import Provider
from aibridge.providers.routes import Routes
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret
from aibridge.web.account import Account
from aibridge.web.bodies import Bodies
from aibridge.web.completions import Completions
from aibridge.web.exchange import Exchange
from aibridge.web.request import Request
from aibridge.web.terms import Bridge, Terms
from aibridge.web.turns import Turns
from channels import Talk

TOKEN = b"aib_test_token-of-some-length"
KEY = "sk-configured-0123456789abcdef"


@implementer(IIdentity)
class KnowsOne:
    """
    Knows `TOKEN` and nobody else.
    """

    verifies_tokens = True

    def __init__(self, principal: Principal | None = None) -> None:
        self.principal = principal or Principal(id="p1", name="tester")
        self.asked: list[tuple[bytes | None, str]] = []

    def identify(self, token: bytes | None, client_host: str, now: float) -> Any:
        """
        The one principal.
        """
        self.asked.append((token, client_host))
        if token != TOKEN:
            raise Unauthenticated
        return self.principal

    def principal_named(self, name: str) -> Principal | None:
        """
        The one principal.
        """
        return self.principal if name == self.principal.name else None

    def start(self) -> None:
        """
        Nothing.
        """

    def stop(self) -> None:
        """
        Nothing.
        """


@implementer(IIdentity)
class AsksSomebody(KnowsOne):
    """
    Has to ask, and tells when the test lets it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0
        self.waiting: list[Deferred[Principal]] = []

    def identify(self, token: bytes | None, client_host: str, now: float) -> Any:
        """
        Later.
        """

        def cancelled(_: Deferred[Principal]) -> None:
            self.cancelled += 1

        waiting: Deferred[Principal] = Deferred(cancelled)
        self.waiting.append(waiting)
        return waiting


@implementer(IPushProducer)
class BodyTransport:
    """
    The producer behind a response body.
    """

    def __init__(self) -> None:
        self.paused = False
        self.aborted = False

    def pauseProducing(self) -> None:
        """
        Remember it.
        """
        self.paused = True

    def resumeProducing(self) -> None:
        """
        Remember it.
        """
        self.paused = False

    def stopProducing(self) -> None:
        """
        As good as an abort.
        """
        self.aborted = True

    def abortConnection(self) -> None:
        """
        Remember it.
        """
        self.aborted = True


class Answer:
    """
    A response whose body comes when the test says so.
    """

    def __init__(
        self, code: int = 200, pairs: list[tuple[bytes, bytes]] | None = None, length: Any = UNKNOWN_LENGTH
    ) -> None:
        self.code = code
        self.pairs = pairs if pairs is not None else [(b"Content-Type", b"application/json")]
        self.length = length
        self.transport = BodyTransport()
        self._protocol: Any = None

    def deliverBody(self, protocol: Any) -> None:
        """
        Begin.
        """
        self._protocol = protocol
        protocol.makeConnection(self.transport)

    @property
    def is_delivered(self) -> bool:
        """
        Whether somebody wants its body.
        """
        return self._protocol is not None

    def body(self, data: bytes) -> None:
        """
        A piece comes.
        """
        self._protocol.dataReceived(data)

    def end(self, error: Exception | None = None) -> None:
        """
        It is over.
        """
        self._protocol.connectionLost(Failure(error or ResponseDone()))


@attrs.define(eq=False)
class Call:
    """
    One request to a provider.
    """

    receiver: Any
    method: bytes
    url: bytes
    headers: list[tuple[bytes, bytes]]
    data: Any
    cancelled: bool = False

    def cancel(self) -> None:
        """
        Nobody wants the answer.
        """
        self.cancelled = True

    def answer(self, response: Answer) -> Answer:
        """
        The provider answers.
        """
        self.receiver.answered(response)
        return response

    def fail(self, error: Exception) -> None:
        """
        The provider, or the way to it, fails.
        """
        self.receiver.failed(Failure(error))


class Upstream:
    """
    A client that remembers what it is asked, and answers when the test says so.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def ask(self, receiver: Any, method: bytes, url: bytes, pairs: list[tuple[bytes, bytes]], body: Any) -> Call:
        """
        Remember it.
        """
        call = Call(receiver, method, url, pairs, body)
        self.calls.append(call)
        return call


@attrs.define(eq=False)
class Fixture:
    """
    A bridge without sockets.

    :ivar done: what the completion log was given.
    """

    bridge: Bridge
    clock: Clock
    upstream: Upstream
    identity: KnowsOne
    done: list[Completion]

    @property
    def in_use(self) -> int:
        """
        Permits that are out.
        """
        return self.bridge.turns.seats.in_use


def bridge(
    *,
    limit: int = 0,
    identity: KnowsOne | None = None,
    keys: tuple[str, ...] = (KEY,),
    credentials: str = "client-or-central",
    policies: Sequence[Policy] = (),
    rate_limit: float = 0.0,
    rate_burst: float = 0.0,
    account: Mapping[str, Any] | None = None,
    seats: Mapping[str, Any] | None = None,
    breaker: BreakerTerms | None = None,
    provider: Mapping[str, Any] | None = None,
    round_robin: bool = False,
    **terms: Any,
) -> Fixture:
    """
    A bridge with one provider of each vendor, ``openai`` and ``anthropic``.

    :param limit: of exchanges in flight.
    :param keys: of each of them.
    :param rate_limit: requests a second for each principal, before `policies`.
    :param account: arguments of `Account`.
    :param seats: arguments of `SeatTerms`.
    :param provider: further settings of each of them.
    :param round_robin: their keys are used in turn.
    :param breaker: calls go through breakers.
    """
    clock = Clock()
    clock.advance(1000.0)
    upstream = Upstream()
    identity = identity or KnowsOne()
    first = Secret(keys[0]) if keys else None
    providers = [
        Provider.from_settings(
            ProviderSettings(name=name, type=name, credentials=credentials, **(provider or {})), first
        )
        for name in ("openai", "anthropic")
    ]
    done: list[Completion] = []

    class Kept(Completions[Completion]):
        def add(self, completion: Completion) -> None:
            done.append(completion)

    short = [Policy(scope=Scope.PRINCIPAL, limit=rate_limit, burst=rate_burst)] if rate_limit else []
    ids = iter(range(10**6))
    seat_terms = SeatTerms(max_concurrency=limit, **(seats or {}))
    made = Bridge(
        terms=Terms(
            routes=Routes(providers),
            identity=identity,
            accounts={
                provider.name: Account(
                    upstream,
                    KeyPool(map(Secret, keys), round_robin) if keys else None,
                    RetryBudget(),
                    **(account or {}),
                )
                for provider in providers
            },
            policies=Policies([*short, *policies]),
            breaks=breaker is not None,
            **{"max_body": 10000, **terms},
        ),
        clock=clock,
        wall_clock=lambda: 1.7e9,
        new_id=lambda: f"id-{next(ids)}",
        chance=lambda: 0.0,
        turns=Turns(clock, Seats(seat_terms, clock.seconds, lambda: 0.0)),
        breakers=Breakers(breaker or BreakerTerms()),
        metrics=Metrics(CollectorRegistry()),
        completions=Kept(clock, None, str),
        bodies=Bodies(clock, 256 << 20, 30.0),
    )
    return Fixture(made, clock, upstream, identity, done)


def raises(error: type[Exception]) -> Callable[..., Any]:
    """
    A function that raises, whatever it is called with.
    """

    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


class Asked:
    """
    A request that a client sends over a connection of its own, and what it is told.

    :ivar request: as the exchange has it, once it was asked.
    """

    request: Request

    def __init__(
        self,
        method: bytes = b"POST",
        uri: bytes = b"/openai/v1/chat/completions",
        pairs: list[tuple[bytes, bytes]] | None = None,
        body: bytes = b'{"model":"m"}',
        *,
        wants_upgrade: bool = False,
        body_comes_at_once: bool = True,
    ) -> None:
        pairs = [(b"Authorization", b"Bearer " + TOKEN)] if pairs is None else pairs
        if wants_upgrade:
            pairs = [*pairs, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        if body:
            pairs = [*pairs, (b"Content-Length", b"%d" % len(body))]
        fields = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
        self._head = b"%b %b HTTP/1.1\r\nHost: bridge\r\n%b\r\n" % (method, uri, fields)
        self._method = method
        self._body = body
        self._at_once = body_comes_at_once
        self._talk: Talk

    def ask(self, bridge: Bridge) -> Asked:
        """
        Send it to a bridge.
        """

        def begin(request: Request) -> None:
            self.request = request
            Exchange(bridge, request).begin()

        self._talk = Talk(begin, max_body=1 << 20)
        self._talk.send(self._head + self._body if self._at_once else self._head)
        return self

    def send(self, data: bytes) -> None:
        """
        Send what is left.
        """
        self._talk.send(data)

    @property
    def reads(self) -> bool:
        """
        Its connection is read.
        """
        return self._talk.transport.reads

    def leave(self) -> None:
        """
        The client goes away.
        """
        self._talk.transport.leave()

    def wait(self, seconds: float) -> None:
        """
        Time passes on the connection.
        """
        self._talk.wait(seconds)

    @property
    def received(self) -> bytes:
        """
        All that the client was sent.
        """
        return self._talk.received

    @property
    def status(self) -> int:
        """
        What it was told, or 0.
        """
        received = self.received
        return int(received[9:12]) if received else 0

    @property
    def answer_pairs(self) -> list[tuple[bytes, bytes]]:
        """
        The header fields of the answer, those of its wire left out.
        """
        head = self.received.partition(b"\r\n\r\n")[0]
        pairs = [line.partition(b": ")[::2] for line in head.split(b"\r\n")[1:]]
        return [
            pair for pair in pairs if pair[0] not in (b"Date", b"Content-Length", b"Transfer-Encoding", b"Connection")
        ]

    def told(self, name: bytes) -> bytes | None:
        """
        A header field of the answer, by its name in lower case.
        """
        head = self.received.partition(b"\r\n\r\n")[0]
        pairs = [line.partition(b": ")[::2] for line in head.split(b"\r\n")[1:]]
        return next((value for each, value in pairs if each.lower() == name), None)

    @property
    def written(self) -> bytes:
        """
        The body of the answer, as far as it has come.
        """
        body = self.received.partition(b"\r\n\r\n")[2]
        if self.told(b"transfer-encoding") is None:
            return body
        whole = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            whole += body[: int(size, 16)]
            body = body[int(size, 16) + 2 :]
        return whole

    @property
    def finished(self) -> bool:
        """
        The answer is whole.
        """
        return self.request.finished

    @property
    def aborted(self) -> bool:
        """
        The answer was visibly broken off.
        """
        return self.request.departed and self._talk.transport.ended != ""
