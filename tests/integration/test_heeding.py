"""
Providers that enforce their limits and tell what is left of them: the bridge slows down before it is refused.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from daemons import Daemon, Deployment
from held import KEYS, Answer, ask, said, table
from wires import Provider, connect, read_all, whole

CHAT = "/up/v1/chat/completions"
MESSAGES = "/claude/v1/messages"
LIMIT = 12
WINDOWS = 2
CALLERS = 8
COST = 100
"""Tokens of one request, as the provider counts them; no more than the bridge takes it for."""


class Windowed(Provider):
    """
    Lets so many requests through in each window of time, tells with every answer how many are left until when, and
    refuses the others.

    :param tell: the fields that say it; of how many are left, and after how many seconds there are all again.
    :ivar windows: how many have begun.
    :ivar over: the last one that a test waits for is over.
    """

    def __init__(self, tell: Callable[[int, float], tuple[str, ...]], window_s: float) -> None:
        self.served = self.refused = self.windows = 0
        self.over = threading.Event()
        self._tell = tell
        self._window_s = window_s
        self._ends = 0.0
        self._left = 0
        self._lock = threading.Lock()
        super().__init__(_by_window)

    def answer(self) -> bytes:
        """
        To the next request.
        """
        with self._lock:
            now = time.time()
            if now >= self._ends:
                # At a whole second, as Anthropic tells no parts of one.
                self._ends = now // 1.0 + self._window_s
                self._left = LIMIT
                self.windows += 1
                if self.windows > WINDOWS:
                    self.over.set()
            reset_s = self._ends - now
            fields = [f"Date: {formatdate(now, usegmt=True)}"]
            if self._left:
                self._left -= 1
                self.served += 1
                head = "200 OK"
            else:
                self.refused += 1
                head = "429 X"
                fields.append(f"retry-after-ms: {reset_s * 1000:.0f}")
            told = "\r\n".join((*fields, *self._tell(self._left, reset_s)))
        return f"HTTP/1.1 {head}\r\nContent-Length: 2\r\n{told}\r\n\r\n{{}}".encode()


def _by_window(provider: Provider, stream: socket.socket) -> None:
    assert isinstance(provider, Windowed)
    while provider.take(stream):
        stream.sendall(provider.answer())


def openai(unit: str, each: int) -> Callable[[int, float], tuple[str, ...]]:
    """
    In OpenAI's words.
    """
    return lambda left, reset_s: (
        f"x-ratelimit-remaining-{unit}: {left * each}",
        f"x-ratelimit-reset-{unit}: {reset_s * 1000:.0f}ms",
    )


def anthropic(unit: str, each: int) -> Callable[[int, float], tuple[str, ...]]:
    """
    In Anthropic's.
    """
    return lambda left, reset_s: (
        f"anthropic-ratelimit-{unit}-remaining: {left * each}",
        f"anthropic-ratelimit-{unit}-reset: "
        + datetime.fromtimestamp(round(time.time() + reset_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def start(deployment: Deployment, provider: Provider, *, heeds: bool = True) -> Daemon:
    """
    A daemon with that provider, as one of each dialect.
    """
    more = f"heed_limits = {str(heeds).lower()}\n"
    deployment.configure(table(provider, more) + table(provider, more, "claude", "anthropic"))
    return deployment.start(environ=KEYS)


def crowd(provider: Windowed, ask_once: Callable[[], Answer]) -> list[Answer]:
    """
    Callers that ask again and again, whatever they are told, until the last window is over; what they were told.
    """
    told: list[Answer] = []

    def call() -> None:
        while not provider.over.is_set():
            answer = ask_once()
            told.append(answer)
            if answer.status != 200:
                provider.over.wait(0.02)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@pytest.mark.parametrize(
    ("path", "tell"),
    [
        (CHAT, openai("requests", 1)),
        (CHAT, openai("tokens", COST)),
        (MESSAGES, anthropic("requests", 1)),
        (MESSAGES, anthropic("output-tokens", COST)),
    ],
    ids=["requests", "tokens", "anthropic requests", "anthropic output tokens"],
)
def test_before_it_refuses(deployment: Deployment, path: str, tell: Callable[[int, float], tuple[str, ...]]) -> None:
    """
    Of a crowd that asks for many times as much as the provider takes, those that are too many are told so by the
    bridge, and others go through when there is room; the provider has to refuse hardly any.
    """
    token = deployment.token("ada")
    provider = Windowed(tell, 1.0 if path == CHAT else 2.0)
    daemon = start(deployment, provider)
    told = crowd(provider, lambda: ask(daemon.url, said(token, path=path, max_tokens=COST)))
    refused = [answer for answer in told if answer.reason == "provider"]
    assert all(answer.status == 429 and 0 < answer.wait_s <= 45 for answer in refused)
    assert len(refused) > 3 * provider.served
    assert provider.served >= LIMIT
    # Some probes in each window: the first within a second, and each later than the one before.
    assert provider.refused <= 3 * provider.windows
    provider.close()


def test_it_would_have_refused(deployment: Deployment) -> None:
    """
    Without `heed_limits` the same crowd is refused by the provider, most of it.
    """
    token = deployment.token("ada")
    provider = Windowed(openai("requests", 1), 1.0)
    daemon = start(deployment, provider, heeds=False)
    told = crowd(provider, lambda: ask(daemon.url, said(token, path=CHAT)))
    assert not [answer for answer in told if answer.reason]
    assert provider.refused > 3 * provider.served
    provider.close()


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_thousand_agents(deployment: Deployment, path: str) -> None:
    """
    The provider has said "wait", and hears of a probe now and then until that is over.
    """
    token = deployment.token("ada")

    def serve(provider: Provider, stream: socket.socket) -> None:
        while provider.take(stream):
            stream.sendall(whole().replace(b"200 OK", b"429 X\r\nRetry-After: 40"))

    provider = Provider(serve)
    daemon = start(deployment, provider)
    assert ask(daemon.url, said(token, path=path)).reason == ""
    request, refused = said(token, path=path), 0
    for _ in range(10):
        with connect(daemon.url) as stream:
            last = request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            stream.sendall(request * 99 + last)
            answers = read_all(stream)
        assert answers.count(b"HTTP/1.1 429 ") == 100
        refused += answers.count(b"X-AI-Bridge-Reason: provider\r\n")
    # After one second, and then after twice as long each time, up to half a minute.
    assert 1 + 1000 - refused == len(provider.requests) <= 12
    provider.close()
