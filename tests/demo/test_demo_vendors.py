"""
The manners of the two vendors.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.demo.vendors import (
    EVENTS,
    STATUSES,
    Refused,
    Stamp,
    Vendor,
    data_event,
    dumps,
    error_body,
    head,
    named_event,
    phrase,
    wait,
)

STAMP = Stamp(7, 1793491200)


def test_ids_differ_by_the_number_alone() -> None:
    """
    The same request number gives the same id, with the prefix of what it names.
    """
    assert (STAMP.id("msg_"), Stamp(8, 0).id("msg_")) == ("msg_demo000000000007", "msg_demo000000000008")


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_told_by_both_vendors(status: int) -> None:
    """
    Either vendor's body names a type and says something, and the status has a phrase.
    """
    openai = error_body(Vendor.OPENAI, STAMP, Refused(status))
    anthropic = error_body(Vendor.ANTHROPIC, STAMP, Refused(status))
    assert set(openai["error"]) == {"message", "type", "param", "code"}
    assert openai["error"]["message"] == anthropic["error"]["message"] != ""
    assert (anthropic["type"], anthropic["request_id"]) == ("error", "req_demo000000000007")
    assert phrase(status)


def test_what_is_wrong_is_named() -> None:
    """
    A refusal's own message, parameter and code take the place of the usual ones.
    """
    body = error_body(Vendor.OPENAI, STAMP, Refused(400, "No.", "model", "missing"))
    assert body["error"] == {"message": "No.", "type": "invalid_request_error", "param": "model", "code": "missing"}


def test_openai_fields() -> None:
    """
    An answer of OpenAI's has its id, its time and its limits.
    """
    fields = dict(head(Vendor.OPENAI, STAMP, EVENTS, remaining=0))
    assert fields[b"Content-Type"] == b"text/event-stream; charset=utf-8"
    assert fields[b"x-request-id"] == b"req_demo000000000007"
    assert fields[b"x-ratelimit-remaining-requests"] == b"0"
    assert {b"openai-processing-ms", b"x-ratelimit-limit-requests", b"x-ratelimit-reset-tokens"} <= set(fields)


def test_anthropic_fields() -> None:
    """
    An answer of Anthropic's has its id and its limits, which are reset a second later.
    """
    fields = dict(head(Vendor.ANTHROPIC, STAMP, EVENTS))
    assert fields[b"request-id"] == b"req_demo000000000007"
    assert fields[b"anthropic-ratelimit-requests-limit"] == b"10000"
    assert fields[b"anthropic-ratelimit-requests-reset"] == b"2026-11-01T00:00:01Z"


@pytest.mark.parametrize(
    ("seconds", "whole", "milliseconds"), [(1.0, b"1", b"1000"), (0.1, b"1", b"100"), (1.5, b"2", b"1500")]
)
def test_patience_is_asked_for_in_whole_seconds_and_exactly(seconds: float, whole: bytes, milliseconds: bytes) -> None:
    """
    Whole seconds are rounded up, milliseconds are exact.
    """
    assert wait(seconds) == [(b"Retry-After", whole), (b"retry-after-ms", milliseconds)]


def test_events() -> None:
    """
    An event is its data, under its own type where it has a name.
    """
    assert data_event({"a": "é"}) == 'data: {"a":"é"}\n\n'.encode()
    assert named_event({"type": "ping"}) == b'event: ping\ndata: {"type":"ping"}\n\n'


@given(st.text(st.characters(codec=None, categories=None)))
def test_any_text_becomes_one_line_of_json(text: str) -> None:
    """
    Every text, half surrogates included, is written as valid UTF-8 without a line end.
    """
    written = dumps({"text": text})
    assert b"\n" not in written
    assert b"\r" not in written
    read = json.loads(written)["text"]
    assert read == text.encode("utf-8", "replace").decode()
