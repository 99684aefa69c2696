"""
Retries of a real process: which there are, and how few.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemons import Daemon, Deployment
from held import KEYS, Asking, ask, said, table
from wires import Provider, read_all, reset, whole

UNAVAILABLE = b"HTTP/1.1 503 X\r\nretry-after-ms: 10\r\nContent-Length: 2\r\n\r\n{}"


def status(code: int, *fields: str) -> bytes:
    """
    An answer that is an error.
    """
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 {code} X\r\n{lines}Content-Length: 2\r\n\r\n{{}}".encode()


class Scripted(Provider):
    """
    Answers the first requests with what it was told, an empty answer being a reset, and all further ones with 200.
    """

    def __init__(self) -> None:
        self.script: list[bytes] = []
        super().__init__(_by_script)


def _by_script(provider: Provider, stream: socket.socket) -> None:
    assert isinstance(provider, Scripted)
    while provider.take(stream):
        payload = provider.script.pop(0) if provider.script else whole()
        if not payload:
            reset(stream)
            return
        stream.sendall(payload)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """
    A provider with a script.
    """
    made = Scripted()
    yield made
    made.close()


def start(deployment: Deployment, provider: Provider, options: str) -> Daemon:
    """
    A daemon with that provider.
    """
    deployment.configure(table(provider, options))
    return deployment.start(environ=KEYS)


class TestWhat:
    """
    Which requests are sent again.
    """

    def test_off_by_default(self, deployment: Deployment, scripted: Scripted) -> None:
        """
        Every answer is passed on, since SDKs retry by themselves.
        """
        token = deployment.token("ada")
        daemon = start(deployment, scripted, "heed_limits = false")
        for payload in (UNAVAILABLE, status(429, "retry-after-ms: 10"), b""):
            scripted.script = [payload]
            assert ask(daemon.url, said(token)).status in (503, 429, 502)
        assert len(scripted.requests) == 3
        assert "aibridge_retry_budget{" not in daemon.page("/metrics")

    @pytest.mark.parametrize("heed", [False, True])
    @pytest.mark.parametrize(
        "payload",
        [UNAVAILABLE, status(429, "retry-after-ms: 10"), status(429, "Retry-After: 1"), status(429)],
        ids=["503 with Retry-After", "429 in ms", "429 in s", "429 without"],
    )
    def test_what_the_provider_did_not_act_on(
        self, deployment: Deployment, scripted: Scripted, payload: bytes, heed: bool
    ) -> None:
        """
        A POST goes out again, as it was, and not before the provider wants it; the client sees the last answer alone.
        """
        token = deployment.token("ada")
        daemon = start(deployment, scripted, f"retries = 2\nheed_limits = {str(heed).lower()}\n")
        scripted.script = [payload]
        answer = ask(daemon.url, said(token))
        assert (answer.status, answer.reason) == (200, "")
        first, second = scripted.requests
        assert first == second
        assert daemon.completion(answer.id)["attempts"] == "2"
        assert daemon.metric('aibridge_upstream_calls_total{provider="up"}') == 2
        assert daemon.metric('aibridge_retry_budget{provider="up"}') == pytest.approx(2.1)

    @pytest.mark.parametrize(
        ("payload", "told"),
        [
            (status(500), 500),
            (status(502), 502),
            (status(503), 503),
            (status(529), 529),
            (status(400, "Retry-After: 1"), 400),
            (status(503, "Retry-After: 6"), 503),
            (b"", 502),
        ],
        ids=["500", "502", "503 without a time", "529", "400", "503 for long", "reset"],
    )
    def test_what_it_may_have_acted_on(
        self, deployment: Deployment, scripted: Scripted, payload: bytes, told: int
    ) -> None:
        """
        A POST is not sent again, nor is what would have to wait for long.
        """
        token = deployment.token("ada")
        daemon = start(deployment, scripted, "retries = 2\n")
        scripted.script = [payload]
        assert ask(daemon.url, said(token)).status == told
        assert len(scripted.requests) == 1

    @pytest.mark.parametrize("payload", [status(502), status(503), b""], ids=["502", "503", "reset"])
    def test_what_is_safe_to_repeat(self, deployment: Deployment, scripted: Scripted, payload: bytes) -> None:
        """
        A GET is.
        """
        token = deployment.token("ada")
        daemon = start(deployment, scripted, "retries = 2\n")
        scripted.script = [payload]
        models = b"GET /up/v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
        assert ask(daemon.url, models).status == 200
        assert len(scripted.requests) == 2

    def test_never_after_the_first_byte(self, deployment: Deployment) -> None:
        """
        What broke off is broken off for the client, also of a GET.
        """

        def breaks_off(provider: Provider, stream: socket.socket) -> None:
            provider.take(stream)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")

        token = deployment.token("ada")
        provider = Provider(breaks_off)
        daemon = start(deployment, provider, "retries = 2\n")
        models = b"GET /up/v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
        asking = Asking(daemon.url, models)
        with asking.stream:
            assert read_all(asking.stream).endswith(b"ab")
        assert len(provider.requests) == 1
        provider.close()

    def test_a_client_that_leaves_in_between(self, deployment: Deployment, scripted: Scripted) -> None:
        """
        Nothing more is sent for it, and nothing is left of it.
        """
        token = deployment.token("ada")
        daemon = start(deployment, scripted, "retries = 2\nheed_limits = false\n")
        scripted.script = [status(503, "Retry-After: 5")]
        asking = Asking(daemon.url, said(token))
        daemon.until('aibridge_upstream_connections{provider="up",state="idle"}', 1)
        asking.leave()
        line = daemon.wait_for("completion .* cause=client_left ").string
        assert " attempts=1 " in line
        daemon.until("aibridge_permits_in_use", 0)
        assert ask(daemon.url, said(token)).status == 200
        assert len(scripted.requests) == 2


def dead(provider: Provider, stream: socket.socket) -> None:
    """
    Is down, and says so.
    """
    while provider.take(stream):
        stream.sendall(UNAVAILABLE)


class TestBudget:
    """
    How many there are.
    """

    @pytest.mark.parametrize("retries", [1, 5])
    def test_a_dead_provider(self, deployment: Deployment, retries: int) -> None:
        """
        Sees at most 1.2 times the requests that clients make, however many are allowed for each.
        """
        token = deployment.token("ada")
        provider = Provider(dead)
        daemon = start(deployment, provider, f"retries = {retries}\nheed_limits = false\n")
        offered = 50
        with ThreadPoolExecutor(10) as pool:
            told = list(pool.map(lambda _: ask(daemon.url, said(token)).status, range(offered)))
        assert told == [503] * offered
        assert offered < len(provider.requests) <= 1.2 * offered
        assert daemon.metric('aibridge_upstream_calls_total{provider="up"}') == len(provider.requests)
        assert 0 <= daemon.metric('aibridge_retry_budget{provider="up"}') < 1
        provider.close()

    def test_one_that_dies_and_comes_back(self, deployment: Deployment) -> None:
        """
        A tenth of what succeeded lately may be repeated, and no more than that when it dies; the same again when it has
        served for a while.
        """
        token = deployment.token("ada")
        down = threading.Event()

        def serve(provider: Provider, stream: socket.socket) -> None:
            while provider.take(stream):
                stream.sendall(UNAVAILABLE if down.is_set() else whole())

        provider = Provider(serve)
        daemon = start(deployment, provider, "retries = 1\nheed_limits = false\n")

        def offer(count: int) -> int:
            before = len(provider.requests)
            with ThreadPoolExecutor(10) as pool:
                list(pool.map(lambda _: ask(daemon.url, said(token)), range(count)))
            return len(provider.requests) - before

        for _ in range(2):
            assert offer(50) == 50
            down.set()
            assert 30 < offer(30) <= 30 + 3 + 5
            down.clear()
        provider.close()

    def test_nobody_listens(self, deployment: Deployment, unused_port: Callable[[], int]) -> None:
        """
        A connection that is refused is tried again, within the same budget.
        """
        token = deployment.token("ada")
        deployment.configure(
            f'[[provider]]\nname = "up"\ntype = "openai-compatible"\nbase_url = "http://127.0.0.1:{unused_port()}"\n'
            'key = "env:KEY"\nretries = 1\n'
        )
        daemon = deployment.start(environ=KEYS)
        with ThreadPoolExecutor(10) as pool:
            told = list(pool.map(lambda _: ask(daemon.url, said(token)).reason, range(20)))
        assert told == ["upstream"] * 20
        assert daemon.metric('aibridge_upstream_calls_total{provider="up"}') == 23


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """
    A port on which nobody listens.
    """

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return int(server.getsockname()[1])

    return find
