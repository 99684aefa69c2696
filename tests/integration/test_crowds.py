"""
Crowds that mean no good, or nothing at all, and an ordinary client among them.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
from collections.abc import Callable

import pytest

from daemons import Daemon, Deployment
from wires import chat, connect, read_until

DEMO = '[log]\ncompletions = ""\n[[provider]]\nname = "demo"\ntype = "demo"\n'
HOLD_S = 1.0


def is_served(daemon: Daemon, token: str) -> bool:
    """
    Whether an ordinary client gets its answer.
    """
    with connect(daemon.url) as stream:
        stream.sendall(chat(token))
        return b" 200 OK" in read_until(stream, b"\r\n")


def hold(streams: list[socket.socket], seconds: float) -> None:
    """
    Keep the connections for a while, whatever comes on them.
    """
    with selectors.DefaultSelector() as selector, socket.socket() as never:
        never.bind(("127.0.0.1", 0))
        never.listen()
        selector.register(never, selectors.EVENT_READ)
        selector.select(seconds)


def crowd(daemon: Daemon, size: int, greeting: Callable[[int], bytes]) -> list[socket.socket]:
    """
    Connections that have said something.
    """
    streams = []
    for number in range(size):
        stream = connect(daemon.url)
        with contextlib.suppress(OSError):
            stream.sendall(greeting(number))
        streams.append(stream)
    return streams


@pytest.fixture(autouse=True)
def many_descriptors() -> None:
    """
    The crowd is in this process.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def head_dribblers(daemon: Daemon, token: str) -> list[socket.socket]:
    """
    2,000 clients that send their head drop by drop.
    """
    streams = crowd(daemon, 2000, lambda number: b"POST /demo/v1/chat/completions HTTP/1.1\r\nHost: a\r\n")
    for drop in (b"X", b"-", b"A", b": 1\r\n"):
        for stream in streams:
            stream.sendall(drop)
    return streams


def body_dribblers(daemon: Daemon, token: str) -> list[socket.socket]:
    """
    500 clients that send their body drop by drop.
    """
    request = chat(token)
    streams = crowd(daemon, 500, lambda number: request[:-60])
    for drop in range(20):
        for stream in streams:
            stream.sendall(request[-60 + drop :][:1])
    return streams


def silent(daemon: Daemon, token: str) -> list[socket.socket]:
    """
    5,000 clients that say nothing.
    """
    return crowd(daemon, 5000, lambda number: b"")


@pytest.mark.parametrize("gather", [head_dribblers, body_dribblers, silent])
def test_crowds(deployment: Deployment, gather: Callable[[Daemon, str], list[socket.socket]]) -> None:
    """
    Ordinary clients are served all the while, the daemon is idle while the crowd is, and a second crowd costs no more
    memory than the first.
    """
    token = deployment.token("t")
    deployment.configure(DEMO)
    daemon = deployment.start()
    peaks = []
    for _ in range(2):
        streams = gather(daemon, token)
        assert is_served(daemon, token)
        before = daemon.cpu()
        hold(streams, HOLD_S)
        assert daemon.cpu() - before < HOLD_S / 2
        assert is_served(daemon, token)
        peaks.append(daemon.memory())
        for stream in streams:
            stream.close()
        for _ in range(3000):
            if daemon.metric("aibridge_client_connections") == 0:
                break
        assert daemon.metric("aibridge_permits_in_use") == 0
    assert peaks[1] < peaks[0] * 1.1 + (4 << 20)


def test_deadlines_end_them(deployment: Deployment) -> None:
    """
    Dribblers of both kinds are cut when their time is up, however steadily they drip.
    """
    token = deployment.token("t")
    deployment.configure(DEMO + "[http]\nheader_timeout = 0.5\nbody_timeout = 0.5\n")
    daemon = deployment.start()
    request = chat(token)
    with connect(daemon.url) as head, connect(daemon.url) as body:
        head.sendall(b"GET / HTTP/1.1\r\n")
        body.sendall(request[:-60])
        assert read_until(head, b"\r\n").startswith(b"HTTP/1.1 408 ")
        assert read_until(body, b"\r\n").startswith(b"HTTP/1.1 408 ")


def test_few_descriptors(deployment: Deployment) -> None:
    """
    With 256 descriptors, 500 idle connections do not keep an ordinary client out, and nothing spins.
    """
    token = deployment.token("t")
    deployment.configure(DEMO)
    daemon = deployment.start(descriptors=256)
    streams = crowd(daemon, 500, lambda number: b"")
    for _ in range(20):
        assert is_served(daemon, token)
    before = daemon.cpu()
    hold(streams, HOLD_S)
    assert daemon.cpu() - before < HOLD_S / 2
    assert is_served(daemon, token)
    for stream in streams:
        stream.close()
    assert is_served(daemon, token)
    assert daemon.metric("aibridge_permits_in_use") == 0
    daemon.stop()
    daemon.wait()
    assert "Traceback" not in daemon.output


def test_few_descriptors_all_busy(deployment: Deployment) -> None:
    """
    When every connection is busy, newcomers wait until one is not.
    """
    token = deployment.token("t")
    deployment.configure(DEMO)
    daemon = deployment.start(descriptors=256)
    streams = crowd(daemon, 150, lambda number: chat(token, "demo-silent", stream=True))
    with connect(daemon.url) as newcomer:
        newcomer.sendall(chat(token))
        for stream in streams:
            stream.close()
        assert b" 200 OK" in read_until(newcomer, b"\r\n")
    daemon.stop()
    daemon.wait()
    assert "Traceback" not in daemon.output


@pytest.mark.parametrize("greeting", [b"", b"POST /demo/v1/chat/completions HTTP/1.1\r\nHost: a\r\n"])
def test_a_crowd_from_one_address(deployment: Deployment, greeting: bytes) -> None:
    """
    Far more connections than there may be: they make room for each other, and neither close those that come from
    elsewhere nor keep any away.
    """
    token = deployment.token("t")
    deployment.configure(DEMO + "[http]\nmax_connections = 40\n")
    daemon = deployment.start()
    with contextlib.ExitStack() as stack:
        colleagues = [stack.enter_context(connect(daemon.url, f"127.0.0.{number}")) for number in range(2, 10)]
        for stream in colleagues:
            stream.sendall(chat(token))
            assert b" 200 OK" in read_until(stream, b"\r\n\r\n")
        for stream in crowd(daemon, 200, lambda number: greeting):
            stack.enter_context(stream)
        assert is_served(daemon, token)
        newcomer = stack.enter_context(connect(daemon.url, "127.0.0.10"))
        for stream in (newcomer, *colleagues):
            stream.sendall(chat(token))
            assert b" 200 OK" in read_until(stream, b" 200 OK")
