"""
Who made which stored object, and with which key: a bounded table that is asked before an object is named to a provider.

Note [Shares]: there is room for so many objects. While there is, a principal may have as many as it makes. When there
is none, whoever makes one more gives up its own longest unused one if it has its share or more, else whoever has most
does. So nobody can make others' objects be forgotten by making many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aibridge.model import Stored

MOST: Final = 65536
"""Objects, of about 400 bytes each, that are kept in mind where nothing else is said."""

MOST_ID: Final = 256
"""Characters of an id; what is longer is no vendor's."""

_ITEM: Final[str] = Stored.ITEM.value

Name = tuple[str, str, str]
"""Provider, kind and id."""

Line = tuple[str, str, str, str, str, int]
"""A change as it is written down: provider, kind, id, principal (empty: it is gone), key id, and whether it refers."""


class Object:
    """
    One of them. It does not change.

    :ivar principal: the id of who made it.
    :ivar key_id: of the key that made it, see `aibridge.admission.keypool.Key`; empty where the provider has none.
    :ivar refers: it is a file whose lines may name other objects.
    """

    __slots__ = ("key_id", "principal", "refers")

    def __init__(self, principal: str, key_id: str, refers: bool = False) -> None:
        self.principal = principal
        self.key_id = key_id
        self.refers = refers


class Objects:
    """
    All that are kept in mind.

    :param most: of them.
    :ivar given_up: how many had to be forgotten for want of room.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._all: dict[Name, Object] = {}
        # Of each principal, the longest unused first.
        self._of: dict[str, dict[Name, None]] = {}
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._all)

    def find(self, provider: str, kind: Stored, id: str) -> Object | None:
        """
        What is known of an object; it counts as used.
        """
        name = (provider, kind.value, id)
        found = self._all.get(name)
        if found is not None:
            own = self._of[found.principal]
            own.pop(name)
            own[name] = None
        return found

    def is_others_item(self, provider: str, principal: str, id: str) -> bool:
        """
        Whether an item is known to be somebody else's. It does not count as used.
        """
        found = self._all.get((provider, _ITEM, id))
        return found is not None and found.principal != principal

    def learn(
        self, provider: str, kind: Stored, id: str, principal: str, key_id: str, refers: bool = False
    ) -> Line | None:
        """
        Somebody has made it. What is somebody's stays that, whatever a provider says.

        :return: the change, if it is one.
        """
        name = (provider, kind.value, id)
        if not id or len(id) > MOST_ID or not principal or name in self._all:
            return None
        self._add(name, Object(principal, key_id, refers))
        return (*name, principal, key_id, int(refers))

    def mark(self, provider: str, kind: Stored, id: str) -> Line | None:
        """
        What it has in it may name other objects.
        """
        name = (provider, kind.value, id)
        found = self._all.get(name)
        if found is None or found.refers:
            return None
        self._all[name] = Object(found.principal, found.key_id, True)
        return (*name, found.principal, found.key_id, 1)

    def forget(self, provider: str, kind: Stored, id: str) -> Line | None:
        """
        It is gone.

        :return: the change, if it is one.
        """
        name = (provider, kind.value, id)
        if name not in self._all:
            return None
        self._remove(name)
        return (*name, "", "", 0)

    def take(self, line: Line) -> None:
        """
        Make a change that was written down; a later one holds.
        """
        provider, kind, id, principal, key_id, refers = line
        name = (provider, kind, id)
        if name in self._all:
            self._remove(name)
        if principal:
            self._add(name, Object(principal, key_id, bool(refers)))

    def lines(self) -> Iterator[Line]:
        """
        The changes that make it what it is, each principal's longest unused first.
        """
        for own in self._of.values():
            for name in own:
                found = self._all[name]
                yield (*name, found.principal, found.key_id, int(found.refers))

    def _add(self, name: Name, made: Object) -> None:
        """
        See Note [Shares].
        """
        principal = made.principal
        while len(self._all) >= self._most:
            self.given_up += 1
            own = self._of.get(principal)
            if own is None or len(own) * len(self._of) < self._most:
                own = max(self._of.values(), key=len)
            self._remove(next(iter(own)))
        self._all[name] = made
        self._of.setdefault(principal, {})[name] = None

    def _remove(self, name: Name) -> None:
        principal = self._all.pop(name).principal
        own = self._of[principal]
        own.pop(name)
        if not own:
            del self._of[principal]
