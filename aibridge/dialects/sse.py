"""
Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as a relay must know them.
"""

from __future__ import annotations

_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class Boundary:
    """
    Knows whether a stream stands between two events, from the last bytes of what has passed.

    Only there can an event be added: within one it would become part of it, and a reader would take the whole for
    garbage instead of for an error.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\n\n"

    def passed(self, data: bytes) -> None:
        """
        `data` has crossed.
        """
        self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]

    def __bool__(self) -> bool:
        return self._tail.endswith(_ENDS)
