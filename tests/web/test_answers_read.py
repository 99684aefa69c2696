"""
What is read of requests and answers, in whatever way they are told, and what becomes of it: the charge, the breaker,
the line of the log.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard

from aibridge import errors
from aibridge.admission.breaker import BreakerTerms, State
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.model import Dialect
from answers import (
    DONE,
    EVENTS,
    JSON,
    MESSAGE_STOP,
    RESPONSES_USAGE,
    STREAMS,
    chunk,
    compact,
    data,
    lifecycle,
    message,
    named,
    response,
)
from fakes import TOKEN, Answer, Asked, Fixture, bridge

URIS = {
    Dialect.CHAT: b"/openai/v1/chat/completions",
    Dialect.RESPONSES: b"/openai/v1/responses",
    Dialect.MESSAGES: b"/anthropic/v1/messages",
}
TOKEN_FIELD = (b"Authorization", b"Bearer " + TOKEN)
STREAM = [(b"Content-Type", EVENTS)]
BODY = [(b"Content-Type", JSON)]
TOKENS = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=1_000_000)

TEXT = "The quick brown fox jumps over the lazy dog. "
"""Of ten tokens, in whatever tokenizer."""


def asked(dialect: Dialect, **more: Any) -> tuple[Fixture, Asked, Any]:
    """
    A request on its way, and the call to its provider.
    """
    body = more.pop("body", b'{"model":"m","max_tokens":128000,"stream":true}')
    pairs = {"pairs": more.pop("pairs")} if "pairs" in more else {}
    fixture = more.pop("fixture", None) or bridge(policies=[TOKENS], **more)
    request = Asked(uri=URIS[dialect], body=body, **pairs).ask(fixture.bridge)
    return fixture, request, fixture.upstream.calls[-1]


def charged(fixture: Fixture, dialect: Dialect) -> float:
    """
    Tokens in the principal's bucket.
    """
    provider = "anthropic" if dialect is Dialect.MESSAGES else "openai"
    (state,) = fixture.bridge.terms.policies.states(fixture.identity.principal, provider, fixture.clock.seconds())
    return float(state.level)


def delta(dialect: Dialect, text: str) -> bytes:
    """
    A piece of an answer.
    """
    if dialect is Dialect.CHAT:
        return data(chunk({"content": text}))
    if dialect is Dialect.RESPONSES:
        return named({"type": "response.output_text.delta", "item_id": "i", "delta": text, "obfuscation": "xyz"})
    return named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def beginning(dialect: Dialect) -> bytes:
    """
    What a stream begins with.
    """
    return STREAMS[dialect].partition(b"\n\n")[0] + b"\n\n"


WHOLE: dict[Dialect, Callable[[str], object]] = {
    Dialect.CHAT: lambda text: {"id": "c", "choices": [{"message": {"role": "assistant", "content": text}}]},
    Dialect.RESPONSES: lambda text: response(
        "completed", output=[{"content": [{"type": "output_text", "text": text}]}]
    ),
    Dialect.MESSAGES: lambda text: message(content=[{"type": "text", "text": text}]),
}


@pytest.mark.parametrize("dialect", WHOLE)
@pytest.mark.parametrize("form", ["stream", "body"])
def test_who_leaves_pays_for_what_he_saw(dialect: Dialect, form: str) -> None:
    """
    A hundred pieces of a hundred tokens each: neither a hundred, nor what the request would have allowed.
    """
    fixture, request, call = asked(dialect)
    if form == "stream":
        answer = call.answer(Answer(200, STREAM))
        answer.body(beginning(dialect))
        for _ in range(100):
            answer.body(delta(dialect, TEXT * 10))
    else:
        answer = call.answer(Answer(200, BODY))
        body = compact(WHOLE[dialect](TEXT * 1000))
        end = body.rindex(b"lazy")
        for at in range(0, end, 1000):
            answer.body(body[at : min(at + 1000, end)])
    request.leave()
    line = fixture.done[0]
    assert 5000 <= line.tokens_out <= 20000
    assert charged(fixture, dialect) == line.tokens_in + line.tokens_out


BACKGROUND = {"model": "m", "input": "Hi", "background": True, "max_output_tokens": 5000}
QUEUED = compact(response("queued", background=True))


@pytest.mark.parametrize("ending", ["body", "stream", "in the body", "in the stream", "before the head"])
@pytest.mark.parametrize("most", [5000, None])
def test_what_goes_on_behind_an_answer_is_charged_as_expected(ending: str, most: int | None) -> None:
    """
    Nobody will hear what a response in the background uses, so it is charged what it may use, or else what is expected;
    however little its client waits for. That teaches nothing.
    """
    body = {**BACKGROUND, "max_output_tokens": most, "stream": "stream" in ending}
    fixture, request, call = asked(Dialect.RESPONSES, body=compact(body), default_output=300)
    started = named(lifecycle("queued", 0, background=True))
    if ending == "before the head":
        request.leave()
    else:
        answer = call.answer(Answer(200, STREAM if "stream" in ending else BODY))
        answer.body(started if "stream" in ending else QUEUED[:-30] if ending == "in the body" else QUEUED)
        if ending.startswith("in"):
            request.leave()
        else:
            answer.end()
    line = fixture.done[0]
    assert (line.usage, line.tokens_in, line.tokens_out) == ("estimated", -(-len(compact(body)) // 4), most or 300)
    assert charged(fixture, Dialect.RESPONSES) == line.tokens_in + line.tokens_out
    assert not fixture.bridge.learned.kinds(fixture.identity.principal.id)


def test_a_response_that_is_over_in_time_is_charged_what_it_used() -> None:
    """
    Made in the background or not.
    """
    for body in (BACKGROUND, {**BACKGROUND, "stream": True}):
        fixture, _, call = asked(Dialect.RESPONSES, body=compact(body))
        answer = call.answer(Answer(200, STREAM if "stream" in body else BODY))
        told = {"background": True, "usage": RESPONSES_USAGE}
        events = named(lifecycle("queued", 0, background=True), lifecycle("completed", 1, **told))
        answer.body(events if "stream" in body else compact(response("completed", **told)))
        answer.end()
        assert (fixture.done[0].usage, charged(fixture, Dialect.RESPONSES)) == ("provider", 2687)


def test_what_is_refused_or_fails_in_the_background_is_free() -> None:
    """
    As elsewhere.
    """
    error = compact({"error": {"message": "no", "type": "invalid_request_error"}})
    failed = compact(response("failed", background=True, error={"code": "server_error", "message": "no"}))
    for status, body in ((400, error), (500, error), (200, failed)):
        fixture, _, call = asked(Dialect.RESPONSES, body=compact(BACKGROUND))
        answer = call.answer(Answer(status, BODY))
        answer.body(body)
        answer.end()
        assert charged(fixture, Dialect.RESPONSES) == 0


def test_only_responses_are_made_in_the_background() -> None:
    """
    Elsewhere the word means something else, or nothing.
    """
    body = compact({"model": "m", "max_tokens": 5000, "background": True})
    fixture, request, _ = asked(Dialect.CHAT, body=body)
    request.leave()
    assert charged(fixture, Dialect.CHAT) == -(-len(body) // 4)


@pytest.mark.parametrize("text", [TEXT * 250, "对不起，" * 700, 'if (x[i] != "a\\n") {\n    return y + 1;\n}\n' * 150])
def test_a_stream_without_usage_is_charged_by_its_texts(text: str) -> None:
    """
    Whatever language it is in, and whether or not its characters are escaped.
    """
    for ascii_only in (True, False):
        fixture, _, call = asked(Dialect.CHAT)
        answer = call.answer(Answer(200, STREAM))
        for _ in range(20):
            event = json.dumps(chunk({"content": text}), ensure_ascii=ascii_only)
            answer.body(b"data: " + event.encode() + b"\n\n")
        answer.body(data(chunk({}, "stop")) + DONE)
        answer.end()
        assert 20 * 1250 <= charged(fixture, Dialect.CHAT) <= 20 * 5000


ENCODINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"br": lambda body: bytes(brotli.compress(body, quality=3)),
    b"zstd": zstandard.compress,
    b"gzip, zstd": lambda body: zstandard.compress(gzip.compress(body)),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dialect", WHOLE)
def test_encoded_answers_are_read_and_cross_as_they_are(dialect: Dialect, encoding: bytes) -> None:
    """
    Their usage is that of the provider.
    """
    plain = STREAMS[dialect]
    expected, _, call = asked(dialect)
    answer = call.answer(Answer(200, STREAM))
    answer.body(plain)
    answer.end()
    fixture, request, call = asked(dialect)
    encoded = ENCODINGS[encoding](plain)
    answer = call.answer(Answer(200, [*STREAM, (b"Content-Encoding", encoding)]))
    answer.body(encoded)
    answer.end()
    assert request.written == encoded
    assert (charged(fixture, dialect), fixture.done[0].usage) == (charged(expected, dialect), "provider")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [10, 900_000])
def test_requests_of_any_size_and_encoding_are_read(encoding: bytes, size: int) -> None:
    """
    And cross as they are; their size is that without the encoding.
    """
    plain = compact({"messages": ["to be " * (size // 6)], "model": "m", "stream": True, "max_tokens": 5})
    for body, pairs in ((ENCODINGS[encoding](plain), [(b"Content-Encoding", encoding)]), (plain, [])):
        fixture, request, call = asked(Dialect.CHAT, body=body, pairs=[TOKEN_FIELD, *pairs], max_body=33554432)
        assert call.data == body
        request.leave()
        line = fixture.done[0]
        assert (line.model, line.stream, line.bytes_in) == ("m", True, len(body))
        assert line.tokens_in == min(-(-len(plain) // 4), 1_000_000)


OVERLOADED = {
    Dialect.CHAT: data({"error": {"message": "no", "type": "overloaded_error"}}) + DONE,
    Dialect.RESPONSES: named(
        {"type": "response.failed", "response": response("failed", error={"code": "server_is_overloaded"})}
    ),
    Dialect.MESSAGES: named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
}


def ended(dialect: Dialect, pairs: list[tuple[bytes, bytes]], body: bytes, times: int = 3) -> tuple[Fixture, State]:
    """
    The same answer, some times; and how the breaker stands then.
    """
    fixture = bridge(policies=[TOKENS], breaker=BreakerTerms(failure_threshold=3))
    for _ in range(times):
        _, _, call = asked(dialect, fixture=fixture)
        answer = call.answer(Answer(200, pairs))
        answer.body(body)
        answer.end()
    line = fixture.done[-1]
    return fixture, fixture.bridge.breakers.state(line.provider, line.route, "m")


@pytest.mark.parametrize("dialect", WHOLE)
def test_an_error_within_an_answer_counts_as_its_status(dialect: Dialect) -> None:
    """
    At the beginning, after a part, and in a body; the log has its word, and metrics count it.
    """
    for begun in (b"", beginning(dialect) + delta(dialect, "Hi")):
        fixture, state = ended(dialect, STREAM, begun + OVERLOADED[dialect])
        line = fixture.done[-1]
        assert state is State.OPEN
        assert (line.status, line.cause, line.reason) == (200, "answer_error", "upstream")
        assert line.error in ("overloaded_error", "server_is_overloaded")
        labels = {"provider": line.provider, "kind": "answer_error"}
        assert fixture.bridge.metrics.registry.get_sample_value("aibridge_upstream_errors_total", labels) == 3
    _, state = ended(dialect, BODY, compact({"type": "error", "error": {"type": "overloaded_error"}}))
    assert state is State.OPEN
    limited = OVERLOADED[dialect].replace(b"overloaded_error", b"rate_limit_error")
    limited = limited.replace(b"server_is_overloaded", b"rate_limit_exceeded")
    _, state = ended(dialect, STREAM, limited, 9)
    assert state is State.CLOSED


@pytest.mark.parametrize("dialect", WHOLE)
def test_an_answer_without_its_end_is_a_failure(dialect: Dialect) -> None:
    """
    A stream, wherever it ends, and half a body; a whole one is none, which of chunks is one that has told why it stops.
    """
    whole = STREAMS[dialect]
    half = compact(WHOLE[dialect]("Hi"))[:-2]
    last = whole.removesuffix(b"\n\n").rpartition(b"\n\n")[0] + b"\n\n"
    cut = [(STREAM, beginning(dialect)), (STREAM, b""), (BODY, half)]
    good = [(STREAM, whole), (BODY, compact(WHOLE[dialect]("Hi")))]
    (good if dialect is Dialect.CHAT else cut).append((STREAM, last))
    for pairs, body in cut:
        fixture, state = ended(dialect, pairs, body)
        assert (state, fixture.done[-1].cause) == (State.OPEN, "truncated")
    for pairs, body in good:
        fixture, state = ended(dialect, pairs, body)
        assert (state, fixture.done[-1].cause) == (State.CLOSED, "completed")


def test_a_response_that_has_reached_a_limit_is_whole() -> None:
    """
    As it says itself.
    """
    event = named({"type": "response.incomplete", "response": response("incomplete", usage={"input_tokens": 1})})
    fixture, state = ended(Dialect.RESPONSES, STREAM, event)
    assert (state, fixture.done[-1].cause) == (State.CLOSED, "completed")


@pytest.mark.parametrize("dialect", WHOLE)
def test_who_leaves_says_nothing_of_the_provider(dialect: Dialect) -> None:
    """
    Unless it had failed before.
    """
    fixture = bridge(policies=[TOKENS], breaker=BreakerTerms(failure_threshold=3))
    for _ in range(9):
        _, request, call = asked(dialect, fixture=fixture)
        call.answer(Answer(200, STREAM)).body(beginning(dialect) + delta(dialect, "Hi"))
        request.leave()
    line = fixture.done[-1]
    assert fixture.bridge.breakers.state(line.provider, line.route, "m") is State.CLOSED
    for _ in range(3):
        _, request, call = asked(dialect, fixture=fixture)
        call.answer(Answer(200, STREAM)).body(OVERLOADED[dialect].removesuffix(DONE))
        request.leave()
    assert fixture.bridge.breakers.state(line.provider, line.route, "m") is State.OPEN


def test_a_probe_counts_when_its_answer_has_begun_to_be_written() -> None:
    """
    A breaker does not wait for the end of a long answer; how that ends counts like any other.
    """
    terms = BreakerTerms(failure_threshold=1, timeout_s=10.0, max_requests=1)
    fixture = bridge(policies=[TOKENS], breaker=terms)
    dialect = Dialect.MESSAGES

    def state() -> State:
        return fixture.bridge.breakers.state("anthropic", "/v1/messages", "m")

    _, _, call = asked(dialect, fixture=fixture)
    call.fail(errors.ConnectFailed())
    assert state() is State.OPEN
    fixture.clock.advance(11.0)
    _, _, call = asked(dialect, fixture=fixture)
    answer = call.answer(Answer(200, STREAM))
    answer.body(beginning(dialect))
    assert state() is State.HALF_OPEN
    answer.body(delta(dialect, "Hi"))
    assert state() is State.CLOSED
    answer.body(OVERLOADED[dialect])
    answer.end()
    assert state() is State.OPEN
    fixture.clock.advance(11.0)
    _, _, call = asked(dialect, fixture=fixture)
    answer = call.answer(Answer(200, STREAM))
    answer.body(beginning(dialect) + MESSAGE_STOP)
    answer.end()
    assert state() is State.CLOSED
