"""
How commands speak.
"""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.cli.terminal import say, table


@given(st.text())
def test_one_line(line: str) -> None:
    """
    Whatever is in it, it is one line, and does nothing to a terminal.
    """
    stream = io.StringIO()
    say(stream, line)
    said = stream.getvalue()
    assert said.endswith("\n")
    assert said[:-1].isprintable()
    assert said[:-1] == line or not line.isprintable()


@pytest.mark.parametrize(("encoding", "said"), [("ascii", "\\xe9\n"), ("utf-8", "é\n")])
def test_encoding(encoding: str, said: str) -> None:
    """
    What the terminal's encoding does not have is written out.
    """
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    say(stream, "é")
    stream.seek(0)
    assert stream.read() == said


def test_table() -> None:
    """
    Columns are as wide as their widest cell, and no line ends in blanks.
    """
    assert list(table([["A", "B"], ["long", ""], ["x", "y\n"]])) == ["A     B", "long", "x     y\\n"]
