"""
Sends a plan: at its pace, no faster than the client takes it, and only as long as the client is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.web.iweb import IRequest
from zope.interface import implementer

from aibridge.deadlines import Deadlines
from aibridge.demo.plan import Ending, Plan
from aibridge.demo.vendors import phrase

MOST_HELD_S = 3600.0
"""A connection on which nothing more is to come is kept this long; every bridge's own deadlines are shorter."""

RESET_AFTER_S = 0.05
"""From the last byte to a reset, which would overtake bytes that are still to be written."""


class Stage:
    """
    Where deliveries take place: their clock.

    Deliveries that wait equally long share one timer, so that thousands of streams cost no more timers than one. The
    lengths are those of the scripts and of this module, and therefore few.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waits: dict[float, Deadlines[Delivery]] = {}

    def deliver(self, request: IRequest, plan: Plan) -> Delivery:
        """
        Begin to answer `request`.
        """
        delivery = Delivery(self, request, plan)
        delivery.start()
        return delivery

    def waits(self, seconds: float) -> Deadlines[Delivery]:
        """
        Those who wait for so long.
        """
        found = self._waits.get(seconds)
        if found is None:
            found = self._waits[seconds] = Deadlines(self._clock, seconds, Delivery.proceed)
        return found

    def __len__(self) -> int:
        return sum(map(len, self._waits.values()))


@implementer(IPushProducer)
class Delivery:
    """
    One answer on its way.

    It waits for time to pass, for the client to take more, or for both; `proceed` is the step that follows. When the
    client leaves, or the answer ends, nothing of it remains.
    """

    __slots__ = ("_chunk", "_is_due", "_is_paused", "_plan", "_registered", "_request", "_stage", "_step", "_waits")

    def __init__(self, stage: Stage, request: IRequest, plan: Plan) -> None:
        self._stage = stage
        self._request: Any = request
        self._plan = plan
        self._chunk: bytes | None = None
        self._step: Callable[[], None] | None = None
        self._waits: Deadlines[Delivery] | None = None
        self._is_paused = False
        self._is_due = False
        self._registered = False

    def start(self) -> None:
        """
        Begin, at once or after the plan's delay.
        """
        self._request.notifyFinish().addBoth(self._over)
        self._after(self._plan.delay_s, self._begin)

    def proceed(self) -> None:
        """
        The time that it waited for has passed.
        """
        step, self._waits = self._step, None
        if step is not None:
            step()

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        if self._is_due:
            self._is_due = False
            self._send()

    def stopProducing(self) -> None:
        self._over(None)

    def _begin(self) -> None:
        request, plan = self._request, self._plan
        self._chunk = next(plan.chunks, None)
        if plan.status is None:
            transport = _transport_of(request)
            if transport is not None and self._chunk is not None:
                transport.write(self._chunk)
            self._end()
            return
        request.setResponseCode(plan.status, phrase(plan.status))
        for name, value in plan.headers:
            request.setHeader(name, value)
        self._registered = True
        request.registerProducer(self, True)
        self._send()

    def _send(self) -> None:
        """
        Send what is due: one chunk, or all that the client takes where there is no pace.
        """
        while self._step is not None:
            if self._is_paused:
                self._is_due = True
                return
            chunk = self._chunk
            if chunk is None:
                self._end()
                return
            # The end follows the last chunk at once; therefore it has to be known which one is the last.
            self._chunk = next(self._plan.chunks, None)
            self._request.write(chunk)
            if self._plan.interval_s and self._chunk is not None:
                self._after(self._plan.interval_s, self._send)
                return

    def _end(self) -> None:
        request = self._request
        if self._registered:
            self._registered = False
            request.unregisterProducer()
        match self._plan.ending:
            case Ending.FINISHES:
                self._over(None)
                request.finish()
            case Ending.CLOSES:
                self._after(MOST_HELD_S, self._reset)
                _close(request)
            case Ending.RESETS if self._plan.status is None:
                self._reset()
            case Ending.RESETS:
                self._after(RESET_AFTER_S, self._reset)
            case Ending.HOLDS:
                self._after(MOST_HELD_S, self._reset)

    def _reset(self) -> None:
        request = self._request
        self._over(None)
        _reset(request)

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        if self._request is None:
            return
        self._step = step
        if not seconds:
            step()
            return
        self._waits = self._stage.waits(seconds)
        self._waits.start(self)

    def _over(self, _: object) -> None:
        """
        The one end: nobody waits, and nothing is kept. Safe to call again.
        """
        waits, self._waits, self._step = self._waits, None, None
        self._request = self._chunk = None
        if waits is not None:
            waits.cancel(self)


def _transport_of(request: Any) -> Any:
    """
    What bytes go out on.
    """
    transport = getattr(request, "transport", None)
    return getattr(getattr(request, "channel", None), "transport", None) if transport is None else transport


def _close(request: Any) -> None:
    """
    Close the connection once all is written, where the request gives a way to.
    """
    transport = _transport_of(request)
    if transport is not None:
        transport.loseConnection()
    else:
        _reset(request)


def _reset(request: Any) -> None:
    """
    Break the connection, with whatever the request or its transport has for that.
    """
    transport = _transport_of(request)
    for one, name in ((request, "abort"), (transport, "abortConnection"), (transport, "loseConnection")):
        method = getattr(one, name, None)
        if method is not None:
            method()
            return
