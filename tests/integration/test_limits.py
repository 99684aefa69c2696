"""
The limits as the systems before this one tested theirs: three of five over the limit, the third of three at the gate.
"""

from __future__ import annotations

import socket
import threading

import pytest

from daemons import Daemon, Deployment
from wires import Provider, connect, post, read_all, read_until, whole

BODY = {"model": "m", "messages": []}
PATH = "/up/v1/chat/completions"


def provider_table(provider: Provider, more: str = "") -> str:
    """
    A ``[[provider]]`` that leads to a provider of a test.
    """
    return f'[[provider]]\nname = "up"\ntype = "openai-compatible"\nbase_url = "{provider.url}"\n{more}'


def ok(provider: Provider, stream: socket.socket) -> None:
    """
    Answers everything.
    """
    while provider.take(stream):
        stream.sendall(whole())


def statuses(daemon: Daemon, requests: list[bytes]) -> list[int]:
    """
    The status of each of several requests on one connection.
    """
    told = []
    with connect(daemon.url) as stream:
        for request in requests:
            stream.sendall(request)
            head = read_until(stream, b"}")
            told.append(int(head.split(b" ")[1]))
            if told[-1] == 429:
                assert b"Retry-After: " in head and b"retry-after-ms: " in head
                assert b"You've been rate limited. Please try again later." in head
    return told


def by_bearer(token: str) -> bytes:
    """
    A request that shows its token as a bearer.
    """
    return post(PATH, token, BODY)


def by_api_key(token: str) -> bytes:
    """
    A request that shows its token as an API key.
    """
    return post(PATH, token, BODY).replace(b"Authorization: Bearer ", b"X-Api-Key: ")


def by_address(unused: str) -> bytes:
    """
    A request that shows no token.
    """
    before, _, after = post(PATH, "", BODY).partition(b"Authorization: Bearer \r\n")
    return before + after


class TestRate:
    """
    The leaky bucket.
    """

    @pytest.mark.parametrize("ask", [by_bearer, by_api_key])
    def test_limit_by_token(self, deployment: Deployment, ask: object) -> None:
        """
        Of five requests at a limit of two, three are refused, however the token is shown.
        """
        assert callable(ask)
        token = deployment.token("one")
        provider = Provider(ok)
        limits = "[admission]\nrate_limit = 0.0003\nrate_burst = 2\n"
        deployment.configure(provider_table(provider, 'credentials = "client-or-central"\nkey = "env:KEY"\n') + limits)
        daemon = deployment.start(environ={"KEY": "sk-central"})
        assert statuses(daemon, [ask(token)] * 5) == [200, 200, 429, 429, 429]
        assert len(provider.requests) == 2
        provider.close()

    def test_limit_by_address(self, deployment: Deployment) -> None:
        """
        Without tokens, the address is what is limited.
        """
        provider = Provider(ok)
        limits = '[admission]\nrate_limit = 0.0003\nrate_burst = 2\n[auth]\nbackend = "none"\n'
        deployment.configure(provider_table(provider, 'key = "env:KEY"\n') + limits)
        daemon = deployment.start(environ={"KEY": "sk-central"})
        assert statuses(daemon, [by_address("")] * 5) == [200, 200, 429, 429, 429]
        provider.close()

    def test_tokens_do_not_touch_each_other(self, deployment: Deployment) -> None:
        """
        At a limit of one, five tokens have one request each.
        """
        tokens = [deployment.token(f"t{number}") for number in range(5)]
        provider = Provider(ok)
        limits = "[admission]\nrate_limit = 0.0003\nrate_burst = 1\n"
        deployment.configure(provider_table(provider, 'key = "env:KEY"\n') + limits)
        daemon = deployment.start(environ={"KEY": "sk-central"})
        assert statuses(daemon, [by_bearer(token) for token in tokens]) == [200] * 5
        assert statuses(daemon, [by_bearer(token) for token in tokens]) == [429] * 5
        provider.close()

    def test_zero_disables(self, deployment: Deployment) -> None:
        """
        A limit of zero is none.
        """
        token = deployment.token("one")
        provider = Provider(ok)
        limits = "[admission]\nrate_limit = 0\nmax_concurrency = 0\n"
        deployment.configure(provider_table(provider, 'key = "env:KEY"\n') + limits)
        daemon = deployment.start(environ={"KEY": "sk-central"})
        assert statuses(daemon, [by_bearer(token)] * 20) == [200] * 20
        provider.close()


class TestGate:
    """
    The concurrency gate.
    """

    def test_third_of_three(self, deployment: Deployment) -> None:
        """
        With two permits the third gets 503, and the two finish with 200.
        """
        release = threading.Event()
        arrived = threading.Semaphore(0)

        def slow(provider: Provider, stream: socket.socket) -> None:
            while provider.take(stream):
                arrived.release()
                release.wait(60)
                stream.sendall(whole())

        token = deployment.token("one")
        provider = Provider(slow)
        deployment.configure(provider_table(provider, 'key = "env:KEY"\n') + "[admission]\nmax_concurrency = 2\n")
        daemon = deployment.start(environ={"KEY": "sk-central"})
        with connect(daemon.url) as first, connect(daemon.url) as second, connect(daemon.url) as third:
            first.sendall(by_bearer(token))
            second.sendall(by_bearer(token))
            assert arrived.acquire(timeout=60) and arrived.acquire(timeout=60)
            third.sendall(by_bearer(token))
            refused = read_until(third, b"}")
            assert b"HTTP/1.1 503 " in refused
            assert b"Retry-After: " in refused and b"X-AI-Bridge-Reason: gate" in refused
            assert b"AI Bridge is currently at capacity. Please try again later." in refused
            release.set()
            assert b"HTTP/1.1 200 " in read_until(first, b"}")
            assert b"HTTP/1.1 200 " in read_until(second, b"}")
        provider.close()


class TestUpgrade:
    """
    WebSocket upgrades, which Codex and Copilot ask for.
    """

    @pytest.mark.parametrize("path", ["/up/v1/responses", "/up/v1/nowhere", "/elsewhere", PATH])
    def test_426(self, deployment: Deployment, path: str) -> None:
        """
        Every route answers 426, known or not.
        """
        deployment.token("one")
        provider = Provider(ok)
        deployment.configure(provider_table(provider))
        daemon = deployment.start()
        with connect(daemon.url) as stream:
            stream.sendall(
                f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            assert read_all(stream).startswith(b"HTTP/1.1 426 ")
        assert provider.requests == []
        provider.close()
