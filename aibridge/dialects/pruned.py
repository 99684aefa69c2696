"""
JSON without what nobody asks for, made while its bytes come.

Of what crosses, next to nothing is read: a model's name, a few counts, a word for an error. The rest, texts, pictures,
schemas, may be of any size and any depth. So it is passed over byte by byte, and only what is asked for is kept, as
JSON that is small enough to be taken apart at once. What that costs is bounded for each byte, whatever the bytes are:
a parser that makes an object of each value takes a thousand times as long for some of them as for others.

What is wrong in a part that nobody asks for is not found, brackets and quotes aside; and no depth is too much.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from aibridge.dialects.parts import COUNTED, NOTHING, WHOLE, Part
from aibridge.dialects.weight import Weighing

LONG: Final = 4096
"""Bytes of a text that is kept; of a longer one, `INSTEAD` is. In less than that there may be a name, each character of
it an escape."""

INSTEAD: Final = rb'"\u0000"'
"""Stands for a long text: not empty, and neither a name nor a word that anybody could mean."""

MOST_KEPT: Final = 16384
"""Bytes that are kept of one value; where more would be, nothing is. What dialects tell comes to a tenth of it."""

_MOST_KEY: Final = 256
"""Bytes of a key that anybody asks for, each character of it an escape."""

_MOST_KEYS: Final = 4096
"""Keys that are looked at; each takes as long as a hundred other bytes."""

_NEAR: Final = 48
"""Bytes in which the end of a text is looked for one by one, which for so few is quicker."""

_QUOTE: Final = 34
_COMMA: Final = 44
_COLON: Final = 58
_BACKSLASH: Final = 92
_OPENS: Final = 123  # both brackets, with the bit that tells them apart
_CLOSES: Final = 125
_OBJECT: Final = 123

# Where it stands.
_VALUE: Final = 0  # before a value
_FIRST: Final = 1  # the same, or the end of an empty list
_KEY: Final = 2  # before a key, or the end of an object
_IN_KEY: Final = 3
_COLON_NEXT: Final = 4
_NEXT: Final = 5  # behind a value
_TEXT: Final = 6  # in a text
_WORD: Final = 7  # in a number, or a word such as null
_DEEP: Final = 8  # within brackets of which nothing is taken apart
_OVER: Final = 9
_BROKEN: Final = 10


_decode: Any = msgspec.json.decode


class Pruned:
    """
    Reads one value, in whatever pieces it comes.

    :param part: what is kept of it.
    :ivar text: what the texts weigh in what is `COUNTED`, keys aside.
    :ivar overflowed: what was to be kept was more than `MOST_KEPT`.
    :ivar starts: where the values of the outermost object begin that are kept, with their keys.
    :ivar opened: where that object begins; -1 before it does.
    """

    def __init__(self, part: Part) -> None:
        self.text = 0
        self.overflowed = False
        self.starts: list[tuple[bytes, int]] = []
        self.opened = -1
        self._spec: Part = part  # of the value that is next, or begun
        self._state = _VALUE
        self._kept = bytearray()
        self._key = bytearray()  # as far as it is in earlier pieces
        self._name = b""
        self._keys = 0
        self._passed = 0  # bytes of earlier pieces
        # Of the containers that are taken apart: what is kept of them, whether each is an object, and has something.
        self._parts: list[Part] = []
        self._is_object: list[bool] = []
        self._filled: list[bool] = []
        # Of the value that is passed over.
        self._depth = 0
        self._copies = False
        self._counts = False
        # Of the text that is not over.
        self._size = 0
        self._mark = 0
        self._elides = False
        self._odd = False  # what comes next is escaped
        self._weighing = Weighing()
        self._last = 0  # how much the last text has added to `text`, which may turn out to be a key

    def feed(self, data: bytes) -> None:
        """
        The next bytes.
        """
        at, end = 0, len(data)
        while at < end:
            state = self._state
            if state == _TEXT:
                at = self._in_text(data, at)
            elif state == _DEEP:
                at = self._deep(data, at)
            elif state == _IN_KEY:
                at = self._in_key(data, at)
            elif state == _WORD:
                at = self._word(data, at)
            elif state == _BROKEN:
                return
            else:
                at = self._between(data, at)
        self._passed += end
        if len(self._kept) > MOST_KEPT:
            self._break()
            self.overflowed = True

    @property
    def is_over(self) -> bool:
        """
        Whether the value is whole, with nothing behind it.
        """
        return self._state == _OVER or (self._state == _WORD and not self._parts)

    @property
    def may_go_on(self) -> bool:
        """
        Whether it is the beginning of a value that is not whole, or of none.
        """
        return self._state != _BROKEN and not self.is_over

    def end(self) -> bytes:
        """
        What was kept, as JSON; empty if the value is not whole, or there is too much of it.
        """
        return bytes(self._kept) if self.is_over else b""

    # -- between values ------------------------------------------------------------------------------------------

    def _between(self, data: bytes, at: int) -> int:
        char = data[at]
        if char == 32 or char == 10 or char == 13 or char == 9:
            return at + 1
        state = self._state
        if state in (_VALUE, _FIRST):
            if char == 93 and state == _FIRST:
                self._close(char)
                return at + 1
            return self._begin(data, at, char)
        if state == _KEY and char == _QUOTE:
            self._odd = False
            self._state = _IN_KEY
            if at + 1 < len(data):
                return self._in_key(data, at + 1)
        elif state == _COLON_NEXT and char == _COLON:
            self._state = _VALUE
        elif state == _NEXT and char == _COMMA:
            is_object = self._is_object[-1]
            self._state = _KEY if is_object else _VALUE
            if not is_object:
                self._spec = self._parts[-1]
        elif (state in (_KEY, _NEXT)) and char | 32 == _CLOSES:
            self._close(char)
        else:
            self._break()
        return at + 1

    def _begin(self, data: bytes, at: int, char: int) -> int:
        spec = self._spec
        is_part = spec is not WHOLE and spec is not COUNTED and spec is not NOTHING
        opens = char | 32 == _OPENS
        is_list = opens and char != _OBJECT
        # Lists in lists are none that anybody asks for.
        descends = opens and is_part and not (is_list and self._is_object and not self._is_object[-1])
        self._counts = spec is COUNTED
        self._copies = not descends and (spec is WHOLE or (is_part and not opens))
        if self._copies or descends:
            self._lead(self._passed + at)
        if descends:
            if self.opened < 0:
                self.opened = self._passed + at
            self._kept.append(char)
            self._parts.append(spec)
            self._is_object.append(not is_list)
            self._filled.append(False)
            self._state = _FIRST if is_list else _KEY
            return at + 1
        if char == _QUOTE:
            self._open()
            return at + 1
        if opens:
            self._depth = self._last = 0
            self._state = _DEEP
            return at
        if char in (_COMMA, _COLON) or char | 32 == _CLOSES:
            self._break()
            return at
        self._state = _WORD
        return at

    def _lead(self, at: int) -> None:
        if not self._parts:
            return
        kept = self._kept
        if self._filled[-1]:
            kept.append(_COMMA)
        self._filled[-1] = True
        if self._is_object[-1]:
            key = self._name
            if len(self._parts) == 1 and len(self.starts) < 64:
                self.starts.append((key, at))
            kept.append(_QUOTE)
            kept += key
            kept.append(_QUOTE)
            kept.append(_COLON)

    def _close(self, char: int) -> None:
        if not self._parts or self._is_object[-1] is not (char == _CLOSES):
            self._break()
            return
        self._kept.append(char)
        self._parts.pop()
        self._is_object.pop()
        self._filled.pop()
        self._state = _NEXT if self._parts else _OVER

    def _break(self) -> None:
        self._state = _BROKEN
        self._kept.clear()

    # -- keys, numbers and words ---------------------------------------------------------------------------------

    def _in_key(self, data: bytes, at: int) -> int:
        begin = at
        at = self._to_quote(data, at)
        if at < 0:
            if len(self._key) <= _MOST_KEY:
                self._key += data[begin : begin + _MOST_KEY + 1]
            return len(data)
        name = data[begin:at] if at - begin <= _MOST_KEY else b""
        if self._key:
            name = bytes(self._key) + name
            self._key.clear()
        if name.find(b"\\") >= 0 and len(name) <= _MOST_KEY:
            try:
                name = _decode(b'"' + name + b'"', type=str).encode()
            except ValueError:
                self._break()
                return at + 1
        self._keys += 1
        if self._keys > _MOST_KEYS:
            self._break()
            self.overflowed = True
            return at + 1
        part = self._parts[-1]
        self._name = name
        self._spec = part.fields.get(name) or part.rest or NOTHING
        self._state = _COLON_NEXT
        return at + 1

    def _word(self, data: bytes, at: int) -> int:
        begin, end = at, len(data)
        while at < end:
            char = data[at]
            if char == _COMMA or char | 32 == _CLOSES or char <= 32:
                break
            if char in (_QUOTE, _COLON) or char | 32 == _OPENS:
                self._break()
                return at
            at += 1
        if self._copies:
            self._kept += data[begin:at]
        if at < end:
            self._state = _NEXT if self._parts else _OVER
        return at

    # -- texts ---------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._size = 0
        self._mark = len(self._kept)
        self._elides = self._odd = False
        self._weighing.begin()
        if self._copies:
            self._kept.append(_QUOTE)
        self._last = 0
        self._state = _TEXT

    def _in_text(self, data: bytes, at: int) -> int:
        begin = at
        at = self._to_quote(data, at)
        closed = at >= 0
        end = at if closed else len(data)
        self._size += end - begin
        if self._counts:
            weight = self._weighing.add(data, begin, end)
            self.text += weight - self._last
            self._last = weight
        if self._copies and not self._elides:
            kept = self._kept
            if self._size > LONG:
                del kept[self._mark :]
                kept += INSTEAD
                self._elides = True
            else:
                kept += data[begin : end + 1]
        if not closed:
            return end
        self._state = _DEEP if self._depth else (_NEXT if self._parts else _OVER)
        return end + 1

    def _to_quote(self, data: bytes, at: int) -> int:
        # Where the text or key ends whose inside is at `at`; -1 if it does not.
        end = len(data)
        if self._odd:
            at += 1
            self._odd = False
        while at < end:
            near = min(end, at + _NEAR)
            while at < near:
                char = data[at]
                if char == _QUOTE:
                    return at
                if char == _BACKSLASH:
                    at += 1
                    if at == end:
                        self._odd = True
                        return -1
                at += 1
            quote = data.find(b'"', at)
            stop = end if quote < 0 else quote
            # An odd number of backslashes before it: the last of them escapes it.
            first = stop
            while first > at and data[first - 1] == _BACKSLASH:
                first -= 1
            escapes = (stop - first) & 1 == 1
            if quote < 0:
                self._odd = escapes
                return -1
            if not escapes:
                return quote
            at = quote + 1
        return -1

    # -- what is passed over -------------------------------------------------------------------------------------

    def _deep(self, data: bytes, at: int) -> int:
        begin, end = at, len(data)
        depth, copies, counts = self._depth, self._copies, self._counts
        while at < end:
            char = data[at]
            if char == _QUOTE:
                near, quote = min(end, at + _NEAR), at + 1
                while quote < near and data[quote] != _QUOTE:
                    quote += 1
                if quote == near:
                    quote = data.find(b'"', at + 1)
                if quote < 0 or counts or copies or data[quote - 1] == _BACKSLASH:
                    if copies:
                        self._kept += data[begin:at]
                    self._depth = depth
                    self._open()
                    at = begin = self._in_text(data, at + 1)
                    if self._state == _TEXT:
                        return at
                    continue
                at = quote
            elif char | 32 == _OPENS:
                depth += 1
            elif char | 32 == _CLOSES:
                depth -= 1
                if not depth:
                    at += 1
                    self._state = _NEXT if self._parts else _OVER
                    break
            elif char == _COLON and self._last:
                self.text -= self._last
                self._last = 0
            at += 1
        if copies:
            self._kept += data[begin:at]
        self._depth = depth
        return at
