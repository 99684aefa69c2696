"""
Requests whose bodies are on their way, in a real process: what they may hold, and whom they keep out.
"""

from __future__ import annotations

import contextlib
import socket

from daemons import Deployment
from wires import chat, connect, post, read_until

MIB = 1 << 20
DEMO = '[[provider]]\nname = "demo"\ntype = "demo"\n'
IN_USE = "aibridge_permits_in_use"
HELD = "aibridge_request_bodies_bytes"


def status(stream: socket.socket) -> int:
    """
    That of the answer.
    """
    return int(read_until(stream, b"\r\n\r\n")[9:12])


def test_half_sent_requests_keep_nobody_out(deployment: Deployment) -> None:
    """
    Ten heads with one byte of body each, and ten permits: somebody else is served.
    """
    batch, token = deployment.token("batch", "--class=batch"), deployment.token("ada", "--class=interactive")
    deployment.configure(DEMO + "[admission]\nmax_concurrency = 10\n")
    daemon = deployment.start()
    with contextlib.ExitStack() as stack:
        for number in range(20):
            path = ("/demo/v1/chat/completions", "/demo/v1/embeddings")[number % 2]
            stream = stack.enter_context(connect(daemon.url))
            head, _, _ = post(path, batch, b"{".ljust(100)).partition(b"\r\n\r\n")
            stream.sendall(head + b"\r\n\r\n{")
        daemon.until(HELD, 20 * (65536 + 100))
        assert daemon.metric(IN_USE) == 0
        with connect(daemon.url) as other:
            other.sendall(chat(token))
            assert status(other) == 200
    daemon.until(HELD, 0)


def test_slow_bodies_are_given_up(deployment: Deployment) -> None:
    """
    One that stops in the middle has its time, and no more.
    """
    token = deployment.token("ada")
    deployment.configure(DEMO + "[http]\nbody_timeout = 1\n")
    daemon = deployment.start()
    with connect(daemon.url) as stream:
        stream.sendall(chat(token)[:-1])
        assert status(stream) == 408
    daemon.until(HELD, 0)


def test_large_bodies_have_a_bound(deployment: Deployment) -> None:
    """
    Of forty connections of one token, each of which sends all of a large body but for a byte, most wait unread: the
    daemon's memory stays below the bound, others are served, and those that wait are told to come later.
    """
    token, other_token = deployment.token("ada"), deployment.token("bob")
    deployment.configure(DEMO + "[http]\nmax_body = 8388608\nmax_bodies_wait = 2\n")
    daemon = deployment.start()
    before = daemon.memory()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(connect(daemon.url)) for _ in range(40)]
        piece = b" " * 65536
        head, _, _ = post("/demo/v1/chat/completions", token, b"").partition(b"\r\n\r\n")
        head = head.replace(b"Content-Length: 0", b"Content-Length: %d" % (8 * MIB))
        for stream in streams:
            stream.sendall(head + b"\r\n\r\n{")
            stream.setblocking(False)
        waiting = dict.fromkeys(streams, 8 * MIB - 2)
        for _ in range(2000):
            for stream, left in list(waiting.items()):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    waiting[stream] = left - stream.send(piece[: min(left, len(piece))])
            if daemon.metric("aibridge_request_bodies_waiting") and sum(not left for left in waiting.values()) >= 2:
                break
        with connect(daemon.url) as other:
            messages = [{"role": "user", "content": "x" * MIB}]
            other.sendall(post("/demo/v1/chat/completions", other_token, {"model": "demo", "messages": messages}))
            assert status(other) == 200
        assert daemon.metric(HELD) < 64 * MIB
        assert daemon.memory() - before < 100 * MIB
        daemon.until("aibridge_request_bodies_waiting", 0)
        refused = 'aibridge_refusals_total{class="default",kind="bodies_full",policy="",reason="body"}'
        assert daemon.metric(refused) >= 36
    daemon.until(HELD, 0)
