"""
How the body of one exchange comes in: room for it first, then the body, and the room is given back when it is no longer
held.

Nothing else of an exchange is held while its body is on its way: a body that does not come costs its principal some of
the memory that is there for bodies, and no one else anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aibridge import errors
from aibridge.web.bodies import PLACE, Bodies, Waiting
from aibridge.web.body import RETRY_S, WINDOW, Body, Whole
from aibridge.web.bodystream import BodyStream

if TYPE_CHECKING:
    from aibridge.web.request import Request

FIRST: Final = 262144
"""Bytes that a body of unknown length gets room for; one that turns out longer, as much as the longest may need."""


class Intake:
    """
    The body of one exchange.

    :param principal: id of whose it is.
    :param limit: bytes.
    :ivar is_awaited: it is on its way, or waits for room.
    """

    __slots__ = (
        "_bodies",
        "_content",
        "_done",
        "_failed",
        "_held",
        "_limit",
        "_principal",
        "_request",
        "_stream",
        "_waiting",
        "is_awaited",
    )

    def __init__(self, bodies: Bodies, request: Request, principal: str, limit: int) -> None:
        self._bodies = bodies
        self._request = request
        self._principal = principal
        self._limit = limit
        self._held = 0
        self._waiting: Waiting | None = None
        self._stream: BodyStream | None = None
        self._done: Callable[[bytes], None] | None = None
        self._failed: Callable[[errors.BridgeError], None] | None = None
        self.is_awaited = False

    def at_once(self) -> bytes | None:
        """
        The body, if all of it came with the head, as nearly all do.

        :raises BodiesFull: it cannot be kept.
        """
        body = self._request.take_body()
        if body:
            if not self._bodies.keep(self._principal, len(body)):
                raise errors.BodiesFull(retry_after_s=RETRY_S)
            self._held = len(body)
        return body

    def whole(self, done: Callable[[bytes], None], failed: Callable[[errors.BridgeError], None]) -> None:
        """
        Wait for a body that did not. One of the two is called, perhaps at once, unless `release` is.

        :param done: takes the body.
        :param failed: takes `BodiesFull`, or what `Request.read_body` says.
        """
        self._done, self._failed = done, failed
        declared = self._request.declared_length
        self._enter(PLACE + (FIRST if declared is None else declared), self._read)

    def begin(self, done: Callable[[bytes], None], failed: Callable[[errors.BridgeError], None]) -> None:
        """
        Wait for the beginning of a body that is passed on while it comes: a window of it, or all if it is shorter.

        :param done: takes nothing; `stream` has it.
        """
        self._done, self._failed = done, failed
        declared = self._request.declared_length
        self._enter(PLACE + (WINDOW if declared is None else min(declared, WINDOW)), self._collect)

    @property
    def stream(self) -> BodyStream | None:
        """
        What has begun to come, for whoever passes it on.
        """
        return self._stream

    def release(self) -> None:
        """
        The body is not held any more, or not waited for.
        """
        self._done = self._failed = None
        self.is_awaited = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._bodies.leave(waiting)
        held, self._held = self._held, 0
        if held:
            self._bodies.give_back(self._principal, held)

    # -- room ----------------------------------------------------------------------------------------------------

    def _enter(self, size: int, go_on: Callable[[], None]) -> None:
        self.is_awaited = True
        bodies, principal = self._bodies, self._principal
        self._request.sender = principal
        if (size <= PLACE + WINDOW and bodies.keep(principal, size)) or bodies.take(principal, size):
            self._held = size
            go_on()
            return

        def admitted() -> None:
            self._waiting = None
            self._held = size
            go_on()

        self._waiting = bodies.wait(principal, size, admitted, self._no_room)
        if self._waiting is None:
            self._no_room()

    def _no_room(self) -> None:
        self._waiting = None
        self._fail(errors.BodiesFull(retry_after_s=RETRY_S))

    def _fail(self, error: errors.BridgeError) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            failed(error)

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        request, body = self._request, self._request.body
        assert isinstance(body, Body)
        request.claimed = True
        room = self._limit if request.declared_length is not None else FIRST
        body.claim(Whole(body, self._limit, self._whole, self._fail, room, self._more))

    def _whole(self, content: bytes) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self.is_awaited = False
        spare, self._held = self._held - len(content), len(content)
        self._bodies.give_back(self._principal, spare)
        done(content)

    def _more(self) -> bool:
        """
        Take the room that the longest body needs.

        :return: whether there is some; else the body is paused, and goes on when there is.
        """
        size = PLACE + self._limit
        if self._bodies.take(self._principal, size):
            self._held += size
            return True
        self._waiting = self._bodies.wait(self._principal, size, self._grown, self._no_room)
        if self._waiting is None:
            self._no_room()
        return False

    def _grown(self) -> None:
        self._waiting = None
        self._held += PLACE + self._limit
        body = self._request.body
        if isinstance(body, Body):
            body.resume()

    def _collect(self) -> None:
        self._stream = stream = BodyStream(self._request, self._limit)
        stream.collect(self._begun, self._fail)

    def _begun(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            self.is_awaited = False
            done(b"")
