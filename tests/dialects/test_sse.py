"""
Where a stream of server-sent events can take another one.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.sse import Boundary

pieces = st.lists(
    st.sampled_from(
        [
            b"",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"\r\n\r\n",
            b"\r\r",
            b"data: x",
            b"event: error",
            b": ping",
            b"x",
            b"\xff",
        ]
    )
    | st.binary(max_size=5),
    max_size=12,
)


def between(chunks: list[bytes]) -> bool:
    """
    What the boundary says after these chunks.
    """
    boundary = Boundary()
    for chunk in chunks:
        boundary.passed(chunk)
    return bool(boundary)


def is_complete(stream: bytes) -> bool:
    """
    Whether every event of a stream is over: read as the standard reads it, character by character.
    """
    lines = [b""]
    index = 0
    while index < len(stream):
        if stream[index : index + 2] == b"\r\n":
            index += 1
        if stream[index : index + 1] in (b"\r", b"\n"):
            lines.append(b"")
        else:
            lines[-1] += stream[index : index + 1]
        index += 1
    return lines[-1] == b"" and (len(lines) == 1 or lines[-2] == b"")


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"data: {}\n\n",
        b"event: message_start\ndata: {}\n\n",
        b"data: {}\r\n\r\n",
        b"data: {}\r\r",
        b": OPENROUTER PROCESSING\n\n",
        b"data: a\n\ndata: b\n\n\n\n",
        b"\n",
        b"\n\n",
    ],
)
def test_between_events(stream: bytes) -> None:
    """
    At the start, and after each blank line.
    """
    assert between([stream])


@pytest.mark.parametrize(
    "stream",
    [
        b"d",
        b"data: {}",
        b"data: {}\n",
        b"data: {}\r\n",
        b"data: {}\r\n\r",
        b"event: error\ndata: {}\n",
        b"data: {}\n\ndata",
        b"data: {}\n\n: ping",
        b"data: \\n\\n",
        b"data: \n \n",
    ],
)
def test_within_an_event(stream: bytes) -> None:
    """
    In a line, after the first of two line ends, in a comment.
    """
    assert not between([stream])


def test_nothing_changes_nothing() -> None:
    """
    An empty chunk is no event.
    """
    assert between([b"data: {}\n\n", b""])
    assert not between([b"data: {}\n", b""])


@given(pieces, st.data())
def test_any_chunking_gives_the_same_answer(chunks: list[bytes], data: st.DataObject) -> None:
    """
    The segments in which a stream comes say nothing about its events.
    """
    stream = b"".join(chunks)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    recut = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert between(chunks) == between(recut) == between([stream])


@given(pieces)
def test_never_within_an_event(chunks: list[bytes]) -> None:
    """
    Where it says so, a reader has every event that came before, whatever line ends were mixed.
    """
    if between(chunks):
        assert is_complete(b"".join(chunks))


@given(
    st.lists(st.binary().map(lambda line: line.translate(None, b"\r\n")), min_size=1),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_after_every_event(lines: list[bytes], end: bytes) -> None:
    """
    A stream that keeps to one line end, as all do, is between two events whenever one is over.
    """
    event = b"".join(b"data: " + line + end for line in lines)
    assert between([event, end])
    assert not between([event])
