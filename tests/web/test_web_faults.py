"""
The one table from errors to answers.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge import errors
from aibridge.model import Dialect
from aibridge.web.faults import FAULTS, REASON, Answer, answer, event, retry_after, status_of
from making import concrete_errors

CHAT, RESPONSES, MESSAGES, PLAIN = Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES, Dialect.PLAIN
ID = "00ff00ff00ff00ff00ff00ff"

STATUSES = {
    errors.BadRequest: 400,
    errors.RouteUnknown: 404,
    errors.NotAllowed: 403,
    errors.ObjectUnknown: 404,
    errors.ObjectsApart: 400,
    errors.BodyUnreadable: 415,
    errors.UpgradeRefused: 426,
    errors.Misdirected: 421,
    errors.Unauthenticated: 401,
    errors.CredentialMissing: 403,
    errors.BodyTooLarge: 413,
    errors.BodyTooSlow: 408,
    errors.ClientLeft: 499,
    errors.AtCapacity: 503,
    errors.BodiesFull: 503,
    errors.RateLimited: 429,
    errors.BreakerOpen: 503,
    errors.KeysResting: 429,
    errors.KeysRefused: 502,
    errors.ProviderWait: 429,
    errors.TooManyFailures: 429,
    errors.Draining: 503,
    errors.IdentityUnavailable: 503,
    errors.BridgeAway: 502,
    errors.BridgeLate: 504,
    errors.InternalError: 500,
    errors.ResolveFailed: 502,
    errors.ConnectFailed: 502,
    errors.ConnectTimeout: 504,
    errors.TLSFailed: 502,
    errors.PoolTimeout: 504,
    errors.FirstByteTimeout: 504,
    errors.SilenceTimeout: 504,
    errors.TotalTimeout: 504,
    errors.UpstreamReset: 502,
    errors.UpstreamTruncated: 502,
    errors.UpstreamViolation: 502,
}

ANTHROPIC_TYPES = {
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "overloaded_error",
    "timeout_error",
}
"""Those that the vendor documents."""

every_error = pytest.mark.parametrize("class_", concrete_errors(), ids=lambda class_: class_.__name__)
every_dialect = pytest.mark.parametrize("dialect", Dialect, ids=lambda dialect: dialect.value)
waits = st.one_of(st.none(), st.floats(0, 1e9))


def pairs_of(told: Answer) -> list[tuple[bytes, bytes]]:
    """
    The fields of an answer, in their order.
    """
    assert told.lines.endswith(b"\r\n")
    found = []
    for line in told.lines.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b": ")
        assert colon
        found.append((name, value))
    return found


def told(told: Answer, name: bytes) -> bytes | None:
    """
    The one value of a header, or None.
    """
    values = [value for each, value in pairs_of(told) if each.lower() == name.lower()]
    assert len(values) <= 1
    return values[0] if values else None


def data_of(stream: bytes) -> list[tuple[str, Any]]:
    """
    The events of a stream as a reader has them: name and data.
    """
    assert stream.endswith(b"\n\n")
    found = []
    for block in stream.decode().removesuffix("\n\n").split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.split("\n")]
        assert [name for name, _ in fields if name not in ("event", "data")] == []
        name = "".join(value for name, value in fields if name == "event") or "message"
        found.append((name, json.loads("\n".join(value for name, value in fields if name == "data"))))
    return found


def test_every_error_has_exactly_one_row() -> None:
    """
    Each class that can be raised, and no other.
    """
    assert sorted(FAULTS, key=lambda class_: class_.__name__) == concrete_errors()


@every_error
def test_statuses(class_: type[errors.BridgeError]) -> None:
    """
    One for each error, the same for all callers.
    """
    assert status_of(class_()) == STATUSES[class_]
    for dialect in Dialect:
        assert answer(class_(), dialect, ID).status == STATUSES[class_]


@every_error
def test_rows(class_: type[errors.BridgeError]) -> None:
    """
    Words that the vendors' clients know, and a sentence for those who read it.
    """
    words = FAULTS[class_]
    assert words.anthropic in ANTHROPIC_TYPES
    # OpenAI has no code for what it does not find.
    assert all(re.fullmatch("[a-z_]+", word) for word in words.openai if word or class_ is not errors.ObjectUnknown)
    # The breaker's words are Coder's, to the letter.
    assert class_ is errors.BreakerOpen or re.fullmatch(r"[A-Z].*\.", words.message)


@every_error
@every_dialect
def test_every_answer(class_: type[errors.BridgeError], dialect: Dialect) -> None:
    """
    It is JSON, is not to be cached, says who refused, and for which request; nothing is said twice.
    """
    made = answer(class_(), dialect, ID)
    json.loads(made.body)
    assert told(made, b"Content-Type") == b"application/json"
    assert told(made, b"Cache-Control") == b"no-store"
    assert told(made, b"X-AI-Bridge-Reason") == class_.reason.encode()
    assert told(made, b"X-AI-Bridge-Request-Id") == ID.encode()
    names = [name.lower() for name, _ in pairs_of(made)]
    assert len(set(names)) == len(names)
    for name, value in pairs_of(made):
        assert re.fullmatch(rb"[A-Za-z-]+", name)
        assert re.fullmatch(rb"[!-~]([ -~]*[!-~])?", value)


@every_error
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES])
def test_openai_bodies(class_: type[errors.BridgeError], dialect: Dialect) -> None:
    """
    An error with message, type, param and code (https://platform.openai.com/docs/guides/error-codes).
    """
    body = json.loads(answer(class_("It failed."), dialect, ID).body)
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    assert body["error"]["message"].endswith("It failed.")
    assert (body["error"]["type"], body["error"]["code"] or "") == FAULTS[class_].openai
    assert body["error"]["param"] is None


@every_error
def test_anthropic_bodies(class_: type[errors.BridgeError]) -> None:
    """
    An outer type ``error``, an inner one with its message, and the request's id
    (https://docs.anthropic.com/en/api/errors).
    """
    assert json.loads(answer(class_("It failed."), MESSAGES, ID).body) == {
        "type": "error",
        "error": {"type": FAULTS[class_].anthropic, "message": "It failed."},
        "request_id": ID,
    }


@every_error
def test_plain_bodies(class_: type[errors.BridgeError]) -> None:
    """
    A message, where no vendor's client is listening.
    """
    assert json.loads(answer(class_("It failed."), PLAIN, ID).body) == {"message": "It failed."}


@every_error
@every_dialect
def test_an_error_without_words_has_the_tables(class_: type[errors.BridgeError], dialect: Dialect) -> None:
    """
    There is always a sentence.
    """
    assert FAULTS[class_].message in answer(class_(), dialect, ID).body.decode()


@pytest.mark.parametrize(
    ("class_", "message"),
    [
        (errors.AtCapacity, "AI Bridge is currently at capacity. Please try again later."),
        (errors.RateLimited, "You've been rate limited. Please try again later."),
        (errors.BreakerOpen, "circuit breaker is open"),
    ],
)
@every_dialect
def test_known_sentences(class_: type[errors.BridgeError], message: str, dialect: Dialect) -> None:
    """
    The two that Coder's users know, word for word.
    """
    assert message in answer(class_(), dialect, ID).body.decode()


@every_dialect
def test_unauthenticated(dialect: Dialect) -> None:
    """
    How to authenticate, and that asking again is useless, which Claude Code would do for minutes; in OpenAI's words
    where they are read.
    """
    made = answer(errors.Unauthenticated(), dialect, ID)
    assert told(made, b"WWW-Authenticate") == b"Bearer"
    assert told(made, b"x-should-retry") == b"false"
    assert (b"Incorrect API key provided" in made.body) == (dialect in (CHAT, RESPONSES))
    if dialect is MESSAGES:
        assert json.loads(made.body)["error"]["type"] == "authentication_error"


@every_error
def test_who_is_told_not_to_retry(class_: type[errors.BridgeError]) -> None:
    """
    Those to whom it would happen again, and nobody else.
    """
    made = answer(class_(), CHAT, ID)
    hopeless = class_ in (errors.Unauthenticated, errors.CredentialMissing, errors.NotAllowed)
    assert told(made, b"x-should-retry") == (b"false" if hopeless else None)
    assert told(made, b"WWW-Authenticate") == (b"Bearer" if class_ is errors.Unauthenticated else None)


def test_upgrade_refused() -> None:
    """
    With the protocol that is spoken here (RFC 9110, 15.5.22).
    """
    assert told(answer(errors.UpgradeRefused(), RESPONSES, ID), b"Upgrade") == b"HTTP/1.1"
    assert told(answer(errors.BadRequest(), RESPONSES, ID), b"Upgrade") is None


@pytest.mark.parametrize(
    ("wait", "seconds", "milliseconds"),
    [
        (0.0, b"1", b"1"),
        (0.0001, b"1", b"1"),
        (0.25, b"1", b"250"),
        (0.2501, b"1", b"251"),
        (1.0, b"1", b"1000"),
        (1.0 + 1e-12, b"1", b"1000"),
        (1.001, b"2", b"1001"),
        (5.0, b"5", b"5000"),
        (44.2, b"45", b"44200"),
        (45.0, b"45", b"45000"),
        (46.0, b"45", b"45000"),
        (86400.0, b"45", b"45000"),
    ],
)
@every_dialect
def test_retry_after(wait: float, seconds: bytes, milliseconds: bytes, dialect: Dialect) -> None:
    """
    In seconds and in milliseconds, rounded up, never 0, never more than some SDKs obey or others survive.
    """
    error = errors.RateLimited(retry_after_s=wait)
    made = answer(error, dialect, ID, retry_after(error, 45.0))
    assert (told(made, b"Retry-After"), told(made, b"retry-after-ms")) == (seconds, milliseconds)


@given(st.floats(0, 1e9), st.floats(1, 3600))
def test_waiting_as_told_is_enough(wait: float, most: float) -> None:
    """
    Either way of saying it is at least the wait, less than one unit more, unless the cap cuts both.
    """
    error = errors.AtCapacity(retry_after_s=wait)
    made = answer(error, CHAT, ID, retry_after(error, most))
    seconds, milliseconds = told(made, b"Retry-After"), told(made, b"retry-after-ms")
    assert seconds is not None
    assert milliseconds is not None
    capped = min(wait, most)
    assert capped - 1e-6 <= int(seconds) < max(capped, 1e-9) + 1
    assert capped - 1e-6 <= int(milliseconds) / 1000 < max(capped, 1e-9) + 0.001


@pytest.mark.parametrize(
    ("error", "told_reason"),
    [
        (errors.RateLimited(policy="per-principal"), b'rate; policy="per-principal"'),
        (errors.RateLimited(), b"rate"),
        (errors.AtCapacity(policy="displaced"), b'gate; policy="displaced"'),
        (errors.BreakerOpen(), b"breaker"),
        (errors.ConnectFailed(), b"upstream"),
    ],
)
def test_the_policy_is_named(error: errors.BridgeError, told_reason: bytes) -> None:
    """
    Beside who refused, where there are several; the form is that of a structured field (RFC 9651).
    """
    assert told(answer(error, CHAT, ID), REASON) == told_reason


@every_error
def test_no_wait_is_made_up(class_: type[errors.BridgeError]) -> None:
    """
    Where it is not known, it is not told.
    """
    assert retry_after(class_(), 45.0) is None
    made = answer(class_(), CHAT, ID)
    assert told(made, b"Retry-After") is None
    assert told(made, b"retry-after-ms") is None


@every_error
def test_events_of_chat_completions(class_: type[errors.BridgeError]) -> None:
    """
    One event without a name, with the error as its data.
    """
    assert data_of(event(class_(), CHAT, ID)) == [("message", json.loads(answer(class_(), CHAT, ID).body))]


@every_error
def test_events_of_responses(class_: type[errors.BridgeError]) -> None:
    """
    One event ``error``, whose data says so as well.
    """
    ((name, data),) = data_of(event(class_("It failed."), RESPONSES, ID))
    assert name == data["type"] == "error"
    assert data == {"type": "error", "code": FAULTS[class_].openai[1], "message": "It failed.", "param": None}


@every_error
def test_events_of_messages(class_: type[errors.BridgeError]) -> None:
    """
    One event ``error``, with the body of an error as its data.
    """
    assert data_of(event(class_(), MESSAGES, ID)) == [("error", json.loads(answer(class_(), MESSAGES, ID).body))]


@every_error
def test_no_events_elsewhere(class_: type[errors.BridgeError]) -> None:
    """
    Where there is no dialect there is no way to tell.
    """
    assert event(class_(), PLAIN, ID) == b""


@every_error
@every_dialect
def test_no_event_looks_like_success(class_: type[errors.BridgeError], dialect: Dialect) -> None:
    """
    A stream that was broken off is never said to be whole.
    """
    stream = event(class_(), dialect, ID)
    for mark in (b"[DONE]", b"message_stop", b"response.completed", b"finish_reason", b"stop_reason"):
        assert mark not in stream


@given(st.sampled_from(concrete_errors()), st.sampled_from(Dialect), st.text(max_size=60))
def test_any_sentence_is_told_whole(class_: type[errors.BridgeError], dialect: Dialect, detail: str) -> None:
    """
    Whatever characters it holds: it ends neither the body nor the event, nor does it begin another header.
    """
    made = answer(class_(detail), dialect, ID)
    body = json.loads(made.body)
    message = body["error"]["message"] if "error" in body else body["message"]
    assert message.endswith(detail or FAULTS[class_].message)
    assert made.lines == answer(class_(), dialect, ID).lines
    stream = event(class_(detail), dialect, ID)
    if dialect is not PLAIN:
        ((_, data),) = data_of(stream)
        assert json.dumps(detail or FAULTS[class_].message)[1:-1] in json.dumps(data)
        assert b"\r" not in stream


def test_what_is_not_found_is_told_as_the_vendor_tells_it() -> None:
    """
    With the part of the request that names it, and the vendor's own code where it has one.
    """
    error = errors.ObjectUnknown("Not there.", param="previous_response_id", code="previous_response_not_found")
    assert json.loads(answer(error, RESPONSES, ID).body)["error"] == {
        "message": "Not there.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
    assert json.loads(answer(errors.ObjectUnknown("Not there."), RESPONSES, ID).body)["error"]["code"] is None
