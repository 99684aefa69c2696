"""
Response heads and framing: what is taken, what is refused, and that segments make no difference.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from httptools import HttpParserError, HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from aibridge.errors import UpstreamReset, UpstreamTruncated, UpstreamViolation
from aibridge.wire.response import (
    CHUNKED,
    COUNTED,
    ENDED,
    FAULTY,
    HEAD,
    MOST_INTERIM,
    UNTIL_CLOSE,
    ResponseReader,
)
from upstream_faults import CLOSE, FAULTS, HANG, RESET, SETTINGS, Fault

OK = b"HTTP/1.1 200 OK\r\n"
MAX_HEAD: int = SETTINGS["max_response_head"]

Outcome = tuple[int, int, bytes, list[tuple[bytes, bytes]], bytes, bool, bool, bool]


def read(segments: list[bytes], *, to_head: bool = False, max_head: int = MAX_HEAD) -> tuple[ResponseReader, bytes]:
    """
    A reader that has been fed, and the body it gave.
    """
    reader = ResponseReader(max_head)
    reader.begin(to_head=to_head)
    body = b"".join([reader.feed(segment) for segment in segments])
    return reader, body


def outcome(segments: list[bytes], *, to_head: bool = False) -> Outcome:
    """
    Everything that callers can see of a response.
    """
    reader, body = read(segments, to_head=to_head)
    pairs = reader.pairs if reader.code else []
    phrase = reader.phrase if reader.code else b""
    return reader.phase, reader.code, phrase, pairs, body, reader.keeps_alive, reader.surplus, bool(reader.fault)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """
    `stream` in segments.
    """
    marks = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(marks) if end > start]


def stream_of(fault: Fault) -> bytes:
    """
    The bytes of a fault, whatever the time between them.
    """
    return b"".join(step for step in fault.steps if isinstance(step, bytes))


SPOKEN = [fault for fault in FAULTS if stream_of(fault)]


# -- heads -------------------------------------------------------------------------------------------------------


def test_head() -> None:
    """
    Status, reason and fields are as they came, in their order, without the white space around values.
    """
    reader, body = read([OK + b"Server: x \t\r\nset-cookie:a=1\r\nSet-Cookie: \t b=2\r\nContent-Length: 3\r\n\r\nabc"])
    assert (reader.code, reader.phrase, reader.minor, reader.length) == (200, b"OK", 1, 3)
    assert reader.pairs == [
        (b"Server", b"x"),
        (b"set-cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"Content-Length", b"3"),
    ]
    assert (reader.phase, body, reader.keeps_alive, reader.surplus) == (ENDED, b"abc", True, False)


@pytest.mark.parametrize(
    ("fields", "phase", "length"),
    [
        (b"Content-Length: 3\r\n", COUNTED, 3),
        (b"Content-Length: 0\r\n", ENDED, 0),
        (b"Content-Length: 00\r\n", ENDED, 0),
        (b"Transfer-Encoding: chunked\r\n", CHUNKED, None),
        (b"", UNTIL_CLOSE, None),
    ],
)
def test_framing(fields: bytes, phase: int, length: int | None) -> None:
    """
    The end of the body is where RFC 9112, 6.3 says.
    """
    reader, body = read([OK + fields + b"\r\n"])
    assert (reader.phase, reader.length, body) == (phase, length, b"")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("fields", [b"", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_no_body(status: bytes, fields: bytes) -> None:
    """
    204 and 304 have no body, whatever their heads say.
    """
    reader, _ = read([b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n"])
    assert (reader.phase, reader.length, reader.keeps_alive) == (ENDED, 0, True)


@pytest.mark.parametrize("fields", [b"", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_no_body_to_head(fields: bytes) -> None:
    """
    The answer to a HEAD has no body either.
    """
    reader, _ = read([OK + fields + b"\r\n"], to_head=True)
    assert (reader.phase, reader.length) == (ENDED, 0)


@pytest.mark.parametrize(
    ("version", "fields", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: Close\r\n", False),
        (b"1.1", b"Connection: x, close , y\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\n", True),
        (b"1.1", b"Connection: closed\r\n", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"Connection: Keep-Alive, close\r\n", False),
    ],
)
def test_keeps_alive(version: bytes, fields: bytes, keeps: bool) -> None:
    """
    A connection goes on as RFC 9112, 9.3 says.
    """
    reader, _ = read([b"HTTP/" + version + b" 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n"])
    assert reader.keeps_alive is keeps


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5),
        (b"timeout=5, max=100", 5),
        (b"max=100, Timeout=5", 5),
        (b"max=100", None),
        (b"timeout=x", None),
        (b"timeout=-5", None),
        (b"notimeout=5", None),
        (b"timeout=9999999999999", None),
    ],
)
def test_keep_for(value: bytes, seconds: int | None) -> None:
    """
    A provider may say how long it keeps an idle connection; what cannot be understood says nothing.
    """
    reader, _ = read([OK + b"Content-Length: 0\r\nKeep-Alive: " + value + b"\r\n\r\n"])
    assert reader.keep_for == seconds


def test_begins_anew() -> None:
    """
    Nothing of one response is left in the next.
    """
    reader, _ = read([OK + b"Connection: close\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\n\r\nabcd"])
    assert (reader.surplus, reader.keeps_alive, reader.keep_for) == (True, False, 5)
    reader.begin()
    assert (reader.phase, reader.code, reader.touched, reader.surplus) == (HEAD, 0, False, False)
    assert reader.feed(b"HTTP/1.1 404 Gone\r\nContent-Length: 1\r\n\r\nx") == b"x"
    assert (reader.phase, reader.code, reader.keeps_alive, reader.keep_for) == (ENDED, 404, True, None)


def test_touched() -> None:
    """
    The first byte of a response is known from none.
    """
    reader = ResponseReader(MAX_HEAD)
    assert not reader.touched
    reader.feed(b"H")
    assert reader.touched


def test_stopped() -> None:
    """
    A reader that was stopped in the middle can begin again.
    """
    reader, _ = read([OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe"])
    reader.stop()
    reader.begin()
    assert reader.feed(OK + b"Content-Length: 1\r\n\r\nx") == b"x"


# -- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("size", [1, 7, 100000])
def test_largest_head(more: int, size: int) -> None:
    """
    A head of exactly the most bytes is taken, one of a byte more is not, in segments of any size.
    """
    start = OK + b"Content-Length: 0\r\nA: "
    head = start + b"x" * (MAX_HEAD + more - len(start) - 4) + b"\r\n\r\n"
    reader, _ = read([head[place : place + size] for place in range(0, len(head), size)])
    assert reader.phase == (FAULTY if more > 0 else ENDED)


def test_interim_heads_count() -> None:
    """
    What interim responses take of the head's limit is gone.
    """
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % (b"x" * 1000)
    final = OK + b"Content-Length: 0\r\nA: %b\r\n\r\n" % (b"x" * 1000)
    assert read([interim * 2 + final])[0].phase == ENDED
    assert read([interim * 3 + final])[0].phase == FAULTY


@pytest.mark.parametrize("count", [MOST_INTERIM, MOST_INTERIM + 1])
def test_most_interim(count: int) -> None:
    """
    Interim responses are dropped, up to a number.
    """
    reader, body = read([b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * count + OK + b"Content-Length: 1\r\n\r\nx"])
    if count > MOST_INTERIM:
        assert reader.phase == FAULTY
    else:
        assert (reader.phase, reader.pairs, body) == (ENDED, [(b"Content-Length", b"1")], b"x")


@pytest.mark.parametrize("garbage", [b"S", b"\r", b"\0", b"HTTP/2", b"HTTP/1.1 2x", b"HTTP/1.1 200 OK\r\nA b"])
def test_refused_at_once(garbage: bytes) -> None:
    """
    What cannot become a response is refused with its first wrong byte, not when the time for the head is up.
    """
    assert read([garbage])[0].phase == FAULTY


def test_chunks_of_one_segment_are_one_piece() -> None:
    """
    Chunks that came together are passed on together.
    """
    reader, body = read([OK + b"Transfer-Encoding: chunked\r\n\r\n"])
    assert reader.feed(b"2\r\nab\r\n3\r\ncde\r\n1\r\nf") == b"abcdef"
    assert reader.feed(b"\r\n0\r\n\r\n") == b""
    assert (reader.phase, body) == (ENDED, b"")


def test_trailers_are_dropped() -> None:
    """
    Trailers are not among the fields.
    """
    reader, _ = read([OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nAuthorization: x\r\n\r\n"])
    assert (reader.phase, reader.pairs) == (ENDED, [(b"Transfer-Encoding", b"chunked")])


def test_quiet_chunks_are_bounded_between_pieces_only() -> None:
    """
    Any number of extensions is taken as long as a body comes along with them.
    """
    reader, _ = read([OK + b"Transfer-Encoding: chunked\r\n\r\n"])
    for _ in range(20):
        assert reader.feed(b"1;" + b"x" * (MAX_HEAD // 2) + b"\r\ny\r\n") == b"y"
    assert reader.phase == CHUNKED


def test_segments_after_the_end() -> None:
    """
    Nothing that comes after the end, or after a fault, is taken for a body.
    """
    reader, _ = read([OK + b"Content-Length: 0\r\n\r\n"])
    assert (reader.feed(b"x"), reader.surplus) == (b"", True)
    reader, _ = read([b"nonsense"])
    assert (reader.feed(b"x"), reader.phase) == (b"", FAULTY)


# -- the table of faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", SPOKEN, ids=lambda fault: fault.name)
def test_fault(fault: Fault) -> None:
    """
    What a provider said is understood as far as it can be.
    """
    steps = [step for step in fault.steps if isinstance(step, bytes)]
    reader, body = read(steps, to_head=fault.method == b"HEAD")
    assert body == fault.body
    if fault.error is UpstreamViolation:
        assert (reader.phase, bool(reader.fault)) == (FAULTY, True)
    elif fault.error is UpstreamReset:
        assert reader.phase == HEAD
    elif fault.error is UpstreamTruncated:
        assert reader.phase in (COUNTED, CHUNKED, UNTIL_CLOSE)
    elif fault.error is None:
        assert reader.phase in (ENDED, UNTIL_CLOSE)
        if not any(step in (CLOSE, RESET, HANG) for step in fault.steps):
            assert (reader.keeps_alive and not reader.surplus) is fault.keeps


@given(fault=st.sampled_from(SPOKEN), places=st.lists(st.integers(0, 10000), max_size=12))
def test_any_segments(fault: Fault, places: list[int]) -> None:
    """
    Where a stream was cut makes no difference, whether it is a good one or not.
    """
    stream = stream_of(fault)
    if fault.name.endswith("without end"):
        # The segments of trailers are what is counted there.
        stream = stream[:3000]
    to_head = fault.method == b"HEAD"
    assert outcome(cut(stream, places), to_head=to_head) == outcome([stream], to_head=to_head)


@given(
    fault=st.sampled_from(SPOKEN),
    place=st.integers(0, 400),
    put=st.binary(max_size=3),
    drop=st.integers(0, 3),
    places=st.lists(st.integers(0, 10000), max_size=6),
)
def test_any_mutation(fault: Fault, place: int, put: bytes, drop: int, places: list[int]) -> None:
    """
    Whatever comes, reading it raises nothing, and where it was cut makes no difference.
    """
    stream = stream_of(fault)[:3000]
    place %= len(stream) + 1
    stream = stream[:place] + put + stream[place + drop :]
    whole = outcome([stream])
    assert outcome(cut(stream, places)) == whole
    assert whole[1] == 0 or 200 <= whole[1] <= 599


# -- the parser as the judge -------------------------------------------------------------------------------------


class Judge:
    """
    What llhttp itself finds in a head.
    """

    def __init__(self, head: bytes) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.complete = False
        parser = HttpResponseParser(self)
        try:
            parser.feed_data(head)
        except HttpParserError:
            self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


NAMES = st.binary(max_size=8) | st.text("abcXYZ-_!#$%&'*+.^`|~09", max_size=8).map(str.encode)
VALUES = st.binary(max_size=12) | st.text('ab: \t"=,;/\x80é', max_size=12).map(lambda text: text.encode("latin-1"))
SPACES = st.sampled_from([b"", b" ", b"\t", b"  ", b" \t "])


@given(fields=st.lists(st.tuples(NAMES, SPACES, VALUES, SPACES), max_size=5))
def test_fields_are_the_parsers(fields: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    """
    The fields found in a head are those that the parser finds, whatever is in it.
    """
    lines = [name + b":" + before + value + after + b"\r\n" for name, before, value, after in fields]
    head = OK + b"".join(lines) + b"\r\n"
    head = head[: head.index(b"\r\n\r\n") + 4]
    judge = Judge(head)
    reader, _ = read([head])
    if reader.code:
        assert judge.complete
        assert reader.pairs == judge.pairs


@given(data=st.data())
def test_bodies_are_whole(data: Any) -> None:
    """
    Every body comes out as it went in: counted, in chunks, or up to the end of the connection.
    """
    pieces = data.draw(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
    body = b"".join(pieces)
    framing = data.draw(st.sampled_from(["counted", "chunked", "close"]))
    if framing == "counted":
        stream = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    elif framing == "chunked":
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        stream = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    else:
        stream = OK + b"\r\n" + body
    reader, got = read(cut(stream, data.draw(st.lists(st.integers(0, 10000), max_size=12))))
    assert got == body
    assert (reader.phase, reader.surplus) == (UNTIL_CLOSE if framing == "close" else ENDED, False)
