"""
The traps that a proxy on stock twisted.web and treq falls into, by their numbers: each is looked for in a stock proxy,
where it is, and in the bridge, where it is not.
"""

from __future__ import annotations

import ast
import configparser
import contextlib
import gzip
import json
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived

from certificates import Authority
from contrasts import BODY, HOLD_S, PATH, WALL_CLOCK, Server, ours, stock
from daemons import ROOT, Deployment
from wall_clock import SET
from wires import Provider, answers, connect, read_all, read_until, whole

FIN_WAIT2 = 5
"""The state in ``struct tcp_info`` of a connection of which the other side has taken the end."""


def ask_by_http2(stream: ssl.SSLSocket, path: str) -> bytes:
    """
    The status that a POST is answered with, on a connection that speaks HTTP/2.
    """
    connection = H2Connection(H2Configuration(validate_outbound_headers=False))
    connection.initiate_connection()
    fields = [(":method", "POST"), (":authority", "a"), (":scheme", "https"), (":path", path)]
    connection.send_headers(1, fields)
    connection.send_data(1, b"{}", end_stream=True)
    stream.sendall(connection.data_to_send())
    while data := stream.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, ResponseReceived):
                return bytes(dict(event.headers)[b":status"])
        stream.sendall(connection.data_to_send())
    return b""


def end_for_good(stream: socket.socket) -> None:
    """
    Close a connection, and wait until the other side's kernel knows.
    """
    stream.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + 60
    while stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != FIN_WAIT2:
        assert time.monotonic() < deadline
    stream.close()


class TestTraps:
    """
    T1 to T13.
    """

    def test_t1_unseen_departure(self, deployment: Deployment) -> None:
        """
        A client that leaves while more than 16 KiB of its bytes wait is noticed.
        """

        def notices(server: Server, patience_s: float) -> bool:
            left = threading.Event()

            def never(provider: Provider, stream: socket.socket) -> None:
                provider.take(stream)
                with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
                    selector.register(stream, selectors.EVENT_READ)
                    selector.select(60)
                    left.set()

            provider._serve = never
            stream = connect(server.url)
            stream.sendall(server.post() + server.post({"x": "y" * 40000}))
            assert not left.wait(0.5)
            stream.close()
            return left.wait(patience_s)

        provider = Provider(answers(whole()))
        with stock(provider) as old:
            assert not notices(old, HOLD_S)
        server, _ = ours(deployment, provider)
        assert notices(server, 60)
        provider.close()

    def test_t2_wall_clock_set_back(self, deployment: Deployment) -> None:
        """
        Deadlines pass, whoever sets the clock back: half a head is not waited for any longer than before.
        """
        deadline_s, attempts = 2.0, 20

        def is_cut(server: Server, patience_s: float) -> bool:
            for _ in range(attempts):
                began = time.monotonic()
                with connect(server.url) as stream:
                    stream.sendall(b"POST / HTTP/1.1\r\n")
                    # By the time another one is answered, the first has its deadline.
                    assert b" 200 OK" in server.last()
                    server.process.signal(signal.SIGUSR2)
                    server.process.wait_for(SET)
                    if time.monotonic() - began > deadline_s:
                        continue  # that took so long that the deadline may have passed before
                    stream.settimeout(patience_s)
                    with contextlib.suppress(TimeoutError):
                        read_all(stream)
                        return True
                    return False
            raise AssertionError("this machine is too busy to tell")

        provider = Provider(answers(whole()))
        with stock(provider, deadline_s, through=[WALL_CLOCK]) as old:
            assert not is_cut(old, deadline_s + HOLD_S)
        server, _ = ours(deployment, provider, f"[http]\nheader_timeout = {deadline_s}\n", through=[WALL_CLOCK])
        assert is_cut(server, 60)
        provider.close()

    def test_t2_wall_clock_set_forward(self, deployment: Deployment) -> None:
        """
        Nobody's time is up because somebody has set the clock forward: half a head may still be completed.
        """

        def is_served(server: Server) -> bool:
            request = server.post(BODY, ("Connection", "close"))
            with connect(server.url) as stream:
                stream.sendall(request[:20])
                assert b" 200 OK" in server.last()
                server.process.signal(signal.SIGUSR1)
                server.process.wait_for(SET)
                # Whoever is sent away is, before another one is answered.
                assert b" 200 OK" in server.last()
                with contextlib.suppress(OSError):
                    stream.sendall(request[20:])
                return b" 200 OK" in read_all(stream)

        provider = Provider(answers(whole()))
        with stock(provider, 3600, through=[WALL_CLOCK]) as old:
            assert not is_served(old)
        server, _ = ours(deployment, provider, "[http]\nheader_timeout = 3600\n", through=[WALL_CLOCK])
        assert is_served(server)
        provider.close()

    def test_t2_one_clock(self) -> None:
        """
        It is the reactor itself whose clock nobody can set, from the moment the daemon is made.
        """
        code = """
import contextlib, time
from twisted.internet import reactor
from aibridge.daemon.tap import Options, makeService
print(reactor.seconds() - time.time() > -60, end=" ")
options = Options()
options.parseOptions(["--config", "/nowhere"])
with contextlib.suppress(SystemExit):
    makeService(options)
print(abs(reactor.seconds() - time.monotonic()) < 60)
"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout == "True True\n"

    def test_t3_unhandled_before_authentication(self, deployment: Deployment) -> None:
        """
        A length of thousands of digits and a content type of control bytes are refused, without a traceback.
        """
        long = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n"
        odd = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a\x0b/b\r\nContent-Length: 1\r\n\r\nx"
        provider = Provider(answers(whole()))
        with stock(provider) as old:
            for request in (long, odd):
                assert old.raw(request) == b""
                old.process.wait_for("Traceback")
        server, daemon = ours(deployment, provider)
        assert server.refuses(long) and server.refuses(odd)
        daemon.stop()
        daemon.wait()
        assert "Traceback" not in daemon.output
        provider.close()

    def test_t4_dribble(self, deployment: Deployment) -> None:
        """
        A head that drips in has one deadline as a whole.
        """

        def cut(server: Server, drops: int) -> bool:
            with connect(server.url) as stream:
                stream.settimeout(0.2)
                for drop in range(drops):
                    try:
                        stream.sendall(b"GET / HTTP/1.1\r\n"[drop % 16 :][:1] if drop < 16 else b"x")
                        if stream.recv(1000) is not None:
                            return True
                    except TimeoutError:
                        continue
                    except OSError:
                        return True
                return False

        provider = Provider(answers(whole()))
        with stock(provider, 0.6) as old:
            assert not cut(old, 12)
        server, _ = ours(deployment, provider, "[http]\nheader_timeout = 0.6\n")
        assert cut(server, 200)
        provider.close()

    def test_t5_decides_on_the_head(self, deployment: Deployment) -> None:
        """
        A request that will be refused is refused on its head: no 100 Continue, and no byte of its body asked for.
        """

        def request(token: str, length: int) -> bytes:
            return (
                f"POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
            ).encode()

        provider = Provider(answers(whole()))
        with stock(provider) as old:
            assert old.first_line(request("any", 1 << 40)) == b"HTTP/1.1 100 Continue"
        server, _ = ours(deployment, provider)
        assert server.first_line(request(server.token, 1 << 40)).startswith(b"HTTP/1.1 413 ")
        assert server.first_line(request("wrong", 10)).startswith(b"HTTP/1.1 401 ")
        assert server.first_line(request(server.token, 10)) == b"HTTP/1.1 100 Continue"
        assert provider.requests == []
        provider.close()

    def test_t6_flow_control(self, deployment: Deployment) -> None:
        """
        A client that does not read stops its provider.
        """
        block = b"x" * 65536
        most = 64 << 20

        def sent_to_a_stalled_reader(server: Server, patience_s: float) -> int:
            sent = [0]
            done = threading.Event()

            def flood(provider: Provider, stream: socket.socket) -> None:
                provider.take(stream)
                stream.settimeout(patience_s)
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
                with contextlib.suppress(OSError):
                    while sent[0] < most:
                        sent[0] += stream.send(block)
                done.set()

            provider._serve = flood
            with connect(server.url) as stream:
                stream.sendall(server.post())
                assert done.wait(120)
            return sent[0]

        provider = Provider(answers(whole()))
        with stock(provider) as old:
            assert sent_to_a_stalled_reader(old, 60) >= most
        server, _ = ours(deployment, provider)
        assert sent_to_a_stalled_reader(server, HOLD_S) < most
        provider.close()

    @pytest.mark.parametrize(
        "head",
        [
            b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
            b"0\r\n\r\n",
            b"POST %s HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            b"POST %s HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
            b"BREW %s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            b"POST http://elsewhere%s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            b"POST %s HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n",
            b"POST %s HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        ],
    )
    def test_t7_lenient_requests(self, deployment: Deployment, head: bytes) -> None:
        """
        What two readers could read in two ways is refused.
        """
        request = head % PATH.encode()
        provider = Provider(answers(whole()))
        if b"elsewhere" not in request:  # which this stock proxy cannot make a URL of
            with stock(provider) as old:
                assert not old.refuses(request)
        server, _ = ours(deployment, provider)
        provider.requests.clear()
        said = server.raw(request, 60)
        assert said[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5")
        assert b"Connection: close" in said and b"X-AI-Bridge-Reason: request" in said
        assert provider.requests == []
        provider.close()

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        ],
    )
    def test_t8_lenient_responses(self, deployment: Deployment, answer: bytes) -> None:
        """
        A provider that lies is a 502 in the dialect.
        """
        provider = Provider(answers(answer))
        with stock(provider) as old, connect(old.url) as stream:
            stream.sendall(old.post())
            assert read_until(stream, b"\r\n").split(b" ")[1] == answer.split(b" ")[1]
        server, _ = ours(deployment, provider)
        with connect(server.url) as stream:
            stream.sendall(server.post())
            said = read_until(stream, b"}}")
        assert said.startswith(b"HTTP/1.1 502 ") and b"X-AI-Bridge-Reason: upstream" in said
        assert b'"error"' in said
        provider.close()

    def test_t8_truncation(self, deployment: Deployment) -> None:
        """
        A body that ends early is not finished as if it were whole.
        """

        def truncated(provider: Provider, stream: socket.socket) -> None:
            provider.take(stream)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n1234567890")

        provider = Provider(truncated)
        with stock(provider) as old:
            assert old.last().endswith(b"0\r\n\r\n")
        server, _ = ours(deployment, provider)
        said = server.raw(server.post(), 60)
        assert b"Content-Length: 100\r\n" in said and said.endswith(b"\r\n\r\n1234567890")
        provider.close()

    def test_t9_stale_connections(self, deployment: Deployment) -> None:
        """
        A provider that closes its idle connections costs no POST an error, not even in the moment in which one comes,
        and none is sent twice.
        """
        rounds = 20

        def lost(server: Server) -> int:
            """
            How many POSTs fail that come together with the end of the connection that was kept for them.
            """
            due = [threading.Event() for _ in range(rounds)]
            ended = [threading.Event() for _ in range(rounds)]

            def once(provider: Provider, stream: socket.socket) -> None:
                number, again = json.loads(provider.take(stream).partition(b"\r\n\r\n")[2])
                if again:
                    stream.sendall(whole(extra="Connection: close\r\n"))
                    return
                stream.sendall(whole())
                assert due[number].wait(60)
                end_for_good(stream)
                ended[number].set()

            provider._serve = once
            failed = 0
            for number in range(rounds):
                with connect(server.url) as stream:
                    stream.sendall(server.post([number, False]))
                    assert b" 200 OK" in read_until(stream, b'{"ok":true}')
                    with server.process.paused():
                        stream.sendall(server.post([number, True]))
                        due[number].set()
                        assert ended[number].wait(60)
                    failed += b" 200 OK" not in read_until(stream, b"\r\n")
            return failed

        provider = Provider(answers(whole()))
        with stock(provider) as old:
            assert lost(old) > 0
        server, _ = ours(deployment, provider)
        provider.requests.clear()
        assert lost(server) == 0
        assert len(provider.requests) == 2 * rounds
        provider.close()

    def test_t9_full_pool_waits(self, deployment: Deployment) -> None:
        """
        More requests than connections wait for one; none is opened beyond the limit.
        """
        crowd = 40

        def most_at_once(server: Server, together: threading.Barrier | None) -> int:
            most, now, lock = [0], [0], threading.Lock()

            def counted(provider: Provider, stream: socket.socket) -> None:
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                try:
                    while provider.take(stream):
                        if together is not None:
                            together.wait(60)
                        stream.sendall(whole())
                finally:
                    with lock:
                        now[0] -= 1

            provider._serve = counted
            with contextlib.ExitStack() as stack:
                streams = [stack.enter_context(connect(server.url)) for _ in range(crowd)]
                for stream in streams:
                    stream.sendall(server.post())
                for stream in streams:
                    assert b" 200 OK" in read_until(stream, b'{"ok":true}')
            return most[0]

        provider = Provider(answers(whole()))
        with stock(provider) as old:
            # Its pool keeps two. Nobody is answered before all of them are connected.
            assert most_at_once(old, threading.Barrier(crowd)) == crowd
        server, _ = ours(deployment, provider, "max_connections = 3\n")
        assert most_at_once(server, None) <= 3
        provider.close()

    def test_t10_one_ending(self, deployment: Deployment) -> None:
        """
        An answer that ends after its client has left ends nothing for a second time.
        """

        def leave_early(server: Server) -> None:
            left = threading.Event()

            def serve(provider: Provider, stream: socket.socket) -> None:
                while request := provider.take(stream):
                    if b"long" in request:
                        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin")
                        assert left.wait(60)
                        stream.sendall(b"+ end")
                    else:
                        stream.sendall(whole())

            provider._serve = serve
            with connect(server.url) as stream:
                stream.sendall(server.post({"long": True}))
                read_until(stream, b"begin")
            # By the time another one is answered, it is known that the first has left.
            assert b" 200 OK" in server.last()
            left.set()

        provider = Provider(answers(whole()))
        with stock(provider) as old:
            leave_early(old)
            old.process.wait_for(r"RuntimeError: Request\.finish called on a request after its connection was lost")
        server, daemon = ours(deployment, provider)
        leave_early(server)
        assert b" 200 OK" in server.last()
        daemon.stop()
        daemon.wait()
        assert "Traceback" not in daemon.output and "Error" not in daemon.output
        provider.close()

    def test_t10_around_the_end(self, deployment: Deployment) -> None:
        """
        Clients that leave around the end of their answer leave no error behind.
        """
        provider = Provider(answers(whole(b"x" * 300_000)))
        server, daemon = ours(deployment, provider)
        for number in range(60):
            stream = connect(server.url)
            stream.sendall(server.post())
            if number % 3:
                stream.recv(1000 * number)
            stream.close()
        with connect(server.url) as stream:
            stream.sendall(server.post(BODY, ("Connection", "close")))
            assert len(read_all(stream)) > 300_000
        daemon.stop()
        daemon.wait()
        assert "Traceback" not in daemon.output
        provider.close()

    def test_t11_http2(self, deployment: Deployment, tmp_path: Path) -> None:
        """
        HTTP/2, whose way into twisted.web leaves out the checks of HTTP/1, is not offered, not even where what it
        needs is installed.
        """
        authority = Authority(tmp_path)
        issued = authority.issue("127.0.0.1")
        endpoint = f"ssl:port=0:interface=127.0.0.1:privateKey={issued.key}:certKey={issued.chain}"
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.set_alpn_protocols(["h2", "http/1.1"])
        odd = PATH + "\x01"

        def secured(server: Server) -> ssl.SSLSocket:
            return context.wrap_socket(connect(server.url), server_hostname="127.0.0.1")

        provider = Provider(answers(whole()))
        with stock(provider, endpoint=endpoint) as old:
            with secured(old) as stream:
                assert stream.selected_alpn_protocol() == "h2"
                assert ask_by_http2(stream, odd) == b"200"
            (reached,) = provider.requests
            assert reached.startswith(b"POST %s%%01 " % PATH.encode())
        listen = f'[listen]\nendpoints = ["{endpoint}"]\nadmin = ["tcp:port=0:interface=127.0.0.1"]\n'
        server, _ = ours(deployment, provider, listen)
        provider.requests.clear()
        with secured(server) as stream:
            assert stream.selected_alpn_protocol() == "http/1.1"
            stream.sendall(server.post().replace(PATH.encode(), odd.encode()))
            assert read_until(stream, b"\r\n").startswith(b"HTTP/1.1 400 ")
        assert provider.requests == []
        provider.close()

    def test_t11_http2_without_asking(self, deployment: Deployment) -> None:
        """
        Nor is it spoken with prior knowledge, or by upgrade.
        """
        provider = Provider(answers(whole()))
        server, _ = ours(deployment, provider)
        assert server.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 505 ")
        upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
        assert not server.raw(upgrade).startswith(b"HTTP/1.1 101 ")
        provider.close()

    def test_t12_nothing_is_altered(self, deployment: Deployment) -> None:
        """
        Redirects are relayed, cookies not remembered, encodings neither offered nor undone.
        """
        packed = gzip.compress(b'{"ok":true}')
        head = (
            b"HTTP/1.1 307 Temporary Redirect\r\nSet-Cookie: a=b\r\nContent-Encoding: gzip\r\nLocation: /elsewhere\r\n"
        )
        provider = Provider(answers(head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed))
        server, _ = ours(deployment, provider)
        for _ in range(2):
            said = server.last()
            assert said.startswith(b"HTTP/1.1 307 ") and said.endswith(packed)
            assert b"Content-Encoding: gzip" in said and b"Location: /elsewhere" in said
        assert len(provider.requests) == 2
        for request in provider.requests:
            assert b"cookie" not in request.lower() and b"accept-encoding" not in request.lower()
        with stock(provider) as old:
            provider.requests.clear()
            old.last()
            assert b"accept-encoding" in provider.requests[0].lower()
        provider.close()

    @pytest.mark.parametrize(
        "request_",
        [
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
            b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        ],
    )
    def test_t13_old_holes(self, deployment: Deployment, request_: bytes) -> None:
        """
        What advisories were written about stays closed.
        """
        provider = Provider(answers(whole()))
        server, _ = ours(deployment, provider)
        assert server.refuses(request_ % PATH.encode())
        assert provider.requests == []
        provider.close()

    @pytest.mark.parametrize(
        "request_",
        [
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nabcde",
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 000000000000000000000005\r\n\r\nabcde",
            b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            b"POST %s HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n",
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent_Length: 9\r\nContent-Length: 0\r\n\r\n",
        ],
        ids=["double-length", "long-length", "folded-coding", "old-version", "length-in-trailer", "underscore"],
    )
    def test_t13_next_of_kin(self, deployment: Deployment, request_: bytes) -> None:
        """
        What is not in an advisory yet and is of the same kind is closed as well: lengths that are told twice or that
        overflow, whitespace and underscores in what frames a body, codings that the version does not know.
        """
        request = request_ % PATH.encode()
        provider = Provider(answers(whole()))
        with stock(provider) as old:
            assert not old.refuses(request)
        assert len(provider.requests) == 1
        server, _ = ours(deployment, provider)
        assert server.refuses(request)
        assert len(provider.requests) == 1
        provider.close()

    def test_t13_least_version(self) -> None:
        """
        Twisted is never one in which the old holes are open.
        """
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        assert "Twisted[tls] >= 26.10.0" in setup["options"]["install_requires"].splitlines()
        major, minor = map(int, version("twisted").split(".")[:2])
        assert (major, minor) >= (26, 10)

    def test_t13_pipelined_in_order(self, deployment: Deployment) -> None:
        """
        Answers to requests sent ahead come one after the other, in their order.
        """

        def echo(provider: Provider, stream: socket.socket) -> None:
            while request := provider.take(stream):
                stream.sendall(whole(request.partition(b"\r\n\r\n")[2]))

        provider = Provider(echo)
        server, _ = ours(deployment, provider)
        with connect(server.url) as stream:
            stream.sendall(b"".join(server.post({"number": number}) for number in range(20)))
            seen = read_until(stream, b'{"number": 19}')
        assert [seen.index(b'{"number": %d}' % number) for number in range(20)] == sorted(
            seen.index(b'{"number": %d}' % number) for number in range(20)
        )
        provider.close()


def test_every_trap_is_shown_on_both_sides() -> None:
    """
    Each of T1 to T13 has a test of its name in which the stock proxy is in it, and the bridge is not.
    """
    (tests,) = (node for node in ast.parse(Path(__file__).read_text()).body if isinstance(node, ast.ClassDef))
    shown = {node.name.split("_")[1] for node in tests.body if isinstance(node, ast.FunctionDef) and compares(node)}
    assert shown == {f"t{number}" for number in range(1, 14)}


def compares(test: ast.FunctionDef) -> bool:
    """
    Whether a test starts both proxies.
    """
    called = {call.func.id for call in ast.walk(test) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
    return test.name.startswith("test_t") and {"stock", "ours"} <= called
