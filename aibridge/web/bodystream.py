"""
The body of a request that is passed on while it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import classImplements

from aibridge.errors import BodyTooLarge, BridgeError
from aibridge.web.body import WINDOW, Body

if TYPE_CHECKING:
    from aibridge.web.request import Request


class BodyStream:
    """
    Passes a body on while it comes, as fast as its consumer takes it.

    The Deferred of `startProducing` fails with `BodyTooLarge`, `BodyTooSlow`, `BadRequest` or `ClientLeft`. It never
    fires once `stopProducing` was called or the request was finished, as nobody waits for it then.

    :param limit: bytes.
    """

    def __init__(self, request: Request, limit: int) -> None:
        declared = request.declared_length
        self.length: Any = UNKNOWN_LENGTH if declared is None else declared
        self._request = request
        self._body = request.body
        self._limit = limit
        self._size = 0
        self._consumer: IConsumer | None = None
        self._done: Deferred[None] = Deferred()
        self._early = bytearray()
        self._whole = False
        self._begun: Callable[[], None] | None = None
        self._failed: Callable[[BridgeError], None] | None = None

    def collect(self, begun: Callable[[], None], failed: Callable[[BridgeError], None]) -> None:
        """
        Read the beginning of a body before there is anybody to pass it on to: a window of it, or all.

        :param begun: called when that has come.
        :param failed: called instead, if it does not.
        """
        self._request.claimed = True
        self._begun, self._failed = begun, failed
        assert isinstance(self._body, Body)
        self._body.claim(self, is_held=False)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Pass it on.
        """
        body = self._body
        if self.length is not UNKNOWN_LENGTH and self.length > self._limit:
            return fail(BodyTooLarge())
        self._request.claimed = True
        if isinstance(body, bytes):
            self._body = self._request.body = b""
            consumer.write(body)
            return succeed(None)
        self._consumer = consumer
        if self._failed is None:
            body.claim(self, is_held=False)
            return self._done
        self._begun = self._failed = None
        if self._early:
            consumer.write(bytes(self._early))
            self._early.clear()
        if body.error is not None:
            return fail(body.error)
        if self._whole:
            return succeed(None)
        body.resume()
        return self._done

    def pauseProducing(self) -> None:
        """
        Wait; what comes until the window is full is kept.
        """
        if isinstance(self._body, Body):
            self._body.pause()

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        if isinstance(self._body, Body):
            self._body.resume()

    def stopProducing(self) -> None:
        """
        Nobody wants the rest.
        """
        if isinstance(self._body, Body):
            self._body.drop()

    def data(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        self._size += len(piece)
        assert isinstance(self._body, Body)
        if self._size > self._limit:
            self._body.fail(BodyTooLarge())
        elif self._consumer is not None:
            self._consumer.write(piece)
        else:
            self._early += piece
            if self._size >= WINDOW:
                self._body.pause()
                self._have_begun()

    def end(self) -> None:
        """
        There are no more.
        """
        if self._consumer is not None:
            self._done.callback(None)
        else:
            self._whole = True
            self._have_begun()

    def fail(self, error: BridgeError) -> None:
        """
        There will be no more.
        """
        failed = self._failed
        if self._consumer is not None:
            self._done.errback(error)
        elif failed is not None:
            failed(error)

    def _have_begun(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            begun()


classImplements(BodyStream, IBodyProducer)
