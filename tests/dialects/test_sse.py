"""
Where a stream of server-sent events can take another one, and which events it has.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.sse import Boundary, Events, Memory, boundary_of, fields, split

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


# -- events ------------------------------------------------------------------------------------------------------

LIMIT = 12

fragments = st.lists(
    st.sampled_from([b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"data: x", b": ping", b"x" * LIMIT, b"\xef\xbb\xbf"])
    | st.binary(max_size=3),
    max_size=14,
)


class Found:
    """
    What is found in a stream: its events in their order, those that are large with a mark.
    """

    def __init__(self, limit: int = 1000, memory: Memory | None = None) -> None:
        self.all: list[bytes] = []
        self.memory = Memory() if memory is None else memory
        self.events = Events(limit, self, self.memory)
        self._large: list[bytes] = []

    def take(self, block: bytes) -> None:
        """
        Whole events.
        """
        assert not block or block.endswith(b"\n\n")
        self.all += split(block)

    def take_large(self, piece: bytes) -> None:
        """
        A piece of a large one.
        """
        self._large.append(piece)

    def end_large(self) -> None:
        """
        It is over.
        """
        self.all.append(LARGE + b"".join(self._large).strip(b"\n"))
        self._large.clear()

    def of(self, chunks: list[bytes]) -> list[bytes]:
        """
        All of a stream.
        """
        for chunk in chunks:
            self.take(self.events.take(chunk))
        self.all += split(self.events.rest())
        return self.all


LARGE = b"LARGE "


def events_of(chunks: list[bytes], limit: int = 1000) -> list[bytes]:
    """
    The events of a stream, the unfinished one at its end included.
    """
    return Found(limit).of(chunks)


def as_the_standard_has_it(stream: bytes) -> list[bytes]:
    """
    The events of a stream, as lines without ends: read line by line.
    """
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    events: list[list[bytes]] = [[]]
    for line in lines:
        if line:
            events[-1].append(line)
        elif events[-1]:
            events.append([])
    return [b"\n".join(event) for event in events if event]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: a\n\ndata: b\n\n", [b"data: a", b"data: b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a", b"data: b"]),
        (b"data: a\r\rdata: b\r\r", [b"data: a", b"data: b"]),
        (b"event: e\ndata: a\n\n", [b"event: e\ndata: a"]),
        (b"event: e\r\ndata: a\r\n\r\n", [b"event: e\ndata: a"]),
        (b": ping\n\n\n\ndata: a\n\n", [b": ping", b"data: a"]),
        (b"\n\n\ndata: a\n\n", [b"data: a"]),
        (b"data: a\n\ndata: b", [b"data: a", b"data: b"]),
        (b"data: a\n\ndata: b\n", [b"data: a", b"data: b"]),
    ],
)
def test_events(stream: bytes, events: list[bytes]) -> None:
    """
    Of all line ends, with any number of blank lines between them, the last one also without its blank line.
    """
    assert events_of([stream]) == events
    assert events_of([stream[at : at + 1] for at in range(len(stream))]) == events


@given(fragments, st.data())
def test_any_chunking_gives_the_same_events(chunks: list[bytes], data: st.DataObject) -> None:
    """
    And leaves the same ones out.
    """
    stream = b"".join(chunks)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    recut = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    bytewise = [stream[at : at + 1] for at in range(len(stream))]
    assert events_of(chunks, LIMIT) == events_of([stream], LIMIT) == events_of(recut, LIMIT)
    assert events_of(bytewise, LIMIT) == events_of([stream], LIMIT)


@given(fragments)
def test_events_are_those_of_the_standard(chunks: list[bytes]) -> None:
    """
    Those that are too large among them, which are given in pieces.
    """
    all_of_them = as_the_standard_has_it(b"".join(chunks))
    marked = [event if len(event) <= LIMIT else LARGE + event for event in all_of_them]
    assert events_of([b"".join(chunks)], LIMIT) == marked
    assert events_of(chunks, LIMIT) == marked


@given(fragments)
def test_events_when_memory_is_full(chunks: list[bytes]) -> None:
    """
    Are the same; those that would have to be held are given in pieces.
    """
    all_of_them = as_the_standard_has_it(b"".join(chunks))
    found = Found(LIMIT, Memory(0)).of([byte for chunk in chunks for byte in (chunk[:1], chunk[1:])])
    assert [event.removeprefix(LARGE) for event in found] == all_of_them


def test_an_event_is_given_as_soon_as_it_is_over() -> None:
    """
    With the last byte of its blank line, and not a byte earlier.
    """
    events = Found().events
    assert events.take(b"data: a\n") == b""
    assert events.take(b"") == b""
    assert events.take(b"\ndata: b\n\nda") == b"data: a\n\ndata: b\n\n"
    assert events.take(b"ta: c\r\n") == b""
    assert events.take(b"\r") == b"data: c\n\n"
    assert events.take(b"\n") == b""
    assert events.rest() == b""


def test_a_whole_segment_is_not_copied() -> None:
    """
    Most segments are whole events; those go through as they are.
    """
    segment = b"data: a\n\n" * 3
    assert Found().events.take(segment) is segment


def test_memory_is_bounded() -> None:
    """
    Of an event that does not end, no more is held than the limit; what comes after it is given.
    """
    found = Found()
    for _ in range(10000):
        assert found.events.take(b"data: endless, ") == b""
        assert found.memory.held <= 1001
        found._large.clear()
    assert found.events.take(b"\n") == b""
    assert found.events.take(b"\ndata: next\n\n") == b"data: next\n\n"
    assert found.all == [LARGE]


def test_memory_of_many_streams_is_bounded_in_sum() -> None:
    """
    However many of them have an event that does not end, and it is given back with each that does.
    """
    memory = Memory(10000)
    streams = [Found(1000, memory) for _ in range(100)]
    for stream in streams:
        for _ in range(9):
            stream.take(stream.events.take(b"x" * 100))
    assert memory.held <= 11000
    for stream in streams:
        assert [event.removeprefix(LARGE) for event in stream.of([b"\n\n"])] == [b"x" * 900]
    assert memory.held == 0


def test_a_large_event_can_be_cut_anywhere() -> None:
    """
    Between the two line ends of its blank line as well.
    """
    large = b"data: " + b"x" * 1000
    expected = [b"data: a", LARGE + large, b"data: b"]
    for chunks in (
        [large + b"\n", b"\n"],
        [large, b"\n\n"],
        [large + b"\n\n"],
        [large[:9], large[9:], b"\n", b"", b"\n"],
    ):
        assert events_of([b"data: a\n\n", *chunks, b"data: b\n\n"], LIMIT) == expected


def test_a_large_event_within_a_segment_comes_in_its_place() -> None:
    """
    Behind those before it, and before those behind it.
    """
    large = b"data: " + b"x" * 1000
    assert events_of([b"data: a\n\n" + large + b"\n\ndata: b\n\n"]) == [b"data: a", LARGE + large, b"data: b"]


def test_the_largest_event() -> None:
    """
    Is as large as the limit, without its blank line.
    """
    event = b"data: 678901"
    assert len(event) == LIMIT
    for end in (b"\n\n", b"\n", b""):
        assert events_of([event, end], LIMIT) == [event]
        assert events_of([event, b"2", end], LIMIT) == [LARGE + event + b"2"]


@pytest.mark.parametrize(
    ("event", "read"),
    [
        (b"data: a", (b"", b"a")),
        (b"data:a", (b"", b"a")),
        (b"data:  a ", (b"", b" a ")),
        (b"data", (b"", b"")),
        (b"data: a\ndata: b", (b"", b"a\nb")),
        (b"event: e\ndata: a\nid: 7\nretry: 3", (b"e", b"a")),
        (b"data: a\nevent:e", (b"e", b"a")),
        (b"event: d\nevent: e", (b"e", b"")),
        (b": data: a", (b"", b"")),
        (b":\ndata: a: b", (b"", b"a: b")),
        (b"\xef\xbb\xbfdata: a", (b"", b"a")),
        (b"Data: a\n data: b\nevents: c", (b"", b"")),
        (b"", (b"", b"")),
    ],
)
def test_fields(event: bytes, read: tuple[bytes, bytes]) -> None:
    """
    The name and the data; comments, other fields and those that are only alike do not count.
    """
    assert fields(event) == read


@given(st.binary())
def test_fields_of_any_bytes(event: bytes) -> None:
    """
    They give something, never an error.
    """
    name, data = fields(event)
    assert isinstance(name, bytes) and isinstance(data, bytes)


@pytest.mark.parametrize(
    ("content_type", "encoding", "has_one"),
    [
        (b"text/event-stream", b"", True),
        (b"Text/Event-Stream; charset=utf-8", b"", True),
        (b"text/event-stream", b"gzip", False),
        (b"application/json", b"", False),
        (b"", b"", False),
    ],
)
def test_boundary_of(content_type: bytes, encoding: bytes, has_one: bool) -> None:
    """
    Nothing can be added to what is encoded, or is something else.
    """
    assert (boundary_of(content_type, encoding) is not None) is has_one
