"""
The server's channel on real sockets: TCP, TLS and Unix.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThread

from aibridge.web.body import WINDOW
from aibridge.web.request import Request
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite
from certificates import Authority
from channels import Deciding, answers, get
from wires import PATIENCE_S, reset

reactor: Any = global_reactor
blockon: Any = pytest.importorskip("pytest_twisted").blockon

# Twisted's own, of pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

KINDS = ("tcp", "tls", "unix")


class Place:
    """
    A site that listens in one way.
    """

    def __init__(self, kind: str, directory: Path) -> None:
        self.resource = Deciding()
        self.site = BridgeSite(self.resource, HttpSettings(), reactor)
        self._kind = kind
        self._path = str(directory / "s")
        where = f"unix:{self._path}"
        if kind != "unix":
            where = "tcp:port=0:interface=127.0.0.1"
        if kind == "tls":
            authority = Authority(directory)
            certificate = authority.issue("localhost")
            where = f"ssl:port=0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.chain}"
            self._context = ssl.create_default_context(cafile=str(authority.certificate))
        self._where = where

    async def open(self) -> None:
        """
        Listen.
        """
        self._port: Any = await serverFromString(reactor, self._where).listen(self.site)

    async def close(self) -> None:
        """
        Listen no more, and leave nothing behind.
        """
        await self._port.stopListening()
        self.site.abort_all()
        while self.site.connections:
            await soon()

    def connect(self) -> socket.socket:
        """
        A client's end, to be used in a thread.
        """
        if self._kind == "unix":
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(PATIENCE_S)
            stream.connect(self._path)
            return stream
        made = socket.create_connection(("127.0.0.1", self._port.getHost().port), PATIENCE_S)
        return self._context.wrap_socket(made, server_hostname="localhost") if self._kind == "tls" else made


def run(steps: Coroutine[Any, Any, None]) -> Deferred[None]:
    """
    Take them one after the other. pytest-twisted waits for a test that returns a Deferred.
    """
    return Deferred.fromCoroutine(steps)


async def soon() -> None:
    """
    A few turns of the reactor later.
    """
    waiting: Deferred[None] = Deferred()
    reactor.callLater(0.001, waiting.callback, None)
    await waiting


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """
    A site in each way.
    """
    made = Place(request.param, tmp_path_factory.mktemp("s"))
    blockon(run(made.open()))
    yield made
    blockon(run(made.close()))


def waiting(request: Request) -> bytes:
    """
    Nothing has been said yet.
    """
    return b""


def ahead(request: Request) -> bytes:
    """
    The client has sent more requests.
    """
    return get() * 1000


def unread(request: Request) -> bytes:
    """
    The client has sent more of a body than is kept for a reader that does not come.
    """
    return b"x" * (WINDOW + 30000)


def paused(request: Request) -> bytes:
    """
    The same, for a reader that pauses.
    """
    producer: Any = request.body_producer(1 << 30)
    producer.startProducing(_Drain())
    producer.pauseProducing()
    return b"x" * (WINDOW + 30000)


def streaming(request: Request) -> bytes:
    """
    The answer has begun.
    """
    request.respond(200, [], None)
    request.write(b"x")
    return b""


class _Drain:
    def write(self, data: bytes) -> None:
        """
        Forget it.
        """


async def _departures_are_noticed(
    place: Place, state: Callable[[Request], bytes], leave: Callable[[socket.socket], object]
) -> None:
    left: Deferred[None] = Deferred()
    began: Deferred[bytes] = Deferred()

    def on_head(request: Request) -> None:
        request.on_departure = lambda: left.callback(None)
        began.callback(state(request))

    place.resource.on_head = on_head
    stream = await deferToThread(place.connect)
    has_body = state in (unread, paused)
    fields = (b"Content-Length: 1000000000",) if has_body else ()
    await deferToThread(stream.sendall, get(b"/", *fields, method=b"POST" if has_body else b"GET"))
    more = await began

    def push() -> None:
        # What the server does not read any more fills the sockets between the two.
        stream.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ssl.SSLError):
            stream.sendall(more)

    await deferToThread(push)
    assert not left.called
    await deferToThread(leave, stream)
    left.addTimeout(PATIENCE_S, reactor)
    await left


async def _answers_arrive_whole_and_in_order(place: Place) -> None:
    sizes = [1, 10, 100000, 1, 1, 65536, 3, 500000, 7, 2000000, 1] * 3
    sent = b"".join(bytes([number % 251]) * size for number, size in enumerate(sizes))

    def on_head(request: Request) -> None:
        request.respond(200, [], None)
        for number, size in enumerate(sizes):
            request.write(bytes([number % 251]) * size)
        request.finish()

    place.resource.on_head = on_head

    def converse() -> bytes:
        with place.connect() as stream:
            stream.sendall(get(b"/1") + get(b"/2", b"Connection: close"))
            seen = b""
            size = 1
            with contextlib.suppress(ssl.SSLError):
                while piece := stream.recv(size):
                    seen += piece
                    size = size * 3 % 200003 + 1
            return seen

    received = answers(await deferToThread(converse))
    assert [answer.body == sent for answer in received] == [True, True]


async def _whoever_is_still_sending_can_read_the_refusal(place: Place) -> None:

    def on_head(request: Request) -> None:
        request.respond(413, [], 3)
        request.write(b"no!")
        request.finish()

    place.resource.on_head = on_head

    def converse() -> bytes:
        with place.connect() as stream:
            stream.sendall(get(b"/", b"Content-Length: 20000000", method=b"POST"))
            gone = threading.Event()

            def send() -> None:
                with contextlib.suppress(OSError):
                    stream.sendall(b"x" * 20000000)
                gone.set()

            sender = threading.Thread(target=send)
            sender.start()
            seen = b""
            while not seen.endswith(b"no!"):
                piece = stream.recv(65536)
                assert piece, seen
                seen += piece
            # It may have been closed meanwhile.
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
            sender.join(PATIENCE_S)
            return seen

    (answer,) = answers(await deferToThread(converse))
    assert (answer.status, answer.body, answer.closes) == (413, b"no!", True)


async def _a_client_that_does_not_read_holds_little(place: Place) -> None:

    class Producer:
        def __init__(self, request: Request) -> None:
            self.request = request
            self.written = 0
            self.running = True

        def start(self) -> None:
            while self.running and self.written < 100 << 20:
                self.request.write(b"x" * 65536)
                self.written += 65536

        def pauseProducing(self) -> None:
            self.running = False

        def resumeProducing(self) -> None:
            self.running = True
            self.start()

        def stopProducing(self) -> None:
            self.running = False

    began: Deferred[Producer] = Deferred()

    def on_head(request: Request) -> None:
        producer = Producer(request)
        request.respond(200, [], None)
        request.registerProducer(producer, True)
        producer.start()
        began.callback(producer)

    place.resource.on_head = on_head
    stream = await deferToThread(place.connect)
    await deferToThread(stream.sendall, get())
    producer = await began
    while producer.running:
        await soon()
    before = producer.written
    assert before < 16 << 20

    def read_on() -> None:
        read = 0
        while read < before:
            read += len(stream.recv(65536))

    await deferToThread(read_on)
    while producer.written == before:
        await soon()
    await deferToThread(stream.close)


async def _pulled_answers_arrive_whole(place: Place) -> None:
    class Pieces:
        def __init__(self, request: Request) -> None:
            self.request = request
            self.left = 50

        def resumeProducing(self) -> None:
            if self.left:
                self.request.write(bytes([self.left]) * 70000)
                self.left -= 1
            else:
                self.request.unregisterProducer()
                self.request.finish()

        def stopProducing(self) -> None:
            self.left = 0

    def on_head(request: Request) -> None:
        request.respond(200, [], 50 * 70000)
        request.registerProducer(Pieces(request), False)

    place.resource.on_head = on_head

    def converse() -> bytes:
        with place.connect() as stream:
            stream.sendall(get() + get(b"/", b"Connection: close"))
            seen = b""
            with contextlib.suppress(ssl.SSLError):
                while piece := stream.recv(100000):
                    seen += piece
            return seen

    received = answers(await deferToThread(converse))
    expected = b"".join(bytes([number]) * 70000 for number in range(50, 0, -1))
    assert [answer.body == expected for answer in received] == [True, True]


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
@pytest.mark.parametrize("state", [waiting, ahead, unread, paused, streaming])
def test_departures_are_noticed(
    place: Place, state: Callable[[Request], bytes], leave: Callable[[socket.socket], object]
) -> Deferred[None]:
    """
    In every state, though nothing is written and nobody reads.
    """
    return run(_departures_are_noticed(place, state, leave))


def test_answers_arrive_whole_and_in_order(place: Place) -> Deferred[None]:
    """
    Small and large writes, to a client that reads in fits and starts.
    """
    return run(_answers_arrive_whole_and_in_order(place))


def test_whoever_is_still_sending_can_read_the_refusal(place: Place) -> Deferred[None]:
    """
    Although most of what it sends is never read.
    """
    return run(_whoever_is_still_sending_can_read_the_refusal(place))


def test_a_client_that_does_not_read_holds_little(place: Place) -> Deferred[None]:
    """
    A producer that waits when it is told to is told so in time, and goes on when the client does.
    """
    return run(_a_client_that_does_not_read_holds_little(place))


def test_pulled_answers_arrive_whole(place: Place) -> Deferred[None]:
    """
    From a producer that gives a piece whenever it is asked.
    """
    return run(_pulled_answers_arrive_whole(place))


def test_tiny_tls_records(tmp_path: Path) -> Deferred[None]:
    """
    A body in records of one byte, many in each segment, comes whole.
    """
    place = Place("tls", tmp_path)
    body = bytes(range(256)) * 8

    def send() -> None:
        with place.connect() as client:
            client.sendall(get(b"/", b"Content-Length: %d" % len(body), method=b"POST"))
            for number in range(len(body)):
                client.sendall(body[number : number + 1])
            assert answers(client.recv(65536))[0].status == 200

    def answer(request: Request) -> None:
        def done(whole: bytes) -> None:
            request.answer(200 if whole == body else 400, b"", b"")

        request.read_body(1 << 20, done, lambda error: request.answer(500, b"", b""))

    async def steps() -> None:
        await place.open()
        place.resource.on_head = answer
        await deferToThread(send)
        await place.close()
        assert place.site.unread.held == 0

    return run(steps())
