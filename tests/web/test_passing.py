"""
Bodies that are looked at while they cross.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from aibridge.dialects.references import Sought
from aibridge.model import Dialect
from aibridge.web.passing import MOST_LOOKED_AT, Passing
from making import completion


class Source:
    """
    A body, and what it was told.
    """

    length = 7

    def __init__(self) -> None:
        self.told: list[str] = []
        self.consumer: Any = None

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """
        Begin.
        """
        self.consumer = consumer
        return Deferred()

    def pauseProducing(self) -> None:
        """
        Wait.
        """
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        self.told.append("resume")

    def stopProducing(self) -> None:
        """
        No more.
        """
        self.told.append("stop")


class Taken:
    """
    What the body is written to.
    """

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        """
        A piece.
        """
        self.data += data


def form(*fields: tuple[str, str]) -> bytes:
    """
    A form, as the vendors' SDKs write it.
    """
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    return "".join(parts).encode() + b"--b--\r\n"


def passed(body: bytes, size: int = 0, watch: Sought | None = None) -> tuple[str, bytes]:
    """
    The model that is found, and what crosses.
    """
    told, source, taken = completion(model=""), Source(), Taken()
    passing = Passing(source, told, watch)
    passing.startProducing(taken)  # type: ignore[arg-type]  # as much of a consumer as is used
    for at in range(0, len(body), size or len(body)):
        source.consumer.write(body[at : at + (size or len(body))])
    return told.model, taken.data


@given(st.integers(1, 50))
def test_the_model_of_a_form(size: int) -> None:
    """
    However it is cut, and every byte crosses.
    """
    body = form(("language", "en"), ("model", "whisper-1"), ("file", "x" * 100))
    assert passed(body, size) == ("whisper-1", body)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b"--b\r\ncontent-disposition: form-data; name=model\r\n\r\nm\r\n--b", "m"),
        (b'--b\r\nContent-Disposition: form-data; name="model"\r\nContent-Type: text/plain\r\n\r\nm\r\n--b', "m"),
        (form(("modelling", "x")), ""),
        (form(("file", "-" * MOST_LOOKED_AT), ("model", "late")), ""),
        (form(("model", "bad\tname")), ""),
        (form(("model", "")), ""),
        (b"", ""),
        (b"\0" * 100, ""),
    ],
)
def test_other_bodies(body: bytes, model: str) -> None:
    """
    A model is looked for at the beginning, and is none if it cannot be printed.
    """
    if body:
        assert passed(body) == (model, body)


def test_it_is_watched() -> None:
    """
    All of it.
    """
    watch = Sought(Dialect.PLAIN, lines=True)
    passed(b"-" * 2 * MOST_LOOKED_AT + b'{"file_id":"f"}', 100, watch)
    assert watch.found


def test_it_is_a_producer() -> None:
    """
    What it is told, its body is told.
    """
    source = Source()
    passing = Passing(source, completion(), None)
    assert verifyObject(IBodyProducer, passing)
    assert passing.length == 7
    passing.pauseProducing()
    passing.resumeProducing()
    passing.stopProducing()
    assert source.told == ["pause", "resume", "stop"]
