"""
Which stored objects a request's body names, found while its bytes come.

See Note [Nothing is overlooked] in `aibridge.dialects.references`. Each field of each object counts, so no two of one
name hide each other; and what is no JSON, in UTF-8, is refused, as nobody knows how somebody else would read it.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final

from aibridge.dialects.references import Others
from aibridge.errors import BodyUnreadable
from aibridge.model import Dialect, Stored

MOST_NAMED: Final = 4096
"""Objects that one body names."""

MOST_VALUES: Final = 1_000_000
"""Keys and values of a body that are looked at: a few tenths of a second of work, which others do not wait for."""

MOST_DEEP: Final = 1000
"""Objects and lists within each other."""

_LONG: Final = 4096
"""Bytes of a text that may be a name or an id, each character of it an escape; and of a number."""

_TOO_LONG: Final = "-"
"""Stands for a text that is longer, and neither."""

_IDS: Final = {
    "previous_response_id": Stored.RESPONSE,
    "conversation": Stored.CONVERSATION,
    "file_id": Stored.FILE,
    "file_ids": Stored.FILE,
    "input_file_id": Stored.FILE,
    "vector_store_id": Stored.VECTOR_STORE,
    "vector_store_ids": Stored.VECTOR_STORE,
    "container": Stored.CONTAINER,
    "container_id": Stored.CONTAINER,
}
"""Field → what its value is the id of: a text, or each text of a list, or what an object has as its ``id``."""

_PASSIVE: Final = frozenset(
    ("metadata", "parameters", "schema", "arguments", "input_schema", "output_schema", "annotations", "results")
)
"""What is below these says something, and asks for nothing: schemas, notes, what earlier answers found."""

Reference = tuple[Stored, str, str]
"""A kind, an id, and the field that has it."""

_QUOTE: Final = 34
_COMMA: Final = 44
_COLON: Final = 58
_BACKSLASH: Final = 92
_OPENS_LIST: Final = 91
_CLOSES_LIST: Final = 93
_OPENS: Final = 123
_CLOSES: Final = 125

# Where it stands.
_VALUE: Final = 0  # before a value
_FIRST: Final = 1  # the same, or the end of an empty list
_KEY: Final = 2  # before a key
_FIRST_KEY: Final = 3  # the same, or the end of an empty object
_COLON_NEXT: Final = 4
_NEXT: Final = 5  # behind a value
_TEXT: Final = 6  # in a text
_WORD: Final = 7  # in a number, or a word such as null
_OVER: Final = 8

_inside: Any = re.compile(
    rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+',
).match
_in_word: Any = re.compile(rb"[-+.0-9A-Za-z]*").match
_is_word: Any = re.compile(
    rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null|NaN|-?Infinity",
).fullmatch

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class _Frame:
    """
    An object or a list that is not over.
    """

    __slots__ = (
        "begun",
        "ids",
        "is_bare",
        "is_item",
        "is_object",
        "kind",
        "kinds",
        "name",
        "param",
        "passive",
        "spans",
    )

    def __init__(self, is_object: bool) -> None:
        self.is_object = is_object
        self.passive = False
        self.is_item = False  # of a list
        self.is_bare = True  # it has no fields but its type and id
        self.name = ""  # of the field that is read
        self.kind: Stored | None = None  # of what its id, or each of its texts, names
        self.param = ""
        self.kinds: list[str] = []
        self.ids: list[str] = []
        self.begun = -1  # how much was found before it, if it is the input of what may be a call of a tool
        self.spans: list[tuple[int, int]] = []  # what was found in such inputs


class Named:
    """
    Finds them, in whatever pieces the body comes.

    :param others: ids of items that it tells are references, whatever is beside them; None if none are.
    """

    def __init__(self, dialect: Dialect, others: Others | None = None) -> None:
        self._others = others
        self._items = dialect is Dialect.RESPONSES
        # In others, who says so of a request would hide all of its input.
        self._calls = dialect is Dialect.MESSAGES
        self._found: list[Reference] = []
        self._frames: list[_Frame] = []
        self._state = _VALUE
        self._values = 0
        self._held = bytearray()  # of the text or word that is not over
        self._is_key = False
        self._rest = b""  # of an earlier piece: half an escape, or half a mark
        self._begun = False
        self._decode: Any = codecs.getincrementaldecoder("utf-8")().decode

    def feed(self, piece: bytes) -> None:
        """
        The next bytes.

        :raises BodyUnreadable: it is no JSON, or there is too much of it.
        """
        try:
            self._decode(piece)
        except ValueError:
            raise BodyUnreadable from None
        data = self._rest + piece if self._rest else piece
        self._rest = b""
        if not self._begun:
            if len(data) < 3 and _BYTE_ORDER_MARK.startswith(data):
                self._rest = data
                return
            self._begun = True
            data = data.removeprefix(_BYTE_ORDER_MARK)
        at, end = 0, len(data)
        while at < end:
            state = self._state
            if state == _TEXT:
                at = self._in_text(data, at)
            elif state == _WORD:
                at = self._in_word(data, at)
            else:
                at = self._between(data, at)
        if self._values > MOST_VALUES or len(self._found) > MOST_NAMED:
            raise BodyUnreadable("The request body names stored objects, and is too large to see whose they are.")

    def end(self) -> list[Reference]:
        """
        The body is whole.

        :raises BodyUnreadable: it is not.
        """
        if self._state == _WORD:
            self._end_word()
        if self._state != _OVER:
            raise BodyUnreadable
        # In the order in which they are found, and each once.
        return list(dict.fromkeys(self._found))

    # -- between values ------------------------------------------------------------------------------------------

    def _between(self, data: bytes, at: int) -> int:
        char = data[at]
        if char == 32 or char == 10 or char == 13 or char == 9:
            return at + 1
        state = self._state
        if state == _NEXT and char == _COMMA:
            self._state = _KEY if self._frames[-1].is_object else _VALUE
        elif state == _COLON_NEXT and char == _COLON:
            self._state = _VALUE
        elif state in (_VALUE, _FIRST) and char != _CLOSES_LIST:
            return self._begin(at, char)
        elif state in (_KEY, _FIRST_KEY) and char == _QUOTE:
            self._open_text(True)
        elif char in (_CLOSES, _CLOSES_LIST):
            self._close(char, state)
        else:
            raise BodyUnreadable
        return at + 1

    def _begin(self, at: int, char: int) -> int:
        if char == _QUOTE:
            self._open_text(False)
        elif char in (_OPENS, _OPENS_LIST):
            self._open(char == _OPENS)
        else:
            self._values += 1
            self._held.clear()
            self._state = _WORD
            return at
        return at + 1

    def _open(self, is_object: bool) -> None:
        frames = self._frames
        if len(frames) >= MOST_DEEP:
            raise BodyUnreadable
        self._values += 1
        frame = _Frame(is_object)
        if frames:
            above = frames[-1]
            name = above.name
            frame.passive = above.passive
            if not above.is_object:
                frame.is_item = True
            elif name in _PASSIVE:
                frame.passive = True
            elif name == "input":
                frame.begun = len(self._found)
            elif name == "audio" and is_object:
                # An earlier answer's, in a message of a chat.
                frame.kind, frame.param = Stored.AUDIO, "messages"
            else:
                frame.kind, frame.param = _IDS.get(name), name
        frames.append(frame)
        self._state = _FIRST_KEY if is_object else _FIRST

    def _close(self, char: int, state: int) -> None:
        frames = self._frames
        if not frames or state not in (_NEXT, _FIRST_KEY, _FIRST) or frames[-1].is_object is not (char == _CLOSES):
            raise BodyUnreadable
        frame = frames.pop()
        if frame.is_object and not frame.passive:
            self._end_object(frame)
        if frame.begun >= 0 and len(self._found) > frame.begun:
            frames[-1].spans.append((frame.begun, len(self._found)))
        self._state = _NEXT if frames else _OVER

    def _end_object(self, frame: _Frame) -> None:
        found = self._found
        if self._calls and frame.spans and any(kind.endswith("tool_use") for kind in frame.kinds):
            # What a model has written is given to nobody by its name.
            for begin, end in reversed(frame.spans):
                del found[begin:end]
        if not frame.ids:
            return
        kind, others = frame.kind, self._others
        if kind is not None:
            found += [(kind, each, frame.param) for each in frame.ids if each]
        if "item_reference" in frame.kinds or (self._items and frame.is_item and frame.is_bare):
            found += [(Stored.ITEM, each, "input") for each in frame.ids]
        elif others is not None:
            found += [(Stored.ITEM, each, "input") for each in frame.ids if others(each)]

    def _ended(self, text: str | None) -> None:
        # A value that is no list and no object: a text, or None.
        frames = self._frames
        self._state = _NEXT if frames else _OVER
        if not frames or text is None or frames[-1].passive:
            return
        frame = frames[-1]
        if not frame.is_object:
            if frame.kind is not None and text:
                self._found.append((frame.kind, text, frame.param))
            return
        name = frame.name
        if name == "type":
            frame.kinds.append(text)
        elif name == "id":
            frame.ids.append(text)
        else:
            kind = _IDS.get(name)
            if kind is not None and text:
                self._found.append((kind, text, name))

    # -- texts and words -----------------------------------------------------------------------------------------

    def _open_text(self, is_key: bool) -> None:
        self._values += 1
        self._is_key = is_key
        self._held.clear()
        self._state = _TEXT

    def _in_text(self, data: bytes, at: int) -> int:
        end = len(data)
        stop: int = _inside(data, at).end()
        if len(self._held) <= _LONG:
            self._held += data[at:stop]
        if stop == end:
            return end
        char = data[stop]
        if char == _QUOTE:
            self._end_text()
            return stop + 1
        if char == _BACKSLASH and end - stop < 6:
            self._rest = data[stop:]
            return end
        raise BodyUnreadable

    def _end_text(self) -> None:
        held = bytes(self._held)
        if not self._is_key and not self._wants():
            text = ""
        elif len(held) > _LONG:
            text = _TOO_LONG
        elif held.find(b"\\") >= 0:
            # Half of a pair of surrogates is no character, and nothing has an id with one.
            text = str(json.loads(b'"' + held + b'"')).encode("utf-8", "replace").decode()
        else:
            text = held.decode()
        if self._is_key:
            frame = self._frames[-1]
            frame.name = text
            if text != "id" and text != "type":
                frame.is_bare = False
            self._state = _COLON_NEXT
        else:
            self._ended(text)

    def _wants(self) -> bool:
        """
        Whether a text is of interest where it is.
        """
        frame = self._frames[-1] if self._frames else None
        if frame is None or frame.passive:
            return False
        if not frame.is_object:
            return frame.kind is not None
        return frame.name == "id" or frame.name == "type" or frame.name in _IDS

    def _in_word(self, data: bytes, at: int) -> int:
        stop: int = _in_word(data, at).end()
        self._held += data[at:stop]
        if len(self._held) > _LONG:
            raise BodyUnreadable
        if stop < len(data):
            self._end_word()
        return stop

    def _end_word(self) -> None:
        if _is_word(self._held) is None:
            raise BodyUnreadable
        self._ended(None)
