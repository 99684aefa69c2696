"""
A completion line in sentences.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.cli.advice import ADVICE, GATE
from aibridge.cli.completionlog import read
from aibridge.cli.explanation import explain
from aibridge.dialects.usage import Source
from aibridge.log import as_json
from aibridge.web.faults import FAULTS
from making import completion, concrete_errors


def told(**changes: Any) -> str:
    """
    What is said of a completion.
    """
    fields = read(as_json(completion(**changes)))
    assert fields is not None
    return "\n".join(explain(fields))


REFUSED: dict[str, Any] = {
    "upstream_status": 0,
    "attempts": 0,
    "key": 0,
    "bytes_in": 0,
    "bytes_out": 0,
    "tokens_in": 0,
    "tokens_out": 0,
    "usage": "",
    "first_byte_s": 0.0,
    "added_s": 0.0,
    "queued_s": 0.0,
    "duration_s": 0.00025,
}
"""What a completion has that was refused at once."""


def test_whole() -> None:
    """
    A good answer: who, what, where to, with which key, how long, how much.
    """
    assert told() == (
        "Request 00ff00ff00ff00ff00ff00ff ended at 2026-11-24T00:00:00.250Z.\n"
        "ada, from 192.0.2.7, asked for POST /v1/chat/completions of the provider openai, model gpt-5.4, as a stream.\n"
        "It was answered: 200.\n"
        "It was sent with the configured key 2 (sk-a...wxyz).\n"
        "The provider's status was 200.\n"
        "It took 3.5 s: 0.25 s of it waiting for a permit, 0.75 s until the provider's answer began, 0.125 ms the "
        "bridge's own share of that.\n"
        "512 bytes of body went to the provider, 2048 to the client.\n"
        "It used 120 tokens of input and 480 of output, as the provider told."
    )


def test_an_answer_that_tells_of_an_error() -> None:
    """
    Whatever its status was.
    """
    assert "What the provider answered tells of an error: overloaded_error." in told(error="overloaded_error")


def test_refused() -> None:
    """
    A refusal: by whom and which of its limits, why, what can be done, and what the client was told.
    """
    words = told(
        **{**REFUSED, "status": 429, "cause": "rate_limited", "reason": "rate", "policy": "per-principal"},
        principal="ci bot",
        retry_after_s=3.2,
    )
    assert words == (
        "Request 00ff00ff00ff00ff00ff00ff ended at 2026-11-24T00:00:00.250Z.\n"
        "ci bot, from 192.0.2.7, asked for POST /v1/chat/completions of the provider openai, model gpt-5.4, as a "
        "stream.\n"
        "It was refused with 429 (rate_limited) by a limit of requests or tokens, policy per-principal.\n"
        f"{ADVICE['rate_limited'][0]}\n"
        "aibridge limits --principal 'ci bot' shows its level. Raise the limit or its burst, or the token's own.\n"
        "The client was told to come back after 3.2 s.\n"
        "As far as the line tells, it was not sent to a provider.\n"
        "It took 0.25 ms."
    )


@pytest.mark.parametrize("policy", GATE)
def test_the_gate(policy: str) -> None:
    """
    Each of the gate's limits has words of its own.
    """
    words = told(**{**REFUSED, "status": 503, "cause": "at_capacity", "reason": "gate", "policy": policy})
    assert f"by the gate, policy {policy}." in words
    assert all(text in words for text in GATE[policy])


@pytest.mark.parametrize("error", concrete_errors(), ids=lambda error: str(error.kind))
def test_every_error(error: Any) -> None:
    """
    Whatever can happen is told with its kind, and with what can be done about it.
    """
    status = FAULTS[error].status
    words = told(**{**REFUSED, "status": status, "cause": error.kind, "reason": error.reason})
    assert error.kind in words or error.kind == "client_left"
    assert all(text.partition("--principal")[0] in words for text in ADVICE[error.kind])


def test_a_providers_refusal() -> None:
    """
    An answer of the provider's is not the bridge's, whatever its status.
    """
    words = told(status=429, upstream_status=429)
    assert "The provider answered 429, which the client was given as it was." in words
    assert "not one of the bridge's" in words
    assert "not one of the bridge's" not in told(status=400, upstream_status=400)


def test_broken_off() -> None:
    """
    An answer that began is told with the status that the client has.
    """
    words = told(cause="silence_timeout", reason="upstream", usage="partial")
    assert "The answer began with 200 and broke off (silence_timeout), because of the provider" in words
    assert "as the provider told before the answer broke off." in words


def test_clients_that_left() -> None:
    """
    Before anything was told them, or in the middle.
    """
    left = {"status": 499, "cause": "client_left", "reason": "client"}
    assert "The client left while the answer (200) was under way." in told(**left)
    assert "The client left before it was told anything." in told(**{**REFUSED, **left})


def test_attempts() -> None:
    """
    That it was sent more than once is told, with whose key.
    """
    assert "It was sent 3 times, the last one with the configured key 2 (sk-a...wxyz)" in told(attempts=3)
    assert "with the client's own key (x...y)" in told(credential="client", hint="x...y", key=0)
    assert "It was sent without a key." in told(credential="none", hint="", key=0)
    failed = told(**{**REFUSED, "status": 502, "cause": "connect", "reason": "upstream"})
    assert "It was answered 502 (connect), because of the provider, or the way to it." in failed
    assert "not sent" not in failed


def test_what_never_left() -> None:
    """
    A request that reached no provider was to be sent, and its body went nowhere.
    """
    never = {**REFUSED, "status": 502, "cause": "connect", "reason": "upstream", "bytes_in": 59, "key": 1}
    words = told(**{**never, "attempts": 2})
    assert "It was to be sent 2 times, the last one with the configured key 1" in words
    assert "Its body has 59 bytes." in words and "went to the provider" not in words
    words = told(**{**never, "attempts": 0, "cause": "breaker_open", "reason": "breaker", "status": 503})
    assert "not sent to a provider" in words and "Its body has 59 bytes." in words
    assert "59 bytes of body went to the provider" in told(**{**never, "cause": "first_byte_timeout", "attempts": 1})


@pytest.mark.parametrize("source", Source)
def test_usage(source: Source) -> None:
    """
    How tokens are known is told with their number.
    """
    words = told(usage=source.value)
    assert f", {source.value}." not in words
    assert ("It used 120 tokens of input and 480 of output" in words) is (source is not Source.NONE)


def test_shadows() -> None:
    """
    Who would have refused it is told by reason and policy.
    """
    words = told(shadowed="rate:per-principal,gate:queue,breaker,new")
    assert (
        "Were they not in shadow, it would have been refused by a limit of requests or tokens (per-principal) and by "
        "the gate (queue) and by a circuit breaker and by new."
    ) in words


def test_further_fields() -> None:
    """
    What is not known yet is listed, and what should be a number and is none does no harm.
    """
    fields = {"request_id": "1", "status": "x", "duration_s": "inf", "tenant": "a", "new": ""}
    lines = list(explain(fields))
    assert lines[0] == "Request 1 ended at an unknown time."
    assert lines[1] == "Somebody who was not identified asked for something."
    assert lines[-1] == "Also told: tenant=a, new=."


@given(
    st.dictionaries(st.sampled_from(["request_id", "status", "cause", "reason", "policy", "shadowed", "x"]), st.text())
)
def test_whatever_comes(fields: dict[str, str]) -> None:
    """
    Any fields are told, and nothing is raised.
    """
    assert len(list(explain(fields))) >= 3
