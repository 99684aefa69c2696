"""
Undoing encodings step by step, one upon another, whatever the bytes are.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.decoding import FREE, MOST_PARTS, MOST_WINDOW, STEP, TooMuch, Undecodable, decoding_of
from answers import bytewise, cut


def gzipped(body: bytes) -> bytes:
    """
    Without the time.
    """
    return gzip.compress(body, mtime=0)


def raw_deflate(body: bytes) -> bytes:
    """
    As some send it that call it ``deflate``.
    """
    made = zlib.compressobj(wbits=-15)
    return made.compress(body) + made.flush()


def flushed(body: bytes) -> bytes:
    """
    zstd as it is sent by those who flush each piece, which does not know how long it will be.
    """
    made = zstandard.ZstdCompressor().compressobj()
    pieces = [made.compress(piece) + made.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for piece in cut(body, [9, 99])]
    return b"".join(pieces) + made.flush()


def brotlied(body: bytes) -> bytes:
    """
    Its stubs know any buffer.
    """
    return bytes(brotli.compress(body, quality=4))


WAYS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"X-GZip", gzip.compress),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
    "br": (b"br", brotlied),
    "zstd": (b"zstd", zstandard.compress),
    "zstd, flushed": (b" zstd ", flushed),
    "two": (b"gzip, br", lambda body: brotlied(gzipped(body))),
    "three": (b"zstd,identity,deflate , gzip", lambda body: gzipped(zlib.compress(zstandard.compress(body)))),
    "gzip members": (b"gzip", lambda body: b"".join(gzipped(piece) for piece in cut(body, [3, 7, 7]))),
    "zstd frames": (
        b"zstd",
        lambda body: b"".join(
            b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstandard.compress(piece) for piece in cut(body, [3, 7])
        ),
    ),
}


def undone(encoding: bytes, pieces: list[bytes]) -> bytes | None:
    """
    What comes out; None if that cannot be told.
    """
    decoding = decoding_of(encoding)
    assert decoding is not None
    out = []
    try:
        for piece in pieces:
            decoding.give(piece)
            while decoding.is_busy:
                step = decoding.run()
                assert len(step) <= 2 * STEP
                out.append(step)
    except (Undecodable, TooMuch):
        return None
    return b"".join(out)


@given(st.sampled_from(sorted(WAYS)), st.binary(max_size=300) | st.just(b"to be or " * 9000), st.data())
def test_every_way_back(way: str, body: bytes, draw: st.DataObject) -> None:
    """
    Whole or in any pieces, with garbage behind it or not.
    """
    encoding, encode = WAYS[way]
    encoded = encode(body)
    if not encoding.endswith(b"br"):
        encoded += draw.draw(st.sampled_from([b"", b"\0" * 9, b"garbage"]))
    assert undone(encoding, [encoded]) == body
    assert undone(encoding, cut(encoded, draw.draw(st.lists(st.integers(0, len(encoded)), max_size=5)))) == body
    if len(encoded) < 1000:
        assert undone(encoding, bytewise(encoded)) == body


@given(st.sampled_from(sorted(WAYS)), st.data())
def test_any_bytes(way: str, draw: st.DataObject) -> None:
    """
    Come back, or do not; nothing else happens.
    """
    encoding, encode = WAYS[way]
    encoded = bytearray(encode(b"to be or not to be"))
    for at in draw.draw(st.lists(st.integers(0, len(encoded) - 1), max_size=3)):
        encoded[at] = draw.draw(st.integers(0, 255))
    undone(encoding, [bytes(encoded) + draw.draw(st.binary())])


@pytest.mark.parametrize("encoding", [None, b"", b"identity", b" , identity"])
def test_nothing_to_undo(encoding: bytes | None) -> None:
    """
    Is no decoding.
    """
    assert decoding_of(encoding) is None


@pytest.mark.parametrize("encoding", [b"compress", b"gzip, dcb", b"gzip," * 3 + b"gzip", b"gzip;q=1", b"\xff"])
def test_what_cannot_be_undone(encoding: bytes) -> None:
    """
    Unknown ones, and too many.
    """
    with pytest.raises(Undecodable):
        decoding_of(encoding)


@pytest.mark.parametrize("way", ["gzip", "br", "zstd", "two"])
def test_what_comes_out_of_a_few_bytes_is_bounded(way: str) -> None:
    """
    In each step, and in all.
    """
    encoding, encode = WAYS[way]
    decoding = decoding_of(encoding)
    assert decoding is not None
    decoding.give(encode(bytes(FREE * 3)))
    out = 0
    with pytest.raises(TooMuch):
        while decoding.is_busy:
            out += len(decoding.run())
    assert FREE / 2 < out <= 201 * decoding.given + FREE


def test_zstd_that_wants_a_large_window() -> None:
    """
    Does not get it.
    """
    decoding = decoding_of(b"zstd")
    assert decoding is not None
    parameters = zstandard.ZstdCompressionParameters(window_log=(MOST_WINDOW * 2).bit_length() - 1)
    made = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    decoding.give(made.compress(b"a" * 1000) + made.flush())
    with pytest.raises(TooMuch):
        decoding.run()


def test_what_follows_brotli_is_an_error() -> None:
    """
    In whatever pieces it comes.
    """
    encoded = brotlied(b"to be") + b"garbage"
    assert undone(b"br", [encoded]) is None
    assert undone(b"br", bytewise(encoded)) is None


def test_many_members_are_undone_one_in_a_step() -> None:
    """
    As each costs as much as some thousand bytes.
    """
    for encoding, one in ((b"gzip", gzip.compress(b"")), (b"zstd", zstandard.compress(b""))):
        decoding = decoding_of(encoding)
        assert decoding is not None
        decoding.give(one * 1000)
        steps = 0
        while decoding.is_busy:
            decoding.run()
            steps += 1
        assert steps >= 1000


@pytest.mark.parametrize(
    ("encoding", "part"),
    [(b"gzip", gzipped(b"")), (b"zstd", zstandard.compress(b"")), (b"zstd", b"\x50\x2a\x4d\x18" + bytes(4))],
)
def test_parts_of_nothing(encoding: bytes, part: bytes) -> None:
    """
    Some are undone; of more, each of which takes a step for a few bytes, too many.
    """
    few, many = decoding_of(encoding), decoding_of(encoding)
    assert few is not None and many is not None
    few.give(part * 100)
    while few.is_busy:
        assert few.run() == b""
    many.give(part * (MOST_PARTS + 2))
    with pytest.raises(TooMuch):
        while many.is_busy:
            many.run()
