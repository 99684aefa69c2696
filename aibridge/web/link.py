"""
The wire under a channel: what is written to a client and how fast, whether it is read, and how its connection ends.

Note [Closing]: a connection whose client may still be sending is not closed under it, since the reset that follows
would destroy the answer on its way: its writing half is closed, what comes is dropped, and the rest follows when the
client has closed, or after `aibridge.web.site.LINGER_S`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from aibridge.deadlines import Deadlines
from aibridge.identity.address import place_of
from aibridge.web.eager import eager_write, waiting_mark
from aibridge.web.sluice import install

if TYPE_CHECKING:
    from aibridge.web.request import Request
    from aibridge.web.site import BridgeSite


_log = Logger(namespace=__name__)


SECURED_READ: Final = 4096
"""Bytes that are read at once below TLS where no `aibridge.web.sluice` can be: all records in them are decrypted in the
same turn of the reactor, and each takes as long for one byte as for some thousand."""


_RELEASED: Final = -1


def host_of(address: IAddress) -> str:
    """
    A client's address as text: of IPv4 and IPv6 without port, ``unix`` for everything else.
    """
    if isinstance(address, IPv4Address | IPv6Address):
        host: str = address.host
        # A socket for both families sees IPv4 clients so.
        return host[7:] if host.startswith("::ffff:") and "." in host else host
    return "unix"


class Link:
    """
    One client connection, below its requests.

    :param site: what all its connections share.
    :ivar request: the one being answered.
    :ivar write: sends bytes to the client.
    """

    def __init__(self, site: BridgeSite, address: IAddress) -> None:
        self.site = site
        self.client_host = host_of(address)
        self.connected = 0
        self.factory: object = site
        self.transport: Any = None
        self.write: Callable[[bytes], None] = _nowhere
        self.request: Request | None = None
        self._deadline: Deadlines[Any] | None = None
        self._full = False
        self._mark: tuple[int, int] | None = None
        self._pull = False
        self._stopped = False
        self._watch = -1
        self._closing = False
        self._kept = 0
        self._place = ""

    def makeConnection(self, transport: Any) -> None:
        """
        A client is there.
        """
        self.connected = 1
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """
        Begin.
        """
        raise NotImplementedError

    def dataReceived(self, data: bytes) -> None:
        """
        The client sends.
        """
        raise NotImplementedError

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The client has left, or was made to.
        """
        raise NotImplementedError

    def open(self) -> None:
        """
        Begin to use the transport.
        """
        transport = self.transport
        if self.client_host != "unix":
            with contextlib.suppress(AttributeError):
                transport.setTcpNoDelay(True)
        site = self.site
        if self.isSecure() and not install(transport, site.rounds.add, site.clock.seconds, self.keeps):
            lower: Any = getattr(transport, "transport", None)
            if hasattr(lower, "bufferSize"):
                lower.bufferSize = SECURED_READ
        self.write = eager_write(transport)
        transport.registerProducer(self, True)

    def release(self) -> None:
        """
        Let go of everything that the connection held; it is gone.
        """
        site = self.site
        self._closing = True
        self.wait_for(None)
        site.write.cancel(self)
        site.held.cancel(self)
        site.pace.cancel(self)
        site.senders.left(self)
        if self._kept > 0:
            site.unread.add(self._place, -self._kept)
        self._kept = _RELEASED
        if self._stopped:
            self._stopped = False
            site.hangups.forget(self._watch)

    def keeps(self, more: int) -> bool:
        """
        Count bytes that the client has sent and that nobody has read yet; less than 0 when they are kept no longer.

        :return: whether there is room for them: where not, they are to be dropped.
        """
        if self._kept == _RELEASED:
            return True
        if not self._place:
            self._place = place_of(self.client_host)
        self._kept += more
        return self.site.unread.add(self._place, more)

    def drained(self) -> None:
        """
        The client has taken all that waited for it, and no request is being answered.
        """
        raise NotImplementedError

    # -- reading -------------------------------------------------------------------------------------------------

    def stop_reading(self) -> None:
        """
        Let the client wait; its departure is still noticed.
        """
        if not self._stopped and not self._closing:
            self._stopped = True
            self.transport.pauseProducing()
            self._watch = self.site.hangups.watch(self.transport, self.abort)

    def resume_reading(self) -> None:
        """
        Let the client go on.
        """
        if self._stopped:
            self._stopped = False
            self.site.hangups.forget(self._watch)
            self._watch = -1
            self.transport.resumeProducing()

    # -- back-pressure: called by the transport ------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """
        More waits for the client than it should.
        """
        self._full = True
        self._mark = waiting_mark(self.transport)
        self.site.write.start(self)
        if self.request is not None:
            self.request.pause_producer()

    def resumeProducing(self) -> None:
        """
        The client has taken what waited for it.
        """
        self._full = False
        if self._pull:
            self.site.write.start(self)
        else:
            self.site.write.cancel(self)
        if self.request is not None:
            self.request.resume_producer()
        elif not self._closing:
            self.drained()

    def stopProducing(self) -> None:
        """
        The connection ends; `connectionLost` follows.
        """

    def isSecure(self) -> bool:
        """
        The client speaks TLS.
        """
        return ISSLTransport.providedBy(self.transport)

    @property
    def is_full(self) -> bool:
        """
        The client does not take what it is sent.
        """
        return self._full

    def pull(self, *, on: bool) -> None:
        """
        Ask the request for more whenever the client has taken everything, rather than tell it when to wait.
        """
        if self._pull is not on and not self._closing:
            self._pull = on
            self.transport.unregisterProducer()
            # It is the transport that asks for more, when it has written what it was given.
            self.write = self.transport.write if on else eager_write(self.transport)
            if on:
                self._mark = None
                self.site.write.start(self)
            else:
                self.site.write.cancel(self)
                self._full = False
            self.transport.registerProducer(self, not on)

    def flush(self) -> None:
        """
        Send an answer's head that waited for its body in vain.
        """
        if self.request is not None:
            self.request.flush()

    # -- deadlines -----------------------------------------------------------------------------------------------

    def wait_for(self, deadlines: Deadlines[Any] | None) -> None:
        """
        What the client is waited for from now on, if anything.
        """
        before = self._deadline
        if before is not None:
            before.cancel(self)
        self._deadline = deadlines
        if deadlines is not None:
            deadlines.start(self)

    def write_late(self) -> None:
        """
        Bytes have waited for the client for long. It counts as gone if it has taken none of them since it was last
        looked at, which is after one to two times the deadline.
        """
        mark = waiting_mark(self.transport)
        if mark == self._mark and (mark is not None or self._closing):
            _log.debug("{client} takes no more of its answer.", client=self.client_host)
            self.abort()
            return
        self._mark = mark
        self.site.write.start(self)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """
        Close when what waits for the client has been delivered.
        """
        if self._closing:
            return
        self._closing = True
        site = self.site
        self._mark = waiting_mark(self.transport)
        if self._mark is None:
            self.wait_for(site.linger)
        else:
            self.wait_for(None)
            site.write.start(self)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def linger(self) -> None:
        """
        See Note [Closing].
        """
        if self._closing:
            return
        self._closing = True
        transport = self.transport
        self.wait_for(self.site.linger)
        transport.unregisterProducer()
        if self.isSecure() or not hasattr(transport, "loseWriteConnection"):
            # TLS says goodbye and then waits for the same from the other side, which is all that is needed.
            transport.loseConnection()
        else:
            transport.loseWriteConnection()
        self.resume_reading()

    def abort(self) -> None:
        """
        End the connection now, so that the client can see it; what waits for it is lost.
        """
        self._closing = True
        self.wait_for(None)
        self.transport.abortConnection()


classImplements(Link, IProtocol, IPushProducer)


def _nowhere(data: bytes) -> None:
    """
    Where bytes go while there is no transport.
    """
