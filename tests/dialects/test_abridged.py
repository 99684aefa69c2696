"""
JSON without its long texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.abridged import FIRST_QUOTES, INSTEAD, LEAST, LONG, Abridged, abridged
from aibridge.dialects.facts import name_of
from aibridge.dialects.reading import UNKNOWN, error_of, word

FILLING = "x" * LEAST

texts = st.one_of(
    st.text(max_size=20),
    st.builds(lambda text, times: text * times, st.text('ab"\\\n€😀', min_size=1, max_size=8), st.integers(1, 3000)),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def is_left_of(told: Any, value: Any, written: Callable[[str], str], *, looks: bool) -> bool:
    """
    Whether `told` is the same value, but for its long texts: those that are written with more than `LONG` bytes. Of
    them nothing is left, or, if `looks` says that the rest need not have been looked for, the end, or all.

    :param told: with lists of pairs for objects, as two long names are one.
    """
    if isinstance(value, str):
        is_long = len(written(value).encode()) - 1 > LONG
        if looks or not is_long:
            return bool(told == ("\0" if is_long else value))
        return told == value or (told[:1] == "\0" and value.endswith(told[1:]))
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple):
        pairs = zip(told, value, strict=True)
        return all(is_left_of(one, other, written, looks=looks) for one, other in pairs)
    return bool(told == value)


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    """
    The same bytes, cut at some places.
    """
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in pairwise(places)]


def in_pieces(pieces: list[bytes]) -> bytes:
    """
    What is left of them.
    """
    looked = Abridged()
    for piece in pieces:
        looked.feed(piece)
    return looked.end()


CUTS = st.lists(st.integers(0, 10**6), max_size=8)


@given(values, st.booleans(), CUTS)
def test_the_rest_is_the_same(value: Any, ascii_only: bool, cuts: list[int]) -> None:
    """
    Whatever the texts hold, however they are escaped, and wherever they are cut.
    """

    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    whole = {"filling": FILLING, "value": value}
    body = written(whole).encode()
    told = in_pieces(pieces_of(body, cuts))
    assert len(told) < len(body)
    read = json.loads(told, object_pairs_hook=list)
    assert is_left_of(read, whole, written, looks=body.count(b'"') <= FIRST_QUOTES)


@given(st.text('ab"\\\n', max_size=60), st.integers(LONG - 40, LONG + 5), st.data())
def test_every_cut(text: str, size: int, data: Any) -> None:
    """
    In the middle of an escape, before a quote, one byte at a time.
    """
    body = json.dumps([FILLING, "x" * size + text, text]).encode()
    first = data.draw(st.integers(LEAST + size, len(body)))
    pieces = [body[:first], *(body[place : place + 1] for place in range(first, len(body)))]
    assert in_pieces(pieces) == abridged(body)


def test_a_small_body_is_left_as_it_is() -> None:
    """
    There is nothing to gain.
    """
    body = json.dumps({"text": "x" * (LEAST - 20)}).encode()
    assert abridged(body) == body
    assert abridged(b"") == in_pieces([]) == b""


def test_no_long_text() -> None:
    """
    A body of many short ones is itself.
    """
    body = json.dumps(["x" * (LONG - 2) for _ in range(10)]).encode()
    assert abridged(body) == body
    assert in_pieces(pieces_of(body, list(range(0, len(body), 1000)))) == body


def test_full_of_quotes() -> None:
    """
    Neither texts nor escaped quotes are counted to the end.
    """
    for value in ([""] * 100000, '"' * 100000, "\\" * 100001):
        body = json.dumps([value, FILLING]).encode()
        told = json.loads(abridged(body))
        assert told[0] in (value, "\0")


@pytest.mark.parametrize("slashes", range(8))
def test_backslashes_before_a_quote(slashes: int) -> None:
    """
    An even number of them escapes each other.
    """
    text = "x" * LONG + "\\" * slashes + '"' + "\\" * slashes
    body = json.dumps([text, FILLING, "end"]).encode()
    assert json.loads(abridged(body)) == ["\0", "\0", "end"]


@pytest.mark.parametrize("cut", [1, 2, LEAST // 2, LEAST + 5])
def test_cut_off(cut: int) -> None:
    """
    What is no JSON does not become any.
    """
    body = json.dumps({"a": FILLING, "b": FILLING, "c": 1}).encode()
    with pytest.raises(json.JSONDecodeError):
        json.loads(abridged(body[:-cut]))


def test_what_stands_for_a_text_tells_nothing() -> None:
    """
    It is no name and no word, but it is something: an error that is told in a long text is one.
    """
    told = json.loads(INSTEAD)
    assert (name_of(told), word(told)) == ("", "")
    assert error_of({"error": told}) == UNKNOWN


@pytest.mark.parametrize("count", [*range(40, 200), 5000])
def test_given_up_within_a_text(count: int) -> None:
    """
    What was let go of does not come back; the end of it makes no name.
    """
    text = "x" * (LONG + 1) + "gpt-4" + '"' * count
    body = json.dumps([FILLING, text, "", "end"]).encode()
    cut = body.index(b"gpt-4")
    told = json.loads(in_pieces([body[:cut], body[cut:]]))
    assert told[0] == "\0" and told[2:] == ["", "end"]
    assert told[1][0] == "\0" and text.endswith(told[1][1:]) and "gpt" not in told[1]
