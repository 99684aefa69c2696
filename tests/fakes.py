"""
Stand-ins for what is on the other side of an exchange, each saying by its name how it behaves.
"""

from __future__ import annotations

from collections.abc import Callable
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

from aibridge.admission.bucket import Buckets
from aibridge.admission.gate import Gate
from aibridge.errors import Unauthenticated
from aibridge.interfaces import IIdentity
from aibridge.log import Completion
from aibridge.metrics import Metrics
from aibridge.model import Principal
from aibridge.providers.provider import Provider
from aibridge.providers.routes import Routes
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret
from aibridge.web.completions import Completions
from aibridge.web.terms import Bridge, Terms

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

    method: bytes
    url: bytes
    headers: list[tuple[bytes, bytes]]
    data: Any
    deferred: Deferred[Any]
    cancelled: bool = False

    def answer(self, response: Answer) -> Answer:
        """
        The provider answers.
        """
        self.deferred.callback(response)
        return response

    def fail(self, error: Exception) -> None:
        """
        The provider, or the way to it, fails.
        """
        self.deferred.errback(error)


class Upstream:
    """
    A client that remembers what it is asked, and answers when the test says so.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def request(self, method: bytes, url: bytes, *, headers: list[tuple[bytes, bytes]], data: object) -> Deferred[Any]:
        """
        Remember it.
        """

        def cancelled(_: Deferred[Any]) -> None:
            call.cancelled = True

        call = Call(method, url, headers, data, Deferred(cancelled))
        self.calls.append(call)
        return call.deferred


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


def bridge(
    *,
    limit: int = 0,
    identity: KnowsOne | None = None,
    key: str | None = KEY,
    credentials: str = "client-or-central",
    **terms: Any,
) -> Fixture:
    """
    A bridge with one provider of each vendor, ``openai`` and ``anthropic``.
    """
    clock = Clock()
    clock.advance(1000.0)
    upstream = Upstream()
    identity = identity or KnowsOne()
    providers = [
        Provider.from_settings(
            ProviderSettings(name=name, type=name, credentials=credentials), None if key is None else Secret(key)
        )
        for name in ("openai", "anthropic")
    ]
    done: list[Completion] = []

    class Kept(Completions[Completion]):
        def add(self, completion: Completion) -> None:
            done.append(completion)

    ids = iter(range(10**6))
    made = Bridge(
        terms=Terms(
            routes=Routes(providers),
            identity=identity,
            clients={provider.name: upstream for provider in providers},
            **{"max_body": 10000, **terms},
        ),
        clock=clock,
        wall_clock=lambda: 1.7e9,
        new_id=lambda: f"id-{next(ids)}",
        gate=Gate(limit),
        buckets=Buckets(1000),
        metrics=Metrics(CollectorRegistry()),
        completions=Kept(clock, None, str),
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
    A request as its channel would hand it over, with the client under the test's control.
    """

    def __init__(
        self,
        method: bytes = b"POST",
        uri: bytes = b"/openai/v1/chat/completions",
        pairs: list[tuple[bytes, bytes]] | None = None,
        body: bytes = b'{"model":"m"}',
        *,
        wants_upgrade: bool = False,
    ) -> None:
        self.method = method
        self.uri = uri
        self.path = uri.partition(b"?")[0]
        self.pairs = [(b"Host", b"bridge"), (b"Authorization", b"Bearer " + TOKEN)] if pairs is None else pairs
        self.client_host = "192.0.2.1"
        self.wants_upgrade = wants_upgrade
        self.declared_length: int | None = len(body)
        self.on_departure: Callable[[], None] | None = None
        self.status = 0
        self.answer_pairs: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.written = b""
        self.finished = 0
        self.aborted = 0
        self.producer: Any = None
        self.body = body
        self.body_comes_at_once = True
        self.body_wanted: tuple[Callable[[bytes], None], Callable[[Exception], None]] | None = None

    def header(self, name: bytes) -> bytes | None:
        """
        The first value.
        """
        return next(iter(self.headers_named(name)), None)

    def headers_named(self, name: bytes) -> list[bytes]:
        """
        All values.
        """
        return [value for each, value in self.pairs if each.lower() == name]

    def forget_fields(self) -> None:
        """
        Nobody asks for them any more.
        """
        self.pairs = []

    def read_body(self, limit: int, done: Callable[[bytes], None], failed: Callable[[Any], None]) -> None:
        """
        Hand the body over, now or when the test says so.
        """
        self.body_wanted = (done, failed)
        if self.body_comes_at_once:
            done(self.body)

    def body_producer(self, limit: int) -> Any:
        """
        Something that stands for the body.
        """
        return ("producer", limit)

    def respond(self, status: int, pairs: list[tuple[bytes, bytes]], length: int | None) -> None:
        """
        The head of the answer.
        """
        assert not self.status, "a second status"
        self.status, self.answer_pairs, self.length = status, list(pairs), length

    def write(self, data: bytes) -> None:
        """
        A piece of the answer.
        """
        assert not self.finished, "written after the end"
        self.written += data

    def finish(self) -> None:
        """
        The end of the answer.
        """
        self.finished += 1

    def abort(self) -> None:
        """
        A visible break.
        """
        self.aborted += 1

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Whom to pause.
        """
        self.producer = producer

    def unregisterProducer(self) -> None:
        """
        Nobody any more.
        """
        self.producer = None

    def leave(self) -> None:
        """
        The client goes away.
        """
        assert self.on_departure is not None, "nobody wants to know"
        self.on_departure()

    def told(self, name: bytes) -> bytes | None:
        """
        A header of the answer.
        """
        return next((value for each, value in self.answer_pairs if each.lower() == name), None)
