"""
Reading what a response says about itself, whatever its dialect, form and encoding, and however it is cut.
"""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Sequence

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aibridge.demo.chat import CHAT
from aibridge.demo.messages import MESSAGES
from aibridge.demo.plan import plan
from aibridge.demo.responses import RESPONSES
from aibridge.demo.text import Form
from aibridge.demo.vendors import Stamp
from aibridge.dialects.decoding import FREE
from aibridge.dialects.reader import reader_for
from aibridge.dialects.usage import EXTRAS, Report, Source, Unread, Usage
from aibridge.model import Dialect
from answers import (
    CHAT_BODY,
    CHAT_STREAM,
    CHAT_USAGE,
    DONE,
    EVENTS,
    JSON,
    MESSAGE_STOP,
    MESSAGES_START,
    RESPONSES_STREAM,
    STREAMS,
    bytewise,
    chunk,
    compact,
    cut,
    data,
    lifecycle,
    message,
    message_delta,
    named,
    report,
    response,
)

DIALECTS = tuple(STREAMS)

BODIES = {
    Dialect.CHAT: compact(CHAT_BODY),
    Dialect.RESPONSES: compact(response("completed", usage={"input_tokens": 3, "output_tokens": 4})),
    Dialect.MESSAGES: compact(message(stop_reason="end_turn")),
}

FRAGMENTS = [
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"data: ",
    b": ping\n\n",
    b"event: error\n",
    b"event: message_delta\n",
    b'data: not JSON, but with "usage" and "error" and "response" and message_\n\n',
    DONE,
    data(chunk({"content": "a"})),
    data(chunk({"content": "a"}, usage=None)),
    data(chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 2})),
    data(chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 3}, error=None)),
    data(chunk({}, "stop")),
    data(chunk({}, "length", usage={"prompt_tokens": 4, "completion_tokens": 5})),
    data(chunk(None, usage=CHAT_USAGE)),
    data({"error": {"type": "server_error"}}),
    data({"id": "c", "model": "m", "usage": {"prompt_tokens": 6, "completion_tokens": 7}, "choices": []}),
    data({"id": "c", "model": "m", "choices": [{"delta": {}, "finish_reason": None}], "usage": {"prompt_tokens": 8}}),
    data({"id": "c", "model": "m", "error": {"type": "x"}, "choices": []}),
    data(chunk({"content": "a"}, usage=None, other={"usage": {"prompt_tokens": 9}})),
    data(chunk({"content": "x" * 900}, "stop", usage=CHAT_USAGE)),
    named(lifecycle("in_progress", 0, model="a")),
    named(lifecycle("completed", 1, usage={"input_tokens": 3, "output_tokens": 4})),
    named(lifecycle("failed", 1, error={"code": "server_error"})),
    MESSAGES_START,
    MESSAGE_STOP,
    named(message_delta("end_turn", output_tokens=15)),
    named(message_delta(None, output_tokens=12, input_tokens=0)),
    named({"type": "error", "error": {"type": "overloaded_error"}}),
]

dialects = st.sampled_from(DIALECTS)
streams = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=4), max_size=12).map(b"".join)


def drawn(body: bytes, draw: st.DataObject) -> list[bytes]:
    """
    `body` in pieces, cut anywhere.
    """
    return cut(body, draw.draw(st.lists(st.integers(0, len(body)), max_size=8)))


def is_sound(told: Report) -> bool:
    """
    Whether a report is one that may go into logs, labels and sums.
    """
    usage = told.usage or Usage()
    told.model.encode()
    told.id.encode()
    return (
        (told.usage is None) is (told.source is Source.NONE)
        and min(usage.input, usage.output, usage.cache_read, usage.cache_write, told.pieces, 0) == 0
        and set(usage.extras) <= set(EXTRAS)
        and max(len(told.model), len(told.id), len(told.stop), len(told.error)) <= 256
    )


# -- which reader ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        EVENTS,
        b"text/event-stream",
        b"Text/Event-Stream;charset=UTF-8",
        b" text/event-stream ; x=y",
        JSON,
        b"application/json; charset=utf-8",
        b"APPLICATION/JSON",
        b"application/problem+json",
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_can_be_read(dialect: Dialect, content_type: bytes) -> None:
    """
    Server-sent events and JSON, of every dialect.
    """
    assert reader_for(dialect, content_type, None) is not None


@pytest.mark.parametrize("content_type", [None, b"", b"text/html", b"text/plain", b"application/octet-stream", b"json"])
def test_what_cannot_be_read(content_type: bytes | None) -> None:
    """
    Anything else, and what is of no dialect.
    """
    assert reader_for(Dialect.CHAT, content_type, None) is None
    assert reader_for(Dialect.PLAIN, EVENTS, None) is None
    assert reader_for(Dialect.PLAIN, JSON, b"gzip") is None


# -- any chunking, any bytes -------------------------------------------------------------------------------------


@given(dialects, st.data())
def test_any_chunking_of_a_stream(dialect: Dialect, draw: st.DataObject) -> None:
    """
    Gives the same report, wherever it is broken off and whatever its line ends.
    """
    end = draw.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    stream = STREAMS[dialect].replace(b"\n", end)
    stream = stream[: draw.draw(st.integers(0, len(stream)))]
    assert report(dialect, drawn(stream, draw)) == report(dialect, stream)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_byte_by_byte(dialect: Dialect) -> None:
    """
    Gives the same report as one segment.
    """
    stream = STREAMS[dialect]
    assert report(dialect, bytewise(stream)) == report(dialect, stream)
    assert report(dialect, stream).source is Source.PROVIDER


@given(dialects, streams, st.sampled_from([300, 4000]), st.data())
def test_any_stream(dialect: Dialect, stream: bytes, limit: int, draw: st.DataObject) -> None:
    """
    However odd: any chunking gives the same report, and a sound one.
    """
    told = report(dialect, stream, limit=limit)
    assert is_sound(told)
    assert report(dialect, drawn(stream, draw), limit=limit) == told
    assert report(dialect, bytewise(stream), limit=limit) == told


@given(
    dialects, st.binary(), st.sampled_from([EVENTS, JSON]), st.sampled_from([None, b"gzip", b"deflate", b"br", b"zstd"])
)
def test_any_bytes(dialect: Dialect, body: bytes, content_type: bytes, encoding: bytes | None) -> None:
    """
    Give a report that knows nothing, never an error.
    """
    told = report(dialect, body, content_type, encoding)
    assert told.source is Source.NONE
    assert report(dialect, bytewise(body), content_type, encoding) == told


@given(
    dialects,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda below: st.lists(below) | st.dictionaries(st.sampled_from(["usage", "error", "choices", "id"]), below),
        max_leaves=12,
    ),
    st.sampled_from(["response", "message", "usage", "error", "choices", "delta", "type", "model", "status"]),
)
def test_any_json(dialect: Dialect, value: object, key: str) -> None:
    """
    In the place of any field of a body or an event.
    """
    for told in (
        {key: value},
        {"type": "response.completed", key: value},
        {"type": "message_start", "message": {key: value}},
        {"type": "message_delta", key: value, "usage": {"output_tokens": value}},
        {"type": "response.failed", "response": {key: value}},
        {"choices": [{"finish_reason": "stop", key: value}]},
    ):
        assert is_sound(report(dialect, compact(told), JSON))
        assert is_sound(report(dialect, data(told)))


@given(dialects, st.data())
def test_any_chunking_of_a_body(dialect: Dialect, draw: st.DataObject) -> None:
    """
    Gives the same report; half a body gives none.
    """
    body = BODIES[dialect]
    told = report(dialect, body, JSON)
    assert (told.source, told.complete) == (Source.PROVIDER, True)
    assert report(dialect, drawn(body, draw), JSON) == told
    half = body[: draw.draw(st.integers(1, len(body) - 1))]
    told = report(dialect, drawn(half, draw), JSON)
    assert told == Report()
    assert told.text <= len(half)


# -- limits ------------------------------------------------------------------------------------------------------


LARGE = {"x": [{"a": "b" * 999, "usage": [7]}] * 6000}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("encoding", ["identity", "gzip", "br", "zstd"])
def test_a_body_of_any_size(dialect: Dialect, encoding: str) -> None:
    """
    Is read, and not held; so is an event.
    """
    for body, content_type in ((BODIES[dialect], JSON), (STREAMS[dialect], EVENTS)):
        told = report(dialect, body, content_type)
        end = body.rindex(b"}") if content_type is JSON else body.rindex(b"data:")
        filler = compact(LARGE)[1:-1]
        large = (
            body[:end] + b"," + filler + body[end:]
            if content_type is JSON
            else body[:end] + b"data: {" + filler + b"}\n\n" + body[end:]
        )
        name, encode = ENCODED[encoding]
        encoded = encode(large)
        assert report(dialect, cut(encoded, range(0, len(encoded), 65536)), content_type, name) == told


def test_bodies_of_which_too_much_would_be_kept() -> None:
    """
    Say so.
    """
    assert report(Dialect.CHAT, compact({"usage": [7] * 99999}), JSON).unread is Unread.TOO_LARGE


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"\xff\xfe", b"{}{}"])
def test_bodies_that_are_none(body: bytes) -> None:
    """
    Are broken, but for one that is empty, as the answer to HEAD is.
    """
    assert report(Dialect.CHAT, body, JSON) == Report(unread=Unread.BROKEN if body else None)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("content_type", [EVENTS, JSON])
@pytest.mark.parametrize("encoding", [None, b"gzip"])
def test_memory_is_bounded(dialect: Dialect, content_type: bytes, encoding: bytes | None) -> None:
    """
    Whatever comes, in however small pieces: a body without end, an event without end, events that always tell.
    """
    limit = 10000
    usage = data(chunk({}, usage=CHAT_USAGE))
    for piece in (b"x" * 100, usage, named(message_delta(None, output_tokens=1)), b": ping\n\n", b"\n", b"xy"):
        reader = reader_for(dialect, content_type, encoding, limit=limit)
        assert reader is not None
        made = zlib.compressobj(wbits=31)
        pieces = [
            made.compress(piece) + made.flush(zlib.Z_SYNC_FLUSH) if encoding else piece for _ in range(limit // 10)
        ]
        reader.feed(pieces[0])
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for part in pieces[1:]:
            reader.feed(part)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert grown < 2 * limit


def test_what_follows_an_encoded_body_is_not_kept() -> None:
    """
    However much it is.
    """
    reader = reader_for(Dialect.CHAT, JSON, b"gzip")
    assert reader is not None
    reader.feed(gzip.compress(b"{}"))
    tracemalloc.start()
    for _ in range(1000):
        reader.feed(b"x" * 1000)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 10000


# -- encodings ---------------------------------------------------------------------------------------------------


def gzipped(body: bytes) -> bytes:
    """
    Without the time.
    """
    return gzip.compress(body, mtime=0)


def brotlied(body: bytes) -> bytes:
    """
    As it is sent by those who have little time.
    """
    return bytes(brotli.compress(body, quality=2))


def raw_deflate(body: bytes) -> bytes:
    """
    As some send it that call it ``deflate``.
    """
    made = zlib.compressobj(wbits=-15)
    return made.compress(body) + made.flush()


ENCODED: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzipped),
    "upper case": (b" GZIP ", gzipped),
    "x-gzip": (b"x-gzip", gzipped),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
    "br": (b"br", brotlied),
    "zstd": (b"zstd", zstandard.compress),
    "two": (b"gzip, zstd", lambda body: zstandard.compress(gzipped(body))),
    "identity": (b"identity", bytes),
    "empty": (b"", bytes),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_encodings_that_are_undone(dialect: Dialect, name: str) -> None:
    """
    Give the report of what was encoded, whole or byte by byte, also where bytes follow that belong to nothing.
    """
    encoding, encode = ENCODED[name]
    for content_type, body in ((EVENTS, STREAMS[dialect]), (JSON, BODIES[dialect])):
        told = report(dialect, body, content_type)
        encoded = encode(body)
        assert told.source is Source.PROVIDER
        assert report(dialect, encoded, content_type, encoding) == told
        assert report(dialect, bytewise(encoded), content_type, encoding) == told
        if encode is not bytes and encode is not brotlied:
            assert report(dialect, [encoded, *[b"\0" * 9] * 9], content_type, encoding) == told


@pytest.mark.parametrize("encoding", [b"compress", b"gzip, dcz", b"gzip, br, zstd, gzip", b"unheard-of"])
@pytest.mark.parametrize("content_type", [EVENTS, JSON])
def test_encodings_that_are_not(encoding: bytes, content_type: bytes) -> None:
    """
    Give a report that says so, and how much there was.
    """
    told = report(Dialect.CHAT, [CHAT_STREAM] * 3, content_type, encoding)
    assert (told, told.text) == (Report(unread=Unread.ENCODED), 3 * len(CHAT_STREAM))


@given(dialects, st.data())
def test_any_chunking_of_what_is_encoded(dialect: Dialect, draw: st.DataObject) -> None:
    """
    Gives the same report, and so it does where it is broken off.
    """
    encoding, encode = draw.draw(st.sampled_from(list(ENCODED.values())))
    encoded = encode(STREAMS[dialect])
    encoded = encoded[: draw.draw(st.integers(0, len(encoded)))]
    assert report(dialect, drawn(encoded, draw), EVENTS, encoding) == report(dialect, encoded, EVENTS, encoding)


def test_events_are_read_as_they_come() -> None:
    """
    Where each is flushed on its own, as those do who send encoded streams.
    """
    made = zlib.compressobj(wbits=31)
    pieces = [
        made.compress(event + b"\n\n") + made.flush(zlib.Z_SYNC_FLUSH)
        for event in RESPONSES_STREAM.removesuffix(b"\n\n").split(b"\n\n")
    ]
    told = report(Dialect.RESPONSES, pieces[:-1], EVENTS, b"gzip")
    assert (told.id, told.pieces, told.complete) == ("resp_68a1", 2, False)
    told = report(Dialect.RESPONSES, pieces, EVENTS, b"gzip")
    assert (told.complete, told.source) == (True, Source.PROVIDER)


@pytest.mark.parametrize("content_type", [EVENTS, JSON])
def test_an_encoding_that_is_broken(content_type: bytes) -> None:
    """
    Gives a report that says so, and nothing else: what came out before depends on how it was cut.
    """
    encoded = bytearray(gzip.compress(CHAT_STREAM, 0))
    encoded[-8] ^= 1  # of the checksum
    for pieces in ([bytes(encoded)], bytewise(bytes(encoded)), [b"plain text after all"]):
        assert report(Dialect.CHAT, pieces, content_type, b"gzip") == Report(unread=Unread.BROKEN)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("content_type", [EVENTS, JSON])
def test_bombs(encoding: str, content_type: bytes) -> None:
    """
    Are undone up to a bound and no further, in steps of which each is small; what was told before it is kept.
    """
    name, encode = ENCODED[encoding]
    body = CHAT_STREAM + b": " if content_type is EVENTS else b'{"id":"a","x":"'
    told = report(Dialect.CHAT, encode(body + bytes(3 * FREE)), content_type, name)
    assert told.unread is Unread.TOO_LARGE
    assert told.complete is (content_type is EVENTS)


def test_a_piece_that_stands_for_much_is_read_step_by_step() -> None:
    """
    Whoever feeds it knows that there is more to do; a client that leaves before that is done leaves something unread.
    """
    reader = reader_for(Dialect.CHAT, EVENTS, b"gzip")
    assert reader is not None
    assert reader.feed(gzip.compress(CHAT_STREAM + b":" * 1000000))
    assert reader.go_on()
    told = reader.end()
    assert (told.usage is not None, told.unread) == (True, Unread.BEHIND)


# -- the simulated provider --------------------------------------------------------------------------------------

FORMS = {Dialect.CHAT: CHAT, Dialect.RESPONSES: RESPONSES, Dialect.MESSAGES: MESSAGES}
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
ASKS: dict[Dialect, dict[str, object]] = {
    Dialect.CHAT: {
        "messages": [{"role": "user", "content": "Hi"}],
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": TOOL}],
    },
    Dialect.RESPONSES: {"input": "Hi", "tools": [{"type": "function", **TOOL}]},
    Dialect.MESSAGES: {
        "max_tokens": 500,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"name": "weather", "input_schema": TOOL["parameters"]}],
        "thinking": {"type": "enabled", "budget_tokens": 100},
    },
}


def answered(dialect: Dialect, **others: object) -> Sequence[bytes]:
    """
    What the simulated provider answers.
    """
    form: Form = FORMS[dialect]
    body = json.dumps({"model": "demo", **ASKS[dialect], **others}).encode()
    return list(plan(form, body, [], Stamp(1, 1793491200)).chunks)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_tells_what_a_body_tells(dialect: Dialect) -> None:
    """
    The same answer costs the same in both forms.
    """
    stream = report(dialect, answered(dialect, stream=True))
    body = report(dialect, answered(dialect), JSON)
    assert stream.usage is not None and stream.usage.total > 0
    assert stream.source is body.source is Source.PROVIDER
    assert stream.complete and body.complete
    assert (stream.usage, stream.stop, stream.id, stream.model) == (body.usage, body.stop, body.id, body.model)
    assert stream.pieces > 0


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", ["demo-error-event", "demo-dies"])
def test_a_stream_that_fails(dialect: Dialect, model: str) -> None:
    """
    Is not complete, and tells its error if it sends one.
    """
    told = report(dialect, answered(dialect, stream=True, model=model))
    assert not told.complete
    assert told.source in (Source.PARTIAL, Source.NONE)
    assert bool(told.error) is (model == "demo-error-event")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refusal(dialect: Dialect) -> None:
    """
    Tells its error and costs nothing.
    """
    told = report(dialect, answered(dialect, model="demo-429"), JSON)
    assert told == Report(error="rate_limit_error" if dialect is Dialect.MESSAGES else "requests")
