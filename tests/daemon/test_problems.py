"""
Tests for `aibridge.daemon.problems`.
"""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from aibridge.daemon.problems import (
    NOT_SHOWN,
    ConfigErrors,
    Kind,
    Origin,
    Problem,
    Unacceptable,
    dotted,
    is_like_a_key,
    one_line,
    quoted,
    shown,
)

KEYS = (
    "sk-proj-4f9cKQ2mN8vX1bT7",
    "sk-ant-api03-abc",
    "ghp_abcdefgh",
    "AIzaSyA1",
    "aib_0123456789ab_secret",
    "Bearer sk-x",
    "0123456789abcdef0123456789abcdef",
    "xK9dLmQ2vB7nRt5w",
)
NO_KEYS = (
    "",
    "openai-compatible",
    "/etc/aibridge/keys/openai.key",
    "https://my-gateway-eu-west-1.example.com/v1",
    "tcp:port=4000:interface=127.0.0.1",
    "OPENAI_API_KEY_FOR_PRODUCTION_2",
    "mask-me",
)


class TestTexts:
    """
    How keys and values are told.
    """

    @pytest.mark.parametrize("text", KEYS)
    def test_keys_are_not_shown(self, text: str) -> None:
        """
        What looks like a vendor's key is replaced, as a value and as a part of a dotted key.
        """
        assert is_like_a_key(text)
        assert quoted(text) == shown(text) == NOT_SHOWN
        assert text not in dotted(("provider", 0, text))

    @pytest.mark.parametrize("text", NO_KEYS)
    def test_other_texts_are_shown(self, text: str) -> None:
        """
        Names, paths, addresses and endpoints are shown in quotes.
        """
        assert quoted(text) == f'"{text}"'

    def test_user_info_is_not_shown(self) -> None:
        """
        A user name and password in a URL are hidden.
        """
        assert quoted("https://user:pass@host/") == '"https://<secret>@host/"'

    def test_long_texts_are_cut(self) -> None:
        """
        A text of bearable length comes out, whatever goes in.
        """
        assert len(quoted("x " * 10000)) < 200

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (True, "true"),
            (5, "the number 5"),
            (2.5, "the number 2.5"),
            pytest.param(16**5000, "a whole number of more than 64 bits", id="huge"),
            ("fast", 'the text "fast"'),
            ([], "an empty list"),
            ([1], "a list"),
            ({}, "a table"),
            (datetime.date(2026, 1, 1), "a date or a time"),
            (datetime.time(1), "a date or a time"),
            (None, "a NoneType"),
        ],
    )
    def test_shown(self, value: object, words: str) -> None:
        """
        Every type that TOML has is named.
        """
        assert shown(value) == words

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ((), ""),
            (("admission", "rate_limit"), "admission.rate_limit"),
            (("provider", 1, "base_url"), "provider[1].base_url"),
            (("a b", "c"), '"a b".c'),
        ],
    )
    def test_dotted(self, path: tuple[str | int, ...], text: str) -> None:
        """
        A key is written as TOML writes it, and an item by its number.
        """
        assert dotted(path) == text

    @running(deadline=None)
    @given(st.text())
    def test_one_line(self, text: str) -> None:
        """
        Whatever is in a text, it comes out printable, on one line, and encodable.
        """
        line = one_line(text)
        assert line.isprintable()
        line.encode()
        assert line == text or not text.isprintable()


class TestProblem:
    """
    One line for each problem.
    """

    @pytest.mark.parametrize(
        ("origin", "words"),
        [
            (Origin(Kind.FILE, "/etc/a.toml"), "/etc/a.toml"),
            (Origin(Kind.ENVIRONMENT, "A"), "environment A"),
            (Origin(Kind.OPTION, "--a"), "option --a"),
            (Origin(Kind.DEFAULT), "default"),
            (Origin(Kind.EMBEDDED), "embedded default"),
        ],
    )
    def test_origin(self, origin: Origin, words: str) -> None:
        """
        A line begins with where the value comes from.
        """
        assert str(origin) == words
        problem = Problem(origin=origin, key="a.b", found="x", allowed="y")
        assert str(problem) == f"{words}: a.b: found x; allowed: y"

    def test_whole_line(self) -> None:
        """
        The name of the table and the hint stand where they are known; nothing stands for what is not.
        """
        origin = Origin(Kind.FILE, "f")
        full = Problem(origin=origin, key="provider[0].key", whose="provider corp", found="x", allowed="y", hint="do z")
        assert str(full) == "f: provider[0].key (provider corp): found x; allowed: y; do z"
        assert str(Problem(origin=origin, key="", found="x", allowed="", hint="z?")) == "f: found x; z?"

    def test_stays_one_line(self) -> None:
        """
        A line end in a file's name does not make two problems of one.
        """
        assert "\n" not in str(Problem(origin=Origin(Kind.FILE, "a\nb"), key="", found="x\x1b[2J", allowed=""))

    def test_errors(self) -> None:
        """
        The exception has every problem, and its text is theirs.
        """
        problems = [Problem(origin=Origin(Kind.DEFAULT), key=key, found="x", allowed="y") for key in "ab"]
        error = ConfigErrors(problems)
        assert error.problems == tuple(problems)
        assert error.warnings == ()
        assert str(error).splitlines() == [str(problem) for problem in problems]

    def test_refusal_at_a_place(self) -> None:
        """
        A refusal becomes a fault with the same words.
        """
        fault = Unacceptable("x", "y", "z").at(("a",))
        assert (fault.path, fault.found, fault.allowed, fault.hint) == (("a",), "x", "y", "z")
