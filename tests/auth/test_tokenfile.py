"""
The text of ``tokens.toml``.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aibridge.auth.tokenfile import HEAD, TokenAbsent, TokenFile, TokensUnusable, name_is_allowed
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token
from aibridge.model import Class

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HASH = "sha256:" + "0a" * 32

times = st.datetimes(datetime(1971, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64).filter(name_is_allowed)
hashes = st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}")
rates = st.none() | st.integers(1, 10**6) | st.floats(1, 1e6)


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    rotated = draw(st.booleans())
    return Entry(
        id=Token.from_random(draw(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))).id,
        name=draw(names),
        hash=draw(hashes),
        created=draw(times),
        class_=draw(st.sampled_from(Class)),
        rate_limit=draw(rates | st.just(0) | st.just(1e-5)),
        rate_burst=draw(rates),
        max_in_flight=draw(st.none() | st.integers(0, 10**6)),
        expires=draw(st.none() | times),
        disabled=draw(st.booleans()),
        previous_hash=draw(hashes) if rotated else None,
        previous_expires=draw(times) if rotated else None,
    )


entry_lists = st.lists(_entries(), max_size=4, unique_by=(lambda e: e.id, lambda e: e.name))


def file_of(entries: list[Entry]) -> TokenFile:
    """
    A file to which these were added, one by one.
    """
    file = TokenFile.from_text("")
    for entry in entries:
        file = file.adding(entry)
    return file


def an_entry(number: int = 0, **values: Any) -> Entry:
    """
    An entry that differs from the others by its number.
    """
    return Entry(**{"id": f"{number:012d}", "name": f"name {number}", "hash": HASH, "created": NOW, **values})


class TestReadingAndWriting:
    """
    Entries to text and back.
    """

    @settings(deadline=None)
    @given(entry_lists)
    def test_reading_what_was_written(self, entries: list[Entry]) -> None:
        """
        The text of a file is read as the entries it was written from.
        """
        file = file_of(entries)
        assert list(TokenFile.from_text(file.text()).entries) == entries
        assert TokenFile.from_text(file.text()).text() == file.text()

    @settings(deadline=None)
    @given(entry_lists, st.data())
    def test_edits(self, entries: list[Entry], data: st.DataObject) -> None:
        """
        Whatever is changed, the text says the same as the entries, and the entries that were not touched stand in it
        letter for letter.
        """
        file = TokenFile.from_text(file_of(entries).text())
        for _ in range(data.draw(st.integers(0, 3))):
            if not file.entries:
                break
            at = data.draw(st.integers(0, len(file.entries) - 1))
            entry = file.entries[at]
            untouched = [file.adding(an_entry()).text().split("\n[[token]]")[i + 1] for i in range(len(file.entries))]
            del untouched[at]
            if data.draw(st.booleans()):
                file = file.without(entry.id)
            else:
                file = file.replacing(attrs.evolve(entry, hash=HASH, disabled=not entry.disabled))
            assert TokenFile.from_text(file.text()).entries == file.entries
            assert all(block.strip() in file.text() for block in untouched)

    def test_the_whole_file(self) -> None:
        """
        This is what a file looks like.
        """
        entry = an_entry(
            1,
            name='"quoted" \\ 名前',
            class_=Class.INTERACTIVE,
            rate_limit=0,
            rate_burst=2.5,
            max_in_flight=4,
            expires=NOW + timedelta(days=1),
            disabled=True,
            previous_hash=HASH,
            previous_expires=NOW,
        )
        assert file_of([an_entry(0), entry]).text() == (
            f"""{HEAD}
[[token]]
id = "000000000000"
name = "name 0"
hash = "{HASH}"
created = 2026-11-24T12:00:00Z

[[token]]
id = "000000000001"
name = "\\"quoted\\" \\\\ 名前"
hash = "{HASH}"
created = 2026-11-24T12:00:00Z
class = "interactive"
rate_limit = 0
rate_burst = 2.5
max_in_flight = 4
expires = 2026-11-25T12:00:00Z
disabled = true
previous_hash = "{HASH}"
previous_expires = 2026-11-24T12:00:00Z
"""
        )

    @pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "token = []\n"])
    def test_no_tokens(self, text: str) -> None:
        """
        A file may have none.
        """
        assert TokenFile.from_text(text).entries == ()

    def test_dates(self) -> None:
        """
        A date alone is its first moment in UTC, and other zones are taken into account.
        """
        text = f'[[token]]\nid="000000000000"\nname="a"\nhash="{HASH}"\ncreated=2026-01-31T01:00:00+02:00\n'
        (entry,) = TokenFile.from_text(text + "expires=2027-01-31").entries
        assert entry.created == datetime(2026, 1, 30, 23, tzinfo=UTC)
        assert entry.expires == datetime(2027, 1, 31, tzinfo=UTC)

    def test_representation(self) -> None:
        """
        The representation of a file shows no hash.
        """
        assert HASH not in repr(file_of([an_entry()]))


BY_HAND = f"""\
# Ours.

# The build machines.
# Ask Ada.
[[token]]   # one
name="ci"
id = '00000000000c'
hash = "{HASH}"
created = 2026-01-01   # a date

rate_limit = 5

# In between.

  [[ token ]]
id = "00000000000d"
hash = "{HASH}"
name = "dev"
created = 2026-01-01T00:00:00Z

# The end.
"""


class TestWhatPeopleWrote:
    """
    Text that was edited by hand.
    """

    def test_nothing_is_lost(self) -> None:
        """
        A new token leaves every line as it was.
        """
        text = TokenFile.from_text(BY_HAND).adding(an_entry()).text()
        assert text.startswith(BY_HAND)
        assert text.count("[[") == 3

    def test_replacing(self) -> None:
        """
        Comments above an entry outlive its change, those within it do not, and the others are untouched.
        """
        file = TokenFile.from_text(BY_HAND)
        text = file.replacing(attrs.evolve(file.find("ci"), disabled=True)).text()
        assert text.startswith("# Ours.\n\n# The build machines.\n# Ask Ada.\n[[token]]\nid = ")
        assert "disabled = true" in text
        assert "# a date" not in text
        assert text.endswith(BY_HAND[BY_HAND.index("# In between.") :])

    def test_removing(self) -> None:
        """
        An entry takes the comments directly above it along, and no others.
        """
        text = TokenFile.from_text(BY_HAND).without("00000000000c").text()
        assert "Ada" not in text
        assert text.startswith("# Ours.\n\n# In between.\n\n")
        assert text.endswith(BY_HAND[BY_HAND.index("  [[ token") :])
        assert TokenFile.from_text(text).without("00000000000d").text() == "# Ours.\n\n# In between.\n\n# The end.\n"

    @pytest.mark.parametrize(
        "text",
        [
            f'token = [{{id="00000000000c", name="ci", hash="{HASH}", created=2026-01-01}}]',
            f'[[token]]\nid="00000000000c"\nhash="{HASH}"\ncreated=2026-01-01\nname="""\\\n[[token]]"""',
            f'[["token"]]\nid="00000000000c"\nhash="{HASH}"\ncreated=2026-01-01\nname="ci"',
            f'[[token]]\r\nid="00000000000c"\r\nhash="{HASH}"\r\ncreated=2026-01-01\r\nname="ci"\r\n',
        ],
    )
    def test_other_ways_to_write_it(self, text: str) -> None:
        """
        Every way that TOML has is understood and can be changed, if not kept.
        """
        file = TokenFile.from_text(text)
        (entry,) = file.entries
        changed = file.adding(an_entry()).replacing(attrs.evolve(entry, disabled=True))
        assert TokenFile.from_text(changed.text()).entries == (attrs.evolve(entry, disabled=True), an_entry())

    def test_line_ends_that_toml_does_not_know(self) -> None:
        """
        Characters that only some programs take for line ends do not shift the lines that problems are reported for.
        """
        with pytest.raises(TokensUnusable) as caught:
            TokenFile.from_text("# \x85 \u2028 \u2029\n[[token]]\n")
        assert caught.value.problems[0].startswith("line 2: ")


GOOD = {"id": '"00000000000c"', "name": '"ci"', "hash": f'"{HASH}"', "created": "2026-01-01"}


def table(**values: str | None) -> str:
    """
    A table in which some values are other than they have to be.
    """
    lines = [f"{key} = {value}" for key, value in {**GOOD, **values}.items() if value is not None]
    return "\n".join(["[[token]]", *lines, ""])


class TestProblems:
    """
    What is refused, and in what words.
    """

    @pytest.mark.parametrize(
        ("text", "problems"),
        [
            ("[[token]", ["not valid TOML"]),
            ("a = 'x", ["not valid TOML"]),
            ("token = 5", ["token has to be written as [[token]] tables"]),
            ("token = [5]", ["token has to be written as [[token]] tables"]),
            ("[token]\nid = 'x'", ["token has to be written as [[token]] tables"]),
            ("tokens = 1", ["the key tokens is not known here"]),
            ('"aib_0123456789ab" = 1', ["a key is not known here"]),
            ("[[token]]", [f"line 1: {key} is missing" for key in ("id", "name", "hash", "created")]),
            (table(id='"short"'), ['line 1 (token "ci"): id has to be 12 characters']),
            (table(id='"00000000000C"'), ["id has to be"]),
            (table(name='""'), ["line 1: name has to be"]),
            (table(name='" ci"'), ["name has to be"]),
            (table(name='"a\\nb"'), ["name has to be"]),
            (table(name='"aib_0123456789ab_secret"'), ["line 1: name has to be"]),
            (table(name=f'"{"n" * 65}"'), ["name has to be"]),
            (table(name="5"), ["name has to be"]),
            (table(hash='"aib_0123456789ab_secret"'), ["hash has to be sha256: and 64"]),
            (table(hash=f'"{HASH.upper()}"'), ["hash has to be"]),
            (table(created='"2026-01-01"'), ["created has to be a date"]),
            (table(created="2026-01-01T00:00:00"), ["created has to be a date, or a date and time with its zone"]),
            (table(created="12:00:00"), ["created has to be a date"]),
            (table(created="0001-01-01T00:00:00+10:00"), ["created has to be a date"]),
            (table(**{"class": '"vip"'}), ["class has to be one of interactive, default, batch"]),
            (table(rate_limit="-1"), ["rate_limit has to be a number of requests per second from 0"]),
            (table(rate_limit="true"), ["rate_limit has to be"]),
            (table(rate_limit="false"), ["rate_limit has to be"]),
            (table(rate_limit="nan"), ["rate_limit has to be"]),
            (table(rate_limit="inf"), ["rate_limit has to be"]),
            (table(rate_limit="1" + "0" * 400), ["rate_limit has to be"]),
            (table(rate_limit='"5"'), ["rate_limit has to be"]),
            (table(rate_burst="0.5"), ["rate_burst has to be a number of requests from 1"]),
            (table(max_in_flight="-1"), ["max_in_flight has to be a whole number of exchanges from 0 to 1000000"]),
            (table(max_in_flight="1.0"), ["max_in_flight has to be"]),
            (table(max_in_flight="true"), ["max_in_flight has to be"]),
            (table(max_in_flight="1000001"), ["max_in_flight has to be"]),
            (table(max_in_flight='"4"'), ["max_in_flight has to be"]),
            (table(expires="1"), ["expires has to be"]),
            (table(disabled="1"), ["disabled has to be true or false"]),
            (table(previous_hash=f'"{HASH}"'), ["previous_hash and previous_expires belong together"]),
            (table(previous_expires="2026-01-01"), ["previous_hash and previous_expires belong together"]),
            (table(burst="1"), ["the key burst is not known in a [[token]]; known are id, name"]),
            (
                table(hash=None, id="1", disabled="2"),
                ["id has to be", "disabled has to be", 'line 1 (token "ci"): hash is missing'],
            ),
            (
                "\n" + table() + table(),
                ['line 7 (token "ci"): the id "00000000000c" is', 'line 7 (token "ci"): the name "ci" is'],
            ),
            (table(id='"00000000000d"') + table(), ['line 6 (token "ci"): the name "ci" is taken by another token']),
            ("token = [{}]", [f"token 1: {key} is missing" for key in ("id", "name", "hash", "created")]),
        ],
    )
    def test_each(self, text: str, problems: list[str]) -> None:
        """
        All problems are told, each in one line with its place, and none with what was found.
        """
        with pytest.raises(TokensUnusable) as caught:
            TokenFile.from_text(text)
        told = caught.value.problems
        assert len(told) == len(problems)
        assert all(expected in problem for expected, problem in zip(problems, told, strict=True))
        assert str(caught.value) == "\n".join(told)
        assert not any("\n" in problem or "secret" in problem or "aib_" in problem for problem in told)

    @settings(deadline=None)
    @given(st.text() | st.text(st.sampled_from("[]token\n\"'=#{}. 1aib_")))
    def test_any_text(self, text: str) -> None:
        """
        Whatever stands in the file, it is read or refused, and read only if it is TOML.
        """
        try:
            file = TokenFile.from_text(text)
        except TokensUnusable as error:
            assert error.problems
        else:
            assert len(tomllib.loads(text).get("token", [])) == len(file.entries)

    @settings(deadline=None)
    @given(st.sampled_from(["[[token]]\n{} = 1", "{}", "[{}]\n[{}]", '{} = "', "x = {}", "[[token]]\nname = {}"]))
    def test_a_token_by_mistake(self, text: str) -> None:
        """
        A token that stands in the file by mistake, wherever it does, is not repeated.
        """
        token = Token.from_random(bytes(range(40))).reveal()
        with pytest.raises(TokensUnusable) as caught:
            TokenFile.from_text(text.replace("{}", token))
        assert token not in f"{caught.value!r} {caught.value}"


class TestFinding:
    """
    Which entry is meant.
    """

    def test_by_name_or_id(self) -> None:
        """
        Either names it.
        """
        file = file_of([an_entry(1), an_entry(2)])
        assert file.find("name 2") == file.find("000000000002") == an_entry(2)

    def test_nobody(self) -> None:
        """
        It is an error if there is none.
        """
        with pytest.raises(TokenAbsent, match="no token with the name or id 'nobody'"):
            file_of([an_entry()]).find("nobody")

    def test_two(self) -> None:
        """
        It is an error if two could be meant.
        """
        file = file_of([an_entry(1), an_entry(2, name="000000000001")])
        with pytest.raises(TokenAbsent, match="the name of one token and the id of another"):
            file.find("000000000001")

    def test_a_token(self) -> None:
        """
        Who gives the token itself is told what to give, and does not see it again.
        """
        token = Token.from_random(bytes(range(40)))
        with pytest.raises(TokenAbsent, match="name it by its id") as caught:
            file_of([an_entry()]).find(token.reveal())
        assert token.secret.reveal() not in str(caught.value)

    @pytest.mark.parametrize("clash", [an_entry(1, name="name 0"), an_entry(0, name="another")])
    def test_names_and_ids_are_unique(self, clash: Entry) -> None:
        """
        A second token of the same name or id is not added.
        """
        with pytest.raises(TokensUnusable, match="is taken by another token"):
            file_of([an_entry(0)]).adding(clash)
