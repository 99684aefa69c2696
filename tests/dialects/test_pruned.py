"""
Keeping of JSON only what is asked for, however it is cut, and whatever else is in it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.parts import COUNTED, NOTHING, WHOLE, Part
from aibridge.dialects.pruned import INSTEAD, LONG, MOST_KEPT, Pruned
from aibridge.dialects.weight import BEGINNING, weight_of
from answers import bytewise, cut

INNER = Part({b"w": WHOLE, b"e": COUNTED}, COUNTED)
PART = Part({b"w": WHOLE, b"c": COUNTED, b"p": INNER, b"n": NOTHING})

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.sampled_from(["w", "c", "p", "n", "x", "é", '"']), below),
    max_leaves=20,
)


def fed(pieces: list[bytes], part: Part = PART) -> Pruned:
    """
    A reader that was given these.
    """
    pruned = Pruned(part)
    for piece in pieces:
        pruned.feed(piece)
    return pruned


def outcome(pieces: list[bytes]) -> tuple[bytes, int, bool]:
    """
    All that it can tell.
    """
    pruned = fed(pieces)
    return pruned.end(), pruned.text, pruned.is_over


def expected(value: Any, part: Part, in_list: bool = False) -> tuple[bool, Any]:
    """
    Whether something is kept of a value, and what: by a parser that has all of it.
    """
    if part is WHOLE:
        return True, value
    if part is COUNTED or part is NOTHING:
        return False, None
    if isinstance(value, dict):
        below = {
            key: expected(inner, part.fields.get(key.encode()) or part.rest or NOTHING) for key, inner in value.items()
        }
        return True, {key: inner for key, (kept, inner) in below.items() if kept}
    if isinstance(value, list):
        if in_list:
            return False, None
        return True, [inner for kept, inner in (expected(each, part, True) for each in value) if kept]
    return True, value


def texts(value: Any, part: Part, in_list: bool = False) -> int:
    """
    What the texts weigh that are counted in a value.
    """
    if part is COUNTED:
        if isinstance(value, str):
            return weight_of(value.encode())
        if isinstance(value, dict):
            return sum(texts(inner, COUNTED) for inner in value.values())
        return sum(texts(inner, COUNTED) for inner in value) if isinstance(value, list) else 0
    if part is WHOLE or part is NOTHING:
        return 0
    if isinstance(value, dict):
        return sum(texts(inner, part.fields.get(key.encode()) or part.rest or NOTHING) for key, inner in value.items())
    return sum(texts(inner, part, True) for inner in value) if isinstance(value, list) and not in_list else 0


@given(values, st.sampled_from([None, 1]), st.data())
def test_what_is_kept_is_what_a_parser_finds(value: Any, indent: int | None, draw: st.DataObject) -> None:
    """
    With or without blanks, and however it is cut; and the texts that are counted weigh what a parser finds.
    """
    body = json.dumps(value, ensure_ascii=False, indent=indent).encode()
    pieces = cut(body, draw.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pruned = fed(pieces)
    kept, what = expected(value, PART)
    assert pruned.is_over and kept
    assert json.loads(pruned.end()) == what
    if "\\" not in body.decode():
        assert pruned.text == texts(value, PART)


@given(st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode()), st.data())
def test_any_bytes_give_the_same_in_any_pieces(body: bytes, draw: st.DataObject) -> None:
    """
    And raise nothing, whole or broken off.
    """
    body = body[: draw.draw(st.integers(0, len(body)))]
    told = outcome([body])
    assert outcome(bytewise(body)) == told
    assert outcome(cut(body, draw.draw(st.lists(st.integers(0, len(body)), max_size=6)))) == told


@given(values, st.data())
def test_mutations_give_the_same_in_any_pieces(value: Any, draw: st.DataObject) -> None:
    """
    A byte of it is another, or is missing.
    """
    body = bytearray(json.dumps({"w": value, "p": [value], "c": value}).encode())
    for at in draw.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=3)):
        body[at : at + 1] = (
            draw.draw(st.sampled_from([b"", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0"]))[:1] or b" "
        )
    assert outcome(bytewise(bytes(body))) == outcome([bytes(body)])


@pytest.mark.parametrize(
    "body", [b'{"w":1', b'{"w":1]', b"{,}", b'{"w" 1}', b'{"w":}', b'{"w":1}x', b'{"p":[1}', b'{"w":"', b""]
)
def test_what_is_no_json(body: bytes) -> None:
    """
    Keeps nothing.
    """
    assert fed([body]).end() == b""


def test_a_key_is_known_in_whatever_way_it_is_written() -> None:
    """
    With escapes, as a parser at the other end would read it.
    """
    assert json.loads(fed([rb'{"\u0077":1,"x\\":2,"\u0070":{"\u0077":3}}']).end()) == {"w": 1, "p": {"w": 3}}


@pytest.mark.parametrize("size", [LONG, LONG + 1, 100000])
@pytest.mark.parametrize("at", ["top", "deep"])
def test_long_texts_are_left_out_of_what_is_kept(size: int, at: str) -> None:
    """
    Whatever the pieces in which they come.
    """
    value: Any = "x" * size
    body = json.dumps({"w": value if at == "top" else [value]}).encode()
    for pieces in ([body], cut(body, range(0, len(body), 1000)), cut(body, [len(body) - 3])):
        found = json.loads(fed(pieces).end())["w"]
        assert (found if at == "top" else found[0]) == (value if size <= LONG else json.loads(INSTEAD))


@given(
    st.lists(st.sampled_from([b'\\"', b"\\\\", b"\\n", b"x" * 40, b"y" * 200, b"z"]), max_size=60), st.integers(1, 300)
)
def test_where_a_text_ends(parts: list[bytes], size: int) -> None:
    """
    At the first quote that nothing escapes, however many backslashes stand before it and wherever a piece ends.
    """
    body = b'{"a":"' + b"".join(parts) + b'","b":1}'
    pruned = Pruned(Part({b"b": WHOLE}))
    for at in range(0, len(body), size):
        pruned.feed(body[at : at + size])
    assert pruned.end() == b'{"b":1}'


@given(st.integers(0, 3), st.integers(1, 20_000), st.integers(1, 9000))
def test_a_long_text_weighs_what_it_does_in_the_beginning(kind: int, length: int, size: int) -> None:
    """
    However it comes; a short one is weighed as a whole.
    """
    unit = (b"words, ", b"0123ABCD", b"\\u4e2d", "é".encode())[kind]
    text = unit * (length // len(unit) + 1)
    body = b'["' + text + b'"]'
    pruned = Pruned(COUNTED)
    for at in range(0, len(body), size):
        pruned.feed(body[at : at + size])
    assert pruned.is_over
    if len(text) <= BEGINNING:
        assert pruned.text == weight_of(text)
    else:
        assert pruned.text == pytest.approx(weight_of(text), rel=0.02, abs=16)


def test_what_is_kept_is_bounded() -> None:
    """
    A value of which too much would be kept gives nothing, and says so.
    """
    pruned = fed([b'{"w":['] + [b"1," * 1000] * (MOST_KEPT // 1000) + [b"1]}"])
    assert pruned.overflowed and pruned.end() == b""
    pruned = fed([b'{"p":['] + [b"{}," * 1000] * (MOST_KEPT // 1000) + [b"{}]}"])
    assert pruned.overflowed and pruned.end() == b""


@pytest.mark.parametrize("depth", [2000, 200000])
def test_no_depth_is_too_much(depth: int) -> None:
    """
    Of what nobody asks for.
    """
    body = b'{"x":' + b'[{"a":' * depth + b"1" + b"}]" * depth + b',"w":7}'
    assert json.loads(fed([body]).end()) == {"w": 7}


def test_where_values_begin() -> None:
    """
    Those of the outermost object that are kept.
    """
    body = b' {"x":[1], "w": {"a":1},"w":2}'
    pruned = fed(bytewise(body))
    assert pruned.opened == 1
    assert [(key, body[at : at + 1]) for key, at in pruned.starts] == [(b"w", b"{"), (b"w", b"2")]


def test_a_key_that_is_not_counted_takes_nothing_from_what_is() -> None:
    """
    A key's weight is taken back; one that nobody asks for was never counted.
    """
    body = b'{"c":["abcd"],"n":{"x":1}}'
    assert fed([body]).text == fed(bytewise(body)).text == weight_of(b"abcd")
