"""
Clients that leave, at every stage, and what they leave behind: nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import selectors
import socket
import struct
from collections.abc import Callable

from daemons import Daemon, Deployment
from wires import Provider, chat, connect, post, read_until, reset

SO_ATTACH_FILTER = 26
LEAVERS = 10_000
AT_ONCE = 200
DEMO = '[[provider]]\nname = "demo"\ntype = "demo"\n[admission]\nmax_concurrency = 5000\n'

Stage = Callable[[socket.socket, str], None]


def at_once(stream: socket.socket, token: str) -> None:
    """
    Says nothing.
    """


def within_the_head(stream: socket.socket, token: str) -> None:
    """
    Sends half a head.
    """
    stream.sendall(chat(token)[:70])


def within_the_body(stream: socket.socket, token: str) -> None:
    """
    Sends half a body.
    """
    stream.sendall(chat(token)[:-20])


def before_the_answer(stream: socket.socket, token: str) -> None:
    """
    Does not wait for the answer.
    """
    stream.sendall(chat(token, "demo-never"))


def while_connecting(stream: socket.socket, token: str) -> None:
    """
    Its provider does not take the connection.
    """
    stream.sendall(chat(token, name="stuck"))


def after_the_head(stream: socket.socket, token: str) -> None:
    """
    Has seen the head of a stream.
    """
    stream.sendall(chat(token, "demo-silent", stream=True))
    read_until(stream, b"\r\n\r\n")


def within_a_stream(stream: socket.socket, token: str) -> None:
    """
    Has seen events.
    """
    stream.sendall(chat(token, "demo-long-100000", stream=True))
    read_until(stream, b"data: ")


def ahead_of_itself(stream: socket.socket, token: str) -> None:
    """
    Has sent more requests ahead, which wait.
    """
    stream.sendall(chat(token, "demo-never") + chat(token) * 8)


def at_the_end(stream: socket.socket, token: str) -> None:
    """
    Has seen all of it.
    """
    stream.sendall(chat(token))
    read_until(stream, b"\r\n\r\n")


def passing_through(stream: socket.socket, token: str) -> None:
    """
    On a passthrough route, within the body it streams up.
    """
    stream.sendall(post("/demo/v1/embeddings", token, b"x" * 5000, [("Expect", "100-continue")])[:-3000])


STAGES: list[Stage] = [
    at_once,
    within_the_head,
    within_the_body,
    before_the_answer,
    while_connecting,
    after_the_head,
    within_a_stream,
    ahead_of_itself,
    at_the_end,
    passing_through,
]


def series(daemon: Daemon, name: str) -> float:
    """
    The sum over all series of a metric.
    """
    total = 0.0
    for line in daemon.page("/metrics").splitlines():
        if line.startswith((f"{name} ", f"{name}{{")):
            total += float(line.rpartition(" ")[2])
    return total


class TestDepartures:
    """
    The end of an exchange that nobody waits for.
    """

    def test_ten_thousand(self, deployment: Deployment) -> None:
        """
        Ten thousand clients leave at every stage, by FIN and by RST: no permit stays out, no upstream call goes on.
        """
        token = deployment.token("leaver")
        with deaf_listener() as port:
            stuck = f'[[provider]]\nname = "stuck"\ntype = "openai-compatible"\nbase_url = "http://127.0.0.1:{port}"\n'
            key = 'key = "env:KEY"\n'
            deployment.configure(DEMO + stuck + key + '[log]\ncompletions = ""\n')
            daemon = deployment.start(environ={"KEY": "sk-central"})
            stages = itertools.cycle(STAGES)
            goodbyes = itertools.cycle((socket.socket.close, reset, socket.socket.close))
            for _ in range(LEAVERS // AT_ONCE):
                here = []
                for _ in range(AT_ONCE):
                    stream = connect(daemon.url)
                    next(stages)(stream, token)
                    here.append(stream)
                for stream in here:
                    next(goodbyes)(stream)
            wait_until(daemon, "aibridge_permits_in_use", 0)
            wait_until(daemon, "aibridge_client_connections", 0)
            wait_until(daemon, 'aibridge_upstream_connections{provider="stuck",state="open"}', 0)
            wait_until(daemon, 'aibridge_upstream_connections{provider="demo",state="waiting"}', 0)
            busy = daemon.metric('aibridge_upstream_connections{provider="demo",state="open"}') - daemon.metric(
                'aibridge_upstream_connections{provider="demo",state="idle"}'
            )
            assert busy == 0
            assert series(daemon, "aibridge_interceptions_inflight") == 0
            with connect(daemon.url) as stream:
                stream.sendall(chat(token))
                assert b" 200 OK" in read_until(stream, b"\r\n")
        assert "Traceback" not in daemon.output

    def test_provider_sees_it(self, deployment: Deployment) -> None:
        """
        The provider's connection is cut when its client leaves in mid-stream, also while nothing is being said.
        """
        left = []

        def silent(provider: Provider, stream: socket.socket) -> None:
            provider.take(stream)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            stream.sendall(b"9\r\ndata: 1\n\n\r\n")
            with selectors.DefaultSelector() as selector, contextlib.suppress(ConnectionResetError):
                selector.register(stream, selectors.EVENT_READ)
                assert selector.select(60)
                assert stream.recv(1) == b""
            left.append(True)

        token = deployment.token("leaver")
        provider = Provider(silent)
        table = f'[[provider]]\nname = "demo"\ntype = "openai-compatible"\nbase_url = "{provider.url}"\n'
        deployment.configure(table + 'key = "env:KEY"\n')
        daemon = deployment.start(environ={"KEY": "sk-central"})
        stream = connect(daemon.url)
        stream.sendall(chat(token, stream=True))
        read_until(stream, b"data: 1")
        stream.close()
        assert provider.ended.acquire(timeout=60)
        assert left == [True]
        provider.close()


@contextlib.contextmanager
def deaf_listener():  # type: ignore[no-untyped-def]  # a generator behind a decorator says it all
    """
    A port on which connecting never ends: its backlog is full, and nobody accepts.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def wait_until(daemon: Daemon, name: str, value: float) -> None:
    """
    Wait until a series has a value.
    """
    for _ in range(3000):
        if daemon.metric(name) == value:
            return
    raise AssertionError(f"{name} is {daemon.metric(name)}, not {value}")


def vanish(stream: socket.socket) -> None:
    """
    Be as if the machine had lost its network: nothing that comes is taken, nothing is said, and no end is sent.
    """
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    stream.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(drop_all)))


def test_vanished_clients_hold_nothing_for_long(deployment: Deployment) -> None:
    """
    Whether they wait for an answer to begin, or are being sent one: their permits come back soon.
    """
    token = deployment.token("ada")
    deployment.configure(DEMO.replace("5000", "3") + "[http]\ndead_peer_timeout = 4\n")
    daemon = deployment.start()
    gone = [connect(daemon.url) for _ in range(3)]
    for stream in gone[:2]:
        stream.sendall(chat(token, "demo-never"))
    gone[2].sendall(chat(token, "demo-long-1000000", stream=True))
    read_until(gone[2], b"data: ")
    daemon.until("aibridge_permits_in_use", 3)
    for stream in gone:
        vanish(stream)
    with connect(daemon.url) as other:
        other.sendall(chat(token))
        assert b" 503 " in read_until(other, b"\r\n")
    daemon.until("aibridge_permits_in_use", 0)
    with connect(daemon.url) as other:
        other.sendall(chat(token))
        assert b" 200 " in read_until(other, b"\r\n")
    for stream in gone:
        stream.close()
