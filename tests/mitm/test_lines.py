"""
Tests for `aibridge.mitm.lines`.
"""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.mitm.lines import RequestLine, SessionLine

AT = 1795478400.25

SESSION = SessionLine(at=AT, session="s1", client="192.0.2.7", host="api.openai.com", port=443, kind="mitm", status=200,
                      cause="completed", principal="ada", provider="openai", requests=2, bytes_in=10, bytes_out=20,
                      duration_s=1.5)  # fmt: skip
REQUEST = RequestLine(at=AT, request_id="r1", session="s1", client="192.0.2.7", method="POST", provider="openai",
                      status=200, cause="completed", host="api.openai.com", route="/v1/responses", principal="ada",
                      bridge_id="b1", bytes_in=1, bytes_out=2, first_byte_s=0.25, duration_s=0.5)  # fmt: skip


@pytest.mark.parametrize("line", [SESSION, REQUEST])
def test_no_field_is_forgotten(line: SessionLine | RequestLine) -> None:
    """
    Both forms have all of them, under their names.
    """
    names = {field.name for field in attrs.fields(type(line))} - {"at"}
    told = json.loads(line.as_json())
    assert set(told) == names | {"time", "event"}
    assert (told["time"], told["event"]) == ("2026-11-24T00:00:00.250Z", line.event)
    assert all(told[name] == getattr(line, name) for name in names)
    first, event, *rest = line.as_text().split(" ")
    assert (first, event) == ("2026-11-24T00:00:00.250Z", line.event)
    assert {word.partition("=")[0] for word in rest} == names


def test_as_people_read_it() -> None:
    """
    Names and values, the time first; what is empty is a dash.
    """
    assert SESSION.as_text() == (
        "2026-11-24T00:00:00.250Z session session=s1 client=192.0.2.7 host=api.openai.com port=443 kind=mitm "
        "status=200 cause=completed reason=- principal=ada provider=openai requests=2 bytes_in=10 "
        "bytes_out=20 duration_s=1.500000"
    )


@given(st.text(max_size=30))
def test_whatever_a_client_is_called(name: str) -> None:
    """
    A line stays one line, and can be read back.
    """
    line = attrs.evolve(SESSION, principal=name)
    assert len(line.as_text().splitlines()) == len(line.as_json().splitlines()) == 1
    assert line.as_text().isascii()
    assert json.loads(line.as_json())["principal"] == name
    # What JSON would have to quote is quoted, so that the next field begins behind a blank.
    told = line.as_text().partition(" principal=")[2].partition(" provider=openai ")[0]
    assert (json.loads(told) if told.startswith('"') else told) == (name or "-")
