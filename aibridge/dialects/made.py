"""
The ids of stored objects that an answer has, as they come: they can be used as soon as the client has them.

Only where a vendor puts them is looked, so that nothing that an answer merely repeats (metadata, what a model or a tool
has written) can be taken for one. A reader raises nothing, and keeps one event or one body up to a limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aibridge.dialects.reading import loaded
from aibridge.model import Stored

MOST_KEPT: Final = 1024 * 1024
"""Bytes of a body, or of one event, beyond which only an id at its head is known."""

_HEAD: Final = re.compile(rb'\s*\{\s*"id"\s*:\s*"([!#-\[\]-~]{1,256})"')

_MARKS: Final = (
    b"response.created",
    b"response.queued",
    b"response.output_item.added",
    b'"container"',
    b"_tool_result",
    b'"audio"',
)
"""What an event has in it that may have an id."""

Learn = Callable[[Stored, str], None]


class Made:
    """
    Reads one answer.

    :param kind: of what the answer itself is.
    :param learn: called with each id, and of what kind it is.
    :param streams: it is a stream of events.
    """

    __slots__ = ("_after_cr", "_first", "_held", "_is_skipping", "_kind", "_learn", "_most", "_streams")

    def __init__(self, kind: Stored, learn: Learn, streams: bool, most: int = MOST_KEPT) -> None:
        self._kind = kind
        self._learn = learn
        self._streams = streams
        self._most = most
        self._held = bytearray()
        self._after_cr = False
        self._is_skipping = False
        self._first = kind is Stored.CHAT_COMPLETION  # whose every event has the id of all

    def feed(self, data: bytes) -> None:
        """
        The next bytes, without a content encoding.
        """
        if self._streams:
            self._cut(data)
        elif not self._is_skipping:
            self._held += data
            if len(self._held) > self._most:
                self._is_skipping = True
                self._tell_head()
                self._held.clear()

    def end(self) -> None:
        """
        There are no more.
        """
        if self._is_skipping:
            return
        body = bytes(self._held)
        self._held.clear()
        if self._streams:
            self._read(body)
            return
        value = loaded(body)
        if value is not None:
            self._object(value)

    def _tell_head(self) -> None:
        found = _HEAD.match(self._held)
        if found is not None and self._kind in (Stored.RESPONSE, Stored.CHAT_COMPLETION):
            self._tell(self._kind, found[1].decode())

    def _cut(self, data: bytes) -> None:
        """
        Cut a stream into events; all line ends are LF.
        """
        if self._after_cr:
            data = b"\r" + data
            self._after_cr = False
        if data.find(b"\r") >= 0:
            if data.endswith(b"\r"):
                self._after_cr = True
                data = data[:-1]
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        held = self._held
        before = max(0, len(held) - 1)
        held += data
        end = held.rfind(b"\n\n", before)
        if end < 0:
            if len(held) > self._most:
                self._is_skipping = True
                del held[:-1]
            return
        block = bytes(held[:end])
        del held[: end + 2]
        if self._is_skipping:
            self._is_skipping = False
            block = block.partition(b"\n\n")[2]
        if self._first or _matters(block):
            self._read(block)

    def _read(self, block: bytes) -> None:
        for event in block.split(b"\n\n"):
            if not self._first and not _matters(event):
                continue
            lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
            value = loaded(b"\n".join(lines))
            if value is not None:
                self._event(value)

    def _event(self, event: Mapping[str, Any]) -> None:
        """
        What one event of a stream has.
        """
        kind = event.get("type")
        if kind in ("response.created", "response.queued"):
            self._object(event.get("response"))
        elif kind == "response.output_item.added":
            self._item(event.get("item"))
        elif kind == "message_start":
            self._object(event.get("message"))
        elif kind == "message_delta":
            self._tell(Stored.CONTAINER, _id(_get(event.get("delta"), "container")))
        elif kind == "content_block_start":
            self._block(event.get("content_block"))
        elif self._kind is Stored.CHAT_COMPLETION:
            self._completion(event)

    def _object(self, value: object) -> None:
        """
        An object as a whole.
        """
        kind = self._kind
        if kind is Stored.CHAT_COMPLETION:
            self._completion(value)
        elif kind is Stored.CONTAINER and _get(value, "type") == "message":
            # One of Anthropic's, which an answer is not but has.
            self._tell(kind, _id(_get(value, "container")))
            for block in _list(value, "content"):
                self._block(block)
        elif kind is Stored.ITEM:
            for item in _list(value, "data"):
                self._item(item)
        elif kind is Stored.FILE and _get(value, "object") in ("batch", "upload"):
            for file in (_get(value, "output_file_id"), _get(value, "error_file_id"), _id(_get(value, "file"))):
                self._tell(kind, file)
        else:
            self._tell(kind, _id(value))
            if kind is Stored.RESPONSE:
                self._tell(Stored.CONVERSATION, _id(_get(value, "conversation")))
                for item in _list(value, "output"):
                    self._item(item)

    def _completion(self, value: object) -> None:
        if self._first:
            self._first = False
            self._tell(Stored.CHAT_COMPLETION, _id(value))
        for choice in _list(value, "choices"):
            for part in ("message", "delta"):
                self._tell(Stored.AUDIO, _id(_get(_get(choice, part), "audio")))

    def _item(self, item: object) -> None:
        """
        An item of a response's output.
        """
        self._tell(Stored.ITEM, _id(item))
        self._tell(Stored.CONTAINER, _get(item, "container_id"))

    def _block(self, block: object) -> None:
        """
        A block of a message of Anthropic's: what its own tools have made are files.
        """
        kind = _get(block, "type")
        if isinstance(kind, str) and kind.endswith("_tool_result"):
            for made in _list(_get(block, "content"), "content"):
                self._tell(Stored.FILE, _get(made, "file_id"))

    def _tell(self, kind: Stored, id: object) -> None:
        if isinstance(id, str) and id:
            self._learn(kind, id)


def _matters(block: bytes) -> bool:
    for mark in _MARKS:  # noqa: SIM110  # a generator costs more than all of it
        if block.find(mark) >= 0:
            return True
    return False


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _id(value: object) -> object:
    return _get(value, "id")


def _list(value: object, name: str) -> list[Any]:
    found = _get(value, name)
    return found if isinstance(found, list) else []
