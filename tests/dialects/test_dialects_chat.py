"""
What a response of OpenAI's chat completions tells about itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from aibridge.dialects.chat import usage_of
from aibridge.dialects.usage import EXTRAS, Report, Source, Unread, Usage
from aibridge.model import Dialect
from answers import CHAT_BODY, CHAT_STREAM, CHAT_USAGE, DONE, JSON, bytewise, chunk, compact, data, report

CHAT = Dialect.CHAT

USAGE = Usage(
    input=86,
    output=300,
    cache_read=1920,
    extras={
        "prompt_audio": 0,
        "prompt_cached": 1920,
        "completion_accepted_prediction": 0,
        "completion_rejected_prediction": 0,
        "completion_audio": 0,
        "completion_reasoning": 192,
    },
)
"""That of the transcripts."""


def streamed(*chunks: Any) -> Report:
    """
    What is read of these chunks and nothing after them.
    """
    return report(CHAT, data(*chunks))


def test_a_stream() -> None:
    """
    Tells all.
    """
    assert report(CHAT, CHAT_STREAM) == Report(
        usage=USAGE,
        source=Source.PROVIDER,
        model="gpt-5.4-2026-03-05",
        id="chatcmpl-Bq1",
        stop="stop",
        complete=True,
        pieces=4,
    )


def test_a_body() -> None:
    """
    Tells the same.
    """
    assert report(CHAT, compact(CHAT_BODY), JSON) == Report(
        usage=USAGE,
        source=Source.PROVIDER,
        model="gpt-5.4-2026-03-05",
        id="chatcmpl-Bq1",
        stop="stop",
        complete=True,
    )


def test_a_stream_that_was_not_asked_for_usage() -> None:
    """
    Tells none; its pieces are counted.
    """
    told = report(CHAT, data(chunk({"role": "assistant"}), *[chunk({"content": "a"})] * 9, chunk({}, "stop")) + DONE)
    assert (told.usage, told.source, told.complete, told.pieces) == (None, Source.NONE, True, 11)


def test_a_tool_call() -> None:
    """
    Its arguments are text, and tell nothing.
    """
    function = {"name": "f", "arguments": '{"usage":{"prompt_tokens":1},"error":{"type":"x"}}'}
    told = streamed(
        chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}),
        chunk({}, "tool_calls"),
        chunk(None, usage=CHAT_USAGE),
    )
    assert (told.usage, told.stop, told.error) == (USAGE, "tool_calls", "")


def test_a_stream_that_is_cut_before_its_usage() -> None:
    """
    Tells what the answer is, and nothing of its cost.
    """
    told = report(CHAT, CHAT_STREAM[: CHAT_STREAM.index(b'"finish_reason":"stop"')])
    assert (told.usage, told.source, told.complete, told.stop) == (None, Source.NONE, False, "")
    assert (told.model, told.id, told.pieces) == ("gpt-5.4-2026-03-05", "chatcmpl-Bq1", 3)


def test_a_stream_that_is_cut_after_its_usage() -> None:
    """
    The usage that follows the reason to stop is whole, whether or not the mark after it came.
    """
    told = report(CHAT, CHAT_STREAM.removesuffix(DONE))
    assert (told.usage, told.source, told.complete) == (USAGE, Source.PROVIDER, False)


@pytest.mark.parametrize(("last", "cut"), [([chunk({}, "stop")], False), ([], True)])
def test_a_vendor_that_sends_no_mark(last: list[Any], cut: bool) -> None:
    """
    A stream that has told why it stops is no half one.
    """
    assert report(CHAT, data(chunk({"content": "Hi"}), *last)).cut is cut


def test_usage_in_every_chunk() -> None:
    """
    As some tell it, for all that came before: the last one counts, in part if the answer broke off.
    """
    chunks = [chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": count}) for count in range(1, 50)]
    told = streamed(*chunks)
    assert (told.usage, told.source) == (Usage(input=5, output=49), Source.PARTIAL)
    end = chunk({}, "length", usage={"prompt_tokens": 5, "completion_tokens": 50})
    for after in ([end], [chunk({}, "length"), end]):
        told = streamed(*chunks, *after)
        assert (told.usage, told.source, told.stop) == (Usage(input=5, output=50), Source.PROVIDER, "length")
    told = report(CHAT, data(*chunks) + DONE)
    assert (told.usage, told.source) == (Usage(input=5, output=49), Source.PROVIDER)


def test_usage_that_begins_late() -> None:
    """
    Is found behind chunks that say null, in one segment with them or not.
    """
    chunks = data(*[chunk({"content": "a"}, usage=None)] * 3, chunk({"content": "a"}, usage={"prompt_tokens": 5}))
    for pieces in ([chunks], [chunks[:100], chunks[100:]], bytewise(chunks)):
        assert report(CHAT, [data(chunk({})), *pieces]).usage == Usage(input=5)


def test_half_an_event_does_not_hide_the_one_before() -> None:
    """
    It tells nothing, and the last whole one counts.
    """
    stream = data(*[chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": n}) for n in range(9)])
    assert report(CHAT, stream[:-20]).usage == Usage(input=5, output=7)
    assert report(CHAT, stream[:-2]).usage == Usage(input=5, output=8)


def test_a_large_event_does_not_hide_the_others() -> None:
    """
    It is read in pieces; one of which too much would be kept is left out, and the report says so.
    """
    large = chunk({"content": "x" * 5000})
    told = report(CHAT, data(chunk({}), large) + CHAT_STREAM, limit=2000)
    assert (told.usage, told.complete, told.unread) == (USAGE, True, None)
    assert told.text == report(CHAT, CHAT_STREAM).text + 5000
    told = report(CHAT, data(chunk({}), chunk({}, error=[1] * 20000)) + CHAT_STREAM, limit=2000)
    assert (told.usage, told.complete, told.unread) == (USAGE, True, Unread.TOO_LARGE)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ({"message": "The server had an error", "type": "server_error", "param": None, "code": None}, "server_error"),
        ({"code": 502, "message": "Provider returned error"}, "unknown"),
        ("went wrong", "unknown"),
    ],
)
def test_an_error_in_mid_stream(error: object, word: str) -> None:
    """
    Is told by its type; what follows does not make the answer whole.
    """
    told = report(CHAT, data(chunk({"content": "Hi"}), chunk({"content": "!"}), {"error": error}) + DONE)
    assert (told.error, told.complete, told.usage, told.pieces) == (word, False, None, 2)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ({"message": "Too busy", "code": "engine_overloaded"}, "engine_overloaded"),
        ({"object": "error", "message": "Too busy", "type": "server_error"}, "server_error"),
        ({"message": "event: error"}, "unknown"),
        ("no object", "unknown"),
    ],
)
@pytest.mark.parametrize("name", [b"event: error\n", b"event:error\n"])
def test_an_event_that_is_called_an_error(name: bytes, error: object, word: str) -> None:
    """
    Is one, without a field for it.
    """
    told = report(CHAT, data(chunk({"content": "Hi"}), chunk({"content": "!"})) + name + data(error) + DONE)
    assert (told.error, told.complete) == (word, False)
    fine = report(CHAT, data(chunk({"content": "event: error"}), chunk({"content": "event:"}, "stop")) + DONE)
    assert (fine.error, fine.complete) == ("", True)


def test_errors_that_are_null() -> None:
    """
    Are none.
    """
    told = report(CHAT, data(*[chunk({"content": "a"}, error=None)] * 8, chunk({}, "stop", error=None)) + DONE)
    assert (told.error, told.complete, told.stop) == ("", True, "stop")


def test_an_error_as_body() -> None:
    """
    Has nothing but its type.
    """
    body = {"error": {"message": "Slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    assert report(CHAT, compact(body), JSON) == Report(error="requests")


def test_azure() -> None:
    """
    Its first chunk has neither model nor id.
    """
    first = {"id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    told = report(CHAT, data(first) + CHAT_STREAM)
    assert (told.model, told.id, told.usage) == ("gpt-5.4-2026-03-05", "chatcmpl-Bq1", USAGE)
    told = streamed(first, chunk({"content": "a"}))
    assert (told.model, told.id) == ("gpt-5.4-2026-03-05", "chatcmpl-Bq1")


def test_names_that_never_come() -> None:
    """
    Are not looked for in every event.
    """
    nameless = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    told = report(CHAT, data(*[nameless] * 4) + CHAT_STREAM)
    assert (told.model, told.id, told.usage) == ("gpt-5.4-2026-03-05", "chatcmpl-Bq1", USAGE)
    told = report(CHAT, data(*[nameless] * 20, chunk({"content": "a"})))
    assert (told.model, told.id, told.pieces) == ("", "", 21)


@pytest.mark.parametrize(
    "early",
    [
        {"usage": {"prompt_tokens": 5, "completion_tokens": 1}},
        {"usage": None},
        {"error": None},
        {"finish_reason": "x"},
        {"delta": {}},
        {"about": "[DONE]"},
    ],
)
def test_what_stands_before_the_choices(early: dict[str, Any]) -> None:
    """
    Is read in every chunk, though most are alike up to there.
    """
    chunks = [{"id": "c", "model": "m", **early, "choices": [{"delta": {"content": str(n)}}]} for n in range(9)]
    last = {"id": "c", "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 9}, "choices": []}
    error = {"id": "c", "model": "m", "error": {"type": "x"}, "choices": []}
    stream = data(*chunks, last, error)
    for pieces in (stream, bytewise(stream)):
        told = report(CHAT, pieces)
        assert (told.usage, told.error) == (Usage(input=5, output=9), "x")
        assert told.pieces == (18 if "delta" in early else 9)


@pytest.mark.parametrize(
    "stream",
    [
        CHAT_STREAM.replace(b"\n", b"\r\n"),
        CHAT_STREAM.replace(b"\n", b"\r"),
        CHAT_STREAM.replace(b"data: ", b"data:"),
        CHAT_STREAM.replace(b'":', b'": ').replace(b',"', b', "'),
        CHAT_STREAM.replace(b"data: ", b": OPENROUTER PROCESSING\n\ndata: "),
        CHAT_STREAM.replace(b"data: ", b": ping\nid: 7\ndata: "),
        CHAT_STREAM.replace(b',"choices"', b',\ndata: "choices"'),
        b"\xef\xbb\xbf" + CHAT_STREAM,
        b"\n\n" + CHAT_STREAM + b"\n\n",
        CHAT_STREAM.removesuffix(b"\n"),
        CHAT_STREAM.removesuffix(b"\n\n"),
        CHAT_STREAM + b": done\n\n",
        CHAT_STREAM + data(chunk({"content": "after the end"})).replace(b'"delta"', b'"d"'),
        CHAT_STREAM + b"data: half an ev",
    ],
)
def test_forms_of_a_stream(stream: bytes) -> None:
    """
    Line ends, blanks, comments, other fields, data on several lines, and what follows: all the same.
    """
    assert report(CHAT, stream) == report(CHAT, bytewise(stream)) == report(CHAT, CHAT_STREAM)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(input=10, output=5)),
        ({"prompt_tokens": 10, "completion_tokens": 0}, Usage(input=10)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage()),
        ({"prompt_tokens": 10}, Usage(input=10)),
        ({"total_tokens": 10}, None),
        ({}, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        ({"prompt_tokens": "10", "completion_tokens": -5}, None),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None}, Usage(input=10, output=5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": [1]}, Usage(input=10, output=5)),
        (
            {
                "prompt_tokens": 2600,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400},
            },
            Usage(input=200, output=5, cache_read=2000, cache_write=400, extras={"prompt_cached": 2000}),
        ),
        # DeepSeek
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 36,
            },
            Usage(input=36, output=5, cache_read=64, extras={"prompt_cached": 64}),
        ),
        # Moonshot
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "cached_tokens": 64},
            Usage(input=36, output=5, cache_read=64, extras={"prompt_cached": 64}),
        ),
        # xAI
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(input=32, output=103, extras={"completion_reasoning": 94}),
        ),
        # OpenAI: the same thoughts are in the completion.
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 103,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(input=32, output=103, extras={"completion_reasoning": 94}),
        ),
    ],
)
def test_usage(told: dict[str, Any], usage: Usage | None) -> None:
    """
    Cached tokens once, thoughts once, an explicit zero as zero, and what is not told as not told.
    """
    assert usage_of(told) == usage


def test_extras_are_a_closed_set() -> None:
    """
    So that they can be labels.
    """
    assert set(USAGE.extras) <= set(EXTRAS)


def test_an_explicit_zero() -> None:
    """
    Is told by the provider, and not taken for nothing.
    """
    told = streamed(
        chunk({"content": ""}), chunk({}, "stop"), chunk(None, usage={"prompt_tokens": 7, "completion_tokens": 0})
    )
    assert (told.usage, told.source) == (Usage(input=7), Source.PROVIDER)


def test_usage_within_a_choice() -> None:
    """
    Is where Moonshot has it.
    """
    last = chunk({}, "stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 7, "completion_tokens": 3}
    told = streamed(chunk({"content": "a"}), chunk({"content": "b"}), last)
    assert (told.usage, told.source) == (Usage(input=7, output=3), Source.PROVIDER)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": 7},
        {"choices": [7, None, []]},
        {"choices": [{"finish_reason": 7, "usage": 7}]},
        {"usage": 7},
        {"usage": {"prompt_tokens": []}},
        {"id": 7, "model": {}, "error": 0},
        {},
    ],
)
def test_what_is_not_as_documented(body: dict[str, Any]) -> None:
    """
    Tells nothing, and does no harm.
    """
    for told in (report(CHAT, compact(body), JSON), streamed(*[body] * 6)):
        assert (told.usage, told.source, told.model, told.stop) == (None, Source.NONE, "", "")
