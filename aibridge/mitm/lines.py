"""
How the proxy's log tells what has ended: connections, and the requests within those that were intercepted. Pure.
"""

from __future__ import annotations

import json
from typing import ClassVar, Protocol

import attrs

from aibridge.log import plain, timestamp

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Line(Protocol):
    """
    Something that has ended, and can be told.
    """

    def as_json(self) -> str: ...

    def as_text(self) -> str: ...


@attrs.define(kw_only=True, eq=False)
class _Told:
    """
    A line made of its fields, in their order; `at` is its time, and comes first.
    """

    event: ClassVar[str]

    at: float

    def as_json(self) -> str:
        """
        As one line of JSON.
        """
        fields = attrs.asdict(self)
        told = {"time": timestamp(fields.pop("at")), "event": self.event, **fields}
        return _encode({name: round(value, 6) if isinstance(value, float) else value for name, value in told.items()})

    def as_text(self) -> str:
        """
        As one line for people: ``name=value``, quoted where that is needed to read it back.
        """
        fields = attrs.asdict(self)
        at = fields.pop("at")
        return " ".join([timestamp(at), self.event, *(f"{name}={_shown(value)}" for name, value in fields.items())])


@attrs.define(kw_only=True, eq=False)
class SessionLine(_Told):
    """
    One connection that a client asked for, whatever became of it.

    :ivar at: wall time of its end, Unix seconds.
    :ivar session: its id; also that of the answer, if it was refused.
    :ivar kind: what became of it: ``mitm``, ``tunneled`` or ``refused``.
    :ivar cause: how it ended: ``completed``, or why not.
    :ivar reason: who refused, if somebody did.
    :ivar requests: that were made on it, if it was intercepted.
    """

    event = "session"

    session: str
    client: str
    host: str
    port: int
    kind: str
    status: int
    cause: str
    reason: str = ""
    principal: str = ""
    provider: str = ""
    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    duration_s: float = 0.0


@attrs.define(kw_only=True, eq=False)
class RequestLine(_Told):
    """
    One intercepted request.

    :ivar request_id: what the bridge is told in ``X-AI-Bridge-Proxy-Request-Id``.
    :ivar session: the connection that it came on.
    :ivar bridge_id: what the bridge calls it, if it has answered.
    :ivar reason: who refused, if somebody did: this proxy, or the bridge as it says itself.
    :ivar route: the route's pattern; never the path as sent.
    """

    event = "request"

    request_id: str
    session: str
    client: str
    method: str
    host: str
    provider: str
    route: str = ""
    status: int = 0
    cause: str = ""
    reason: str = ""
    principal: str = ""
    bridge_id: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float = 0.0
    duration_s: float = 0.0


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    text = str(value)
    return plain(text) if text else "-"
