"""
Tests for `aibridge.wire.chunked`. More malformed bodies are in the corpus, tried on whole connections.
"""

from __future__ import annotations

import pytest
from httptools import HttpParserError, HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from aibridge.wire.chunked import LEAST_EACH, MOST_EXTRA, MOST_SMALL, ChunkedBody
from wire_corpus import CASES


def decoded(raw: bytes, step: int = 1 << 20) -> tuple[bytes, bytes, bool, bool]:
    """
    Body, what follows it, whether it ended, whether it is at fault.
    """
    body, told, rest = ChunkedBody(), b"", b""
    for start in range(0, len(raw), step):
        piece = raw[start : start + step]
        if body.ended or body.fault is not None:
            rest += piece
            continue
        part, behind = body.feed(piece)
        told += part
        rest += behind
    return told, b"" if body.fault else rest, body.ended, body.fault is not None


def encoded(chunks: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"


@given(chunks=st.lists(st.binary(max_size=50)), rest=st.binary(max_size=20), step=st.integers(1, 60))
def test_decoding_undoes_encoding(chunks: list[bytes], rest: bytes, step: int) -> None:
    """
    In segments of any size, and not a byte behind the end is taken.
    """
    assert decoded(encoded(chunks) + rest, step) == (b"".join(chunks), rest, True, False)


BODIES = [case.raw.partition(b"\r\n\r\n")[2] for case in CASES if case.name.startswith(("chunk:", "trailer:"))]


@given(
    raw=st.sampled_from([body for body in BODIES if len(body) < 1000]),
    flips=st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(b'\r\n\0 05af;:="x\x7f\x80')), max_size=3),
    step=st.integers(1, 20),
)
@example(raw=b"5\r\nabcdeX", flips=[], step=3)
def test_segments_make_no_difference(raw: bytes, flips: list[tuple[int, int]], step: int) -> None:
    """
    The same bytes give the same body, the same end and the same fault after the same body bytes, however wrong they
    are; and what is taken for whole is so for llhttp as well.
    """
    changed = bytearray(raw)
    for at, value in flips:
        changed[at % len(changed)] = value
    whole = decoded(bytes(changed))
    assert decoded(bytes(changed), step) == whole
    body, rest, ended, _ = whole
    if ended:
        assert judged(bytes(changed[: len(changed) - len(rest)])) == body


def judged(raw: bytes) -> bytes | None:
    """
    What llhttp alone takes for the body, or None if it is not whole for it.
    """

    class Pieces:
        def __init__(self) -> None:
            self.body = b""
            self.whole = False

        def on_body(self, piece: bytes) -> None:
            self.body += piece

        def on_message_complete(self) -> None:
            self.whole = True

    pieces = Pieces()
    try:
        HttpRequestParser(pieces).feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)
    except HttpParserError:
        return None
    return pieces.body if pieces.whole else None


def test_chunks_are_given_as_they_come() -> None:
    """
    Nobody waits for the end of a chunk.
    """
    body = ChunkedBody()
    assert body.feed(b"1") == (b"", b"")
    assert body.feed(b"0\r\nabc") == (b"abc", b"")
    assert body.feed(b"def") == (b"def", b"")
    assert not body.ended


def test_what_says_nothing_is_bounded_in_sum() -> None:
    """
    Extensions, zeros before a size, and trailers count together; sizes and line ends do not.
    """
    many = encoded([b"x"] * 5000)
    assert decoded(many) == (b"x" * 5000, b"", True, False)
    extended = b"1;" + b"e" * 100 + b"\r\nx\r\n"
    most = MOST_EXTRA // (len(b"1;" + b"e" * 100) - 16)
    assert decoded(extended * most + b"0\r\n\r\n")[2]
    assert decoded(extended * (most + 1) + b"0\r\n\r\n")[3]
    assert decoded(b"0\r\n" + b"X: y\r\n" * 600 + b"\r\n")[2]
    assert decoded(b"0\r\n" + b"X: y\r\n" * 700 + b"\r\n")[3]


def test_small_chunks_are_bounded_in_number() -> None:
    """
    So many whatever their size; more in a body that is large for their number.
    """
    for size, count, fault in (
        (1, MOST_SMALL - 1, False),
        (1, MOST_SMALL + 200, True),
        (LEAST_EACH, 2 * MOST_SMALL, False),
        (LEAST_EACH // 2, 3 * MOST_SMALL, True),
    ):
        assert decoded(encoded([b"x" * size] * count))[3] is fault, (size, count)


def test_in_portions() -> None:
    """
    So many lines and chunks at a time; what was not looked at is kept, and is looked at without more bytes.
    """
    body, raw = ChunkedBody(), encoded([b"x"] * 100)
    told, behind = body.feed(raw + b"next", 50)
    assert (told, behind, body.is_behind) == (b"x" * 25, b"", True)
    while body.is_behind:
        piece, behind = body.feed(b"", 50)
        told += piece
    assert (told, behind, body.ended) == (b"x" * 100, b"next", True)


@pytest.mark.parametrize(
    "endless", [b"0" * 100, b"1;" + b"a" * 100, b"0\r\n" + b"X: y\r\n" * 20, b"0\r\nX: " + b"a" * 99]
)
def test_nothing_is_kept_without_end(endless: bytes) -> None:
    """
    What goes on without an end of its line, or of its trailers, is at fault soon.
    """
    body = ChunkedBody()
    body.feed(endless)
    for _ in range(200):
        body.feed(endless[-6:] * 10)
    assert body.fault is not None
    assert body.fault.status == 400
