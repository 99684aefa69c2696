"""
What a response of OpenAI's responses tells about itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from aibridge.dialects.responses import usage_of
from aibridge.dialects.usage import EXTRAS, Report, Source, Usage
from aibridge.model import Dialect
from answers import (
    JSON,
    RESPONSES_START,
    RESPONSES_STREAM,
    RESPONSES_USAGE,
    bytewise,
    compact,
    cut,
    data,
    lifecycle,
    named,
    report,
    response,
    text_delta,
)

RESPONSES = Dialect.RESPONSES

USAGE = Usage(
    input=200,
    output=87,
    cache_read=2000,
    cache_write=400,
    extras={"input_cached": 2000, "output_reasoning": 64, "total_tokens": 2687},
)
"""That of the transcripts."""

WHOLE = Report(
    usage=USAGE,
    source=Source.PROVIDER,
    model="gpt-5.4-2026-03-05",
    id="resp_68a1",
    stop="completed",
    complete=True,
    pieces=2,
)


def test_a_stream() -> None:
    """
    Tells all.
    """
    assert report(RESPONSES, RESPONSES_STREAM) == WHOLE


@pytest.mark.parametrize(
    ("delta", "last"),
    [
        ("image_generation.partial_image", "image_generation.completed"),
        ("image_edit.partial_image", "image_edit.completed"),
        ("speech.audio.delta", "speech.audio.done"),
        ("transcript.text.delta", "transcript.text.done"),
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_streamed_beside_responses(delta: str, last: str, size: int) -> None:
    """
    Has its usage in its last event, however large that is; without it, or the event, none is known.
    """
    usage = {"input_tokens": 7, "output_tokens": 30, "total_tokens": 37}
    content = {"b64_json": "A" * size}
    stream = data({"type": delta, **content}) * 3
    told = report(RESPONSES, stream + data({"type": last, **content, "usage": usage}))
    assert (told.usage, told.source, told.complete, told.stop, told.cut) == (
        Usage(input=7, output=30, extras={"total_tokens": 37}),
        Source.PROVIDER,
        True,
        "completed",
        False,
    )
    told = report(RESPONSES, stream)
    assert (told.usage, told.complete, told.cut) == (None, False, True)
    told = report(RESPONSES, stream + data({"type": last, "usage": {"type": "duration", "seconds": 3}}))
    assert (told.usage, told.source) == (None, Source.NONE)


def test_a_body() -> None:
    """
    Tells the same.
    """
    told = report(RESPONSES, compact(response("completed", usage=RESPONSES_USAGE)), JSON)
    assert (told.usage, told.source, told.model, told.id) == (USAGE, Source.PROVIDER, WHOLE.model, WHOLE.id)
    assert (told.stop, told.complete, told.error) == ("completed", True, "")


def test_an_answer_that_reached_a_limit() -> None:
    """
    Is whole, has its usage, and says which limit.
    """
    details = {"reason": "max_output_tokens"}
    last = lifecycle("incomplete", 4, usage=RESPONSES_USAGE, incomplete_details=details)
    told = report(RESPONSES, RESPONSES_START + named(last))
    assert (told.usage, told.source, told.complete, told.stop) == (USAGE, Source.PROVIDER, True, "max_output_tokens")
    body = response("incomplete", usage=RESPONSES_USAGE, incomplete_details=details)
    told = report(RESPONSES, compact(body), JSON)
    assert (told.usage, told.complete, told.stop) == (USAGE, True, "max_output_tokens")


@pytest.mark.parametrize(("usage", "source"), [(RESPONSES_USAGE, Source.PROVIDER), (None, Source.NONE)])
def test_an_answer_that_failed(usage: dict[str, Any] | None, source: Source) -> None:
    """
    Is not whole, and has its usage if it was told.
    """
    error = {"code": "server_error", "message": "The model failed to answer."}
    last = lifecycle("failed", 4, usage=usage, error=error)
    told = report(RESPONSES, RESPONSES_START + named(last))
    assert (told.source, told.complete, told.stop, told.error) == (source, False, "failed", "server_error")
    told = report(RESPONSES, compact(response("failed", usage=usage, error=error)), JSON)
    assert (told.source, told.complete, told.stop, told.error) == (source, False, "failed", "server_error")


def test_a_failure_without_a_reason() -> None:
    """
    Is a failure.
    """
    told = report(RESPONSES, RESPONSES_START + named(lifecycle("failed", 4)))
    assert (told.error, told.complete) == ("unknown", False)


def test_an_answer_that_was_cancelled() -> None:
    """
    Is not whole, and its error says why.
    """
    told = report(RESPONSES, compact(response("cancelled")), JSON)
    assert (told.complete, told.stop, told.error, told.source) == (False, "cancelled", "cancelled", Source.NONE)


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_answer_in_the_background(status: str) -> None:
    """
    Has just begun, tells its id, and is not over.
    """
    told = report(RESPONSES, compact(response(status)), JSON)
    assert (told.complete, told.stop, told.source, told.id) == (False, "", Source.NONE, "resp_68a1")
    assert told.unfinished


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_an_answer_in_the_background_that_is_over(status: str) -> None:
    """
    It says so, in a body or in the last event of a stream.
    """
    assert not report(RESPONSES, compact(response(status, background=True)), JSON).unfinished
    begin, end = lifecycle("queued", 0, background=True), lifecycle(status, 1, background=True)
    assert report(RESPONSES, named(begin)).unfinished
    assert not report(RESPONSES, named(begin, end)).unfinished


@pytest.mark.parametrize("first", ["created", "queued", "in_progress"])
@pytest.mark.parametrize("size", [0, 100_000])
def test_a_stream_of_the_background_that_is_cut(first: str, size: int) -> None:
    """
    Its response goes on; one that is not made in the background does not.
    """
    for background in (True, False, None):
        begin = lifecycle(first, 0, instructions="x" * size, background=background)
        told = report(RESPONSES, named(begin, lifecycle("in_progress", 1), text_delta(2, "Hi")))
        assert (told.unfinished, told.pieces) == (background is True, 1)


@pytest.mark.parametrize("background", ["transparent", "opaque", "auto"])
def test_pictures_have_another_background(background: str) -> None:
    """
    Which is nothing that goes on.
    """
    body = {"created": 1, "background": background, "data": [], "usage": {"input_tokens": 5, "output_tokens": 7}}
    assert not report(RESPONSES, compact(body), JSON).unfinished


def test_a_stream_that_is_cut() -> None:
    """
    Tells what the answer is, and how many pieces of it came.
    """
    told = report(RESPONSES, RESPONSES_STREAM[:-30])
    assert told == Report(model=WHOLE.model, id=WHOLE.id, pieces=2)


@pytest.mark.parametrize(
    ("event", "word"),
    [
        ({"type": "error", "code": "server_error", "message": "m", "param": None}, "server_error"),
        ({"type": "error", "code": None, "message": "m", "param": None}, "unknown"),
        ({"type": "error", "error": {"type": "invalid_request_error", "code": "c"}}, "invalid_request_error"),
        ({"type": "error", "error": None}, "unknown"),
    ],
)
def test_an_error_in_mid_stream(event: dict[str, Any], word: str) -> None:
    """
    Is told by its type or code, in both forms in which it comes.
    """
    told = report(RESPONSES, RESPONSES_START + named(event))
    assert (told.error, told.complete, told.source, told.pieces) == (word, False, Source.NONE, 2)


def test_an_error_without_a_name() -> None:
    """
    As those who speak like OpenAI send it.
    """
    assert report(RESPONSES, RESPONSES_START + data({"error": {"type": "server_error"}})).error == "server_error"


def test_an_error_as_body() -> None:
    """
    Has nothing but its type.
    """
    body = {"error": {"message": "No", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}}
    told = report(RESPONSES, compact(body), JSON)
    assert (told.error, told.complete, told.usage) == ("invalid_request_error", False, None)


@pytest.mark.parametrize(
    "stream",
    [
        RESPONSES_STREAM.replace(b"\n", b"\r\n"),
        RESPONSES_STREAM.replace(b"\n", b"\r"),
        RESPONSES_STREAM.replace(b": ", b":"),
        RESPONSES_STREAM.replace(b'":', b'": ').replace(b',"', b', "'),
        RESPONSES_STREAM.replace(b"event: response.output", b": ping\n\nevent: response.output"),
        RESPONSES_STREAM.replace(b',"response":', b',\ndata: "response":'),
        b"".join(line for line in RESPONSES_STREAM.splitlines(True) if not line.startswith(b"event: ")),
        RESPONSES_STREAM.removesuffix(b"\n\n"),
        b"\xef\xbb\xbf" + RESPONSES_STREAM + b": bye\n\n",
    ],
)
def test_forms_of_a_stream(stream: bytes) -> None:
    """
    Line ends, blanks, comments, data on several lines, events without names: all the same.
    """
    assert report(RESPONSES, stream) == report(RESPONSES, bytewise(stream)) == WHOLE


def test_events_with_nothing_new_are_not_taken_apart() -> None:
    """
    The first one that has the whole request in it tells the names, the others are passed over unread.
    """
    others = b'event: response.in_progress\ndata: not even JSON, though it has a "response"\n\n'
    assert report(
        RESPONSES, RESPONSES_START + others * 3 + named(lifecycle("completed", 4, usage=RESPONSES_USAGE))
    ) == (WHOLE)


def test_pieces() -> None:
    """
    Those of texts, arguments and thoughts.
    """
    told = report(
        RESPONSES,
        named(
            text_delta(0, "a"),
            {"type": "response.function_call_arguments.delta", "delta": "{"},
            {"type": "response.reasoning_summary_text.delta", "delta": "Hm"},
            {"type": "response.output_text.done", "text": "a"},
        ),
    )
    assert told.pieces == 3


@pytest.mark.parametrize("limit", [4000, 100000])
def test_a_last_event_that_is_large(limit: int) -> None:
    """
    Tells all it has to, however much of the answer it repeats, and the answer counts once.
    """
    last = named(lifecycle("completed", 4, output=["x" * 9000] * 9, usage=RESPONSES_USAGE))
    stream = RESPONSES_START + named(text_delta(0, "abc")) + last
    told = report(RESPONSES, stream, limit=limit)
    assert (told.unread, told.complete, told.source, told.id) == (None, True, Source.PROVIDER, "resp_68a1")
    assert told.text == report(RESPONSES, RESPONSES_START).text + 3
    assert told == report(RESPONSES, cut(stream, range(0, len(stream), 999)), limit=limit)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, Usage(input=10, output=5)),
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}, Usage(extras={"total_tokens": 0})),
        ({"input_tokens": 10}, Usage(input=10)),
        ({}, None),
        ({"input_tokens": None, "output_tokens": "5"}, None),
        (
            {"input_tokens": 10, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 99}},
            Usage(output=5, cache_read=10, extras={"input_cached": 99}),
        ),
        ({"input_tokens": 10, "output_tokens": 5, "output_tokens_details": 7}, Usage(input=10, output=5)),
    ],
)
def test_usage(told: dict[str, Any], usage: Usage | None) -> None:
    """
    Cached tokens once, an explicit zero as zero, and what is not told as not told.
    """
    assert usage_of(told) == usage


def test_extras_are_a_closed_set() -> None:
    """
    So that they can be labels.
    """
    assert set(USAGE.extras) <= set(EXTRAS)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.completed", "response": 7},
        {"type": "response.completed", "response": {"usage": 7, "id": 7, "incomplete_details": []}},
        {"type": ["response.completed"], "response": {"error": False}},
        {"response": None},
        {"type": "response.unheard_of", "response": {"usage": None}},
    ],
)
def test_what_is_not_as_documented(event: dict[str, Any]) -> None:
    """
    Tells nothing, and does no harm.
    """
    told = report(RESPONSES, data(event))
    assert (told.usage, told.source, told.model, told.id, told.error) == (None, Source.NONE, "", "", "")
