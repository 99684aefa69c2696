"""
Reading the tokens file again and again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.auth.tokenfile import TokenFile, TokensUnusable, read_entries
from aibridge.auth.tokenreader import COST, MOST_PIECE, MOST_TOLD, STEP, TokenReader, Undivided
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def block(number: int, **values: Any) -> str:
    """
    An entry as the command writes it.
    """
    token = Token.from_random(number.to_bytes(8) + bytes(RANDOM_BYTES - 8))
    entry = {"id": token.id, "name": f"name {number}", "hash": token.hashed(), "created": NOW, **values}
    return TokenFile.from_text("# head\n").adding(Entry(**entry)).text().removeprefix("# head\n\n")


def file(*numbers: int) -> str:
    """
    A file of such entries.
    """
    return "# head\n\n" + "\n".join(block(number) for number in numbers)


def outcome(text: str) -> Any:
    """
    What the whole text says, or that it says nothing.
    """
    try:
        return read_entries(text)
    except TokensUnusable:
        return None


def problems(text: str) -> tuple[str, ...]:
    """
    What is wrong.
    """
    with pytest.raises(TokensUnusable) as caught:
        TokenReader().read(text)
    return caught.value.problems


def steps(reader: TokenReader, text: str) -> int:
    """
    In how many steps it is read.
    """
    return sum(1 for _ in reader.steps(text))


def test_what_the_command_writes() -> None:
    """
    Is read as it is read at once, and so is nothing at all.
    """
    for text in ("", "\n", "# a comment", file(), file(1), file(1, 2, 3), file(1, 2).replace("\n", "\r\n")):
        assert TokenReader().read(text) == read_entries(text)


def test_only_what_has_changed() -> None:
    """
    Is read again, in fewer steps.
    """
    reader = TokenReader()
    many = file(*range(200))
    first = steps(reader, many)
    assert first >= 200 * COST // STEP
    assert steps(reader, many) < 3
    changed = many.replace('"name 100"', '"another"')
    assert steps(reader, changed) < 3
    assert reader.read(changed) == read_entries(changed)
    assert reader.read(many) == read_entries(many)


def test_what_is_known_is_good_entries_of_the_last_text() -> None:
    """
    A bad piece is bad each time, and the good ones beside it are not read again.
    """
    reader = TokenReader()
    text = file(*range(200)).replace('"name 100"', "5")
    for _ in range(2):
        with pytest.raises(TokensUnusable):
            reader.read(text)
    mended = file(*range(200))
    assert steps(reader, mended) < 3


PLAIN = [
    block(1),
    block(2),
    block(2).replace("\n", "\r\n"),
    block(3, name='q"\\uote'),
    block(4, expires=NOW, disabled=True, rate_limit=2.5),
    "# a comment [[token]]\n",
    "\n",
    "[[token]]\n",
    " [[ token ]] # comment\n",
    'name = "x"\n',
    "name = 'single [[ quoted'\n",
    "disabled = true\n",
    "created = 2026-01-01 00:00:00Z # [[\n",
    "rate_limit = = 5\n",
    "rate_limit = 1_0.5e1\n",
    "rate_limit = \n",
]

ODD = [
    "[token.more]\n",
    "[[other]]\n",
    '"token" = 5\n',
    "token.x = 5\n",
    'name = """\n[[token]]\n"""\n',
    "name = '''\n[[token]]\n'''\n",
    "name = [\n[[token]]\n]\n",
    "token = [{}]\n",
    "x = {a = 1}\n",
    "\t\0\n",
    "[[token]] x\n",
    'name = ""\n',
    'name = """"""\n',
    "\\\n",
    "é = 1\n",
    "x\n",
    'name = "open\n',
    "\r",
]


@given(st.lists(st.sampled_from(PLAIN + ODD), max_size=8).map("".join), st.lists(st.sampled_from(PLAIN), max_size=6))
def test_any_text_says_what_it_says_at_once(text: str, before: list[str]) -> None:
    """
    In pieces or not, whatever was read before.
    """
    reader = TokenReader()
    for each in ("".join(before), text, text):
        try:
            found: Any = reader.read(each)
        except TokensUnusable:
            found = None
        assert found == outcome(each)


@given(st.lists(st.sampled_from(PLAIN), max_size=8).map("".join))
def test_plain_lines_are_read_in_steps(text: str) -> None:
    """
    What is one statement in each line can be.
    """
    try:
        steps(TokenReader(), text)
    except TokensUnusable:
        assert outcome(text) is None
    else:
        assert outcome(text) is not None


@pytest.mark.parametrize("odd", ['name = """x"""\n', "x = [1]\n", "x = {}\n", "[token.x]\n", "# " + "x" * MOST_PIECE])
def test_what_cannot_be_read_in_steps(odd: str) -> None:
    """
    Is told, and read at once by those who can wait.
    """
    with pytest.raises(Undivided):
        steps(TokenReader(), file(1) + odd)


def test_lines() -> None:
    """
    Of problems are those of the whole text.
    """
    text = file(1, 2, 3).replace('name = "name 2"', "name = 2").replace('hash = "sha256', 'hash = "sha257')
    lines = text.splitlines()
    headers = [number for number, line in enumerate(lines, 1) if line == "[[token]]"]
    found = problems(text)
    told = [int(problem.split()[1].rstrip(":")) for problem in found]
    assert told == [headers[0], headers[1], headers[1], headers[2]]
    (syntax,) = problems(file(1, 2) + "x = \n")
    assert f"(at line {len(file(1, 2).splitlines()) + 1}, column 5)" in syntax


def test_clashes() -> None:
    """
    Are found between pieces, each where the second one is.
    """
    text = file(1, 2) + "\n" + block(1).replace("name 1", "name 2")
    line = text.count("\n", 0, text.rindex("[[token]]")) + 1
    token = Token.from_random((1).to_bytes(8) + bytes(RANDOM_BYTES - 8))
    assert problems(text) == (
        f'line {line} (token "name 2"): the id "{token.id}" is taken by another token',
        f'line {line} (token "name 2"): the name "name 2" is taken by another token',
    )


def test_very_many_problems() -> None:
    """
    Are told only so far.
    """
    found = problems(file(*range(50)).replace("name = ", "naming = "))
    assert len(found) == 2 * MOST_TOLD + 1
    assert "40 further places" in found[-1]
