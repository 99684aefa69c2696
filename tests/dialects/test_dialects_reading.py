"""
What the readers of all dialects have in common.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.chat import Chat
from aibridge.dialects.messages import Messages
from aibridge.dialects.parts import WHOLE
from aibridge.dialects.reading import MOST_WORD, UNKNOWN, Reading, error_of, has_told, loaded, sole_text, text_of, word
from aibridge.dialects.sse import Memory
from aibridge.dialects.usage import Report, Source, Unread, Usage
from aibridge.dialects.weight import weight_of


def reading_of() -> Reading:
    """
    What all have in common.
    """
    return Reading(100, Memory(), WHOLE, re.compile(rb"x").findall)


def test_nothing_told() -> None:
    """
    Gives an empty report.
    """
    assert reading_of().report() == Report()
    assert reading_of().report().source is Source.NONE


def test_where_usage_is_from() -> None:
    """
    From the provider once it is that of the whole answer, and until then in part.
    """
    reading = reading_of()
    reading.usage = Usage(output=1)
    assert reading.report().source is Source.PARTIAL
    reading.is_final = True
    assert reading.report().source is Source.PROVIDER


def test_an_error_is_no_whole_answer() -> None:
    """
    Some put the mark of a whole one behind it.
    """
    reading = reading_of()
    reading.complete = True
    assert reading.report().complete
    reading.error = "server_error"
    assert not reading.report().complete


def test_what_was_not_read_is_told() -> None:
    """
    With the reason.
    """
    assert reading_of().report(Unread.BROKEN).unread is Unread.BROKEN


def test_the_first_name_stays() -> None:
    """
    One that is empty, or none, is none yet.
    """
    reading = reading_of()
    for told in ({"id": "", "model": None}, {"id": "a", "model": ["m"]}, {"id": "b", "model": "m"}, {"model": "n"}):
        reading.identify(told)
    assert (reading.id, reading.model) == ("a", "m")


def test_names_are_bounded() -> None:
    """
    And can be written.
    """
    reading = reading_of()
    reading.identify({"id": "i" * 257, "model": "m\ud800"})
    assert (reading.id, reading.model) == ("", "")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"a":1}', {"a": 1}),
        (b' {"a": 1}\n', {"a": 1}),
        (b"[1]", None),
        (b"null", None),
        (b"", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[" * 100000, None),
        (b'{"a":' * 100000, None),
        (b'{"a":' + b"9" * 5000 + b"}", None),
    ],
)
def test_objects_are_loaded(data: bytes, told: dict[str, object] | None) -> None:
    """
    Anything else is none, whatever is wrong with it.
    """
    assert loaded(data) == told


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("end_turn", "end_turn"),
        ("gpt-5:stop.1", "gpt-5:stop.1"),
        ("x" * MOST_WORD, "x" * MOST_WORD),
        ("x" * (MOST_WORD + 1), ""),
        ("You said: hello", ""),
        ("zu_groß", ""),
        ("a\n", ""),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_words(value: object, result: str) -> None:
    """
    Short, and of the characters of a name; a sentence may have anything in it, and is left.
    """
    assert word(value) == result


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({}, ""),
        ({"error": None}, ""),
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded_error"),
        ({"error": {"type": None, "code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
        ({"error": {"code": 502, "message": "Provider returned error"}}, UNKNOWN),
        ({"error": {"type": "It went wrong while you said hello"}}, UNKNOWN),
        ({"error": "model not found"}, UNKNOWN),
        ({"error": ["x"]}, UNKNOWN),
    ],
)
def test_errors(told: dict[str, object], error: str) -> None:
    """
    By their type, else by their code; never by their message.
    """
    assert error_of(told) == error


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (b"{}", False),
        (b'{"usage":null}', False),
        (b'{"usage": null}', False),
        (b'{"usage":null}{"usage": null}{"usage":null}', False),
        (b'{"text":"\\"usage\\":{"}', False),
        (b'{"usage":{}}', True),
        (b'{"usage" : {}}', True),
        (b'{"usage":null}{"usage":{}}', True),
        (b'{"usage": null}{"usage": 1}', True),
        (b'{"usage":\nnull}', True),
    ],
)
def test_keys_that_are_not_null(block: bytes, told: bool) -> None:
    """
    Are found in any of a block's events; when in doubt, it is taken apart.
    """
    assert has_told(block, b'"usage"', b'"usage":null', b'"usage": null') is told


@pytest.mark.parametrize("text", [b"", b"abc", b"A1", rb"a\n\"b", "中文".encode()])
def test_texts_weigh_what_each_of_them_does(text: bytes) -> None:
    """
    Together as alone.
    """
    assert text_of([text, b"xyz"]) == weight_of(text) + 3


TEXTS = re.compile(rb'"(?:content|reasoning)": ?"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)').findall
MARK = b'"delta":{"content":"'
SOLE = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'


@pytest.mark.parametrize(
    "text", [b"", b" words", b"12 \\n", b'say \\"so\\"', b"\\u4e2d\\u6587", b"ends with \\\\", b'\\"']
)
def test_a_sole_text_is_found_by_its_place(text: bytes) -> None:
    """
    Or not at all, where a search for all texts is needed to be right.
    """
    block = SOLE % text
    begin, end = sole_text(block, MARK)
    assert begin < 0 or block[begin:end] == text
    assert begin >= 0 or text.endswith((b'"', b"\\")) or b'\\"' in text


@pytest.mark.parametrize(
    "block",
    [
        SOLE % b"a" + SOLE % b"b",
        b'data: {"choices":[{"delta":{"content":"a","reasoning":"b"}}]}\n\n',
        b'data: {"choices":[{"delta":{"reasoning":"b","content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a","x":{}}}]}\n\n',
        b'data: {"choices":[{"delta": {"content": "a"}}]}\n\n',
        b'data: {"choices":[{"delta":{}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a',
        b": nothing\n\n",
    ],
)
def test_what_is_no_sole_text(block: bytes) -> None:
    """
    There may be others, which count too.
    """
    assert sole_text(block, MARK) == (-1, -1)


def pieces_of(reading: Reading, blocks: list[bytes]) -> tuple[int, int]:
    """
    How many pieces of an answer there are, and what their texts weigh.
    """
    for block in blocks:
        reading.take(block)
    return reading.pieces, reading.text


HEAD = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
START = b'event: message_start\ndata: {"type":"message_start","message":{"id":"i","model":"m","usage":{}}}\n\n'
DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"%b"}}\n\n'
)
texts = st.lists(
    st.sampled_from(
        [
            b"",
            b" words",
            b"12 \\n",
            b'\\"so\\"',
            b"ends with \\\\",
            b'"}}],"usage":{"prompt_tokens":9,"completion_tokens":9}',
            b'","error":{"type":"overloaded"},"a":"',
            b'x"},"finish_reason":"stop"}],"y":[{"z":{"u":"',
        ]
    ),
    max_size=12,
)


@given(texts)
def test_a_block_like_the_last_is_read_as_if_it_were_the_first(parts: list[bytes]) -> None:
    """
    Whatever is in the place of its text.
    """
    for made, head, event in ((Chat, HEAD, SOLE), (Messages, START, DELTA)):
        blocks = [event % part for part in parts]
        usual, fresh = made(1 << 20, Memory()), made(1 << 20, Memory())
        usual.take(head)
        fresh.take(head)
        for block in blocks:
            usual.take(block)
            fresh.take(block)
            fresh.remember(b"", 0, 0)
        usual.end()
        fresh.end()
        assert usual.report() == fresh.report()


def test_all_that_is_not_the_text_has_to_be_the_same() -> None:
    """
    And there is no more than one text.
    """
    reading = Chat(1 << 20, Memory())
    counted = SOLE.replace(b'"finish_reason":null}]', b'"finish_reason":null}],"usage":{"prompt_tokens":7}')
    blocks = [HEAD, SOLE % b"four", SOLE % b"four", counted % b"four", SOLE % b"four" * 2, SOLE % b"four"]
    assert pieces_of(reading, blocks) == (7, 6 * weight_of(b"four"))
    reading.end()
    assert reading.usage is not None
    assert reading.usage.input == 7
