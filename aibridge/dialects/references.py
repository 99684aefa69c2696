"""
Whether a request's body may name stored objects: a search, which is all that nearly all bodies cost.

Note [Nothing is overlooked]: of two fields of one name some servers take the first and some the last, and a name may be
written with escapes; so a body in which a name of interest, or an escape that could hide one, is found at all, is
walked through by `aibridge.dialects.named`, which sees every field of every object. What has one and cannot be read is
refused, as are bodies in an encoding in which nothing would be found. Items have ids and are none too often for that:
only one that is known to be somebody else's is of interest, and a body that has none is done with by looking them up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from aibridge.model import Dialect

_LONGEST: Final = 512
"""Bytes of a mark at most."""

# What is longer than anybody makes it is a mark too: so none is longer than `_LONGEST`, wherever a piece ends.
_BLANK: Final = rb"(?:\s{32}|\s*"

_NAMES: Final = rb'previous_response_id"|conversation"|input_file_id"|file_ids?"|vector_store_ids?"|container(?:_id)?"'
_ITEMS: Final = (
    rb'item_reference"'
    rb'|id"' + _BLANK + b":" + _BLANK + rb'"(?:[^"]{256}|[^"]*"' + _BLANK + rb"\}))))"
    rb'|type"' + _BLANK + b":" + _BLANK + rb'(?:""|n)))'
)
_AUDIO: Final = rb'audio"' + _BLANK + b":)"

_MARKS: Final = {
    Dialect.RESPONSES: re.compile(rb'"(?:' + _NAMES + b"|" + _ITEMS + b")"),
    Dialect.CHAT: re.compile(rb'"(?:' + _NAMES + rb'|item_reference"|' + _AUDIO + b")"),
    Dialect.MESSAGES: re.compile(rb'"(?:' + _NAMES + b"|code_execution)"),
    Dialect.PLAIN: re.compile(rb'"(?:' + _NAMES + b"|" + _ITEMS + b"|" + _AUDIO + b")"),
}
"""
What a body that names an object has in it. With its quotes a name is found where it is one: within a text they would
be escaped. Anthropic's tool that runs code makes containers and files, which are to be known. An item of a response's
input that is nothing but an id is a reference too; what ends with its id may be one, and what has no type.

One search that begins with a quote takes as long as two for a name would. Each alternative begins with a letter that it
always has: most quotes are done with by that letter, in a third of the time.
"""

Others = Callable[[str], bool]
"""Whether an item with an id is known to be somebody else's."""

_ids: Final[Any] = re.compile(rb'"id"\s{0,31}:\s{0,31}"([^"]{1,255})"').findall
"""The values of all ids that are no marks themselves; one of another's item is refused whatever is beside it."""

_ESCAPES: Final = b"\\"

_HEADER: Final = b"\ncontent-"
_encoded: Final[Any] = re.compile(
    rb"\n(?i:content-(?:transfer-)?encoding)(?!\s{0,16}:\s{0,16}(?i:identity|7bit|8bit|binary)\s)[\x00-\xff]{48}"
).search
"""In the head of a form's part, which some servers decode then; what comes behind it tells whether they do."""

_OBJECT: Final = 123
_WIDE: Final = (b"\xfe\xff", b"\xff\xfe")

_ESCAPE: Final = b"\\u00"
_HIDES: Final[Any] = re.compile(rb"\\u00(?:2[dD]|[3-7])")
"""An escape of what names are made of, which nobody escapes who has nothing to hide."""


def may_name(body: bytes, dialect: Dialect, others: Others | None = None) -> bool:
    """
    Whether a whole body may name objects, or ask for what makes some on the way: what `Sought` would find in it.
    """
    return (
        _is_wide(body, False) or _is_marked(body, _MARKS[dialect]) or (others is not None and _has_others(body, others))
    )


class Sought:
    """
    Looks through a body, in whatever pieces it comes, for names of stored objects.

    :param found: it may have some, whatever is in it.
    :param lines: each line of it is a body, as in a batch's file, which may come in a form.
    :param others: ids of items that it tells are names, whatever is beside them; None if none are.
    :ivar found: it may have some, or ask for what makes some on the way; if not, it names none.
    """

    __slots__ = ("_lines", "_marks", "_others", "_passed", "_tail", "found")

    def __init__(
        self, dialect: Dialect, found: bool = False, lines: bool = False, others: Others | None = None
    ) -> None:
        self.found = found
        self._marks: Any = _MARKS[dialect]
        self._lines = lines
        self._others = others
        self._passed = 0
        self._tail = b""

    def feed(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        if self.found:
            return
        seen = self._tail + piece if self._tail else piece
        begins = self._lines or self._passed < 4
        others = self._others
        self.found = (
            (begins and _is_wide(seen, self._lines))
            or _is_marked(seen, self._marks)
            or (others is not None and _has_others(seen, others))
            or (self._lines and _is_encoded(seen))
        )
        self._passed += len(piece)
        self._tail = seen[-_LONGEST:]


def _is_marked(seen: bytes, marks: Any) -> bool:
    return marks.search(seen) is not None or (seen.find(_ESCAPE) >= 0 and _HIDES.search(seen) is not None)


def _has_others(seen: bytes, others: Others) -> bool:
    for id in _ids(seen):  # noqa: SIM110  # a generator costs more than all of it
        # One with an escape is to be read first.
        if id.find(_ESCAPES) >= 0 or others(id.decode("utf-8", "replace")):
            return True
    return False


def _is_encoded(seen: bytes) -> bool:
    return seen.lower().find(_HEADER) >= 0 and _encoded(seen) is not None


def _is_wide(seen: bytes, lines: bool) -> bool:
    # JSON in UTF-16 or UTF-32 has a NUL among its first bytes, or a mark of the order of bytes (RFC 4627, 3). Lines
    # have them wherever they begin.
    if lines:
        return seen.find(b"\0") >= 0 or seen.startswith(_WIDE)
    if len(seen) > 1 and seen[0] == _OBJECT and seen[1]:
        return False
    return seen.find(b"\0", 0, 4) >= 0 or seen.startswith(_WIDE)
