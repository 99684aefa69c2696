"""
How a finished exchange is told: every field, one line, readable back.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.log import FIELDS, Completion, as_json, as_text, timestamp
from making import completion

NAMES = set(FIELDS)
HOSTILE = (
    'a"b',
    "a\\",
    "a\nb",
    "a\r\nstatus=200",
    "a=b c",
    "\x1b[31mred",
    "\0",
    "\x7f",
    "ü😀",
    "a\u2028b\u2029c\x85d",
    "\ud800",
    "</script>",
    "{error}",
    "%s",
    '","status":200,"x":"',
)
FREE = ("client", "method", "route", "principal", "model", "hint")
"""The fields whose text comes from clients or people."""

texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=40))


def read_text(line: str) -> dict[str, str]:
    """
    Read a line of the text form back.
    """
    found = {}
    rest = line.split(" completion ", 1)[1]
    while rest:
        match = re.match(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)', rest)
        assert match is not None, rest
        name, value = match.groups()
        found[name] = json.loads(value) if value.startswith('"') else value
        rest = rest[match.end() :]
    return found


def test_no_field_is_forgotten() -> None:
    """
    What a completion has is what is told of it, in this order.
    """
    made = completion()
    assert {name for name in dir(made) if not name.startswith("_")} == NAMES
    assert list(read_text(as_text(made))) == list(FIELDS[1:])


def test_json_has_every_field() -> None:
    """
    None is forgotten, and the values are those of the completion, numbers as numbers.
    """
    told = completion()
    read = json.loads(as_json(told))
    assert read.pop("time") == "2026-11-24T00:00:00.250Z"
    assert read.pop("event") == "completion"
    assert read == {name: getattr(told, name) for name in FIELDS if name != "at"}


def test_text_has_every_field() -> None:
    """
    None is forgotten, in the order of the class.
    """
    line = as_text(completion())
    read = read_text(line)
    assert line.startswith("2026-11-24T00:00:00.250Z completion request_id=")
    assert set(read) == NAMES - {"at"}
    assert (read["model"], read["status"], read["stream"]) == ("gpt-5.4", "200", "true")


def test_both_forms_tell_the_same_order() -> None:
    """
    Whoever knows one can read the other.
    """
    told = completion()
    assert list(read_text(as_text(told))) == list(json.loads(as_json(told)))[2:]


def test_what_is_not_known_is_told_as_such() -> None:
    """
    A refused request has no provider, no model and no key.
    """
    told = Completion("1", "::1", "GET")
    told.status, told.cause = 401, "unauthenticated"
    read = read_text(as_text(told))
    assert (read["provider"], read["credential"], read["reason"]) == ("-", "-", "-")
    assert (read["route"], read["model"], read["principal"], read["stream"]) == ("", "", "", "false")
    assert json.loads(as_json(told))["provider"] == ""


@given(st.sampled_from(FREE), texts)
def test_any_text_stays_within_its_field(name: str, text: str) -> None:
    """
    Whatever a client calls itself or its model: one line of plain ASCII, and the same text when it is read back.
    """
    changes: dict[str, Any] = {name: text}
    told = completion(**changes)
    for line in (as_json(told), as_text(told)):
        assert line.isascii()
        assert line.isprintable()
    read = json.loads(as_json(told))
    assert read[name] == text
    assert set(read) == NAMES - {"at"} | {"time", "event"}
    from_text = read_text(as_text(told))
    assert from_text[name] == text
    assert set(from_text) == NAMES - {"at"}
    assert from_text["status"] == "200"


@pytest.mark.parametrize(
    ("text", "told"), [("gpt-5.4", "gpt-5.4"), ("a b", '"a b"'), ("", '""'), ("a=b", '"a=b"'), ("a\\", '"a\\\\"')]
)
def test_text_is_quoted_where_needed(text: str, told: str) -> None:
    """
    And only there, as it is for people.
    """
    assert f" model={told} " in as_text(completion(model=text))


@given(st.floats(0, 1e6), st.integers(0, 2**63))
def test_numbers_are_numbers(seconds: float, count: int) -> None:
    """
    To the microsecond, never in exponents, which some readers of logs do not know.
    """
    told = completion(duration_s=seconds, bytes_out=count)
    read = json.loads(as_json(told))
    assert abs(read["duration_s"] - seconds) <= 5.001e-7
    assert read["bytes_out"] == count
    assert re.fullmatch(r"\d+\.\d{6}", read_text(as_text(told))["duration_s"])


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (0.0015, "1970-01-01T00:00:00.001Z"),
        (1795478400.9996, "2026-11-24T00:00:00.999Z"),
        (1795478401.0, "2026-11-24T00:00:01.000Z"),
        (4102444799.5, "2099-12-31T23:59:59.500Z"),
    ],
)
def test_timestamps(at: float, told: str) -> None:
    """
    RFC 3339 in UTC, cut to the millisecond so that no line is from the future.
    """
    assert timestamp(at) == told


@given(st.lists(st.floats(0, 4e9), max_size=20))
def test_timestamps_sort_as_the_times_do(times: list[float]) -> None:
    """
    Their order as texts is their order.
    """
    assert [timestamp(at) for at in sorted(times)] == sorted(timestamp(at) for at in times)
