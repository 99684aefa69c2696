"""
How a Coder deployment is asked who a token belongs to: one question over HTTP, and what its answer means.
(Authentication by header: https://coder.com/docs/reference/api/authentication.)
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Protocol

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol as ByteProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IAgent

from aibridge.model import Class, Principal

ME: Final = "/api/v2/users/me"
TOKEN_HEADER: Final = "Coder-Session-Token"

MOST_BYTES: Final = 65536
MOST_NAME: Final = 128


class Client(Protocol):
    """
    What asks: see `treq_client`.
    """

    @property
    def get(self) -> Callable[..., Deferred[Any]]:
        """
        As `treq.client.HTTPClient.get`.
        """


def treq_client(agent: IAgent) -> Client:
    """
    A treq client that takes no cookies, whatever it is offered: its jar is shared by all its callers, and Coder
    prefers the session of a cookie to that of a header.
    """
    return HTTPClient(agent, cookiejar=IndexableCookieJar(DefaultCookiePolicy(allowed_domains=())))


class Odd(Exception):
    """
    The deployment's answer says nothing about the token. Its text is free of secrets.
    """


class CoderClient:
    """
    Asks a Coder deployment.

    :param url: of the deployment.
    :param client: it is told not to follow redirects, which would take a token to somebody else.
    :param clock: monotonic.
    :param timeout_s: for a whole answer.
    :param class_: of everybody, as Coder knows of no classes.
    """

    def __init__(self, url: str, client: Client, clock: IReactorTime, timeout_s: float, class_: Class) -> None:
        self.url = url.rstrip("/") + ME
        self._client = client
        self._clock = clock
        self._timeout_s = timeout_s
        self._class = class_

    def ask(self, token: bytes) -> Deferred[Principal | None]:
        """
        The user whose token it is, or None if it is nobody's. A failure, of any kind, says nothing about the token;
        see `why`.

        :param token: of printable ASCII.
        """
        return Deferred.fromCoroutine(self._ask(token)).addTimeout(self._timeout_s, self._clock)

    async def _ask(self, token: bytes) -> Principal | None:
        response = await self._client.get(
            self.url,
            headers={TOKEN_HEADER: token.decode("ascii"), "Accept": "application/json"},
            allow_redirects=False,
            unbuffered=True,
            reactor=self._clock,
        )
        body = _Body(MOST_BYTES)
        response.deliverBody(body)
        content = await body.content
        if response.code in (401, 403, 404):
            return None
        if response.code != 200:
            raise Odd(f"it answered {response.code}")
        return _principal(content, self._class)


class _Body(ByteProtocol):
    """
    Gathers a body of at most `most` bytes.

    :ivar content: of the body; cancelling it ends the connection.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._chunks: list[bytes] = []
        self._size = 0
        self.content: Deferred[bytes] = Deferred(lambda _: self._abandon())

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._most:
            self._chunks.append(data)
        elif not self.content.called:
            self._abandon()
            self.content.errback(Odd(f"its answer is larger than {self._most} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.content.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.content.callback(b"".join(self._chunks))
        else:
            self.content.errback(reason)

    def _abandon(self) -> None:
        # The transport of a response's body is a push producer, and with some agents nothing more.
        transport: Any = self.transport
        if transport is not None:
            transport.stopProducing()


def _principal(content: bytes, class_: Class) -> Principal | None:
    try:
        user = json.loads(content)
        id, name, status = str(uuid.UUID(str(user["id"]))), user["username"], user.get("status")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Odd("its answer is not that of a Coder deployment") from None
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MOST_NAME:
        raise Odd("its answer names nobody")
    return None if status == "suspended" else Principal(id=id, name=name, class_=class_)


def why(error: BaseException | None) -> str:
    """
    What happened, in words that cannot contain what was sent: the texts of foreign exceptions are not shown.
    """
    if isinstance(error, Odd):
        return str(error)
    if was_silent(error):
        return "it did not answer in time"
    return ": ".join(type(each).__name__ for each in (error, *(reason.value for reason in _reasons(error))))


def was_silent(error: BaseException | None) -> bool:
    """
    Whether its time was up.
    """
    # Nothing but the deadline cancels a question.
    return isinstance(error, OutOfTime) or any(reason.check(CancelledError) for reason in _reasons(error))


def _reasons(error: BaseException | None) -> list[Failure]:
    return [reason for reason in getattr(error, "reasons", None) or () if isinstance(reason, Failure)]
