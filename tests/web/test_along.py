"""
A copy for each reader.
"""

from __future__ import annotations

import gzip
import json

import brotli
import pytest
import zstandard

from aibridge.dialects.decoding import decoding_of
from aibridge.dialects.made import Made
from aibridge.model import Stored
from aibridge.web.along import Along


class Kept:
    """
    Keeps what it is given.
    """

    def __init__(self) -> None:
        self.data = b""
        self.left = 0

    def feed(self, data: bytes) -> bool:
        """
        A piece.
        """
        self.data += data
        self.left = len(self.data)
        return True

    def go_on(self) -> bool:
        """
        Another step.
        """
        self.left -= 1
        return self.left > 0


def test_both_are_given_each_piece() -> None:
    """
    And one alone where nobody asks what it has cost.
    """
    for reader in (Kept(), None):
        learned: list[str] = []
        made = Made(Stored.FILE, lambda _, id, learned=learned: learned.append(id), False)  # type: ignore[misc]  # bound
        along = Along(reader, made)
        along.feed(b'{"id":')
        assert along.feed(b'"f1"}') is (reader is not None)
        while along.go_on():
            pass
        assert reader is None or reader.left == 0
        made.end()
        assert learned == ["f1"]
        assert reader is None or reader.data == b'{"id":"f1"}'


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br"])
def test_an_encoded_answer(encoding: str) -> None:
    """
    The ids in it are known, and the other reader is given what came.
    """
    body = json.dumps({"id": "f1", "more": "x" * 100_000}).encode()
    encoded = {"gzip": gzip.compress, "zstd": zstandard.compress, "br": brotli.compress}[encoding](body)
    learned: list[str] = []
    reader, made = Kept(), Made(Stored.FILE, lambda _, id: learned.append(id), False)
    along = Along(reader, made, decoding_of(encoding.encode()))
    for at in range(0, len(encoded), 50):
        along.feed(encoded[at : at + 50])
    while along.go_on():
        pass
    made.end()
    assert (learned, reader.data) == (["f1"], encoded)


def test_what_cannot_be_undone() -> None:
    """
    Tells no id, and does no harm.
    """
    learned: list[str] = []
    made = Made(Stored.FILE, lambda _, id: learned.append(id), False)
    along = Along(None, made, decoding_of(b"gzip"))
    along.feed(b"no gzip at all")
    while along.go_on():
        pass
    along.feed(b"more")
    made.end()
    assert learned == []
