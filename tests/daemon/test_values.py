"""
Tests for `aibridge.daemon.values`.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from aibridge.daemon.problems import Unacceptable
from aibridge.daemon.values import NUMBERS, REFERENCE, TEXTS, accept, allowed, parse
from aibridge.options import ABSOLUTE_PATH, OPTIONAL_URL, Declaration

PLAIN = Declaration(why="")
SMALL = Declaration(why="", least=1, most=10, unit="s")
CHOICE = Declaration(why="", choices=("a", "b"))
MAYBE = Declaration(why="", choices=("", "a", "b"))
SECRET = Declaration(why="", secret=True)
MAYBE_SECRET = Declaration(why="", secret=True, matches="http://[a-z]+", form="a URL")
TIME = Declaration(why="", least=0, most=1e12, unit="s")
PATH = Declaration(why="", **ABSOLUTE_PATH)
URL = Declaration(why="", **OPTIONAL_URL)

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text() | st.lists(st.integers())


class TestAccept:
    """
    Values as a file has them.
    """

    @pytest.mark.parametrize(
        ("value", "type_", "declared", "accepted"),
        [
            (True, bool, PLAIN, True),
            (5, int, SMALL, 5),
            (5, float, SMALL, 5.0),
            (2.5, float, SMALL, 2.5),
            ("a", str, CHOICE, "a"),
            ("", str, SECRET, ""),
            ("env:A_1", str, SECRET, "env:A_1"),
            ("file:/a b", str, SECRET, "file:/a b"),
            ("credential:a.b-c", str, SECRET, "credential:a.b-c"),
            (["env:A", "file:/a"], TEXTS, SECRET, ("env:A", "file:/a")),
            ("", str, MAYBE, ""),
            ("/etc/x", str, PATH, "/etc/x"),
            ("", str, URL, ""),
            ("https://h:1/v1", str, URL, "https://h:1/v1"),
            (["x", "y"], TEXTS, PLAIN, ("x", "y")),
            ([], TEXTS, PLAIN, ()),
            ([1, -2], NUMBERS, PLAIN, (1, -2)),
            ([], NUMBERS, PLAIN, ()),
            ("http://host", str, MAYBE_SECRET, "http://host"),
            ("env:A", str, MAYBE_SECRET, "env:A"),
            ("", str, MAYBE_SECRET, ""),
        ],
    )
    def test_accepted(self, value: object, type_: Any, declared: Declaration, accepted: object) -> None:
        """
        What is allowed comes out as the settings hold it: a whole number becomes a number where one is asked for.
        """
        result = accept(value, type_, declared)
        assert result == accepted
        assert type(result) is type(accepted)

    @pytest.mark.parametrize(
        ("value", "type_", "declared"),
        [
            (1, bool, PLAIN),
            ("true", bool, PLAIN),
            (True, int, SMALL),
            (5.0, int, SMALL),
            ("5", int, SMALL),
            (0, int, SMALL),
            (11, int, SMALL),
            (10**400, float, SMALL),
            (10**400, float, PLAIN),
            (True, float, SMALL),
            ("5", float, SMALL),
            (math.nan, float, SMALL),
            (math.nan, float, PLAIN),
            (math.inf, float, PLAIN),
            (5, str, PLAIN),
            ("c", str, CHOICE),
            ("etc/x", str, PATH),
            ("/etc/x\n", str, PATH),
            ("/etc/\0", str, PATH),
            ("ftp://h", str, URL),
            ("https://user@h", str, URL),
            ("https://h/é", str, URL),
            ("https://h/?q", str, URL),
            ("https://h/\n", str, URL),
            ("abc", str, SECRET),
            ("file:relative", str, SECRET),
            ("env:A-B", str, SECRET),
            ("env:", str, SECRET),
            ("credential:..", str, SECRET),
            ("credential:a/b", str, SECRET),
            ("x", TEXTS, PLAIN),
            ([1], TEXTS, PLAIN),
            (["a", ["b"]], TEXTS, PLAIN),
            ([], TEXTS, SMALL),
            (["x"] * 11, TEXTS, SMALL),
            (["1"], NUMBERS, PLAIN),
            ([1, True], NUMBERS, PLAIN),
            ([1.0], NUMBERS, PLAIN),
            (5, NUMBERS, PLAIN),
            ([], NUMBERS, SMALL),
            ("http://user:password@host", str, MAYBE_SECRET),
            (["env:A", ""], TEXTS, SECRET),
            (["env:A", "abc"], TEXTS, SECRET),
            (["env:A", 5], TEXTS, SECRET),
            ("env:A", TEXTS, SECRET),
            ("c", str, MAYBE),
        ],
    )
    def test_refused(self, value: object, type_: Any, declared: Declaration) -> None:
        """
        Nothing is coerced, and what is out of range or of another form is refused, with words for both sides.
        """
        with pytest.raises(Unacceptable) as refusal:
            accept(value, type_, declared)
        assert refusal.value.found
        assert refusal.value.allowed

    @running(deadline=None)
    @given(
        SCALARS,
        st.sampled_from([bool, int, float, str, TEXTS, NUMBERS]),
        st.sampled_from([SMALL, CHOICE, SECRET, PATH, URL]),
    )
    def test_whatever_comes(self, value: object, type_: Any, declared: Declaration) -> None:
        """
        A value is accepted as it is or refused; nothing else is raised, and nothing is invented.
        """
        try:
            result = accept(value, type_, declared)
        except Unacceptable:
            return
        assert result == (tuple(value) if isinstance(value, list) else value)

    @running(deadline=None)
    @given(st.text(min_size=1))
    def test_secrets_are_not_told(self, text: str) -> None:
        """
        A text that is no reference is refused in the same words whatever it is, alone and in a list.
        """
        if REFERENCE.fullmatch(text):
            return
        refusals = []
        for value in (text, "another"):
            for given_, type_ in ((value, str), (["env:A", value], TEXTS)):
                with pytest.raises(Unacceptable) as refusal:
                    accept(given_, type_, SECRET)
                refusals.append(str(refusal.value))
        assert refusals[:2] == refusals[2:]


class TestParse:
    """
    Values as the environment and the command line have them.
    """

    @pytest.mark.parametrize(
        ("text", "type_", "value"),
        [
            ("true", bool, True),
            (" YES ", bool, True),
            ("1", bool, True),
            ("off", bool, False),
            ("0", bool, False),
            (" 7 ", int, 7),
            ("+7", int, 7),
            ("7", float, 7.0),
            ("0.5", float, 0.5),
            (".5", float, 0.5),
            ("1e1", float, 10.0),
            ("a", str, "a"),
            ("tcp:1  tcp:2\n", TEXTS, ("tcp:1", "tcp:2")),
            ("", TEXTS, ()),
            (" 80  443 ", NUMBERS, (80, 443)),
            ("", NUMBERS, ()),
        ],
    )
    def test_parsed(self, text: str, type_: Any, value: object) -> None:
        """
        Text becomes a value of the option's type.
        """
        result = parse(text, type_, PLAIN)
        assert result == value
        assert type(result) is type(value)

    @pytest.mark.parametrize(
        ("text", "type_"),
        [
            ("2", bool),
            ("maybe", bool),
            ("1.5", int),
            ("1_000", int),
            ("٣", int),
            pytest.param("9" * 5000, int, id="many digits"),
            ("nan", float),
            ("inf", float),
            ("1e999", float),
            ("1_0", float),
            ("fast", float),
            ("0x10", int),
            ("80,443", NUMBERS),
            ("80 x", NUMBERS),
        ],
    )
    def test_refused(self, text: str, type_: Any) -> None:
        """
        Nothing is guessed.
        """
        with pytest.raises(Unacceptable):
            parse(text, type_, PLAIN)

    @running(deadline=None)
    @given(st.text(), st.sampled_from([bool, int, float, str, TEXTS, NUMBERS]))
    def test_whatever_comes(self, text: str, type_: Any) -> None:
        """
        Any text is a value or is refused; nothing else is raised.
        """
        with contextlib.suppress(Unacceptable):
            parse(text, type_, SMALL)


class TestDurations:
    """
    Times in the environment and on the command line.
    """

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("10", 10.0),
            ("10s", 10.0),
            ("1m30s", 90.0),
            ("1h0m0.5s", 3600.5),
            ("1.5h", 5400.0),
            (".5m", 30.0),
            ("2.s", 2.0),
            ("100ms", 0.1),
            ("1.1ms", 0.0011),
            ("250us", 0.00025),
            ("250µs", 0.00025),
            ("250μs", 0.00025),
            ("7ns", 7e-9),
            ("+5s", 5.0),
            (" 5s ", 5.0),
            ("0s", 0.0),
        ],
    )
    def test_parsed(self, text: str, seconds: float) -> None:
        """
        A number of seconds, or counts with units as Go writes them, to the last digit.
        """
        assert parse(text, float, TIME) == seconds

    @pytest.mark.parametrize(
        "text",
        ["", "s", "5 s", "1m 30s", "5d", "1m30", "5S", "5sec", "-1s", "1e3s", "٣s", "0x5s", "9" * 99 + "s", "1h" * 40],
    )
    def test_refused(self, text: str) -> None:
        """
        Nothing else is; and how it is written is told.
        """
        with pytest.raises(Unacceptable) as refusal:
            parse(text, float, TIME)
        assert "1m30s" in refusal.value.hint

    def test_only_times(self) -> None:
        """
        What is no time has no such units, and a file has numbers alone.
        """
        with pytest.raises(Unacceptable) as refusal:
            parse("5s", float, PLAIN)
        assert not refusal.value.hint
        with pytest.raises(Unacceptable) as refusal:
            accept("5s", float, TIME)
        assert refusal.value.hint == "times are numbers of seconds here"

    @running(deadline=None)
    @given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
    def test_what_go_writes(self, hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
        """
        Go's own form of any duration is read as that many seconds.
        """
        text = f"{hours}h{minutes}m{seconds}.{milliseconds:03d}s"
        assert parse(text, float, TIME) == ((hours * 60 + minutes) * 60 + seconds) + milliseconds / 1000


class TestAllowed:
    """
    What is allowed, in words.
    """

    @pytest.mark.parametrize(
        ("type_", "declared", "words"),
        [
            (bool, PLAIN, "true or false"),
            (int, SMALL, "a whole number from 1 to 10 s"),
            (float, Declaration(why="", least=0.5), "a number of at least 0.5"),
            (float, Declaration(why="", most=2), "a number of at most 2"),
            (float, PLAIN, "a number"),
            (str, CHOICE, 'one of "a", "b"'),
            (str, SECRET, "a reference: file:/PATH, env:NAME or credential:NAME, or empty"),
            (str, PATH, "an absolute path"),
            (str, Declaration(why="", matches="a+"), "a text that matches a+"),
            (str, PLAIN, "a text"),
            (TEXTS, PLAIN, "a list of texts"),
            (TEXTS, Declaration(why="", least=1, form="networks"), "a list of networks, at least 1"),
            (NUMBERS, PLAIN, "a list of whole numbers"),
            (NUMBERS, Declaration(why="", form="ports"), "a list of ports"),
            (str, MAYBE_SECRET, "a URL, or a reference: file:/PATH, env:NAME or credential:NAME, or empty"),
            (TEXTS, Declaration(why="", least=1, most=9), "a list of texts, at least 1, at most 9"),
            (TEXTS, SECRET, "a list of references (file:/PATH, env:NAME or credential:NAME)"),
            (str, MAYBE, 'one of "a", "b", or empty'),
            (float, Declaration(why="", least=1e-6, most=1e12), "a number from 0.000001 to 1000000000000"),
        ],
    )
    def test_words(self, type_: Any, declared: Declaration, words: str) -> None:
        """
        Range, unit, choices and form are named.
        """
        assert allowed(type_, declared) == words
