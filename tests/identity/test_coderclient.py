"""
How a Coder deployment is asked; what comes of each answer is in the tests of the identity that asks.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseNeverReceived

from aibridge.identity.coderclient import CoderClient, Odd, was_silent, why
from aibridge.model import Class, Principal

ID = "11111111-2222-3333-4444-555555555555"


class Response:
    """
    As much of a response as is looked at.
    """

    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        self.body = body

    def deliverBody(self, protocol: Any) -> None:
        """
        All of it, now.
        """
        protocol.dataReceived(self.body)
        protocol.connectionLost(Failure(ResponseDone()))


class Client:
    """
    Gives one answer, and keeps what it was asked.
    """

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def get(self, url: str, **keywords: Any) -> Deferred[Any]:
        """
        That answer.
        """
        self.asked.append((url, keywords))
        return self.answer if isinstance(self.answer, Deferred) else succeed(self.answer)


def asked(client: Client, clock: Clock | None = None) -> list[Any]:
    """
    What comes of a question.
    """
    found: list[Any] = []
    coder = CoderClient("https://coder.example.com/", client, clock or Clock(), 5.0, Class.BATCH)
    coder.ask(b"token").addBoth(found.append)
    return found


def test_a_user() -> None:
    """
    The token goes in a header, and the user that comes is the principal.
    """
    client = Client(Response(200, b'{"id": "%b", "username": "ada"}' % ID.encode()))
    assert asked(client) == [Principal(id=ID, name="ada", class_=Class.BATCH)]
    ((url, keywords),) = client.asked
    assert url == "https://coder.example.com/api/v2/users/me"
    assert keywords["headers"]["Coder-Session-Token"] == "token"
    assert keywords["allow_redirects"] is False


@pytest.mark.parametrize("code", [401, 403, 404])
def test_nobody(code: int) -> None:
    """
    Is no failure.
    """
    assert asked(Client(Response(code, b""))) == [None]


def test_time() -> None:
    """
    Is up after that of the whole question.
    """
    clock = Clock()
    found = asked(Client(Deferred()), clock)
    clock.advance(4.9)
    assert found == []
    clock.advance(0.2)
    assert was_silent(found[0].value)


@pytest.mark.parametrize(
    ("error", "silent", "words"),
    [
        (OutOfTime(), True, "it did not answer in time"),
        (ResponseNeverReceived([Failure(CancelledError())]), True, "it did not answer in time"),
        (ResponseNeverReceived([Failure(ValueError("secret"))]), False, "ResponseNeverReceived: ValueError"),
        (ConnectionRefusedError("secret"), False, "ConnectionRefusedError"),
        (Odd("it answered 502"), False, "it answered 502"),
    ],
)
def test_why(error: Exception, silent: bool, words: str) -> None:
    """
    Words that show nothing of what was sent.
    """
    assert was_silent(error) is silent
    assert why(error) == words
