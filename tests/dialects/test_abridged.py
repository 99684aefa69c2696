"""
JSON without its long texts.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.abridged import INSTEAD, LEAST, LONG, abridged
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


def shortened(value: Any, written: Any) -> Any:
    """
    The same value, where all texts are left out that are written with more than `LONG` bytes.
    """
    if isinstance(value, str):
        return "\0" if len(written(value).encode()) - 1 > LONG else value
    if isinstance(value, list):
        return [shortened(one, written) for one in value]
    if isinstance(value, dict):
        return {shortened(name, written): shortened(one, written) for name, one in value.items()}
    return value


@given(values, st.booleans())
def test_the_rest_is_the_same(value: Any, ascii_only: bool) -> None:
    """
    Whatever the texts hold, and however they are escaped.
    """

    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    body = written({"filling": FILLING, "value": value}).encode()
    told = abridged(body)
    if told is not body:
        assert json.loads(told) == {"filling": "\0", "value": shortened(value, written)}


def test_a_small_body_is_left_as_it_is() -> None:
    """
    There is nothing to gain.
    """
    body = json.dumps({"text": "x" * (LEAST - 20)}).encode()
    assert abridged(body) is body


def test_no_long_text() -> None:
    """
    A body of many short ones is itself.
    """
    body = json.dumps(["x" * LONG for _ in range(10)]).encode()
    assert abridged(body.replace(b'x"', b'"')) == body.replace(b'x"', b'"')


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
