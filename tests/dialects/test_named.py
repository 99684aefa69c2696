"""
Which stored objects a body names, however it is written.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.asked import Asked
from aibridge.dialects.named import MOST_DEEP, MOST_NAMED, MOST_VALUES, Named
from aibridge.errors import BodyUnreadable
from aibridge.model import Dialect, Stored

CHAT, RESPONSES, MESSAGES = Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES


def references(body: bytes, dialect: Dialect) -> list[tuple[Stored, str, str]]:
    """
    What is found in a body that may name objects.
    """
    asked = Asked(body, None, len(body), dialect)
    while asked.go_on():
        pass
    if asked.error is not None:
        raise asked.error
    if asked.names:
        for size in (1, 2, 3, 7):
            if len(body) < 1000:
                named = Named(dialect)
                for at in range(0, len(body), size):
                    named.feed(body[at : at + size])
                assert named.end() == asked.references
    return asked.references


def found(body: Any, dialect: Dialect = RESPONSES) -> list[tuple[str, str]]:
    """
    Kinds and ids, sorted.
    """
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return sorted((kind.value, id) for kind, id, _ in references(text, dialect))


@pytest.mark.parametrize(
    ("dialect", "body", "named"),
    [
        (RESPONSES, {"model": "m", "input": "hello"}, []),
        (RESPONSES, {"previous_response_id": "r1"}, [("response", "r1")]),
        (RESPONSES, {"previous_response_id": None}, []),
        (RESPONSES, {"conversation": "c1"}, [("conversation", "c1")]),
        (RESPONSES, {"conversation": {"id": "c1"}}, [("conversation", "c1")]),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "m1"}]}, [("item", "m1")]),
        (RESPONSES, {"input": [{"id": "m1"}]}, [("item", "m1")]),
        (
            RESPONSES,
            {"input": [{"id": "m1", "type": None}, {"type": None, "id": "m2"}]},
            [("item", "m1"), ("item", "m2")],
        ),
        (RESPONSES, {"input": [{"type": "message", "role": "assistant", "content": [], "id": "m1"}]}, []),
        (
            RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f1"}]}]},
            [("file", "f1")],
        ),
        (
            RESPONSES,
            {"tools": [{"type": "file_search", "vector_store_ids": ["v1", "v2"]}]},
            [("vector_store", "v1"), ("vector_store", "v2")],
        ),
        (RESPONSES, {"tools": [{"type": "code_interpreter", "container": "k1"}]}, [("container", "k1")]),
        (
            RESPONSES,
            {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f1"]}}]},
            [("file", "f1")],
        ),
        (RESPONSES, {"tools": [{"type": "image_generation", "input_image_mask": {"file_id": "f1"}}]}, [("file", "f1")]),
        (RESPONSES, {"input_file_id": "f1", "endpoint": "/v1/responses"}, [("file", "f1")]),
        (RESPONSES, {"files": [{"file_id": "f1"}, {"file_id": "f2"}]}, [("file", "f1"), ("file", "f2")]),
        (RESPONSES, {"metadata": {"file_id": "x", "conversation": "y"}}, []),
        (
            RESPONSES,
            {"tools": [{"type": "function", "parameters": {"properties": {"file_id": {"type": "string"}}}}]},
            [],
        ),
        (
            RESPONSES,
            {
                "input": [
                    {"type": "message", "content": [{"annotations": [{"file_id": "f1"}], "text": "t"}], "role": "a"}
                ]
            },
            [],
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]}]},
            [("file", "f1")],
        ),
        (CHAT, {"messages": [{"role": "assistant", "audio": {"id": "a1"}}]}, [("audio", "a1")]),
        (CHAT, {"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}}, []),
        (CHAT, {"messages": [{"role": "user", "content": 'a "file_id": "f1" in a text'}]}, []),
        (
            MESSAGES,
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f1"}}]}
                ]
            },
            [("file", "f1")],
        ),
        (MESSAGES, {"container": "k1"}, [("container", "k1")]),
        (MESSAGES, {"container": {"id": "k1", "skills": []}}, [("container", "k1")]),
        (MESSAGES, {"messages": [{"content": [{"type": "container_upload", "file_id": "f1"}]}]}, [("file", "f1")]),
        (MESSAGES, {"messages": [{"content": [{"type": "tool_use", "input": {"file_id": "theirs"}}]}]}, []),
        (
            MESSAGES,
            {"requests": [{"custom_id": "a", "params": {"messages": [{"content": [{"source": {"file_id": "f1"}}]}]}}]},
            [("file", "f1")],
        ),
    ],
)
def test_what_is_named(dialect: Dialect, body: Any, named: list[tuple[str, str]]) -> None:
    """
    Where a vendor reads an id, and nowhere else.
    """
    assert found(body, dialect) == named


@pytest.mark.parametrize(
    "body",
    [
        b'{"previous_response_id":"mine","previous_response_id":"hers"}',
        b'{"previous_response_id":"hers","previous_response_id":"mine"}',
        b'{"previous_response_id":null,"previous\\u005fresponse_id":"hers","previous_response_id":"mine"}',
        b'{"conversation":{"id":"mine","id":"hers"}}',
        b'{"conversation":"mine","conversation":{"id":"hers"}}',
        b'{"input":[{"type":"message","type":"item_reference","id":"hers"}]}',
        b'{"input":[{"type":"item_reference","type":"message","id":"hers"}]}',
        b'{"input":[{"type":"item_reference","id":"mine","id":"hers"}]}',
        b'{"input":[{"id":"mine","id":"hers"}]}',
        b'{"input":[{"id":"hers","type":"message","type":null}]}',
        b'{"input":[{"id":"hers","type":""}]}',
        b'{"input":[{"type":[],"id":"hers"}]}',
        b'{"a":[[[[{"b":{"file_id":"hers"}}]]]],"a":0}',
        b'{"a":{"b":[{"content":[{"file":{}},{"file":{"file_id":0,"file_id":"hers","file_id":""}}]}]},"a":[]}',
        b'{"input":{"file_id":"hers"},"type":"message"}',
        b'{"tools":[{"vector_store_ids":["mine"],"vector_store_ids":["hers"]}]}',
        b'{"tools":[],"tools":[{"vector_store_ids":["hers"]}]}',
        b'{"previous_response_id"\t:\r\n"hers"}',
        b'\xef\xbb\xbf{"previous_response_id":"hers"}',
        b'{"\\u0070revious_response_id":"hers"}',
        b'{"previous_response_\\u0069d":"hers"}',
        b'{"previous_response_id":"\\u0068ers"}',
        b'{"input":[{"\\u0069d":"hers"}]}',
        b'{"input":[{"type":"item\\u005Freference","id":"hers"}]}',
        b'{"tools":[{"c\\u006Fntainer":"hers"}]}',
        b'{"\\u0066ile_id":"hers"}',
    ],
)
def test_nothing_is_hidden(body: bytes) -> None:
    """
    By fields of the same name, by escapes, by blanks, or by a mark of the order of bytes.
    """
    assert "hers" in [id for _, id in found(body)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"previous_response_id":"hers"',
        b'{"previous_response_id":"hers",}',
        b'{\'a\':1,"previous_response_id":"hers"}',
        b'{"previous_response_id":"hers\xff"}',
        '{"previous_response_id":"hers"}'.encode("utf-16"),
        '{"previous_response_id":"hers"}'.encode("utf-16-le"),
        '{"previous_response_id":"hers"}'.encode("utf-16-be"),
        '{"previous_response_id":"hers"}'.encode("utf-32"),
        b'{"previous_response_id":"hers","a":' + b"[" * 100000,
        b'{"file_id":"hers","a":[' + b'"",' * MOST_VALUES + b'""]}',
        b'{"file_id":"hers","a":' + b"[" * MOST_DEEP + b"]" * MOST_DEEP + b"}",
        b'{"file_ids":[' + b",".join(b'"%d"' % each for each in range(MOST_NAMED + 1)) + b"]}",
        *(
            b'{"file_id":"hers","a":%b}' % wrong
            for wrong in (
                *(b"01", b"+1", b"1.", b".5", b"1e", b"tru", b"truth", b"'a'", b"", b"1 2", b"[1,]", b"[,1]", b"[1 2]"),
                *(
                    b"{,}",
                    b'{"a"}',
                    b'{"a":}',
                    b'{"a":1,}',
                    b"{1:2}",
                    b"[}",
                    b'"\\q"',
                    b'"\\u00g0"',
                    b'"\n"',
                    b'"\\"',
                    b"[1]]",
                ),
                *(b"9" * 5000, b"1/**/", b"//\n1", b'"a" "b"', b"1}{", b"\xef\xbb\xbf1", b'"\xc3"', b'"\xed\xa0\x80"'),
            )
        ),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    """
    As somebody else might read it.
    """
    with pytest.raises(BodyUnreadable):
        references(body, RESPONSES)


def test_what_cannot_be_read_and_names_nothing() -> None:
    """
    Is for its provider to refuse.
    """
    for body in (b"", b"{", b"\xff", b"x" * 3_000_000):
        assert references(body, RESPONSES) == []


def test_pictures_are_no_reason_to_refuse() -> None:
    """
    A body with megabytes of a picture in it is read all the same.
    """
    picture = "data:image/png;base64," + "QUJD" * 1_000_000
    content = [{"type": "input_image", "image_url": picture}, {"type": "input_file", "file_id": "f1"}]
    assert found({"input": [{"role": "user", "content": content}]}) == [("file", "f1")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(json_values, st.lists(st.integers(0, 19), max_size=20), st.sampled_from(["file_id", "previous_response_id"]))
def test_a_name_is_found_in_any_spelling(beside: Any, escaped: list[int], name: str) -> None:
    """
    Whichever of its letters are escaped, and whatever is beside it.
    """
    spelt = "".join(f"\\u{ord(letter):04x}" if at in escaped else letter for at, letter in enumerate(name))
    body = b'{"a":' + json.dumps(beside).encode() + b',"input":[{"%b":"hers"}]}' % spelt.encode()
    assert "hers" in [id for _, id in found(body)]


@given(json_values)
def test_any_json_can_be_read(value: Any) -> None:
    """
    And what is left out of it by others, it is not found to be wrong for.
    """
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=3)):
        assert found(b'{"file_id":"f1","a":%b}' % text.encode("utf-8", "replace")) == [("file", "f1")]


def test_what_is_in_the_input_of_a_call_is_not_asked_for() -> None:
    """
    Wherever the call says that it is one.
    """
    for call in (
        b'{"type":"tool_use","input":{"file_id":"a"},"file_id":"hers"}',
        b'{"input":{"file_id":"a","b":{"input":{"file_id":"c"}}},"file_id":"hers","input":[{"file_id":"d"}],"type":"tool_use"}',
    ):
        assert found(b'{"file_id":"x","messages":[%b,{"file_id":"y"}]}' % call, MESSAGES) == [
            ("file", "hers"),
            ("file", "x"),
            ("file", "y"),
        ]


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, Dialect.PLAIN])
def test_only_a_message_calls_a_tool(dialect: Dialect) -> None:
    """
    A type that is none of a dialect's hides nothing.
    """
    content = [{"type": "input_file", "file_id": "hers"}]
    body = {"type": "tool_use", "input": [{"role": "user", "content": content}]}
    assert references(json.dumps(body).encode(), dialect) == [(Stored.FILE, "hers", "file_id")]
