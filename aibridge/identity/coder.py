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
import uuid
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol as ByteProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from aibridge.auth.settings import AuthSettings
from aibridge.errors import IdentityUnavailable, TooManyFailures, Unauthenticated
from aibridge.identity.failures import Failures
from aibridge.interfaces import IIdentity
from aibridge.model import Principal

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


class Client(Protocol):
    """
    What asks: a `treq.client.HTTPClient` that keeps no cookies.
    """

    def get(self, url: str, **keywords: Any) -> Deferred[Any]: ...


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
        answer: Deferred[Principal] = Deferred(lambda answer: self.waiting.pop(answer, None))
        self.waiting[answer] = client_host
        return answer


class _Memory[Value]:
    pass


@implementer(IIdentity)
class CoderIdentity:
    """
    Asks a Coder deployment. See Note [Coder].

    :param client: not to follow redirects nor to keep cookies, both of which would show one user's token or session
        to somebody else.
    :param closed: called at `stop`, to close what `client` keeps open.
    """
