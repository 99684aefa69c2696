"""
The traps that a proxy on stock twisted.web and treq falls into, by their numbers: each is looked for in a stock proxy,
where it is, and in the bridge, where it is not.
"""

from __future__ import annotations

import contextlib
import gzip
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons import ROOT, Daemon, Deployment
from wires import Provider, answers, connect, post, read_all, read_until, whole

HOLD_S = 2.0
"""How long a stock proxy is watched for what it does not do."""

PATH = "/up/v1/chat/completions"
BODY = {"model": "m", "messages": []}


class Server:
    """
    One of the two.
    """

    def __init__(self, url: str, token: str, output: object) -> None:
        self.url = url
        self.token = token
        self.output = output

    def post(self, body: object = BODY, *extra: tuple[str, str]) -> bytes:
        """
        A request that it relays.
        """
        return post(PATH, self.token, body, extra)

    def raw(self, data: bytes) -> bytes:
        """
        Everything it says to some bytes, until it has nothing more to say.
        """
        with connect(self.url) as stream:
            stream.settimeout(HOLD_S)
            seen = b""
            with contextlib.suppress(OSError):
                stream.sendall(data)
                while piece := stream.recv(65536):
                    seen += piece
            return seen


@contextlib.contextmanager
def stock(provider: Provider, timeout_s: float = 60.0) -> Iterator[Server]:
    """
    A stock proxy in front of a provider.
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "stock_proxy.py"), provider.url, str(timeout_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}", "any", process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def ours(deployment: Deployment, provider: Provider, more: str = "") -> tuple[Server, Daemon]:
    """
    The bridge in front of a provider.
    """
    token = deployment.token("t")
    table = f'[[provider]]\nname = "up"\ntype = "openai-compatible"\nbase_url = "{provider.url}"\nkey = "env:KEY"\n'
    deployment.configure(table + more)
    daemon = deployment.start(environ={"KEY": "sk-central"})
    return Server(daemon.url, token, daemon), daemon


def refuses(server: Server, request: bytes) -> bool:
    """
    Whether a request is answered with a refusal of the server's own.
    """
    return server.raw(request)[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5")


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

    def test_t2_wall_clock(self) -> None:
        """
        Deadlines follow a clock that nobody can set.
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
        odd = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a\x0b/b\r\nContent-Length: 0\r\n\r\n"
        provider = Provider(answers(whole()))
        with stock(provider) as old:
            assert old.raw(long) == b""
        server, daemon = ours(deployment, provider)
        assert refuses(server, long) and refuses(server, odd)
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

        def first_line(server: Server, data: bytes) -> bytes:
            with connect(server.url) as stream:
                stream.sendall(data)
                return read_until(stream, b"\r\n").partition(b"\r\n")[0]

        provider = Provider(answers(whole()))
        with stock(provider) as old:
            assert first_line(old, request("any", 1 << 40)) == b"HTTP/1.1 100 Continue"
        server, _ = ours(deployment, provider)
        assert first_line(server, request(server.token, 1 << 40)).startswith(b"HTTP/1.1 413 ")
        assert first_line(server, request("wrong", 10)).startswith(b"HTTP/1.1 401 ")
        assert first_line(server, request(server.token, 10)) == b"HTTP/1.1 100 Continue"
        assert provider.requests == []
        provider.close()

    def test_t6_flow_control(self, deployment: Deployment) -> None:
        """
        A client that does not read stops its provider.
        """
        block = b"x" * 65536
        most = 64 << 20

        def sent_to_a_stalled_reader(server: Server, provider: Provider) -> int:
            sent = [0]
            done = threading.Event()

            def flood(provider: Provider, stream: socket.socket) -> None:
                provider.take(stream)
                stream.settimeout(HOLD_S)
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
                with contextlib.suppress(OSError):
                    while sent[0] < most:
                        sent[0] += stream.send(block)
                done.set()

            provider._serve = flood
            with connect(server.url) as stream:
                stream.sendall(server.post())
                assert done.wait(60)
            return sent[0]

        provider = Provider(answers(whole()))
        server, _ = ours(deployment, provider)
        assert sent_to_a_stalled_reader(server, provider) < most
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
                assert not refuses(old, request)
        server, _ = ours(deployment, provider)
        provider.requests.clear()
        said = server.raw(request)
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
            assert old.raw(old.post(BODY, ("Connection", "close"))).endswith(b"0\r\n\r\n")
        server, _ = ours(deployment, provider)
        said = server.raw(server.post())
        assert b"Content-Length: 100\r\n" in said and said.endswith(b"\r\n\r\n1234567890")
        provider.close()

    def test_t9_stale_connections(self, deployment: Deployment) -> None:
        """
        A provider that closes its idle connections costs no POST an error, and none is sent twice.
        """

        def once(provider: Provider, stream: socket.socket) -> None:
            provider.take(stream)
            stream.sendall(whole())

        provider = Provider(once)
        server, _ = ours(deployment, provider)
        with connect(server.url) as stream:
            for number in range(50):
                stream.sendall(server.post({"number": number}))
                assert b" 200 OK" in read_until(stream, b'{"ok":true}')
                assert provider.ended.acquire(timeout=60)
        assert len(provider.requests) == 50
        provider.close()

    def test_t9_full_pool_waits(self, deployment: Deployment) -> None:
        """
        More requests than connections wait for one; none is opened beyond the limit.
        """
        most = [0]
        now = [0]
        lock = threading.Lock()

        def counted(provider: Provider, stream: socket.socket) -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            try:
                while provider.take(stream):
                    stream.sendall(whole())
            finally:
                with lock:
                    now[0] -= 1

        provider = Provider(counted)
        server, _ = ours(deployment, provider, "max_connections = 3\n")
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(connect(server.url)) for _ in range(40)]
            for stream in streams:
                stream.sendall(server.post())
            for stream in streams:
                assert b" 200 OK" in read_until(stream, b'{"ok":true}')
        assert most[0] <= 3
        provider.close()

    def test_t10_one_ending(self, deployment: Deployment) -> None:
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

    def test_t11_http2(self, deployment: Deployment) -> None:
        """
        HTTP/2 is not spoken, with prior knowledge or by upgrade.
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
            said = server.raw(server.post(BODY, ("Connection", "close")))
            assert said.startswith(b"HTTP/1.1 307 ") and said.endswith(packed)
            assert b"Content-Encoding: gzip" in said and b"Location: /elsewhere" in said
        assert len(provider.requests) == 2
        for request in provider.requests:
            assert b"cookie" not in request.lower() and b"accept-encoding" not in request.lower()
        with stock(provider) as old:
            provider.requests.clear()
            old.raw(old.post(BODY, ("Connection", "close")))
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
        assert refuses(server, request_ % PATH.encode())
        assert provider.requests == []
        provider.close()

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


def test_every_trap_has_its_test() -> None:
    """
    T1 to T13, by name.
    """
    text = Path(__file__).read_text()
    assert [number for number in range(1, 14) if f"def test_t{number}_" not in text] == []
