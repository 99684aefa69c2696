"""
Lets a client's TLS through a few records at a time.

Twisted decrypts all that was read in one go, also when its protocol wants no more meanwhile. A record of one byte takes
as long as one of some thousand, so that a client which sends such ones would hold up everybody else. So what was read
is given to TLS record by record: once they are many, or took long, or their reader wants to pause, the rest waits for
its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from aibridge.wire.records import Records

RECORDS_AT_ONCE: Final = 16
"""Records that are decrypted before others have their turn."""

LONG_S: Final = 0.0003
"""Records that took so long together are enough as well, however few they are."""


class Sluice:
    """
    Stands between a socket and the TLS above it, and takes the place of what pauses them.

    :param secured: the TLS protocol, connected to its socket.
    :param later: does some work when others have had their turn.
    :param seconds: the time.
    :param keeps: counts bytes that are kept, and says whether there is room for them.
    :ivar secured: as given.
    """

    def __init__(
        self,
        secured: Any,
        later: Callable[[Callable[[], None]], None],
        seconds: Callable[[], float],
        keeps: Callable[[int], bool],
    ) -> None:
        self.secured = secured
        self._socket = secured.transport
        self._later = later
        self._seconds = seconds
        self._keeps = keeps
        self._records = Records()
        self._held = b""
        self._is_due = False
        self._is_paused = False
        self._is_lost = False
        self._socket.protocol = self
        # Whoever pauses what is above TLS pauses the socket below it, as Twisted has it: unless it finds these.
        secured.pauseProducing = self.pause
        secured.resumeProducing = self.resume

    def dataReceived(self, data: bytes) -> None:
        """
        The client sends.
        """
        if self._held:
            self._keep(self._held + data)
            self._socket.pauseProducing()
        else:
            self._let(data)

    def _keep(self, held: bytes) -> None:
        more = len(held) - len(self._held)
        self._held = held
        if not self._keeps(more) and more > 0:
            self._socket.abortConnection()

    def _let(self, data: bytes) -> None:
        size = len(data)
        at = self._records.end(data, 0)
        if at == size:
            self.secured.dataReceived(data)
            return
        began = self._seconds()
        left = RECORDS_AT_ONCE
        self.secured.dataReceived(data[:at])
        while at < size and not self._is_paused and not self._is_lost:
            left -= 1
            if not left or not 0 <= self._seconds() - began < LONG_S:
                break
            start, at = at, self._records.end(data, at)
            self.secured.dataReceived(data[start:at])
        if at < size and not self._is_lost:
            self._socket.pauseProducing()
            self._keep(data[at:])
            self._come()

    def _come(self) -> None:
        if not self._is_due and not self._is_paused:
            self._is_due = True
            self._later(self._go_on)

    def _go_on(self) -> None:
        self._is_due = False
        if self._is_paused or self._is_lost:
            return
        held = self._held
        self._keep(b"")
        try:
            self._let(held)
        except BaseException:
            # As the reactor does with a connection that fails to read.
            self._socket.abortConnection()
            raise
        if not self._held and not self._is_paused:
            self._socket.resumeProducing()

    def pause(self) -> None:
        """
        What is above wants no more for now.
        """
        self._is_paused = True
        self._socket.pauseProducing()

    def resume(self) -> None:
        """
        It does again.
        """
        self._is_paused = False
        if self._held:
            self._come()
        else:
            self._socket.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The socket is gone, and with it what was held.
        """
        self._is_lost = True
        self._held = b""
        secured = self.secured
        # They hold each other.
        del secured.pauseProducing, secured.resumeProducing
        secured.connectionLost(reason)


def install(
    transport: Any,
    later: Callable[[Callable[[], None]], None],
    seconds: Callable[[], float],
    keeps: Callable[[int], bool],
) -> bool:
    """
    Put a `Sluice` below `transport`, if that is TLS right above a socket.

    :return: whether it is.
    """
    socket = getattr(transport, "transport", None)
    if socket is None or getattr(socket, "protocol", None) is not transport:
        return False
    Sluice(transport, later, seconds, keeps)
    return True
