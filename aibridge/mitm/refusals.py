"""
What a client is told whose CONNECT, or whose absolute request, is refused. Pure; the one table of it.

It is told little: whether a name inside the network exists is not to be learnt from how its tunnel is refused.
"""

from __future__ import annotations

import enum
import json
import math

import attrs

from aibridge.mitm.credentials import CHALLENGE
from aibridge.web.faults import REASON, REQUEST_ID

Pair = tuple[bytes, bytes]


@attrs.frozen
class _Words:
    """
    How a refusal is told.

    :ivar kind: what happened, one word out of a closed set, for metrics and logs.
    :ivar reason: who refused, as in ``X-AI-Bridge-Reason``.
    """

    kind: str
    status: int
    reason: str
    message: str


class Refusal(enum.Enum):
    """
    Why there is no tunnel and no interception.
    """

    MALFORMED = _Words("malformed", 400, "request", "The request is not well formed.")
    NOT_PROXIED = _Words(
        "not_proxied", 400, "request", "This is a forward proxy: use it as one (HTTPS_PROXY), or ask the bridge itself."
    )
    UNAUTHENTICATED = _Words(
        "unauthenticated",
        407,
        "auth",
        "Proxy authentication is required: any user name, and a token of AI Bridge's as the password.",
    )
    TOO_MANY_FAILURES = _Words(
        "too_many_failures", 429, "auth", "Too many failed attempts to authenticate. Please try again later."
    )
    IDENTITY_UNAVAILABLE = _Words(
        "identity_unavailable", 503, "auth", "Tokens cannot be verified at the moment. Please try again later."
    )
    TUNNEL_OFF = _Words("tunnel_off", 403, "tunnel", "This proxy serves AI providers only.")
    PORT = _Words("port", 403, "tunnel", "This proxy does not tunnel to this port.")
    ADDRESS = _Words("address", 403, "tunnel", "This proxy does not tunnel to this address.")
    AT_CAPACITY = _Words("at_capacity", 503, "tunnel", "There are too many connections. Please try again later.")
    RESOLVE = _Words("resolve", 502, "upstream", "The host could not be connected to.")
    CONNECT = _Words("connect", 502, "upstream", "The host could not be connected to.")
    CONNECT_TIMEOUT = _Words("connect_timeout", 504, "upstream", "Connecting to the host took too long.")
    PLAIN_HTTP = _Words("plain_http", 501, "tunnel", "This proxy does not forward plain HTTP. Please use https.")
    DRAINING = _Words("draining", 503, "drain", "The proxy is shutting down. Please try again later.")
    INTERNAL = _Words("internal", 500, "internal", "The proxy failed internally.")

    @property
    def kind(self) -> str:
        """
        What happened, one word out of a closed set.
        """
        return self.value.kind

    @property
    def reason(self) -> str:
        """
        Who refused.
        """
        return self.value.reason

    @property
    def status(self) -> int:
        """
        The status that tells it.
        """
        return self.value.status

    def answer(self, session_id: str, detail: str = "", retry_after_s: float | None = None) -> tuple[list[Pair], bytes]:
        """
        Fields and body of the answer.

        :param session_id: by which the log knows it.
        :param detail: said instead of the message, where something may be said.
        :param retry_after_s: when it is worth asking again, if that is known.
        """
        body = json.dumps({"message": detail or self.value.message}).encode()
        pairs = [
            (b"Content-Type", b"application/json"),
            (b"Cache-Control", b"no-store"),
            (REASON, self.reason.encode()),
            (REQUEST_ID, session_id.encode()),
        ]
        if self is Refusal.UNAUTHENTICATED:
            pairs.append((b"Proxy-Authenticate", CHALLENGE))
        if retry_after_s is not None:
            pairs.append((b"Retry-After", b"%d" % max(1, math.ceil(retry_after_s))))
        return pairs, body


class Refused(Exception):
    """
    There is no tunnel and no interception, and why.

    :ivar retry_after_s: when it is worth asking again, if that is known.
    """

    def __init__(self, refusal: Refusal, detail: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(refusal, detail)
        self.refusal = refusal
        self.detail = detail
        self.retry_after_s = retry_after_s
