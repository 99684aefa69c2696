"""
TLS to providers over real sockets: certificates good and bad, sessions, and bodies of some size.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from aibridge import errors
from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import RelayAgent
from certificates import Authority, Issued
from upstreams import Body
from wires import Provider, whole

LARGE = bytes(range(256)) * 8192


@attrs.define
class Secured:
    """
    A provider behind TLS.

    :ivar handshakes: of each connection: whether a session was resumed, the version, and what ALPN agreed on.
    """

    provider: Provider
    context: ssl.SSLContext
    handshakes: list[tuple[bool, str | None, str | None]] = attrs.field(factory=list)

    def url(self, host: str = "localhost") -> bytes:
        """
        Where it is.
        """
        return self.provider.url.replace("http://127.0.0.1", f"https://{host}").encode()


Serve = Callable[[Provider, Any], None]


def says(*pieces: bytes) -> Serve:
    """
    Answer every request with these pieces.
    """

    def serve(provider: Provider, stream: Any) -> None:
        while provider.take(stream):
            for piece in pieces:
                stream.sendall(piece)

    return serve


class Reading(Body):
    """
    A body whose end can be waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.over: Deferred[None] = Deferred()

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.over.callback(None)


async def ask(agent: RelayAgent, url: bytes, body: bytes | None = None) -> Reading:
    """
    Make a call, and read it to its end.
    """
    response: Any = await agent.send(b"GET" if body is None else b"POST", url, [], body)
    assert response.code == 200
    reading = Reading()
    response.deliverBody(reading)
    await reading.over
    return reading


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """
    The one that agents here are told to trust.
    """
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(authority: Authority) -> Iterator[Callable[..., Secured]]:
    """
    Makes providers, which end with the test.
    """
    made: list[Provider] = []

    def make(issued: Issued | None = None, serve: Serve | None = None) -> Secured:
        identity = issued or authority.issue("localhost", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.chain, identity.key)
        context.set_alpn_protocols(["h2", "http/1.1"])
        answer = serve or says(whole(b"well"))

        def run(provider: Provider, stream: socket.socket) -> None:
            # A socket that was reset before it is wrapped would be left unclosed by the wrapping.
            if not stream.recv(1, socket.MSG_PEEK):
                return
            with context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False) as tls:
                tls.do_handshake()
                made_here.handshakes.append((bool(tls.session_reused), tls.version(), tls.selected_alpn_protocol()))
                answer(provider, tls)
                if tls.fileno() >= 0:
                    tls.unwrap()

        provider = Provider(run)
        made.append(provider)
        made_here = Secured(provider, context)
        return made_here

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def agents(authority: Authority) -> Iterator[Callable[..., RelayAgent]]:
    """
    Makes agents, which end with the test.
    """
    made: list[RelayAgent] = []

    def make(*, trusts: bool = True, **settings: Any) -> RelayAgent:
        ca_file = str(authority.certificate) if trusts else ""
        agent = RelayAgent(reactor, TransportSettings(ca_file=ca_file, connect_timeout=20.0, **settings))
        made.append(agent)
        return agent

    yield make
    for agent in made:
        closed = agent.close()
        agent.abort()
        pytest_twisted.blockon(closed)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_good(secured: Callable[..., Secured], agents: Callable[..., RelayAgent], host: str) -> None:
    """
    A provider whose certificate comes from an authority of the configuration is spoken to, in HTTP/1.1, and several
    times over one connection.
    """
    provider, agent = secured(), agents()
    for _ in range(3):
        reading = await ask(agent, provider.url(host), b"{}")
        assert (reading.data, type(reading.reason)) == (b"well", ResponseDone)
    assert provider.handshakes == [(False, "TLSv1.3", "http/1.1")]
    assert (agent.open_connections, agent.idle_connections) == (1, 1)


@pytest.mark.parametrize(
    ("issue", "trusts", "host"),
    [
        pytest.param(lambda a: a.issue("localhost"), False, "localhost", id="authority unknown"),
        pytest.param(lambda a: a.issue("localhost", self_signed=True), True, "localhost", id="self-signed"),
        pytest.param(lambda a: a.issue("localhost", days=-1), True, "localhost", id="expired"),
        pytest.param(lambda a: a.issue("localhost", begins=1, days=2), True, "localhost", id="not valid yet"),
        pytest.param(lambda a: a.issue("other.example"), True, "localhost", id="another name"),
        pytest.param(lambda a: a.issue("localhost", unnamed=True), True, "localhost", id="no name"),
        pytest.param(lambda a: a.issue("127.0.0.2"), True, "127.0.0.1", id="another address"),
        pytest.param(lambda a: a.issue("localhost"), True, "127.0.0.1", id="a name for an address"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad(
    secured: Callable[..., Secured],
    agents: Callable[..., RelayAgent],
    authority: Authority,
    issue: Callable[[Authority], Issued],
    trusts: bool,
    host: str,
) -> None:
    """
    A provider with any other certificate is told nothing, and does no harm to the next one.
    """
    bad, agent = secured(issue(authority)), agents(trusts=trusts)
    with pytest.raises(errors.TLSFailed):
        await ask(agent, bad.url(host), b"secret")
    assert bad.provider.requests == []
    if trusts:
        assert (await ask(agent, secured().url())).data == b"well"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
@pytest_twisted.ensureDeferred
async def test_sessions(
    secured: Callable[..., Secured], agents: Callable[..., RelayAgent], version: ssl.TLSVersion
) -> None:
    """
    A new connection resumes the session of the one before, and no other host's.
    """
    bye = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
    provider, agent = secured(serve=says(bye)), agents()
    provider.context.maximum_version = version
    for _ in range(3):
        assert (await ask(agent, provider.url())).data == b"hi"
    assert (await ask(agent, provider.url("127.0.0.1"))).data == b"hi"
    assert [resumed for resumed, _, _ in provider.handshakes] == [False, True, True, False]


@pytest_twisted.ensureDeferred
async def test_large(secured: Callable[..., Secured], agents: Callable[..., RelayAgent]) -> None:
    """
    Large bodies cross both ways, byte for byte.
    """
    provider, agent = secured(serve=says(whole(LARGE))), agents()
    for _ in range(2):
        reading = await ask(agent, provider.url(), LARGE)
        assert reading.data == LARGE
    assert all(request.endswith(b"\r\n\r\n" + LARGE) for request in provider.provider.requests)
    assert len(provider.handshakes) == 1


@pytest_twisted.ensureDeferred
async def test_ends(secured: Callable[..., Secured], agents: Callable[..., RelayAgent]) -> None:
    """
    A body that ends with its connection may be whole if TLS was ended properly, and is cut off if it was not.
    """

    def cut(provider: Provider, stream: Any) -> None:
        provider.take(stream)
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        stream.close()

    def end(provider: Provider, stream: Any) -> None:
        provider.take(stream)
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")

    agent = agents()
    for serve, expected in ((end, PotentialDataLoss), (cut, errors.UpstreamTruncated)):
        provider = secured(serve=serve)
        reading = await ask(agent, provider.url())
        assert (reading.data, type(reading.reason)) == (b"hello", expected)


@pytest_twisted.ensureDeferred
async def test_no_tls(agents: Callable[..., RelayAgent]) -> None:
    """
    A provider that does not speak TLS, or leaves at once, has failed at it; one that says nothing is too slow.
    """

    def plain(_: Provider, stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        stream.recv(65536)

    def gone(_: Provider, stream: socket.socket) -> None:
        stream.recv(1)

    def silent(_: Provider, stream: socket.socket) -> None:
        while stream.recv(65536):
            pass

    for serve, expected in (
        (plain, errors.TLSFailed),
        (gone, errors.TLSFailed),
        (silent, errors.ConnectTimeout),
    ):
        provider = Provider(serve)
        agent = RelayAgent(reactor, TransportSettings(connect_timeout=0.5 if serve is silent else 20.0))
        with pytest.raises(expected):
            await ask(agent, provider.url.replace("http:", "https:").encode())
        await agent.close()
        provider.close()


@pytest_twisted.ensureDeferred
async def test_cancelled(secured: Callable[..., Secured], agents: Callable[..., RelayAgent]) -> None:
    """
    Cancelling a call ends its connection at once, in the handshake as well as later.
    """
    provider, agent = secured(serve=says()), agents()
    for delay in (0.0, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1):
        call = agent.send(b"POST", provider.url(), [], b"{}")
        call.addErrback(lambda _: None)
        await deferLater(reactor, delay)
        call.cancel()
        await deferLater(reactor, 0.01)
        assert agent.open_connections == 0


@pytest_twisted.ensureDeferred
async def test_refused(agents: Callable[..., RelayAgent], tmp_path: Path) -> None:
    """
    Where nobody listens there is no connection.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    for url in (b"https://localhost:%d/" % port, b"http://127.0.0.1:%d/" % port):
        with pytest.raises(errors.ConnectFailed):
            await ask(agents(), url)
