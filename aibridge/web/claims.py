"""
What an exchange has to do with stored objects: those it names have to be its principal's, and go to the key that made
them; those its answer is, or has, are its principal's from then on.

None of it concerns a request that shows a key of the client's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aibridge import errors
from aibridge.admission.keypool import KeyPool
from aibridge.dialects.asked import Asked
from aibridge.dialects.decoding import Undecodable, decoding_of
from aibridge.dialects.made import Made
from aibridge.dialects.references import Others, Sought
from aibridge.model import Dialect, Stored
from aibridge.providers.missing import unknown
from aibridge.providers.objects import Line, Object, Objects
from aibridge.providers.routes import Route
from aibridge.providers.settings import ANYONE
from aibridge.relay.headers import content_of
from aibridge.relay.pump import Reader
from aibridge.web.along import Along

if TYPE_CHECKING:
    from aibridge.web.request import Request

Pair = tuple[bytes, bytes]

_RESPONSES: Final = Dialect.RESPONSES
_CHAT: Final = Dialect.CHAT

_one_part: Final[Any] = re.compile(
    rb'\s*\{(?:\s*"md5"\s*:\s*(?:"[^"\\]*"|null)\s*,)?'
    rb'\s*"part_ids"\s*:\s*\[\s*"[^"\\\s,]*"\s*\]\s*'
    rb'(?:,\s*"md5"\s*:\s*(?:"[^"\\]*"|null)\s*)?\}\s*'
).fullmatch
"""What completes an upload of a single part, which was looked through as a whole."""

_LONGEST: Final = 4096
"""Bytes of what does, at most."""

_FORMS: Final = (b"multipart/", b"application/x-www-form-urlencoded")


class Ledger:
    """
    What is known of all stored objects, and where changes are written down.

    :param write: is given each change; it neither waits nor raises.
    :param lost: how many of them could not be written down.
    """

    __slots__ = ("lost", "objects", "write")

    def __init__(
        self,
        objects: Objects,
        write: Callable[[Line], None] | None = None,
        lost: Callable[[], int] | None = None,
    ) -> None:
        self.objects = objects
        self.write = write
        self.lost = lost

    def note(self, line: Line | None) -> None:
        """
        Write a change down, if it is one.
        """
        if line is not None and self.write is not None:
            self.write(line)


class Claims:
    """
    Those of one exchange.

    :param principal: the id of whose exchange it is.
    :param keys: of the provider, if it has any.
    :ivar key_id: of the key that made what is named; empty if any will do.
    """

    __slots__ = (
        "_ids",
        "_is_kept",
        "_keys",
        "_ledger",
        "_made",
        "_principal",
        "_provider",
        "_refers",
        "_route",
        "_watch",
        "key_id",
    )

    def __init__(self, ledger: Ledger, route: Route, principal: str, keys: KeyPool | None) -> None:
        self._ledger = ledger
        self._route = route
        self._provider = route.provider.name
        self._principal = principal
        self._keys = keys
        self._ids: list[tuple[Stored, str]] = []
        self._is_kept = True
        self._refers = False
        self.key_id = ""
        self._watch: Sought | None = None
        self._made: Made | None = None

    # -- what is named -------------------------------------------------------------------------------------------

    def check_path(self, url: bytes) -> None:
        """
        What the path names.

        :raises ObjectUnknown: it is not the principal's.
        :raises ObjectsApart: no key reaches all of it.
        """
        if self._route.uses:
            self._ids = self._route.ids(url)
            for kind, id in self._ids:
                self._check(kind, id, "")
            self._refers = self._assembles()

    def check_form(self, request: Request) -> None:
        """
        Whether a body is of a type that can be looked through.

        :raises BodyUnreadable: it is not.
        """
        content_type = request.header(b"content-type")
        if content_type is None or content_type == b"application/json":
            return
        if content_type.strip().lower().startswith(_FORMS):
            raise errors.BodyUnreadable("A form is not read here; send JSON.")

    def others(self) -> Others | None:
        """
        What tells of an item's id in the body whether it is known to be somebody else's, where that matters.
        """
        route = self._route
        return self._others() if route.dialect is _RESPONSES else None

    def check_body(self, asked: Asked, body: bytes) -> None:
        """
        What a JSON body names.

        :param body: as it came.
        :raises BodyUnreadable: nobody can see what that is.
        :raises NotAllowed: it makes a batch of what may name anything.
        :raises ObjectUnknown: or ObjectsApart, as above.
        """
        if asked.error is not None:
            raise asked.error
        route = self._route
        if route.bridged:
            self._is_kept = _keeps(asked, route.dialect)
        if self._assembles():
            # A name may be cut between two parts, or between the end and the begin of one that is there twice.
            self._refers = len(body) > _LONGEST or _one_part(body) is None
        hides = route.makes is Stored.BATCH and not self._is_anyones()
        for kind, id, param in asked.references:
            found = self._check(kind, id, param)
            if hides and found is not None and found.refers:
                raise errors.NotAllowed(
                    "The lines of that file may name stored objects, which in a batch nobody can tell to be one's own; "
                    "bring a key of your own."
                )

    def watch_body(self, request: Request) -> Sought | None:
        """
        What looks at a body that crosses as it comes, where that matters: a file may become a batch.
        """
        if self._route.makes is Stored.FILE or Stored.UPLOAD in (kind for kind, _ in self._ids):
            self._watch = Sought(Dialect.PLAIN, _is_encoded(request), True, self._others())
        return self._watch

    def _others(self) -> Others | None:
        if self._is_anyones():
            return None
        return partial(self._ledger.objects.is_others_item, self._provider, self._principal)

    def _is_anyones(self) -> bool:
        return self._route.provider.settings.stored_objects == ANYONE

    def _assembles(self) -> bool:
        """
        Whether what it makes is a file of what was uploaded before.
        """
        return self._route.makes is Stored.FILE and bool(self._ids) and self._ids[0][0] is Stored.UPLOAD

    def _check(self, kind: Stored, id: str, param: str) -> Object | None:
        found = self._ledger.objects.find(self._provider, kind, id)
        route = self._route
        is_own = found is not None and found.principal == self._principal
        if not is_own and not self._is_anyones():
            raise unknown(kind, id, param, route.dialect)
        if found is not None:
            self._go_to(found.key_id, kind, id, param)
        return found

    def _go_to(self, key_id: str, kind: Stored, id: str, param: str) -> None:
        keys = self._keys
        # With one key there is nothing to choose, and a new one may be of the same account.
        if not key_id or keys is None or len(keys.keys) < 2:
            return
        if keys.find(key_id) is None:
            raise unknown(kind, id, param, self._route.dialect)
        if self.key_id and self.key_id != key_id:
            raise errors.ObjectsApart
        self.key_id = key_id

    # -- what is made --------------------------------------------------------------------------------------------

    def reader(self, reader: Reader | None, status: int, received: list[Pair], key_id: str) -> Reader | None:
        """
        The provider has answered: what reads its answer, for the ids in it too if it can have some.

        :param reader: of what it has cost.
        :param received: its header fields.
        :param key_id: of the key that was used.
        """
        if not 200 <= status < 300:
            return reader
        self._done()
        kind = self._route.makes
        if kind is None or not self._is_kept:
            return reader
        content_type, encoding = content_of(received)
        type_ = content_type.partition(b";")[0].strip().lower()
        if type_ not in (b"text/event-stream", b"application/json"):
            return reader
        try:
            decoding = decoding_of(encoding)
        except Undecodable:
            return reader
        self._made = made = Made(kind, partial(self._learn, key_id), type_ == b"text/event-stream")
        return Along(reader, made, decoding)

    def end(self) -> None:
        """
        The answer is whole.
        """
        made, self._made = self._made, None
        if made is not None:
            made.end()

    def _learn(self, key_id: str, kind: Stored, id: str) -> None:
        ledger = self._ledger
        refers = self._refers or (self._watch is not None and self._watch.found)
        if not refers and self._assembles():
            # Its parts may have come when this request had begun.
            upload = ledger.objects.find(self._provider, *self._ids[0])
            refers = upload is None or upload.refers
        ledger.note(ledger.objects.learn(self._provider, kind, id, self._principal, key_id, refers))

    def _done(self) -> None:
        if not self._ids:
            return
        kind, id = self._ids[-1]
        ledger = self._ledger
        if self._route.deletes:
            ledger.note(ledger.objects.forget(self._provider, kind, id))
        elif kind is Stored.UPLOAD and self._watch is not None and self._watch.found:
            ledger.note(ledger.objects.mark(self._provider, kind, id))


def _is_encoded(request: Request) -> bool:
    # Of several fields each is an encoding more (RFC 9110, 5.3).
    encodings = b",".join(request.headers_named(b"content-encoding")).split(b",")
    return any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings)


def _keeps(asked: Asked, dialect: Dialect) -> bool:
    """
    Whether the provider may keep what it answers: a response unless it is told not to, a completion if it is told to.
    """
    if dialect is _RESPONSES:
        # What asks for a container makes one that is kept, though the answer may not be.
        return asked.facts.store is not False or asked.names
    if dialect is _CHAT:
        return bool(asked.facts.store) or asked.facts.speaks
    return asked.names
