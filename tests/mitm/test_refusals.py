"""
Tests for `aibridge.mitm.refusals`.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus

import pytest

from aibridge.mitm.refusals import Refusal, Refused


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_says_who_and_why(refusal: Refusal) -> None:
    """
    In headers and in words, and not as if it were an answer of the host's.
    """
    pairs, body = refusal.answer("id-1")
    fields = dict(pairs)
    assert fields[b"X-AI-Bridge-Reason"] == refusal.reason.encode()
    assert fields[b"X-AI-Bridge-Request-Id"] == b"id-1"
    assert fields[b"Cache-Control"] == b"no-store"
    assert re.fullmatch(r"[A-Z].*[.]", json.loads(body)["message"])
    assert 400 <= refusal.status < 600 and HTTPStatus(refusal.status)
    assert re.fullmatch(r"[a-z_]+", refusal.kind) and re.fullmatch(r"[a-z]+", refusal.reason)
    assert (b"Proxy-Authenticate" in fields) == (refusal.status == 407)


def test_kinds_are_told_apart() -> None:
    """
    No two refusals have one kind, and none is another's name.
    """
    kinds = [refusal.kind for refusal in Refusal]
    assert len(set(kinds)) == len(kinds) == len(Refusal.__members__)
    assert kinds == [name.lower() for name in Refusal.__members__]


def test_challenge() -> None:
    """
    The one that clients know how to meet.
    """
    pairs, _ = Refusal.UNAUTHENTICATED.answer("id")
    assert (b"Proxy-Authenticate", b'Basic realm="AI Bridge Proxy"') in pairs


def test_nothing_is_learnt_about_the_network() -> None:
    """
    Whether a name is there that cannot be connected to is not told.
    """
    assert Refusal.RESOLVE.answer("id") == Refusal.CONNECT.answer("id")
    assert Refusal.RESOLVE.status == Refusal.CONNECT.status == 502
    assert Refusal.ADDRESS.status == 403


def test_when_to_come_again() -> None:
    """
    In whole seconds, and never at once.
    """
    for wait, told in ((0.2, b"1"), (1.0, b"1"), (1.1, b"2")):
        pairs, _ = Refusal.TOO_MANY_FAILURES.answer("id", retry_after_s=wait)
        assert (b"Retry-After", told) in pairs


def test_detail() -> None:
    """
    Said instead of the general words, where there is one.
    """
    refused = Refused(Refusal.MALFORMED, "There is no port.")
    _, body = refused.refusal.answer("id", refused.detail)
    assert json.loads(body) == {"message": "There is no port."}
