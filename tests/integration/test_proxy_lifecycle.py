"""
Start, reload, drain and stop of a real proxy.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading

import pytest

from aibridge.mitm.hosts import BUILTIN, Hosts
from certificates import Authority
from daemons import Daemon
from intercepting import (
    ESTABLISHED,
    OPENAI,
    ProxyDeployment,
    asked,
    asks,
    intercepted,
    read_answer,
    refusal,
    request,
    shows,
    simulated,
    status,
    trusting,
    tunnel,
)
from wires import PATIENCE_S, Provider, address, answers, connect, read_all, read_until, whole

DONE = b"data: [DONE]\n\n\r\n0\r\n\r\n"


@pytest.fixture
def token(proxy_deployment: ProxyDeployment) -> str:
    """
    A token, and a bridge with simulated providers; the proxy is configured, and not started.
    """
    made = proxy_deployment.token("t")
    proxy_deployment.configure(simulated())
    proxy_deployment.configure_proxy(proxy_deployment.start().url)
    return made


def streams(proxy: Daemon, deployment: ProxyDeployment, token: str, model: str = "demo-long-100") -> ssl.SSLSocket:
    """
    A client that is being answered.
    """
    client = intercepted(proxy.url, deployment.ca, token)
    client.sendall(request("POST", "/v1/chat/completions", OPENAI, asked(model, stream=True)))
    return client


class TestStart:
    """
    What a person sees who starts it.
    """

    def test_no_authority(self, proxy_deployment: ProxyDeployment) -> None:
        """
        Without an authority it does not start, and says how one is made; then it does.
        """
        proxy_deployment.token("t")
        proxy_deployment.configure_proxy("http://127.0.0.1:1")
        proxy = proxy_deployment.launch_proxy()
        assert proxy.wait() == 2
        assert "aibridge ca init" in proxy.output
        assert "Traceback" not in proxy.output
        proxy_deployment.command("ca", "init", "--config", str(proxy_deployment.proxy_config))
        proxy_deployment.start_proxy()

    def test_port_in_use(self, proxy_deployment: ProxyDeployment) -> None:
        """
        One clear line, a failure, and nothing half started.
        """
        proxy_deployment.token("t")
        proxy_deployment.certify()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listen = f'listen.endpoints = ["tcp:port={port}:interface=127.0.0.1"]\n'
            proxy_deployment.configure_proxy("http://127.0.0.1:1", listen)
            proxy = proxy_deployment.launch_proxy()
            assert proxy.wait() == 1
        (said,) = [line for line in proxy.lines if "aibridge-proxy: " in line]
        assert "in use" in said and str(port) in said

    def test_environment(self, proxy_deployment: ProxyDeployment, token: str) -> None:
        """
        Without a file: variables and options are enough.
        """
        proxy_deployment.certify()
        environ = {
            "AIBRIDGE_PROXY_CERT_FILE": str(proxy_deployment.ca),
            "AIBRIDGE_PROXY_KEY_FILE": str(proxy_deployment.key),
            "AIBRIDGE_TOKENS_FILE": str(proxy_deployment.tokens),
            "AIBRIDGE_PROXY_ADMIN": "tcp:port=0:interface=127.0.0.1",
        }
        bridge = proxy_deployment.daemons[0].url
        arguments = ("--listen", "tcp:port=0:interface=127.0.0.1", "--bridge", bridge)
        proxy = proxy_deployment.launch(*arguments, environ=environ, name="aibridge-proxy").listening()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(request("GET", "/v1/models"))
            assert status(read_answer(client)[0]) == 200

    def test_behind_tls(self, proxy_deployment: ProxyDeployment, token: str) -> None:
        """
        A listener that speaks TLS itself: tokens cross a network unseen, and interception is TLS within TLS.
        """
        issued = Authority(proxy_deployment.directory, "Listener Authority").issue("localhost")
        endpoint = f"ssl:port=0:interface=127.0.0.1:privateKey={issued.key}:certKey={issued.chain}"
        listen = f'listen.endpoints = ["{endpoint}"]\n'
        bridge = proxy_deployment.daemons[0].url
        proxy_deployment.configure_proxy(bridge, listen)
        proxy = proxy_deployment.start_proxy()
        assert proxy.url.startswith("https://")
        outer = ssl.create_default_context(cafile=str(proxy_deployment.directory / "Listener-Authority.pem"))
        plain = socket.create_connection(address(proxy.url), PATIENCE_S)
        with outer.wrap_socket(plain, server_hostname="localhost") as stream:
            stream.sendall(f"CONNECT {OPENAI}:443 HTTP/1.1\r\nHost: {OPENAI}\r\n{shows(token)}\r\n\r\n".encode())
            assert read_until(stream, b"\r\n\r\n") == ESTABLISHED
            answer = within(stream, trusting(proxy_deployment.ca), request("GET", "/v1/models"))
            assert answer.startswith(b"HTTP/1.1 200 ")


def within(stream: ssl.SSLSocket, context: ssl.SSLContext, data: bytes) -> bytes:
    """
    What is answered through TLS within TLS, as far as it comes at once.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = context.wrap_bio(incoming, outgoing, server_hostname=OPENAI)

    def until(step: object) -> object:
        while True:
            try:
                return step()  # type: ignore[operator]  # it is callable
            except ssl.SSLWantReadError:
                stream.sendall(outgoing.read())
                incoming.write(stream.recv(65536))

    until(inner.do_handshake)
    inner.write(data)
    answer = until(lambda: inner.read(65536))
    assert isinstance(answer, bytes)
    return answer


class TestReload:
    """
    SIGHUP.
    """

    def test_bad_file_changes_nothing(self, proxy_deployment: ProxyDeployment, token: str) -> None:
        """
        A bad file is refused with its errors; a file that is good again counts.
        """
        proxy = proxy_deployment.start_proxy()
        good = proxy_deployment.proxy_config.read_text()
        proxy_deployment.proxy_config.write_text(good + 'proxy.tunnel = "maybe"\n')
        proxy.signal(signal.SIGHUP)
        proxy.wait_for("proxy.tunnel")
        proxy.wait_for("old one stays in force")
        assert proxy.metric('aibridge_proxy_reloads_total{outcome="failure"}') == 1
        with intercepted(proxy.url, proxy_deployment.ca, token):
            pass
        proxy_deployment.proxy_config.write_text(good + 'proxy.tunnel = "off"\n')
        proxy.signal(signal.SIGHUP)
        proxy.wait_for("was reloaded")
        assert refusal(proxy.url, "93.184.216.34:443", token) == 403

    def test_hosts(self, proxy_deployment: ProxyDeployment, token: str) -> None:
        """
        Hosts come and go; a connection that is intercepted goes on, and so does the stream on it.
        """
        proxy_deployment.certify(*Hosts(BUILTIN).names(), "llm.test")
        proxy = proxy_deployment.start_proxy()
        bridge = proxy_deployment.daemons[0].url
        with streams(proxy, proxy_deployment, token, "demo-long-40") as client:
            seen = read_until(client, b"data: ")
            proxy_deployment.configure_proxy(
                bridge,
                "proxy.builtin_hosts = false\n",
                '[[provider]]\nname = "openai"\ntype = "openai"\nbase_url = "https://llm.test/v1"\n',
            )
            proxy.signal(signal.SIGHUP)
            proxy.wait_for("was reloaded")
            while not seen.endswith(DONE):
                seen += client.recv(65536)
        with intercepted(proxy.url, proxy_deployment.ca, token, "llm.test") as client:
            client.sendall(request("GET", "/v1/models", "llm.test"))
            assert status(read_answer(client)[0]) == 200

    def test_connections_to_the_bridge(self, proxy_deployment: ProxyDeployment) -> None:
        """
        Those that were made as they are not to be made any more are not kept.
        """
        token = proxy_deployment.token("t")
        left = threading.Event()

        def serve(provider: Provider, stream: socket.socket) -> None:
            answers(whole())(provider, stream)
            left.set()

        bridge = Provider(serve)
        patient = "bridge.idle_timeout = 3600.0\n"
        proxy_deployment.configure_proxy(bridge.url, patient)
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            for timeout in (10.0, 3.0):
                client.sendall(request("GET", "/v1/models"))
                assert status(read_answer(client)[0]) == 200
                assert not left.is_set()
                proxy_deployment.configure_proxy(bridge.url, f"{patient}bridge.connect_timeout = {timeout}\n")
                proxy.signal(signal.SIGHUP)
                proxy.wait_for("was reloaded")
        assert left.wait(PATIENCE_S)
        assert bridge.connections == 1
        bridge.close()

    def test_rotated_authority(self, proxy_deployment: ProxyDeployment, token: str) -> None:
        """
        A new authority is in force with a reload; who trusts what was exported before trusts both.
        """
        proxy_deployment.configure_proxy(proxy_deployment.daemons[0].url)
        where = ("--config", str(proxy_deployment.proxy_config))
        proxy_deployment.command("ca", "init", *where)
        old = proxy_deployment.ca.read_text()
        proxy = proxy_deployment.start_proxy()
        proxy_deployment.command("ca", "rotate", *where)
        both = proxy_deployment.directory / "both.pem"
        both.write_text(proxy_deployment.command("ca", "export", *where).stdout)
        with intercepted(proxy.url, both, token):
            assert proxy.page("/ca-cert.pem") == old
        proxy.signal(signal.SIGHUP)
        proxy.wait_for("was reloaded")
        with intercepted(proxy.url, both, token):
            assert proxy.page("/ca-cert.pem") == proxy_deployment.ca.read_text() != old
        (proxy_deployment.directory / "old.pem").write_text(old)
        with pytest.raises(ssl.SSLCertVerificationError):
            intercepted(proxy.url, proxy_deployment.directory / "old.pem", token)


class TestDrain:
    """
    SIGTERM.
    """

    def test_drain(self, proxy_deployment: ProxyDeployment, token: str) -> None:
        """
        Newcomers are told 503, what is running finishes whole, and it exits with 0.
        """
        proxy = proxy_deployment.start_proxy()
        with streams(proxy, proxy_deployment, token) as client, connect(proxy.url) as idle:
            seen = read_until(client, b"data: ")
            proxy.signal(signal.SIGTERM)
            proxy.wait_for("Draining: 1 requests and tunnels")
            assert read_all(idle) == b""
            with connect(proxy.admin) as page:
                page.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert b" 503 " in read_all(page)
            stream, head = asks(proxy.url, f"{OPENAI}:443", token)
            with stream:
                assert status(head) == 503 and b"X-AI-Bridge-Reason: drain" in head
            seen += read_all(client)
        assert seen.endswith(DONE)
        assert proxy.wait() == 0

    def test_tunnels(self, proxy_deployment: ProxyDeployment, token: str) -> None:
        """
        A tunnel that is silent does not hold up the end.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            text = f'proxy.ports = [{port}]\nproxy.allowed_private_cidrs = ["127.0.0.0/8"]\n'
            proxy_deployment.configure_proxy(proxy_deployment.daemons[0].url, text)
            proxy = proxy_deployment.start_proxy()
            with tunnel(proxy.url, f"127.0.0.1:{port}", token) as client:
                proxy.signal(signal.SIGTERM)
                proxy.wait_for("Draining")
                assert read_all(client) == b""
        assert proxy.wait() == 0
        assert any("kind=tunneled" in line and "cause=draining" in line for line in proxy.lines)

    @pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
    def test_second_signal(self, proxy_deployment: ProxyDeployment, token: str, second: signal.Signals) -> None:
        """
        A second signal ends at once what was draining, with an error event and no clean end.
        """
        proxy = proxy_deployment.start_proxy()
        with streams(proxy, proxy_deployment, token, "demo-long-100000") as client:
            seen = read_until(client, b"data: ")
            proxy.signal(signal.SIGTERM)
            proxy.wait_for("Draining")
            proxy.signal(second)
            seen += ended(client)
        assert b"shutting down" in seen
        assert b"[DONE]" not in seen and not seen.endswith(b"0\r\n\r\n")
        assert proxy.wait() == 0


def ended(client: ssl.SSLSocket) -> bytes:
    """
    Everything until the proxy ends, cleanly or not.
    """
    seen = b""
    with contextlib.suppress(ssl.SSLError, ConnectionResetError):
        while data := client.recv(65536):
            seen += data
    return seen
