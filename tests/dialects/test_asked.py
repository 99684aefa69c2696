"""
All that is to be known of a body.
"""

from __future__ import annotations

import gzip
import json

import pytest

from aibridge.dialects.asked import Asked
from aibridge.model import Dialect, Stored

NAMED = [(Stored.FILE, "f1", "file_id")]


def read(body: bytes, encoding: bytes | None = None, dialect: Dialect | None = Dialect.RESPONSES) -> tuple[Asked, int]:
    """
    What is known once all is read, and in how many steps.
    """
    asked, steps = Asked(body, encoding, 10_000_000, dialect), 1
    while asked.go_on():
        steps += 1
    return asked, steps


@pytest.mark.parametrize("encoding", [b"", b"identity", b"gzip", b"gzip, gzip"])
@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("size", [1, 100, 100_000, 1_000_000])
def test_facts_and_names(size: int, names: bool, encoding: bytes) -> None:
    """
    Both, of bodies of any size and encoding.
    """
    data = {"model": "m", "input": ["to be"] * (size // 8), "tools": [{"file_id": "f1"}] if names else []}
    body = json.dumps(data).encode()
    for _ in range(encoding.count(b"gzip")):
        body = gzip.compress(body)
    asked, _ = read(body, encoding)
    assert (asked.facts.model, asked.names, asked.references, asked.error) == ("m", names, NAMED if names else [], None)
    asked, _ = read(body, encoding, None)
    assert (asked.facts.model, asked.names, asked.references, asked.error) == ("m", False, [], None)


@pytest.mark.parametrize("encoding", [b"", b"gzip"])
@pytest.mark.parametrize("size", [1, 20_000, 200_000])
@pytest.mark.parametrize("before", [True, False])
def test_anothers_items(size: int, before: bool, encoding: bytes) -> None:
    """
    Are named by what has their ids, whatever is beside them; a body with other ids alone is not walked through.
    """
    item, text = {"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "user", "content": "x" * size}
    body = json.dumps({"model": "m", "input": [item, text] if before else [text, item]}).encode()
    body = gzip.compress(body) if encoding else body
    for theirs, references in (("rs_1", [(Stored.ITEM, "rs_1", "input")]), ("rs_2", [])):
        asked = Asked(body, encoding, 10_000_000, Dialect.RESPONSES, theirs.__eq__)
        while asked.go_on():
            pass
        assert (asked.names, asked.references, asked.error) == (bool(references), references, None)


def test_what_is_read_at_once() -> None:
    """
    Bodies of some ten kilobytes, which name nothing, and no large ones.
    """
    for size, more in ((1, False), (50_000, False), (100_000, True)):
        body = b'{"model":"m","input":"' + b"x" * size + b'"}'
        for dialect in (Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES):
            asked = Asked(body, b"", 1_000_000, dialect)
            assert asked.begin() is more
            assert asked.facts.model == "m"
        assert not Asked(body, b"", 1_000_000, None).begin()


def test_a_body_that_costs_much_is_read_in_many_steps() -> None:
    """
    Each of a few kilobytes, whether it names something or not.
    """
    for beginning in (b"{", b'{"file_id":"f1",'):
        asked, steps = read(beginning + b'"model":"m","x":["' + b'","' * 100_000 + b'"]}')
        assert (asked.facts.model, asked.references) == ("m", NAMED[: len(beginning) // 2])
        assert steps >= 300_000 // 16384


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"{}", b"unknown"), (b"{}", b"gzip"), (b"{}", b"gzip," * 9), (gzip.compress(b" " * 10_100_000), b"gzip")],
)
def test_an_encoding_that_cannot_be_undone(body: bytes, encoding: bytes) -> None:
    """
    Is no reason not to know its size, and one not to send it where names matter.
    """
    assert read(body, encoding)[0].error is not None
    assert read(body, encoding, None)[0].error is None


def test_half_a_body_that_names_something() -> None:
    """
    Cannot be read.
    """
    body = json.dumps({"file_id": "f1", "input": [str(each) for each in range(9999)]}).encode()
    assert read(gzip.compress(body)[:-2000], b"gzip")[0].error is not None
