"""
What a response of Anthropic's messages tells about itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from aibridge.dialects.messages import usage_of
from aibridge.dialects.usage import EXTRAS, Report, Source, Usage
from aibridge.model import Dialect
from answers import (
    JSON,
    MESSAGE_STOP,
    MESSAGES_START,
    MESSAGES_STREAM,
    MESSAGES_USAGE,
    block_delta,
    bytewise,
    compact,
    data,
    message,
    message_delta,
    named,
    report,
)

MESSAGES = Dialect.MESSAGES

EXTRAS_TOLD = {
    "cache_creation_input": 188,
    "cache_read_input": 18086,
    "cache_ephemeral_1h_input": 88,
    "cache_ephemeral_5m_input": 100,
}

WHOLE = Report(
    usage=Usage(input=21, output=15, cache_read=18086, cache_write=188, extras=EXTRAS_TOLD),
    source=Source.PROVIDER,
    model="claude-opus-5-20260401",
    id="msg_01Xf",
    stop="end_turn",
    complete=True,
    pieces=2,
)


def started(**usage: Any) -> bytes:
    """
    A stream's start, with this usage.
    """
    return named({"type": "message_start", "message": message(usage=usage)})


def test_a_stream() -> None:
    """
    Tells all; the output of the start is a placeholder, and is not added to that of the end.
    """
    assert report(MESSAGES, MESSAGES_STREAM) == WHOLE


def test_a_body() -> None:
    """
    Tells the same.
    """
    body = message(stop_reason="end_turn", usage={**MESSAGES_USAGE, "output_tokens": 15})
    told = report(MESSAGES, compact(body), JSON)
    assert (told.usage, told.source, told.model, told.id) == (WHOLE.usage, WHOLE.source, WHOLE.model, WHOLE.id)
    assert (told.stop, told.complete, told.error) == ("end_turn", True, "")


def test_a_tool_call() -> None:
    """
    Its arguments are text, and tell nothing.
    """
    piece = {"type": "input_json_delta", "partial_json": '{"type": "message_stop", "error": {"type": "x"}}'}
    told = report(
        MESSAGES,
        MESSAGES_START
        + named(
            {"type": "content_block_delta", "index": 1, "delta": piece}, message_delta("tool_use", output_tokens=89)
        ),
    )
    assert told.usage is not None
    assert (told.usage.output, told.stop, told.error, told.complete) == (89, "tool_use", "", False)


def test_several_deltas() -> None:
    """
    As server tools make them: each is a total, and none is added to another.
    """
    deltas = [message_delta(None, output_tokens=count) for count in (10, 20, 30)]
    told = report(MESSAGES, MESSAGES_START + named(*deltas))
    assert told.usage is not None
    assert (told.usage.output, told.source) == (30, Source.PARTIAL)
    told = report(MESSAGES, MESSAGES_START + named(*deltas, message_delta("end_turn", output_tokens=40)))
    assert told.usage is not None
    assert (told.usage.output, told.usage.read, told.source) == (40, 21 + 188 + 18086, Source.PROVIDER)
    assert report(MESSAGES, MESSAGES_START + named(*deltas) + MESSAGE_STOP).source is Source.PROVIDER


def test_a_stream_that_is_cut_after_its_start() -> None:
    """
    Tells what was read, in part.
    """
    told = report(MESSAGES, MESSAGES_START)
    assert told == Report(
        usage=Usage(input=21, output=3, cache_read=18086, cache_write=188, extras=EXTRAS_TOLD),
        source=Source.PARTIAL,
        model=WHOLE.model,
        id=WHOLE.id,
        pieces=2,
    )


def test_a_stream_that_is_cut_in_its_start() -> None:
    """
    Tells nothing.
    """
    assert report(MESSAGES, MESSAGES_START[:100]) == Report()


def test_a_stream_that_is_cut_before_its_stop() -> None:
    """
    With the reason to stop, all is told.
    """
    told = report(MESSAGES, MESSAGES_STREAM.removesuffix(MESSAGE_STOP))
    assert (told.usage, told.source, told.complete) == (WHOLE.usage, Source.PROVIDER, False)


def test_an_end_without_usage() -> None:
    """
    Leaves the placeholder, which is a part.
    """
    told = report(MESSAGES, MESSAGES_START + named(message_delta("end_turn")) + MESSAGE_STOP)
    assert (told.complete, told.source, told.stop) == (True, Source.PARTIAL, "end_turn")


def test_an_error_in_mid_stream() -> None:
    """
    Is told by its type, and what was read is known.
    """
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    told = report(MESSAGES, MESSAGES_START + named(error))
    assert (told.error, told.complete, told.source) == ("overloaded_error", False, Source.PARTIAL)


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (data({"error": {"type": "server_error"}}), "server_error"),
        (b'event: error\ndata: {"error": {}}\n\n', "unknown"),
        (named({"type": "error", "error": "sorry"}), "unknown"),
    ],
)
def test_errors_of_others(event: bytes, word: str) -> None:
    """
    As gateways before the vendor send them.
    """
    assert report(MESSAGES, MESSAGES_START + event).error == word


def test_an_error_as_body() -> None:
    """
    Has nothing but its type.
    """
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}, "request_id": "req_1"}
    assert report(MESSAGES, compact(body), JSON) == Report(error="rate_limit_error")


@pytest.mark.parametrize(
    "stream",
    [
        MESSAGES_STREAM.replace(b"\n", b"\r\n"),
        MESSAGES_STREAM.replace(b"\n", b"\r"),
        MESSAGES_STREAM.replace(b": ", b":"),
        MESSAGES_STREAM.replace(b'":', b'": ').replace(b',"', b', "'),
        MESSAGES_STREAM.replace(b"event: content", b": ping\n\nevent: content"),
        MESSAGES_STREAM.replace(b',"usage":', b',\ndata: "usage":'),
        b"".join(line for line in MESSAGES_STREAM.splitlines(True) if not line.startswith(b"event: ")),
        MESSAGES_STREAM.removesuffix(b"\n\n"),
        b"\xef\xbb\xbf" + MESSAGES_STREAM + named({"type": "ping"}),
    ],
)
def test_forms_of_a_stream(stream: bytes) -> None:
    """
    Line ends, blanks, comments, data on several lines, events without names: all the same.
    """
    assert report(MESSAGES, stream) == report(MESSAGES, bytewise(stream)) == WHOLE


def test_events_whose_type_is_their_name_alone() -> None:
    """
    Are what their name says.
    """
    stream = MESSAGES_STREAM
    for kind in (b"message_start", b"message_delta", b"message_stop"):
        stream = stream.replace(b'{"type":"' + kind + b'",', b"{").replace(b'{"type":"' + kind + b'"}', b"{}")
    assert report(MESSAGES, stream) == WHOLE


@pytest.mark.parametrize(
    ("start", "end", "usage"),
    [
        # The vendor: the start has what was read, the end may repeat it.
        ({"input_tokens": 25, "output_tokens": 1}, {"output_tokens": 15}, Usage(25, 15)),
        ({"input_tokens": 25, "output_tokens": 1}, {"input_tokens": 25, "output_tokens": 15}, Usage(25, 15)),
        # Searches of the server's make what is read grow.
        ({"input_tokens": 25, "output_tokens": 1}, {"input_tokens": 2679, "output_tokens": 510}, Usage(2679, 510)),
        # Others know it at the end only,
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 25, "output_tokens": 15}, Usage(25, 15)),
        # or put zeros there.
        ({"input_tokens": 25, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 15}, Usage(25, 15)),
        # An explicit zero is the last word on what was written.
        ({"input_tokens": 25, "output_tokens": 1}, {"output_tokens": 0}, Usage(25, 0)),
        ({"input_tokens": 0, "output_tokens": 0}, {"output_tokens": 0}, Usage()),
        ({}, {"output_tokens": 15}, Usage(0, 15)),
        ({"input_tokens": 25, "output_tokens": 1}, {"input_tokens": None, "output_tokens": 15}, Usage(25, 15)),
    ],
)
def test_start_and_end(start: dict[str, Any], end: dict[str, Any], usage: Usage) -> None:
    """
    Both are totals, and what was read cannot become nothing.
    """
    told = report(MESSAGES, started(**start) + named(message_delta("end_turn", **end)) + MESSAGE_STOP)
    assert (told.usage, told.source) == (usage, Source.PROVIDER)


def test_what_the_cache_has_done() -> None:
    """
    Is not forgotten when the end tells zeros, and is known when only the end tells it.
    """
    cached = {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 8}
    extras = {"cache_creation_input": 8, "cache_read_input": 7}
    zeros = dict.fromkeys(cached, 0)
    for start, end in ((cached, zeros), (zeros, cached), (cached, {}), ({}, cached)):
        stream = started(input_tokens=1, output_tokens=1, **start)
        told = report(MESSAGES, stream + named(message_delta("end_turn", output_tokens=2, **end)))
        assert told.usage == Usage(1, 2, 7, 8, extras)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, Usage(10, 5)),
        ({"input_tokens": 0, "output_tokens": 0}, Usage()),
        ({"output_tokens": 5}, Usage(0, 5)),
        ({}, None),
        ({"cache_read_input_tokens": 5}, None),
        ({"input_tokens": "10", "output_tokens": 5.0}, None),
        (
            {"input_tokens": 10, "output_tokens": 5, "server_tool_use": {"web_search_requests": 2}},
            Usage(10, 5, extras={"web_search_requests": 2}),
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 40},
                "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 1},
            },
            Usage(10, 50, extras={"web_search_requests": 0, "web_fetch_requests": 1, "output_reasoning": 40}),
        ),
        ({"input_tokens": 10, "output_tokens": 5, "server_tool_use": None, "cache_creation": 7}, Usage(10, 5)),
    ],
)
def test_usage(told: dict[str, Any], usage: Usage | None) -> None:
    """
    What was read has no cached tokens in it here; an explicit zero is zero, and what is not told is not told.
    """
    assert usage_of(told) == usage


def test_extras_are_a_closed_set() -> None:
    """
    So that they can be labels.
    """
    told = usage_of({**MESSAGES_USAGE, "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 1}})
    assert told is not None
    assert set(told.extras) <= set(EXTRAS)


def test_pieces() -> None:
    """
    Those of texts, arguments and thoughts.
    """
    thought = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}}
    told = report(MESSAGES, named(block_delta("a"), thought, {"type": "content_block_stop", "index": 0}))
    assert told == Report(pieces=2)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start", "message": 7},
        {"type": "message_start", "message": {"usage": [1], "model": 7}},
        {"type": "message_start"},
        {"type": "message_delta", "delta": 7, "usage": None},
        {"type": "message_delta", "delta": {"stop_reason": {}}, "usage": {"output_tokens": {}}},
        {"type": ["message_start"], "message": message()},
        {"type": "message_unheard_of", "message": message()},
    ],
)
def test_what_is_not_as_documented(event: dict[str, Any]) -> None:
    """
    Tells nothing, and does no harm.
    """
    assert report(MESSAGES, data(event)) == Report()
