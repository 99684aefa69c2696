"""
Networks whose way out is another proxy: for tunnels, and for the bridge's calls to providers.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority
from daemons import Deployment
from forwards import Forward
from intercepting import (
    ESTABLISHED,
    ProxyDeployment,
    asks,
    intercepted,
    read_answer,
    refusal,
    request,
    simulated,
    status,
)
from wires import Provider, answers, chat, connect, read_all, whole

PASSWORD = "upstream-passw0rd-canary"
ECHO = b"nobody expects"


def basic(credentials: str) -> bytes:
    """
    As it is shown to a proxy.
    """
    return b"Proxy-Authorization: Basic " + base64.b64encode(credentials.encode()) + b"\r\n"


@pytest.fixture
def host() -> Iterator[Provider]:
    """
    A host that answers what it is told.
    """

    def serve(_: Provider, stream: socket.socket) -> None:
        while data := stream.recv(65536):
            stream.sendall(data)

    made = Provider(serve)
    yield made
    made.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """
    Of the upstream proxy's certificate.
    """
    return Authority(tmp_path, "Upstream Authority")


def upstream(deployment: ProxyDeployment, url: str, text: str = "") -> Any:
    """
    A proxy whose tunnels go through another one.
    """
    deployment.configure_proxy("http://127.0.0.1:1", f'proxy.upstream = "env:UPSTREAM"\n{text}')
    return deployment.start_proxy(environ={"UPSTREAM": url})


def says(proxy: Any, authority: str, token: str) -> bytes:
    """
    What comes back through a tunnel.
    """
    stream, head = asks(proxy.url, authority, token)
    with stream:
        assert head == ESTABLISHED, head
        stream.sendall(ECHO)
        return stream.recv(len(ECHO), socket.MSG_WAITALL)


class TestTunnels:
    """
    Through an upstream proxy.
    """

    @pytest.mark.parametrize(
        ("user_info", "shown"),
        [("", b""), ("user:pass@", basic("user:pass")), ("user@", basic("user:")), (":pass@", basic(":pass"))],
    )
    @pytest.mark.parametrize("secure", [False, True])
    def test_goes_through(
        self,
        proxy_deployment: ProxyDeployment,
        host: Provider,
        authority: Authority,
        secure: bool,
        user_info: str,
        shown: bytes,
    ) -> None:
        """
        Plain or over TLS, with and without credentials; it is told the address that was checked.
        """
        token = proxy_deployment.token("t")
        forward = Forward(issued=authority.issue("localhost") if secure else None, leads_to=host.url)
        trust = f'proxy.upstream_ca_file = "{authority.certificate}"\n' if secure else ""
        url = f"{'https' if secure else 'http'}://{user_info}localhost:{forward.port}"
        proxy = upstream(proxy_deployment, url, trust)
        assert says(proxy, "93.184.216.34:443", token) == ECHO
        forward.close()
        assert forward.asked == [b"CONNECT 93.184.216.34:443 HTTP/1.1\r\nHost: 93.184.216.34:443\r\n%b\r\n" % shown]

    def test_wrong_certificate(self, proxy_deployment: ProxyDeployment, host: Provider, authority: Authority) -> None:
        """
        One for another name is none: nothing goes there, credentials least of all.
        """
        token = proxy_deployment.token("t")
        forward = Forward(issued=authority.issue("other.test"), leads_to=host.url)
        trust = f'proxy.upstream_ca_file = "{authority.certificate}"\n'
        proxy = upstream(proxy_deployment, f"https://user:{PASSWORD}@localhost:{forward.port}", trust)
        assert refusal(proxy.url, "93.184.216.34:443", token) == 502
        proxy.wait_for(rf"https://localhost:{forward.port} cannot be used: its certificate is not one for its name")
        forward.close()
        assert forward.asked in ([], [b""])
        assert PASSWORD not in proxy.output

    def test_refuses(self, proxy_deployment: ProxyDeployment) -> None:
        """
        What it refuses is 502 here; the log says what it said, without credentials.
        """
        token = proxy_deployment.token("t")
        forward = Forward(answer=b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        proxy = upstream(proxy_deployment, f"http://user:{PASSWORD}@127.0.0.1:{forward.port}")
        assert refusal(proxy.url, "93.184.216.34:443", token) == 502
        proxy.wait_for(rf"http://127\.0\.0\.1:{forward.port} cannot be used: it answered 407")
        forward.close()
        assert PASSWORD not in proxy.output
        assert PASSWORD not in proxy.page("/metrics")

    def test_private_addresses(self, proxy_deployment: ProxyDeployment, host: Provider) -> None:
        """
        What may not be tunnelled to directly may not be through it, but for the networks that are allowed.
        """
        token = proxy_deployment.token("t")
        forward = Forward(leads_to=host.url)
        exempt = 'proxy.allowed_private_cidrs = ["10.1.0.0/16"]\n'
        proxy = upstream(proxy_deployment, f"http://127.0.0.1:{forward.port}", exempt)
        for target in ("10.0.0.1", "127.1", "0x7f000001", "[::ffff:10.0.0.1]", "169.254.169.254", "localhost"):
            assert refusal(proxy.url, f"{target}:443", token) == 403
        assert says(proxy, "10.1.2.3:443", token) == ECHO
        forward.close()
        assert len(forward.asked) == 1

    def test_intercepted_traffic_does_not(self, proxy_deployment: ProxyDeployment) -> None:
        """
        What is intercepted goes to the bridge, and never through it.
        """
        token = proxy_deployment.token("t")
        proxy_deployment.configure(simulated())
        bridge = proxy_deployment.start()
        forward = Forward()
        url = f"http://127.0.0.1:{forward.port}"
        proxy_deployment.configure_proxy(bridge.url, f'proxy.upstream = "{url}"\n')
        proxy = proxy_deployment.start_proxy(environ={"HTTPS_PROXY": url, "HTTP_PROXY": url})
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(request("GET", "/v1/models"))
            assert status(read_answer(client)[0]) == 200
        forward.close()
        assert forward.asked == []


class TestProviders:
    """
    The bridge's own calls.
    """

    def provider(self, authority: Authority) -> Provider:
        """
        One behind TLS, under a name that leads nowhere.
        """
        issued = authority.issue("llm.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.chain, issued.key)

        def serve(provider: Provider, stream: socket.socket) -> None:
            with context.wrap_socket(stream, server_side=True) as secured:
                answers(whole())(provider, secured)

        return Provider(serve)

    @pytest.mark.parametrize(
        ("lines", "environ"),
        [
            ('proxy = "env:WAY_OUT"\n', {"WAY_OUT": "URL"}),
            ("[daemon]\ntrust_env = true\n", {"HTTPS_PROXY": "URL"}),
            ("[daemon]\ntrust_env = true\n", {"https_proxy": "URL", "NO_PROXY": "other.test"}),
            ("", {"AIBRIDGE_TRUST_ENV": "true", "HTTPS_PROXY": "URL"}),
        ],
    )
    def test_goes_through(
        self, deployment: Deployment, authority: Authority, lines: str, environ: dict[str, str]
    ) -> None:
        """
        TLS with the provider within a tunnel through the proxy; connections are kept as always.
        """
        token = deployment.token("t")
        provider = self.provider(authority)
        forward = Forward(leads_to=provider.url)
        deployment.configure(
            f'[[provider]]\nname = "demo"\ntype = "openai"\nbase_url = "https://llm.test/v1"\nkey = "env:KEY"\n'
            f'ca_file = "{authority.certificate}"\n{lines}'
        )
        url = f"http://user:{PASSWORD}@127.0.0.1:{forward.port}"
        set_to = {name: url if text == "URL" else text for name, text in environ.items()}
        daemon = deployment.start(environ={"KEY": "sk-central", **set_to})
        with connect(daemon.url) as stream:
            for _ in range(2):
                stream.sendall(chat(token))
                head, _ = read_answer(stream)
                assert status(head) == 200
        daemon.stop()
        provider.close()
        forward.close()
        shown = basic(f"user:{PASSWORD}")
        assert forward.asked == [b"CONNECT llm.test:443 HTTP/1.1\r\nHost: llm.test:443\r\n%b\r\n" % shown]
        assert all(b"\r\nAuthorization: Bearer sk-central\r\n" in taken for taken in provider.requests)
        assert len(provider.requests) == 2

    def test_not_trusted(self, deployment: Deployment) -> None:
        """
        The environment says nothing unless it is asked.
        """
        token = deployment.token("t")
        provider, forward = Provider(answers(whole())), Forward()
        deployment.configure(f'[[provider]]\nname = "demo"\ntype = "openai"\nbase_url = "{provider.url}/v1"\n')
        url = f"http://127.0.0.1:{forward.port}"
        daemon = deployment.start(environ={"HTTPS_PROXY": url, "HTTP_PROXY": url, "ALL_PROXY": url})
        with connect(daemon.url) as stream:
            stream.sendall(chat(token).replace(b"\r\n\r\n", b"\r\nX-Api-Key: own\r\n\r\n", 1))
            read_answer(stream)
        provider.close()
        forward.close()
        assert forward.asked == []

    def test_refused(self, deployment: Deployment) -> None:
        """
        A proxy that refuses is an upstream that cannot be connected to; the log says which and why.
        """
        token = deployment.token("t")
        forward = Forward(answer=b"HTTP/1.1 403 No\r\n\r\n")
        deployment.configure(
            '[[provider]]\nname = "demo"\ntype = "openai"\nbase_url = "https://llm.test/v1"\nkey = "env:KEY"\n'
            'proxy = "env:WAY_OUT"\n'
        )
        url = f"http://user:{PASSWORD}@127.0.0.1:{forward.port}"
        daemon = deployment.start(environ={"KEY": "k", "WAY_OUT": url})
        with connect(daemon.url) as stream:
            stream.sendall(chat(token).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            answer = read_all(stream)
        assert answer.startswith(b"HTTP/1.1 502 ")
        daemon.wait_for(rf"http://127\.0\.0\.1:{forward.port} cannot be used: it answered 403")
        forward.close()
        assert PASSWORD not in daemon.output and PASSWORD.encode() not in answer
        assert daemon.metric('aibridge_upstream_errors_total{kind="connect",provider="demo"}') >= 1
