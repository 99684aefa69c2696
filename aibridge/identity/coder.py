"""
The backend ``coder``: a Coder deployment is asked who a token belongs to, and its answer is remembered for a while.

Note [Coder]: three things may come back. An answer that there is such a user is remembered for the configured time;
so long may a token that was revoked there be good here. An answer that there is not (401, 403, 404) is remembered
shortly, in a table of its own, so that rubbish can neither be asked about in a loop nor push good tokens out. Anything
else (5xx, redirects, garbage, silence) says nothing about the token and is not remembered: the client is told 503, and
the next request asks again. (Authentication by header: https://coder.com/docs/reference/api/authentication.)
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol as ByteProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IAgent
from zope.interface import implementer

from aibridge.auth.settings import AuthSettings
from aibridge.errors import IdentityUnavailable, TooManyFailures, Unauthenticated
from aibridge.identity.failures import Failures
from aibridge.interfaces import IIdentity
from aibridge.model import Class, Principal

ME: Final = "/api/v2/users/me"
TOKEN_HEADER: Final = "Coder-Session-Token"

REMEMBERED: Final = 16384
REMEMBERED_UNKNOWN: Final = 4096
UNKNOWN_S: Final = 10.0
"""How long it is remembered that there is no such token; a new one is good here after so long at the latest."""

MOST_LOOKUPS: Final = 256
MOST_BYTES: Final = 65536
MOST_TOKEN: Final = 4096
MOST_NAME: Final = 128
RETRY_S: Final = 5.0
BUSY_RETRY_S: Final = 1.0

# What no token has and no header field may have; it is not worth a question.
_UNFIT: Final = re.compile(rb"[^!-~]|\A\Z")


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


class _Odd(Exception):
    """
    The deployment's answer says nothing about the token. Its text is free of secrets.
    """


@attrs.define(eq=False)
class _Lookup:
    """
    One question on its way, and everybody who waits for its answer.

    :ivar asker: the address of whoever was first; it answers for the failure even if it does not stay to hear of it.
    :ivar waiting: each with its address.
    """

    asker: str
    waiting: dict[Deferred[Principal], str] = attrs.Factory(dict)

    def wait(self, client_host: str) -> Deferred[Principal]:
        """
        The answer, once it is there. Cancelling it takes it from nobody else, and does not stop the question: the
        answer is worth remembering.
        """
        answer: Deferred[Principal] = Deferred(self._leave)
        self.waiting[answer] = client_host
        return answer

    def _leave(self, answer: Deferred[Principal]) -> None:
        self.waiting.pop(answer, None)

    def tell(self, tell: Callable[[Deferred[Principal], str], None]) -> None:
        """
        Call `tell` with everybody who still waits and their address; whoever is told may make others leave.
        """
        while self.waiting:
            answer = next(iter(self.waiting))
            tell(answer, self.waiting.pop(answer))


Value = TypeVar("Value")


class _Memory(Generic[Value]):
    """
    Values that are good for some time; beyond `size` of them the one unused for longest goes.
    """

    __slots__ = ("_known", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[bytes, tuple[Value, float]] = {}

    def get(self, key: bytes, now: float) -> Value | None:
        found = self._known.pop(key, None)
        if found is None or found[1] <= now:
            return None
        self._known[key] = found
        return found[0]

    def put(self, key: bytes, value: Value, until: float) -> None:
        self._known.pop(key, None)
        self._known[key] = (value, until)
        if len(self._known) > self._size:
            del self._known[next(iter(self._known))]

    def __iter__(self) -> Iterator[Value]:
        """
        All values, those that are not good any more among them.
        """
        return (value for value, _ in self._known.values())


@implementer(IIdentity)
class CoderIdentity:
    """
    Asks a Coder deployment. See Note [Coder].

    :param client: it is told not to follow redirects, which would take a token to somebody else.
    :param clock: monotonic.
    :param close: called at `stop`, to give up what `client` keeps open.
    """

    _log = Logger()
    verifies_tokens = True

    def __init__(
        self,
        settings: AuthSettings,
        client: Client,
        failures: Failures,
        clock: IReactorTime,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self._url = settings.coder_url.rstrip("/") + ME
        self._remember_s = settings.coder_cache
        self._unknown_s = min(settings.coder_cache, UNKNOWN_S)
        self._timeout_s = settings.coder_timeout
        self._class = Class(settings.default_class)
        self._client = client
        self._failures = failures
        self._clock = clock
        self._close = close
        self._known: _Memory[Principal] = _Memory(REMEMBERED)
        self._unknown: _Memory[bool] = _Memory(REMEMBERED_UNKNOWN)
        self._lookups: dict[bytes, _Lookup] = {}
        self._is_away = False

    def start(self) -> None:
        """
        There is nothing to follow. Whether the deployment can be reached shows when somebody asks: it may come up
        after the bridge.
        """

    def stop(self) -> object:
        """
        Close idle connections. Questions on their way still find their answers, or their deadline.
        """
        return self._close()

    def identify(self, token: bytes | None, client_host: str, now: float) -> Principal | Deferred[Principal]:
        """
        See `IIdentity.identify`. A token whose answer is remembered needs no waiting, and one that is known to be good
        passes whatever else came from its address: see Note [Failures] in `aibridge.identity.failures`.
        """
        if token is None:
            raise self._failures.count(Unauthenticated(), client_host, now)
        if len(token) > MOST_TOKEN or _UNFIT.search(token):
            raise self._failures.count(_unknown(), client_host, now)
        key = sha256(token).digest()
        principal = self._known.get(key, now)
        if principal is not None:
            return principal
        if self._unknown.get(key, now):
            raise self._failures.count(_unknown(), client_host, now)
        lookup = self._lookups.get(key)
        if lookup is not None:
            return lookup.wait(client_host)
        wait = self._failures.wait(client_host, now)
        if wait:
            raise TooManyFailures(retry_after_s=wait)
        if len(self._lookups) >= MOST_LOOKUPS:
            raise IdentityUnavailable(retry_after_s=BUSY_RETRY_S)
        return self._look_up(key, token, client_host)

    def principal_named(self, name: str) -> Principal | None:
        """
        See `IIdentity.principal_named`. Known are those whose tokens were shown lately.
        """
        return next((principal for principal in self._known if name in (principal.name, principal.id)), None)

    def _look_up(self, key: bytes, token: bytes, client_host: str) -> Deferred[Principal]:
        lookup = self._lookups[key] = _Lookup(client_host)
        answer = lookup.wait(client_host)
        question = Deferred.fromCoroutine(self._ask(token)).addTimeout(self._timeout_s, self._clock)
        question.addBoth(self._answered, key, lookup)
        question.addErrback(lambda failure: self._log.failure("A look-up failed in the bridge itself.", failure))
        return answer

    async def _ask(self, token: bytes) -> Principal | None:
        """
        The user whose token it is, or None if it is nobody's.
        """
        response = await self._client.get(
            self._url,
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
            raise _Odd(f"it answered {response.code}")
        return _principal(content, self._class)

    def _answered(self, result: Principal | Failure | None, key: bytes, lookup: _Lookup) -> None:
        del self._lookups[key]
        now = self._clock.seconds()
        if isinstance(result, Failure):
            self._went_away(result)
            lookup.tell(lambda answer, _: answer.errback(IdentityUnavailable(retry_after_s=RETRY_S)))
            return
        self._came_back()
        if result is None:
            self._unknown.put(key, True, now + self._unknown_s)
            if lookup.asker not in lookup.waiting.values():
                self._failures.count(_unknown(), lookup.asker, now)
            lookup.tell(lambda answer, host: answer.errback(self._failures.count(_unknown(), host, now)))
        else:
            self._known.put(key, result, now + self._remember_s)
            lookup.tell(lambda answer, _: answer.callback(result))

    def _went_away(self, failure: Failure) -> None:
        if not self._is_away:
            self._is_away = True
            self._log.error("Coder cannot be asked at {url}: {why}.", url=self._url, why=_why(failure.value))

    def _came_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._log.info("Coder can be asked at {url} again.", url=self._url)


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
            self.content.errback(_Odd(f"its answer is larger than {self._most} bytes"))

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
        raise _Odd("its answer is not that of a Coder deployment") from None
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MOST_NAME:
        raise _Odd("its answer names nobody")
    return None if status == "suspended" else Principal(id=id, name=name, class_=class_)


def _unknown() -> Unauthenticated:
    return Unauthenticated("Coder does not know this token.")


def _why(error: BaseException | None) -> str:
    """
    What happened, in words that cannot contain what was sent: the texts of foreign exceptions are not shown.
    """
    if isinstance(error, _Odd):
        return str(error)
    reasons = [reason for reason in getattr(error, "reasons", None) or () if isinstance(reason, Failure)]
    # Nothing but the deadline cancels a question.
    if isinstance(error, OutOfTime) or any(reason.check(CancelledError) for reason in reasons):
        return "it did not answer in time"
    return ": ".join(type(each).__name__ for each in (error, *(reason.value for reason in reasons)))
