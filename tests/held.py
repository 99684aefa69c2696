"""
A provider that answers when a test says so, and clients that can be left waiting: who is where is known, not guessed.
"""

from __future__ import annotations

import json
import queue
import selectors
import socket
from collections.abc import Iterable
from http.client import HTTPResponse
from typing import Any

from daemons import PATIENCE_S
from wires import Provider, connect, post, reset, whole

CHAT = "/v1/chat/completions"
KEYS = {"KEY": "sk-central"}
"""What `table` takes the key of its provider from, if it is told of none."""


class Taken:
    """
    A request that the provider has, and has not answered yet.
    """

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.told: queue.Queue[tuple[bytes, bool]] = queue.Queue()

    @property
    def model(self) -> str:
        """
        What it asks for; tests say by it which request it is.
        """
        return str(json.loads(self.request.partition(b"\r\n\r\n")[2])["model"])

    @property
    def key(self) -> str:
        """
        The key that it shows.
        """
        return key_of(self.request)

    def say(self, payload: bytes) -> None:
        """
        Send a part of an answer.
        """
        self.told.put((payload, False))

    def answer(self, payload: bytes = whole()) -> None:
        """
        Answer it, or send what is left of its answer.
        """
        self.told.put((payload, True))

    def close(self) -> None:
        """
        Close its connection.
        """
        self.told.put((b"", True))


class Holder(Provider):
    """
    A provider that holds every request until it is answered by the test.
    """

    def __init__(self) -> None:
        self._taken: queue.Queue[Taken] = queue.Queue()
        super().__init__(_hold)

    def next(self) -> Taken:
        """
        The next request that arrives.
        """
        return self._taken.get(timeout=PATIENCE_S)

    def has_none(self) -> bool:
        """
        Whether no request is there that was not taken.
        """
        return self._taken.empty()


def _hold(provider: Provider, stream: socket.socket) -> None:
    assert isinstance(provider, Holder)
    while request := provider.take(stream):
        taken = Taken(request)
        provider._taken.put(taken)
        is_last = False
        while not is_last:
            payload, is_last = taken.told.get()
            if not payload:
                return
            stream.sendall(payload)


def key_of(request: bytes) -> str:
    """
    The provider key that a request shows.
    """
    for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        if name.lower() in (b"authorization", b"x-api-key"):
            return value.decode().removeprefix("Bearer ")
    return ""


def table(provider: Provider, more: str = "", name: str = "up", type_: str = "openai-compatible") -> str:
    """
    A ``[[provider]]`` that leads to a provider of a test.

    :param more: further options, one to a line; `key` among them unless it is to be that of `KEYS`.
    """
    key = "" if "key" in more else 'key = "env:KEY"\n'
    return f'[[provider]]\nname = "{name}"\ntype = "{type_}"\nbase_url = "{provider.url}"\n{key}{more}\n'


def said(token: str, model: str = "m", path: str = f"/up{CHAT}", **more: object) -> bytes:
    """
    A request; its model says which one it is.
    """
    return post(path, token, {"model": model, "messages": [], **more})


class Answer:
    """
    An answer, whole.

    :ivar headers: names in lower case; several of one name are joined.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        self.headers: dict[str, str] = {}
        for name, value in response.getheaders():
            before = self.headers.get(name.lower())
            self.headers[name.lower()] = value if before is None else f"{before}, {value}"

    @property
    def reason(self) -> str:
        """
        Who refused, if it was the bridge.
        """
        return self.headers.get("x-ai-bridge-reason", "")

    @property
    def id(self) -> str:
        """
        Of the request.
        """
        return self.headers["x-ai-bridge-request-id"]

    @property
    def error(self) -> Any:
        """
        What an error's body says, in either dialect.
        """
        return json.loads(self.body)["error"]

    @property
    def wait_s(self) -> float:
        """
        How long the client is told to wait, to the millisecond.
        """
        return int(self.headers["retry-after-ms"]) / 1000

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason} {self.body[:200]!r}>"


class Asking:
    """
    A client that has sent a request, on a connection of its own, and has not read the answer.
    """

    def __init__(self, url: str, request: bytes) -> None:
        self.stream = connect(url)
        self.stream.sendall(request)

    def answer(self) -> Answer:
        """
        Wait for the answer.
        """
        with self.stream:
            return read_answer(self.stream)

    def leave(self, *, abruptly: bool = False) -> None:
        """
        Go away instead.
        """
        if abruptly:
            reset(self.stream)
        else:
            self.stream.close()


def first_answered(clients: Iterable[Asking]) -> Asking:
    """
    One of them that has an answer to read.
    """
    with selectors.DefaultSelector() as selector:
        for asking in clients:
            selector.register(asking.stream, selectors.EVENT_READ, asking)
        ready = selector.select(PATIENCE_S)
    assert ready, "nobody is answered"
    asking = ready[0][0].data
    assert isinstance(asking, Asking)
    return asking


def read_answer(stream: socket.socket) -> Answer:
    """
    Read one answer.
    """
    response = HTTPResponse(stream)
    response.begin()
    return Answer(response)


def ask(url: str, request: bytes) -> Answer:
    """
    Ask, and wait for the answer.
    """
    return Asking(url, request).answer()
