"""
Which stored objects a request's body names.

Note [Nothing is overlooked]: of two fields of one name some servers take the first and some the last, and a name may be
written with escapes; so a body in which a name of interest, or an escape that could hide one, is found at all, is taken
apart by a reader that sees every field of every object. Nearly all bodies have neither, and cost a search. What has one
and cannot be taken apart is refused, as are bodies in an encoding in which nothing would be found.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from aibridge.errors import BodyUnreadable
from aibridge.model import Dialect, Stored

MOST_WALKED: Final = 2 * 1024 * 1024
"""Bytes of a body, its long texts left out, that are taken apart: a few dozen milliseconds of work."""

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

_NAMES: Final = rb'previous_response_id"|conversation"|(?:input_)?file_ids?"|vector_store_ids?"|container(?:_id)?"'
_ITEMS: Final = rb'item_reference"|id"\s*:\s*"[^"]*"\s*(?:\}|,\s*"type"\s*:\s*null)'

_MARKS: Final = {
    Dialect.RESPONSES: re.compile(rb'"(?:' + _NAMES + b"|" + _ITEMS + b")"),
    Dialect.CHAT: re.compile(rb'"(?:' + _NAMES + rb'|item_reference"|audio")'),
    Dialect.MESSAGES: re.compile(rb'"(?:' + _NAMES + b"|code_execution)"),
    Dialect.PLAIN: re.compile(rb'"(?:' + _NAMES + b"|" + _ITEMS + b")"),
}
"""
What a body that names an object has in it. With its quotes a name is found where it is one: within a text they would
be escaped. Anthropic's tool that runs code makes containers and files, which are to be known. An item of a response's
input that is nothing but an id is a reference too; what ends with its id may be one.

One search that begins with a quote takes as long as two for a name would, and a tenth of one that may begin otherwise.
"""

_ESCAPE: Final = b"\\u00"
_HIDES: Final = re.compile(rb"\\u00(?:2[dD]|[3-7])")
"""An escape of what names are made of, which nobody escapes who has nothing to hide."""

_LONG: Final = re.compile(rb'"[^"\\]{4096,}"')
"""
A picture, or a file. What stands between two texts can look like one too; without it the body is no JSON any more, or
it was blanks.
"""

_PASSIVE: Final = frozenset(
    ("metadata", "parameters", "schema", "arguments", "input_schema", "output_schema", "annotations", "results")
)
"""What is below these says something, and asks for nothing: schemas, notes, what earlier answers found."""

Reference = tuple[Stored, str, str]
"""A kind, an id, and the field that has it."""


def names_objects(body: bytes, dialect: Dialect) -> bool:
    """
    Whether a body may name stored objects, or ask for what makes some on the way; if not, it names none.
    """
    # JSON in UTF-16 or UTF-32 has a NUL among its first bytes, or a mark of the order of bytes (RFC 4627, 3).
    if body.find(b"\0", 0, 4) >= 0 or body.startswith((b"\xfe\xff", b"\xff\xfe")):
        return True
    if _MARKS[dialect].search(body) is not None:
        return True
    return body.find(_ESCAPE) >= 0 and _HIDES.search(body) is not None


def references(body: bytes, dialect: Dialect) -> list[Reference]:
    """
    The objects that a JSON body names, as its provider would read it, in whatever way it would.

    :raises BodyUnreadable: it may name some, and cannot be read.
    """
    if not names_objects(body, dialect):
        return []
    short = _LONG.sub(b'""', body) if len(body) > MOST_WALKED else body
    if len(short) > MOST_WALKED:
        raise BodyUnreadable("The request body names stored objects, and is too large to see whose they are.")
    try:
        # Of bytes it would guess the encoding; what is not UTF-8 is refused.
        value = json.loads(short.decode("utf-8-sig"), object_pairs_hook=_Fields)
    except (ValueError, RecursionError):
        raise BodyUnreadable from None
    return _walk(value, dialect)


class _Fields:
    """
    An object with all its fields, those that are there twice included.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs

    def texts(self, wanted: str) -> list[str]:
        """
        What is text of all fields of one name.
        """
        return [value for name, value in self.pairs if name == wanted and isinstance(value, str)]


def _walk(value: Any, dialect: Dialect) -> list[Reference]:
    found: list[Reference] = []
    todo: list[tuple[Any, bool]] = [(value, False)]  # and whether it is an item of a list
    while todo:
        value, is_item = todo.pop()
        if isinstance(value, _Fields):
            kinds = value.texts("type")
            if _refers(value, kinds, is_item and dialect is Dialect.RESPONSES):
                found += [(Stored.ITEM, each, "input") for each in value.texts("id")]
            calls_a_tool = any(kind.endswith("tool_use") for kind in kinds)
            for name, below in value.pairs:
                if name in _PASSIVE or (calls_a_tool and name == "input"):
                    continue
                found += _named(name, below)
                todo.append((below, False))
        elif isinstance(value, list):
            todo += [(each, True) for each in value]
    return found


def _refers(fields: _Fields, kinds: list[str], may_be_bare: bool) -> bool:
    if "item_reference" in kinds:
        return True
    return may_be_bare and not any(kinds) and {name for name, _ in fields.pairs} <= {"id", "type"}


def _named(name: str, value: Any) -> list[Reference]:
    if name == "audio":
        # An earlier answer's, in a message of a chat.
        return [(Stored.AUDIO, each, "messages") for each in value.texts("id")] if isinstance(value, _Fields) else []
    kind = _IDS.get(name)
    if kind is None:
        return []
    ids: list[str] = []
    if isinstance(value, str):
        ids = [value]
    elif isinstance(value, _Fields):
        # A conversation, or a container of Anthropic's.
        ids = value.texts("id")
    elif isinstance(value, list):
        ids = [each for each in value if isinstance(each, str)]
    return [(kind, each, name) for each in ids if each]


def keeps(body: bytes, dialect: Dialect) -> bool:
    """
    Whether the provider may keep what it answers: a response unless it is told not to, a completion if it is told to.
    """
    if dialect is Dialect.RESPONSES:
        return body.find(b'"store":false') < 0 and body.find(b'"store": false') < 0
    if dialect is Dialect.CHAT:
        return body.find(b'"store"') >= 0 or body.find(b'"audio"') >= 0 or body.find(_ESCAPE) >= 0
    return False


class Watch:
    """
    Looks through a body that nobody holds for names of stored objects, as a batch's lines may have.

    :ivar found: there may be some.
    """

    __slots__ = ("_tail", "found")

    def __init__(self, found: bool) -> None:
        self.found = found
        self._tail = b""

    def feed(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        if not self.found:
            seen = self._tail + piece
            # Lines in UTF-16 have NULs, wherever they begin.
            self.found = seen.find(b"\0") >= 0 or names_objects(seen, Dialect.RESPONSES)
            self._tail = seen[-_LONGEST:]


_LONGEST: Final = 512
"""Bytes of a mark: an id, and what is around it."""
