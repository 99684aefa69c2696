"""
Secrets have no text, except for the one who asks for it.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.secret import HIDDEN, Secret

CANARY = "sk-canary-0123456789-abcdefghijkl"


@attrs.frozen
class _Holder:
    key: Secret


@pytest.mark.parametrize(
    "text",
    [
        repr(Secret(CANARY)),
        str(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY)!r}",
        "{}".format(Secret(CANARY)),  # noqa: UP032  # str.format is what is tested
        "%s %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031  # and so is this
        f"{Secret(CANARY):>40}",
        repr([Secret(CANARY)]),
        repr({"key": Secret(CANARY)}),
        repr(_Holder(Secret(CANARY))),
        repr(attrs.asdict(_Holder(Secret(CANARY)))),
        str(ValueError(Secret(CANARY))),
    ],
)
def test_no_rendering_shows_it(text: str) -> None:
    """
    Whichever way it is turned into text, alone or within something.
    """
    assert HIDDEN in text
    assert "canary" not in text


def test_format_keeps_the_width() -> None:
    """
    A table of settings stays a table.
    """
    assert f"{Secret(CANARY):>10}" == "  <secret>"


def test_logging_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    """
    Nor as an argument of a log line.
    """
    logging.getLogger("test").warning("key %s", Secret(CANARY))
    assert caplog.messages == ["key <secret>"]


def test_traceback_does_not_show_it() -> None:
    """
    Nor with the local variables of a traceback.
    """
    secret = Secret(CANARY)
    try:
        raise ValueError(secret)
    except ValueError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        text = "".join(told.format())
    assert "secret = <secret>" in text
    assert CANARY not in text.replace(f'CANARY = "{CANARY}"', "")


def test_it_cannot_be_serialized() -> None:
    """
    What would write its text somewhere fails instead.
    """
    secret = Secret(CANARY)
    for write in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            write(secret)


def test_it_has_no_attributes_to_be_listed() -> None:
    """
    There is no dictionary of its attributes that some renderer would print.
    """
    with pytest.raises(TypeError):
        vars(Secret(CANARY))


@given(st.text(st.characters()))
def test_reveal_gives_the_text(text: str) -> None:
    """
    The one way to it.
    """
    assert Secret(text).reveal() == text


@given(st.text(st.characters(), max_size=4), st.text(st.characters(), max_size=4))
def test_equality_is_that_of_the_texts(one: str, other: str) -> None:
    """
    Equal texts are equal secrets with equal hashes, whatever characters they hold.
    """
    assert (Secret(one) == Secret(other)) == (one == other)
    if one == other:
        assert hash(Secret(one)) == hash(Secret(other))


def test_it_equals_nothing_else() -> None:
    """
    Its own text included, so that no comparison with one works by accident.
    """
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY) != object()
    assert hash(Secret(CANARY)) != hash(CANARY)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "..."),
        ("1234", "..."),
        ("12345", "1...5"),
        ("123456789", "1...9"),
        ("1234567890", "12...90"),
        ("1234567890123456789", "12...89"),
        ("12345678901234567890", "1234...7890"),
        (CANARY, "sk-c...ijkl"),
    ],
)
def test_hint(text: str, hint: str) -> None:
    """
    Enough to tell keys apart: 4+4 characters of 20, 2+2 of 10, 1+1 of 5.
    """
    assert Secret(text).hint() == hint


@given(st.text(min_size=1))
def test_hint_hides_most(text: str) -> None:
    """
    At most two fifths of a secret are shown.
    """
    shown = Secret(text).hint()
    assert len(shown) - 3 <= len(text) * 0.4
