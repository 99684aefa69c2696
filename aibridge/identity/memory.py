"""
What is remembered for some time, in a table that cannot grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """
    Values that are good for some time; beyond `size` of them the one unused for longest goes.
    """

    __slots__ = ("_known", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[bytes, tuple[Value, float]] = {}

    def get(self, key: bytes, now: float) -> Value | None:
        """
        The value, if it is good still; it counts as used.
        """
        found = self._known.pop(key, None)
        if found is None or found[1] <= now:
            return None
        self._known[key] = found
        return found[0]

    def put(self, key: bytes, value: Value, until: float) -> None:
        """
        Remember a value, in the place of another one of this key.
        """
        self._known.pop(key, None)
        self._known[key] = (value, until)
        if len(self._known) > self._size:
            del self._known[next(iter(self._known))]

    def forget(self, key: bytes) -> None:
        """
        Remember it no more; it is no error if it was not there.
        """
        self._known.pop(key, None)

    def __iter__(self) -> Iterator[Value]:
        """
        All values, those that are not good any more among them.
        """
        return (value for value, _ in self._known.values())

    def __len__(self) -> int:
        return len(self._known)
