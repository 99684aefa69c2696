"""
Calls that wait for a connection: of each sender first come, first served, and one sender after the other.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aibridge.relay.call import Call


class Waiting:
    """
    A line of calls for each sender.
    """

    __slots__ = ("_lines", "_senders")

    def __init__(self) -> None:
        # The sender whose turn is next comes first.
        self._lines: OrderedDict[str, OrderedDict[Call, None]] = OrderedDict()
        self._senders: dict[Call, str] = {}

    def __len__(self) -> int:
        return len(self._senders)

    def add(self, call: Call, *, first: bool = False) -> None:
        """
        A call waits from now on: at the end of its sender's line, or before everybody else.
        """
        sender = call.sender
        self._senders[call] = sender
        line = self._lines.get(sender)
        if line is None:
            line = self._lines[sender] = OrderedDict()
        line[call] = None
        if first:
            line.move_to_end(call, last=False)
            self._lines.move_to_end(sender, last=False)

    def take(self) -> Call:
        """
        The call whose turn it is; it waits no longer. There has to be one.
        """
        sender, line = next(iter(self._lines.items()))
        call, _ = line.popitem(last=False)
        del self._senders[call]
        if line:
            self._lines.move_to_end(sender)
        else:
            del self._lines[sender]
        return call

    def leave(self, call: Call) -> None:
        """
        A call waits no longer; it is no error if it did not.
        """
        sender = self._senders.pop(call, None)
        if sender is None:
            return
        line = self._lines[sender]
        del line[call]
        if not line:
            del self._lines[sender]

    def giving_way(self, sender: str) -> Call | None:
        """
        The call that gives way to one of this sender's where no more may wait: the last of the longest line. None if
        that would be no shorter than the sender's own line afterwards.
        """
        longest = max(self._lines.values(), key=len, default=None)
        own = self._lines.get(sender)
        if longest is None or len(longest) <= (0 if own is None else len(own)) + 1:
            return None
        return next(reversed(longest))
