"""
What all connections of a listener share: limits, deadlines, the resource tree, and how they come to an end.
"""

from __future__ import annotations

import math
import resource as system
from collections.abc import Callable
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any, Final

from twisted.internet.interfaces import IAddress
from twisted.web import server
from twisted.web.resource import IResource

from aibridge.deadlines import Deadlines
from aibridge.identity.address import place_of
from aibridge.web.channel import Channel
from aibridge.web.crowding import Crowd
from aibridge.web.hangup import HangUps
from aibridge.web.ids import Ids
from aibridge.web.request import HOLD_S, Request
from aibridge.web.rounds import Rounds
from aibridge.web.settings import HttpSettings
from aibridge.web.status import StatusLines
from aibridge.web.stock import StockRequest
from aibridge.web.unread import Unread
from aibridge.wire.request import METHODS, HeadReader

LINGER_S: Final = 5.0
"""How long a client may go on sending after it was answered, before its connection is cut."""

PACE_S: Final = 20.0
"""How often it is looked at whether a body comes fast enough: one that is too slow is ended after one to two of it."""

SENDERS: Final = 4
"""Of what part of all connections, as a divisor, nobody's bodies may be on their way while others find no place."""

_KEPT_DESCRIPTORS = 32
"""For listeners, logs, what the process itself has open, and one turn's newcomers."""

MOST_ACCEPTED: Final = 16
"""
Connections that a port accepts in one turn of the reactor. Those that have to make room for them are gone a turn later;
were there no such limit, a crowd could use up all descriptors before that, and Twisted drops whoever comes then.
"""


def most_connections(configured: int, descriptors: int, each: int = 2) -> int:
    """
    How many client connections there may be at once.

    :param configured: 0 for as many as there are descriptors for.
    :param descriptors: the process's limit.
    :param each: descriptors that a connection may need: its own, and one to a provider.
    """
    return configured or max(1, (descriptors - _KEPT_DESCRIPTORS) // each)


_new_id = Ids(SystemRandom().getrandbits).new


def _utc() -> float:
    return datetime.now(UTC).timestamp()


def _render(request: Request) -> None:
    StockRequest(request).process()


class BridgeSite(server.Site):
    """
    Serves a resource tree over `Channel`.

    A root that has a method ``render_on_head`` is called with every request, an `aibridge.web.request.Request`, as soon
    as its head is complete. All other resources are stock ones, and render when the body is there, up to `max_body`.

    :param resource: the root.
    :param settings: limits and deadlines.
    :param reactor: the time; also what watches for departures, if it can.
    :param methods: those that are served; all others are answered 501.
    :param wall_clock: Unix seconds, for ``Date``.
    :param new_id: makes ids for requests that are refused before anybody could give them one.
    :param descriptors_each: as `most_connections` has it.
    :ivar status_lines: the first two lines of an answer with that status.
    :ivar serve: takes a request whose head is complete.
    :ivar least_came: bytes of a body that have to come in `PACE_S`.
    :ivar senders: connections whose bodies are on their way, by whose they are, where that is known.
    :ivar unread: what has come on them and was not read yet.
    :ivar connections: all that are open.
    :ivar draining: every answer from now on closes its connection.
    :ivar crowded: there are too many connections, and all of them are busy.
    :ivar ports: listening ports that are not read while it is crowded.
    :ivar max_body: bytes, for resources that do not read bodies themselves.
    """

    noisy = False

    def __init__(
        self,
        resource: IResource,
        settings: HttpSettings,
        reactor: Any,
        *,
        methods: frozenset[bytes] = METHODS,
        wall_clock: Callable[[], float] = _utc,
        new_id: Callable[[], str] = _new_id,
        descriptors_each: int = 2,
    ) -> None:
        super().__init__(resource, Request, reactor=reactor, parsePOSTFormSubmission=False)
        self.clock = reactor
        self.new_id = new_id
        self.settings = settings
        self.max_body = settings.max_body
        self.heads = HeadReader(settings.max_request_line, settings.max_head, settings.max_headers, methods)
        self.hangups = HangUps(reactor)
        self.header = Deadlines(reactor, settings.header_timeout, Channel.head_late)
        self.body = Deadlines(reactor, settings.body_timeout, Channel.body_late)
        self.pace: Deadlines[Any] = Deadlines(reactor, PACE_S if settings.min_body_rate else 0.0, Channel.body_paced)
        self.least_came = math.ceil(settings.min_body_rate * PACE_S)
        self.rounds = Rounds(reactor)
        self.unread = Unread(settings.max_unread)
        self.keep_alive: Deadlines[Channel] = Deadlines(reactor, settings.keep_alive_timeout, Channel.close)
        self.write = Deadlines(reactor, settings.write_timeout, Channel.write_late)
        self.linger = Deadlines(reactor, LINGER_S, Channel.abort)
        self.held = Deadlines(reactor, HOLD_S, Channel.flush)
        self.connections: set[Channel] = set()
        self._crowd: Crowd[Channel] = Crowd()
        self.senders: Crowd[Any] = Crowd()
        self.draining = False
        self.crowded = False
        self.ports: list[Any] = []
        descriptors = system.getrlimit(system.RLIMIT_NOFILE)[0]
        self._most = most_connections(settings.max_connections, descriptors, descriptors_each)
        self.status_lines = StatusLines(reactor.seconds, wall_clock).of
        self.serve: Callable[[Request], object] = getattr(resource, "render_on_head", _render)

    # -- as a factory --------------------------------------------------------------------------------------------

    def startFactory(self) -> None:
        """
        Twisted's own log of accesses, and its timer, are not used.
        """

    def stopFactory(self) -> None:
        """
        Connections live on when their port closes.
        """

    def buildProtocol(self, addr: IAddress) -> Channel:  # type: ignore[override]  # it is no HTTPChannel
        """
        A channel for one more client.
        """
        return Channel(self, addr)

    def acceptableProtocols(self) -> list[bytes]:
        """
        For ALPN.
        """
        return [b"http/1.1"]

    def getResourceFor(self, request: Any) -> Any:
        """
        The resource that renders `request`.
        """
        return self.resource if self.resource.isLeaf else super().getResourceFor(request)

    # -- how many, and the end -----------------------------------------------------------------------------------

    def arrived(self, channel: Channel) -> None:
        """
        There is one more connection. When there are too many, one makes room: see Note [Who makes room] in
        `aibridge.web.crowding`. When all come from one place, it is the one that has been idle for longest, or else the
        one that has been silent for longest. When all are busy, it is one of those that wait for bodies of whoever has
        many such, from wherever they come. When there are none either, no more are accepted, and each answer closes its
        connection, until there is room.
        """
        self._slow_down()
        self._crowd.arrived(channel, place_of(channel.client_host))
        if len(self.connections) <= self._most:
            return
        victim = self._who_makes_room(channel)
        if victim is not None:
            if victim in self.body:
                victim.abort()
            else:
                victim.close()
        elif not self.crowded:
            self.crowded = True
            for port in self.ports:
                port.stopReading()

    def _who_makes_room(self, channel: Channel) -> Channel | None:
        crowd = self._crowd
        if crowd.places > 1:
            victim = crowd.first_of_most(lambda each: each in self.keep_alive or each in self.header)
            if victim is not None:
                return victim
            if 2 * crowd.most > len(crowd):
                # They are busy, and mostly from one place: that one gets no more, and others are let in for what has
                # not been asked yet.
                if crowd.of_place(channel) == crowd.most:
                    return channel
                victim = crowd.first_of_most(lambda each: each in self.body)
                if victim is not None:
                    return victim
        idle = self.keep_alive.first() or self.header.first()
        if idle is not channel:
            return idle
        if SENDERS * self.senders.most > len(self.connections):
            return self.senders.first_of_most(lambda each: each in self.body)
        return None

    def accept_from(self, ports: list[Any]) -> None:
        """
        These are the ports to which clients connect; see `MOST_ACCEPTED`.
        """
        self.ports = ports
        self._slow_down()

    def _slow_down(self) -> None:
        for port in self.ports:
            # It grows by itself as long as there are more to accept. Only ports of sockets have it.
            if getattr(port, "numberAccepts", 0) > MOST_ACCEPTED:
                port.numberAccepts = MOST_ACCEPTED

    def left(self, channel: Channel) -> None:
        """
        There is one connection less.
        """
        self._crowd.left(channel)
        if self.crowded and len(self.connections) < self._most:
            self.crowded = False
            for port in self.ports:
                port.startReading()

    def close_idle(self) -> None:
        """
        Close the connections on which no request is on its way or being answered.
        """
        for channel in list(self.connections):
            channel.close_if_idle()

    def abort_all(self) -> None:
        """
        End all connections now.
        """
        for channel in list(self.connections):
            channel.abort()
