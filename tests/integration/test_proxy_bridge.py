"""
The bridge behind a real proxy: away, killed, slow, wrong; and clients that leave while it answers.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import threading

import pytest

from certificates import Authority
from daemons import Daemon
from intercepting import (
    ANTHROPIC,
    OPENAI,
    ProxyDeployment,
    asked,
    eventually,
    intercepted,
    providers,
    read_answer,
    request,
    simulated,
    status,
)
from wires import Provider, Reader, answers, read_until, reset, whole

LARGE = bytes(range(256)) * 32768


def inflight(proxy: Daemon, provider: str = "openai") -> float:
    """
    Requests that wait for the bridge.
    """
    return proxy.metric(f'aibridge_proxy_inflight_mitm_requests{{provider="{provider}"}}')


def errors(proxy: Daemon, kind: str) -> float:
    """
    How often the bridge failed in this way.
    """
    return proxy.metric(f'aibridge_proxy_bridge_errors_total{{kind="{kind}",provider="openai"}}')


class TestAway:
    """
    No bridge.
    """

    def test_nobody_there(self, proxy_deployment: ProxyDeployment) -> None:
        """
        502 in the dialect of the provider, who is to blame in a header, and nothing left in flight. The connection
        stays usable.
        """
        token = proxy_deployment.token("t")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        proxy_deployment.configure_proxy(f"http://127.0.0.1:{port}")
        proxy = proxy_deployment.start_proxy()
        for host, path, dialect in ((OPENAI, "/v1/chat/completions", "error"), (ANTHROPIC, "/v1/messages", "type")):
            with intercepted(proxy.url, proxy_deployment.ca, token, host) as client:
                for _ in range(2):
                    client.sendall(request("POST", path, host, asked()))
                    head, body = read_answer(client)
                    assert status(head) == 502 and b"\r\nX-AI-Bridge-Reason: bridge" in head
                    assert dialect in json.loads(body)
        assert inflight(proxy) == inflight(proxy, "anthropic") == 0
        assert errors(proxy, "connect") == 2
        assert proxy.metric('aibridge_proxy_mitm_responses_total{code="502",provider="openai"}') == 2
        assert "request request_id=" in proxy.wait_for("status=502 cause=bridge_away reason=bridge").string
        (said,) = [line for line in proxy.lines if "cannot be used" in line]
        assert f"The bridge http://127.0.0.1:{port} cannot be used: connect (ConnectionRefusedError)." in said

    def test_killed(self, proxy_deployment: ProxyDeployment) -> None:
        """
        A bridge that dies within a stream is an error event and no clean end; another one at its place is found.
        """
        token = proxy_deployment.token("t")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        listen = f'[listen]\nendpoints = ["tcp:{port}:interface=127.0.0.1"]\nadmin = []\n'
        proxy_deployment.configure(simulated() + listen)
        bridge = proxy_deployment.launch("--config", str(proxy_deployment.config))
        bridge.wait_for("Listening on")
        proxy_deployment.configure_proxy(f"http://127.0.0.1:{port}")
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(request("POST", "/v1/chat/completions", OPENAI, asked("demo-long-100000", stream=True)))
            seen = read_until(client, b"data: ")
            assert inflight(proxy) == 1
            bridge.signal(signal.SIGKILL)
            with contextlib.suppress(ssl.SSLError, ConnectionResetError):
                while data := client.recv(65536):
                    seen += data
        assert b'data: {"error":' in seen
        assert b"[DONE]" not in seen and not seen.endswith(b"0\r\n\r\n")
        assert inflight(proxy) == 0
        bridge.wait()
        proxy_deployment.launch("--config", str(proxy_deployment.config)).wait_for("Listening on")
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(request("GET", "/v1/models"))
            assert status(read_answer(client)[0]) == 200

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ("", ""),
            ("name", "its certificate is not one for its name"),
            ("authority", "certificate verify failed"),
            ("expired", "certificate verify failed"),
        ],
    )
    def test_certificate(self, proxy_deployment: ProxyDeployment, wrong: str, why: str) -> None:
        """
        A bridge behind TLS that cannot show that it is the bridge gets no request, and no token; one that can does.
        """
        token = proxy_deployment.token("t")
        trusted = Authority(proxy_deployment.directory, "Bridge Authority")
        issuer = Authority(proxy_deployment.directory, "Stranger") if wrong == "authority" else trusted
        issued = issuer.issue("other.test" if wrong == "name" else "localhost", days=-1 if wrong == "expired" else 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.chain, issued.key)

        def serve(provider: Provider, stream: socket.socket) -> None:
            with contextlib.suppress(ssl.SSLError), context.wrap_socket(stream, server_side=True) as secured:
                answers(whole())(provider, secured)

        bridge = Provider(serve)
        url = bridge.url.replace("http://127.0.0.1", "https://localhost")
        proxy_deployment.configure_proxy(url, f'bridge.ca_file = "{trusted.certificate}"\n')
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(request("POST", "/v1/chat/completions", OPENAI, asked()))
            assert status(read_answer(client)[0]) == (502 if wrong else 200)
        bridge.close()
        assert len(bridge.requests) == (0 if wrong else 1)
        if wrong:
            proxy.wait_for(rf"The bridge {url} cannot be used: tls \({why}\)\.")
            assert errors(proxy, "tls") == 1
        assert inflight(proxy) == 0

    def test_late(self, proxy_deployment: ProxyDeployment) -> None:
        """
        A bridge that does not answer in time is 504.
        """
        token = proxy_deployment.token("t")
        bridge = Provider(silent)
        proxy_deployment.configure_proxy(bridge.url, "bridge.first_byte_timeout = 0.3\n")
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(request("POST", "/v1/chat/completions", OPENAI, asked()))
            assert status(read_answer(client)[0]) == 504
        bridge.close()
        assert inflight(proxy) == 0


class TestBodies:
    """
    Both ways, as fast as the slower side.
    """

    def test_large(self, proxy_deployment: ProxyDeployment) -> None:
        """
        Eight MiB there and back through proxy and bridge, by length and in chunks.
        """
        token = proxy_deployment.token("t")
        provider = Provider(echo)
        proxy_deployment.configure(providers(provider.url))
        proxy_deployment.configure_proxy(proxy_deployment.start().url)
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            fields = ("Authorization: Bearer own", "Content-Type: text/plain")
            head = request("POST", "/v1/embeddings", OPENAI, b"", *fields)
            framed = head.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(LARGE)) + LARGE
            chunked = head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE)
            for sent in (framed, chunked):
                writer = threading.Thread(target=client.sendall, args=(sent,))
                writer.start()
                writer.join()
                head_back, body = read_answer(client)
                assert status(head_back) == 200
                assert body == LARGE
        provider.close()

    def test_slow_reader(self, proxy_deployment: ProxyDeployment) -> None:
        """
        Who does not read holds up the provider, and costs the proxy no memory.
        """
        token = proxy_deployment.token("t")
        sent: list[int] = []

        def pour(provider: Provider, stream: socket.socket) -> None:
            provider.take(stream)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 * len(LARGE)))
            for _ in range(32):
                stream.sendall(LARGE)
                sent.append(len(LARGE))

        bridge = Provider(pour)
        proxy_deployment.configure_proxy(bridge.url)
        proxy = proxy_deployment.start_proxy()
        before = proxy.memory()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(request("GET", "/v1/models"))
            _, _, seen = read_until(client, b"\r\n\r\n").partition(b"\r\n\r\n")
            # Nothing more comes until somebody reads; that takes no longer than a few looks.
            for _ in range(50):
                moved = sum(sent)
                assert proxy.memory() - before < 16 * 1024 * 1024
            assert moved < 4 * len(LARGE)
            received = len(seen)
            while received < 32 * len(LARGE):
                received += len(client.recv(1048576))
        bridge.close()

    @pytest.mark.parametrize("leaves", [socket.socket.close, reset])
    def test_departure(self, proxy_deployment: ProxyDeployment, leaves: object) -> None:
        """
        A client that leaves within a stream is gone for bridge and provider too.
        """
        token = proxy_deployment.token("t")
        proxy_deployment.configure(simulated())
        bridge = proxy_deployment.start()
        proxy_deployment.configure_proxy(bridge.url)
        proxy = proxy_deployment.start_proxy()
        client = intercepted(proxy.url, proxy_deployment.ca, token)
        client.sendall(request("POST", "/v1/chat/completions", OPENAI, asked("demo-silent", stream=True)))
        read_until(client, b"\r\n\r\n")
        assert inflight(proxy) == bridge.metric("aibridge_permits_in_use") == 1
        leaves(client)  # type: ignore[operator]  # it is callable
        eventually(lambda: inflight(proxy) == bridge.metric("aibridge_permits_in_use") == 0)
        proxy.wait_for("request .*cause=client_left")
        bridge.wait_for("completion .*cause=client_left")

    def test_kept_connections(self, proxy_deployment: ProxyDeployment) -> None:
        """
        Requests of many clients share connections to the bridge.
        """
        token = proxy_deployment.token("t")
        bridge = Provider(answers(whole()))
        proxy_deployment.configure_proxy(bridge.url)
        proxy = proxy_deployment.start_proxy()
        for _ in range(10):
            with intercepted(proxy.url, proxy_deployment.ca, token) as client:
                client.sendall(request("GET", "/v1/models") * 3)
                for _ in range(3):
                    assert status(read_until(client, b'{"ok":true}')) == 200
        bridge.close()
        assert len(bridge.requests) == 30
        assert bridge.connections == 1
        assert all(taken.startswith(b"GET /openai/v1/models HTTP/1.1\r\n") for taken in bridge.requests)
        ids = {taken.lower().split(b"x-ai-bridge-proxy-request-id: ")[1].split(b"\r\n")[0] for taken in bridge.requests}
        assert len(ids) == 30


def silent(provider: Provider, stream: socket.socket) -> None:
    """
    Answers nothing.
    """
    while provider.take(stream):
        pass


def echo(provider: Provider, stream: socket.socket) -> None:
    """
    Answers with what it was sent.
    """
    reader = Reader(stream)
    while taken := reader.request():
        stream.sendall(whole(taken.partition(b"\r\n\r\n")[2], "text/plain"))
