"""
All that is to be known of a request's body, read step by step: what it says about itself, and which objects it names.
"""

from __future__ import annotations

from typing import Final

from aibridge.dialects import facts
from aibridge.dialects.decoding import Decoding, TooMuch, Undecodable, decoding_of
from aibridge.dialects.facts import Facts
from aibridge.dialects.named import Named, Reference
from aibridge.dialects.references import Others, Sought, may_name
from aibridge.errors import BodyUnreadable
from aibridge.model import Dialect

STEP: Final = 1024
"""Bytes that are walked through in one step: a millisecond or two at most, whatever they are."""

_SMALL: Final = 16384
"""Bytes of a body that is searched as soon as it is there, as nearly all are: in twenty microseconds."""

_AT_ONCE: Final = 4
"""Steps that are done at once: a millisecond or two, if somebody means them to be long."""


class Asked:
    """
    Reads a body; what has nothing to hide is read at the first step.

    :param body: as it came.
    :param content_encoding: of it.
    :param most: bytes that may come out of it.
    :param dialect: whose names of objects are looked for; None if nobody wants them.
    :param others: whether an item of an id is known to be somebody else's; None where it does not matter.
    :ivar facts: once there is nothing left to do.
    :ivar names: it may name objects, or ask for what makes some on the way.
    :ivar references: what it names.
    :ivar error: why that cannot be known, if it cannot.
    """

    __slots__ = (
        "_at",
        "_body",
        "_decoding",
        "_dialect",
        "_encoding",
        "_named",
        "_others",
        "_piece",
        "_reading",
        "_sought",
        "error",
        "facts",
        "names",
        "references",
    )

    def __init__(
        self,
        body: bytes,
        content_encoding: bytes | None,
        most: int,
        dialect: Dialect | None,
        others: Others | None = None,
    ) -> None:
        self.error: BodyUnreadable | None = None
        self.names = False
        self.references: list[Reference] = []
        self._body = body
        self._encoding = content_encoding
        self._dialect = dialect
        self._others = others
        self._sought: Sought | None = None
        known = facts.at_once(body, content_encoding)
        self.facts: Facts = facts.UNREAD if known is None else known
        self._reading: facts.Reading | None = None
        self._named: Named | None = None
        self._decoding: Decoding | None = None
        self._piece = b""
        self._at = 0
        is_small = known is not None and len(body) <= _SMALL
        if dialect is not None and not (is_small and not may_name(body, dialect, others)):
            self._sought = Sought(dialect, found=is_small, others=others)
        if is_small:
            self._looked(True)
        elif known is None or self._sought is not None:
            self._reading = facts.Reading(body, content_encoding, most, known, self._sought)

    @property
    def is_done(self) -> bool:
        """
        There is nothing left to do.
        """
        return self._reading is None and self._named is None

    def begin(self) -> bool:
        """
        Do the first steps, which for nearly all bodies are all of them: those do not wait for others that take long.

        :return: whether there is more to do.
        """
        # Where facts are known, steps are but a search.
        steps = 1 if self.facts is facts.UNREAD else _AT_ONCE
        return all(self.go_on() for _ in range(steps))

    def go_on(self) -> bool:
        """
        Do the next step.

        :return: whether there is more to do.
        """
        reading = self._reading
        if reading is not None:
            if reading.go_on():
                return True
            self._reading = None
            self.facts = reading.facts
            return self._looked(reading.is_whole)
        if self._named is None:
            return False
        try:
            return self._walk(self._named)
        except BodyUnreadable as error:
            self.error = error
            self._forget()
            return False

    def _looked(self, is_whole: bool) -> bool:
        sought, dialect = self._sought, self._dialect
        if sought is None or dialect is None:
            return False
        self.names = sought.found
        if not is_whole:
            self.error = BodyUnreadable("The request body cannot be read without its encoding, or is too large then.")
        elif sought.found:
            self._named = Named(dialect, self._others)
            self._decoding = decoding_of(self._encoding)
            if self._decoding is None:
                self._piece = self._body
            else:
                self._decoding.give(self._body)
            return True
        self._forget()
        return False

    def _walk(self, named: Named) -> bool:
        at, decoding = self._at, self._decoding
        if at < len(self._piece):
            named.feed(self._piece[at : at + STEP])
            self._at = at + STEP
        elif decoding is not None and decoding.is_busy:
            try:
                self._piece, self._at = decoding.run(), 0
            except (Undecodable, TooMuch):
                raise BodyUnreadable from None
        else:
            self.references = named.end()
            self._forget()
            return False
        return True

    def _forget(self) -> None:
        self._body = self._piece = b""
        self._named = self._decoding = None
