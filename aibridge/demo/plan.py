"""
Decides a whole answer before its first byte is sent: head, bytes, pace, and how it ends. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import attrs

from aibridge.demo.ask import parse
from aibridge.demo.faults import Conduct, Script, script_of
from aibridge.demo.models import unknown
from aibridge.demo.text import Form, reply
from aibridge.demo.vendors import EVENTS, JSON, Json, Pairs, Refused, Stamp, Vendor, dumps, error_body, head, wait

EVENTS_BEFORE_FAULT = 6
"""A stream that fails in its middle has sent this many events, or all but its last, if it has fewer."""

CHUNK = 65536
"""Bytes of a body that are written at once."""

_MISSING_BYTES = 512
_DECLARED_BYTES = 1024 * 1024

_GARBAGE = b"220 demo.invalid ESMTP I am not what you take me for\r\n\r\n"

_RETRY_AFTER_S = 1.0
_FLAKY_RETRY_AFTER_S = 0.1


class Ending(enum.Enum):
    """
    What follows the last byte.
    """

    FINISHES = "finishes"
    HOLDS = "holds"
    """Nothing: the connection stays."""
    CLOSES = "closes"
    """The connection is closed as if all were well."""
    RESETS = "resets"
    """The connection is reset."""


@attrs.frozen(kw_only=True)
class Plan:
    """
    An answer, decided.

    :ivar status: None where there is no head: then `chunks` are the first bytes on the connection.
    :ivar chunks: is read once, as far as it is sent.
    :ivar delay_s: before the first byte.
    :ivar interval_s: between two chunks; 0 sends them as fast as they are taken.
    """

    status: int | None
    headers: Pairs = attrs.field(factory=list)
    chunks: Iterator[bytes] = attrs.field(factory=lambda: iter(()))
    ending: Ending = Ending.FINISHES
    delay_s: float = 0.0
    interval_s: float = 0.0


def plan(
    form: Form, body: bytes, headers: Sequence[tuple[bytes, bytes]], stamp: Stamp, interval_s: float = 0.0
) -> Plan:
    """
    The answer to a request.

    :param form: of the route that was called.
    :param headers: of the request.
    :param interval_s: between two events of a stream, where the model has no pace of its own.
    """
    try:
        ask = form.read(parse(body))
        script = script_of(ask.model)
        if script is None:
            raise unknown(ask.model)
        early = _without_answer(form.vendor, script, stamp, headers)
        if early is not None:
            return early
        said = reply(ask, script, form.spoken, headers)
        if ask.stream and form.events is not None:
            return _streamed(form, script, form.events(ask, said, stamp), stamp, interval_s)
        return _whole(form, script, dumps(form.answer(ask, said, stamp)), stamp)
    except Refused as refused:
        return refusal(form.vendor, stamp, refused)


def page(vendor: Vendor, stamp: Stamp, body: Json) -> Plan:
    """
    A page that asks nothing of a model.
    """
    return _entire(200, head(vendor, stamp, JSON), dumps(body))


def refusal(vendor: Vendor, stamp: Stamp, refused: Refused, retry_after_s: float = _RETRY_AFTER_S) -> Plan:
    """
    A refusal in the vendor's form, with the header fields that it has there.
    """
    is_busy = refused.status in (429, 503, 529)
    fields = head(vendor, stamp, JSON, remaining=0 if refused.status == 429 else 9999)
    if is_busy:
        fields.extend(wait(retry_after_s))
    if vendor is Vendor.ANTHROPIC:
        fields.append((b"x-should-retry", b"true" if is_busy or refused.status == 500 else b"false"))
    return _entire(refused.status, fields, dumps(error_body(vendor, stamp, refused)))


def _without_answer(
    vendor: Vendor, script: Script, stamp: Stamp, headers: Sequence[tuple[bytes, bytes]]
) -> Plan | None:
    """
    The plan of a model that does not answer, or None.
    """
    match script.conduct:
        case Conduct.REFUSES:
            return refusal(vendor, stamp, Refused(script.status))
        case Conduct.FLAKY if _attempt(headers) < script.size:
            return refusal(vendor, stamp, Refused(503), _FLAKY_RETRY_AFTER_S)
        case Conduct.NEVER:
            return Plan(status=None, ending=Ending.HOLDS)
        case Conduct.RESETS:
            return Plan(status=None, ending=Ending.RESETS)
        case Conduct.GARBAGE:
            return Plan(status=None, chunks=iter((_GARBAGE,)), ending=Ending.CLOSES)
        case _:
            return None


def _streamed(form: Form, script: Script, events: Iterator[bytes], stamp: Stamp, interval_s: float) -> Plan:
    fields = [*head(form.vendor, stamp, EVENTS), (b"Cache-Control", b"no-cache")]
    ending = Ending.FINISHES
    match script.conduct:
        case Conduct.SILENT:
            events, ending = islice(events, 1), Ending.HOLDS
        case Conduct.DIES:
            events, ending = _beginning(events), Ending.RESETS
        case Conduct.TRUNCATES:
            fields.append((b"Content-Length", b"%d" % _DECLARED_BYTES))
            events, ending = _broken(events), Ending.CLOSES
        case Conduct.ERROR_EVENT:
            events = _failing(events, lambda sent: form.error_event(stamp, sent))
    pace = interval_s if script.interval_s is None else script.interval_s
    return Plan(status=200, headers=fields, chunks=events, ending=ending, delay_s=script.delay_s, interval_s=pace)


def _whole(form: Form, script: Script, body: bytes, stamp: Stamp) -> Plan:
    plan = _entire(200, head(form.vendor, stamp, JSON), body, script.delay_s)
    half = body[: len(body) // 2]
    match script.conduct:
        case Conduct.SILENT:
            return attrs.evolve(plan, chunks=_slices(half), ending=Ending.HOLDS)
        case Conduct.DIES:
            return attrs.evolve(plan, chunks=_slices(half), ending=Ending.RESETS)
        case Conduct.TRUNCATES:
            fields = _with_length(head(form.vendor, stamp, JSON), len(body) + _MISSING_BYTES)
            return attrs.evolve(plan, headers=fields, ending=Ending.CLOSES)
        case Conduct.ERROR_EVENT:
            return refusal(form.vendor, stamp, Refused(500))
        case _:
            return plan


def _entire(status: int, fields: Pairs, body: bytes, delay_s: float = 0.0) -> Plan:
    return Plan(status=status, headers=_with_length(fields, len(body)), chunks=_slices(body), delay_s=delay_s)


def _with_length(fields: Pairs, length: int) -> Pairs:
    return [*fields, (b"Content-Length", b"%d" % length)]


def _slices(body: bytes) -> Iterator[bytes]:
    if len(body) <= CHUNK:
        return iter((body,))
    return (body[start : start + CHUNK] for start in range(0, len(body), CHUNK))


def _beginning(events: Iterator[bytes]) -> Iterator[bytes]:
    """
    The events before a fault.
    """
    held: bytes | None = None
    for event in islice(events, EVENTS_BEFORE_FAULT + 1):
        if held is not None:
            yield held
        held = event


def _broken(events: Iterator[bytes]) -> Iterator[bytes]:
    """
    The events before a fault, and half of the next.
    """
    held = b""
    for event in islice(events, EVENTS_BEFORE_FAULT + 1):
        if held:
            yield held
        held = event
    yield held[: len(held) // 2]


def _failing(events: Iterator[bytes], error_event: Callable[[int], bytes]) -> Iterator[bytes]:
    """
    The events before a fault, and the vendor's error.
    """
    sent = 0
    for event in _beginning(events):
        sent += 1
        yield event
    yield error_event(sent)


def _attempt(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """
    How often a client has tried before, as the vendors' SDKs tell it.
    """
    for name, value in headers:
        if name.lower() == b"x-stainless-retry-count" and value.isdigit() and len(value) < 4:
            return int(value)
    return 0
