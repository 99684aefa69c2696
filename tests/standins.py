"""
A request as its channel would hand it over, with the client under a test's control.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakes import TOKEN


class Asked:
    """
    A request as its channel would hand it over, with the client under the test's control.
    """

    def __init__(
        self,
        method: bytes = b"POST",
        uri: bytes = b"/openai/v1/chat/completions",
        pairs: list[tuple[bytes, bytes]] | None = None,
        body: bytes = b'{"model":"m"}',
        *,
        wants_upgrade: bool = False,
    ) -> None:
        self.method = method
        self.uri = uri
        self.path = uri.partition(b"?")[0]
        self.pairs = [(b"Host", b"bridge"), (b"Authorization", b"Bearer " + TOKEN)] if pairs is None else pairs
        self.client_host = "192.0.2.1"
        self.wants_upgrade = wants_upgrade
        self.declared_length: int | None = len(body)
        self.on_departure: Callable[[], None] | None = None
        self.status = 0
        self.answer_pairs: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.written = b""
        self.finished = 0
        self.aborted = 0
        self.producer: Any = None
        self.body: object = body

    def header(self, name: bytes) -> bytes | None:
        """
        The first value.
        """
        return next(iter(self.headers_named(name)), None)

    def headers_named(self, name: bytes) -> list[bytes]:
        """
        All values.
        """
        return [value for each, value in self.pairs if each.lower() == name]

    def forget_fields(self) -> None:
        """
        Nobody asks for them any more.
        """
        self.pairs = []

    def take_body(self) -> bytes | None:
        """
        The body, unless it comes while it is passed on.
        """
        return self.body if isinstance(self.body, bytes) else None

    def body_producer(self, limit: int) -> Any:
        """
        Something that stands for the body.
        """
        return ("producer", limit)

    def respond(self, status: int, pairs: list[tuple[bytes, bytes]], length: int | None) -> None:
        """
        The head of the answer.
        """
        assert not self.status, "a second status"
        self.status, self.answer_pairs, self.length = status, list(pairs), length

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """
        A whole answer.
        """
        pairs = [line.partition(b": ")[::2] for line in lines.split(b"\r\n") if line]
        self.respond(status, pairs, len(body))
        self.write(body)
        self.finish()

    def write(self, data: bytes) -> None:
        """
        A piece of the answer.
        """
        assert not self.finished, "written after the end"
        self.written += data

    def finish(self) -> None:
        """
        The end of the answer.
        """
        self.finished += 1

    def abort(self) -> None:
        """
        A visible break.
        """
        self.aborted += 1

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Whom to pause.
        """
        self.producer = producer

    def unregisterProducer(self) -> None:
        """
        Nobody any more.
        """
        self.producer = None

    def leave(self) -> None:
        """
        The client goes away.
        """
        assert self.on_departure is not None, "nobody wants to know"
        self.on_departure()

    def told(self, name: bytes) -> bytes | None:
        """
        A header of the answer.
        """
        return next((value for each, value in self.answer_pairs if each.lower() == name), None)
