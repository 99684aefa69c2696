"""
Interception by a real proxy, before a real bridge.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from intercepting import (
    ANTHROPIC,
    ESTABLISHED,
    OPENAI,
    Pair,
    ProxyDeployment,
    asked,
    asks,
    intercepted,
    providers,
    read_answer,
    refusal,
    request,
    shows,
    simulated,
    status,
    trusting,
    tunnel,
    vendor,
)
from wires import Provider, connect, read_all, read_until


class TestAuthentication:
    """
    The token is shown, and verified, where the connection is asked for.
    """

    def test_good(self, pair: Pair) -> None:
        """
        Whatever the user is called.
        """
        for name in ("somebody", "", "ädä"):
            stream, head = asks(pair.proxy.url, f"{OPENAI}:443", None, shows(pair.proxy.token, name))
            with stream:
                assert head == ESTABLISHED

    @pytest.mark.parametrize(
        "field",
        [
            "X-None: 1",
            "Proxy-Authorization: Basic",
            "Proxy-Authorization: Basic %%%%",
            "Proxy-Authorization: Basic dXNlcg==",
            "Proxy-Authorization: Basic " + base64.b64encode(b"user:").decode(),
            "Proxy-Authorization: Basic " + base64.b64encode(b"user:aib_wrong_token").decode(),
            "Proxy-Authorization: Bearer aib_wrong_token",
            "Authorization: Basic dXNlcjpwYXNz",
        ],
    )
    def test_bad(self, pair: Pair, field: str) -> None:
        """
        407 with a challenge, on the CONNECT itself; the same connection may be used to do better.
        """
        asked_for = f"CONNECT {OPENAI}:443 HTTP/1.1\r\nHost: {OPENAI}\r\n"
        with connect(pair.proxy.url) as stream:
            stream.sendall(f"{asked_for}{field}\r\n\r\n".encode())
            head, body = read_answer(stream)
            assert head.startswith(b"HTTP/1.1 407 ")
            assert b'\r\nProxy-Authenticate: Basic realm="AI Bridge Proxy"' in head
            assert body
            stream.sendall(f"{asked_for}{shows(pair.proxy.token)}\r\n\r\n".encode())
            assert read_until(stream, b"\r\n\r\n") == ESTABLISHED

    def test_revoked(self, proxy_deployment: ProxyDeployment) -> None:
        """
        A token that is taken away opens nothing more; what it had opened, the bridge does not serve.
        """
        token, _ = proxy_deployment.token("t"), proxy_deployment.token("other")
        proxy_deployment.configure(simulated())
        bridge = proxy_deployment.start()
        proxy_deployment.configure_proxy(bridge.url)
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            proxy_deployment.command("token", "revoke", "t", "--file", str(proxy_deployment.tokens))
            proxy.wait_for("1 tokens read")
            bridge.wait_for("1 tokens read")
            assert refusal(proxy.url, f"{OPENAI}:443", token) == 407
            client.sendall(request("GET", "/v1/models"))
            assert status(read_answer(client)[0]) == 401


class TestRequests:
    """
    What goes through.
    """

    @pytest.mark.parametrize(
        ("host", "path"), [(OPENAI, "/v1/chat/completions"), (ANTHROPIC, "/v1/messages"), (OPENAI, "/v1/responses")]
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_answered(self, pair: Pair, host: str, path: str, stream: bool) -> None:
        """
        The simulated provider answers, whole or as a stream, several times on one connection.
        """
        body = asked(stream=stream).replace(b'"messages"', b'"input": "Hello", "messages"')
        with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token, host) as client:
            for _ in range(3):
                client.sendall(request("POST", path, host, body))
                head, answer = read_answer(client)
                assert head.startswith(b"HTTP/1.1 200 ")
                assert (b"data: " in answer) is stream
                assert b"Hello" in answer or stream

    def test_mapped(self, proxy_deployment: ProxyDeployment) -> None:
        """
        Path and query arrive below the provider as they were; the client's own key as it was, the token nowhere.
        """
        token = proxy_deployment.token("t")
        provider = Provider(vendor)
        proxy_deployment.configure(providers(provider.url))
        bridge = proxy_deployment.start()
        proxy_deployment.configure_proxy(bridge.url)
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token) as client:
            client.sendall(
                request("POST", "/v1/chat/completions?a=%2F1&b", OPENAI, asked(), "Authorization: Bearer own")
            )
            assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
        with intercepted(proxy.url, proxy_deployment.ca, token, ANTHROPIC) as client:
            client.sendall(request("POST", "/v1/messages?beta=true", ANTHROPIC, asked(), "X-Api-Key: own-too"))
            assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
        provider.close()
        first, second = provider.requests
        assert first.startswith(b"POST /v1/chat/completions?a=%2F1&b HTTP/1.1\r\n")
        assert b"\r\nAuthorization: Bearer own\r\n" in first
        assert second.startswith(b"POST /v1/messages?beta=true HTTP/1.1\r\n")
        assert b"\r\nX-Api-Key: own-too\r\n" in second
        for taken in (first, second):
            assert taken.endswith(asked())
            assert token.encode() not in taken and b"x-coder" not in taken.lower() and b"proxy" not in taken.lower()

    def test_other_ports_and_hosts(self, proxy_deployment: ProxyDeployment) -> None:
        """
        A provider of one's own, on a port of its own; the same host on another port is none.
        """
        token = proxy_deployment.token("t")
        proxy_deployment.configure(simulated("local"))
        bridge = proxy_deployment.start()
        proxy_deployment.certify("llm.test")
        proxy_deployment.configure_proxy(
            bridge.url,
            "proxy.builtin_hosts = false\n",
            '[[provider]]\nname = "local"\ntype = "openai-compatible"\nbase_url = "https://llm.test:8443/api/v1"\n',
        )
        proxy = proxy_deployment.start_proxy()
        with intercepted(proxy.url, proxy_deployment.ca, token, "llm.test", port=8443) as client:
            client.sendall(request("POST", "/api/v1/chat/completions", "llm.test:8443", asked()))
            assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
        assert refusal(proxy.url, "llm.test:9443", token) == 403
        assert refusal(proxy.url, f"{OPENAI}:9443", token) == 403

    def test_another_host_within(self, pair: Pair) -> None:
        """
        What names another host than the connection was opened to is refused.
        """
        with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token) as client:
            client.sendall(request("POST", "/v1/messages", ANTHROPIC, asked()))
            assert status(read_answer(client)[0]) == 421

    def test_websockets(self, pair: Pair) -> None:
        """
        426, upon which clients go on over HTTP, here on the same connection.
        """
        fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eHg=")
        with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token) as client:
            client.sendall(request("GET", "/v1/responses", OPENAI, b"", *fields))
            assert status(read_answer(client)[0]) == 426

    def test_plain_http(self, pair: Pair) -> None:
        """
        501 in plain words, unless it is a provider's.
        """
        with connect(pair.proxy.url) as stream:
            stream.sendall(
                f"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n{shows(pair.proxy.token)}\r\n\r\n".encode()
            )
            head, body = read_answer(stream)
        assert status(head) == 501
        assert b"plain HTTP" in body
        line = f"POST http://{OPENAI}/v1/chat/completions"
        made = request("POST", "/v1/chat/completions", OPENAI, asked(), shows(pair.proxy.token))
        with connect(pair.proxy.url) as stream:
            stream.sendall(made.replace(b"POST /v1/chat/completions", line.encode()))
            assert status(read_answer(stream)[0]) == 200


class TestCertificates:
    """
    What clients are shown.
    """

    def test_leaf(self, pair: Pair) -> None:
        """
        The host is its only name, and it is gone within a month.
        """
        with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token) as client:
            shown = client.getpeercert(binary_form=True)
            assert client.version() in ("TLSv1.2", "TLSv1.3")
        assert shown is not None
        leaf = x509.load_der_x509_certificate(shown)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(names) == [x509.DNSName(OPENAI)]
        assert leaf.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=30)

    def test_caching(self, proxy_deployment: ProxyDeployment) -> None:
        """
        That of an intercepted host is made once; there is none for a host that is tunnelled to.
        """
        token = proxy_deployment.token("t")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            proxy_deployment.configure_proxy(
                "http://127.0.0.1:1", f'proxy.ports = [{port}]\nproxy.allowed_private_cidrs = ["127.0.0.0/8"]\n'
            )
            proxy = proxy_deployment.start_proxy()
            with tunnel(proxy.url, f"127.0.0.1:{port}", token):
                assert proxy.metric("aibridge_proxy_leaf_cache_entries") == 0
        serials = set()
        for _ in range(3):
            with intercepted(proxy.url, proxy_deployment.ca, token) as client:
                serials.add((client.getpeercert() or {})["serialNumber"])
        assert len(serials) == 1
        assert proxy.metric('aibridge_proxy_leaf_cache_total{outcome="miss"}') == 1
        assert proxy.metric('aibridge_proxy_leaf_cache_total{outcome="hit"}') == 2
        assert proxy.metric("aibridge_proxy_leaf_cache_entries") == 1

    @pytest.mark.parametrize("offers", [(), ("http/1.1",), ("h2", "http/1.1"), ("h2",)])
    def test_alpn(self, pair: Pair, offers: tuple[str, ...]) -> None:
        """
        HTTP/1.1 or nothing is agreed on, whatever is offered.
        """
        context = trusting(pair.deployment.ca, offers)
        with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token, context=context) as client:
            assert client.selected_alpn_protocol() == ("http/1.1" if "http/1.1" in offers else None)
            client.sendall(request("GET", "/v1/models"))
            assert status(read_answer(client)[0]) == 200

    def test_resumed(self, pair: Pair) -> None:
        """
        Who comes again need not begin anew; but to each host for itself.
        """
        context = trusting(pair.deployment.ca)
        with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token, context=context) as client:
            client.sendall(request("GET", "/v1/models"))
            assert status(read_answer(client)[0]) == 200
            session = client.session
        for host, is_resumed in ((OPENAI, True), (ANTHROPIC, False)):
            stream = tunnel(pair.proxy.url, f"{host}:443", pair.proxy.token)
            with context.wrap_socket(stream, server_hostname=host, session=session) as client:
                assert client.session_reused is is_resumed

    def test_another_server_name(self, pair: Pair) -> None:
        """
        A hello for another host than the connection was opened to is refused.
        """
        stream = tunnel(pair.proxy.url, f"{OPENAI}:443", pair.proxy.token)
        with stream, pytest.raises(ssl.SSLError):
            trusting(pair.deployment.ca).wrap_socket(stream, server_hostname=ANTHROPIC)

    def test_not_trusted(self, pair: Pair) -> None:
        """
        A client that does not trust the authority gets nowhere, and the log says what is wrong with it.
        """
        before = pair.proxy.metric('aibridge_proxy_tls_failures_total{kind="tls_untrusted"}')
        stream = tunnel(pair.proxy.url, f"{OPENAI}:443", pair.proxy.token)
        with stream, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(stream, server_hostname=OPENAI)
        pair.proxy.wait_for(rf"session .*host={OPENAI} .*cause=tls_untrusted")
        assert pair.proxy.metric('aibridge_proxy_tls_failures_total{kind="tls_untrusted"}') == before + 1


class TestDownload:
    """
    The authority's certificate, for clients to trust.
    """

    def test_certificate(self, pair: Pair) -> None:
        """
        As a file, on the admin listener alone.
        """
        with connect(pair.proxy.admin) as stream:
            stream.sendall(b"GET /ca-cert.pem HTTP/1.1\r\nHost: x\r\n\r\n")
            head, body = read_answer(stream)
        assert b"\r\nContent-Type: application/x-pem-file\r\n" in head
        assert b"\r\nContent-Disposition: attachment; filename=" in head
        assert body.decode() == pair.deployment.ca.read_text()
        with connect(pair.proxy.url) as stream:
            stream.sendall(b"GET /ca-cert.pem HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"BEGIN" not in read_all(stream)

    def test_compound_file(self, proxy_deployment: ProxyDeployment) -> None:
        """
        Of a file with key and certificates in it, the one certificate.
        """
        proxy_deployment.certify()
        certificate = proxy_deployment.ca.read_text()
        proxy_deployment.ca.write_text(proxy_deployment.key.read_text() + certificate + certificate)
        proxy_deployment.ca.chmod(0o600)
        proxy_deployment.token("t")
        proxy_deployment.configure_proxy("http://127.0.0.1:1", f'ca.key_file = "{proxy_deployment.ca}"\n')
        proxy = proxy_deployment.start_proxy()
        assert proxy.page("/ca-cert.pem") == certificate


def test_curl_is_told_why(pair: Pair) -> None:
    """
    A refusal's body says in words what is wrong, and a header who refused.
    """
    stream, head = asks(pair.proxy.url, "10.0.0.1:443", pair.proxy.token)
    with stream:
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"\r\nX-AI-Bridge-Reason: " in head
    with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token) as client:
        client.sendall(request("GET", "/v1/files"))
        head, body = read_answer(client)
    assert status(head) == 403
    assert "error" in json.loads(body)
