"""
What an exchange holds, and how all of it comes to an end.

Note [One ending]: an exchange holds up to eight things: a look-up of who is asking; the memory of its body, in
`aibridge.web.intake`; a place in the queue, a permit, its charge and the pass of a breaker, all four in
`aibridge.web.entrance`; its calls to the provider, and the way of their bytes back. `Ending._end` alone lets go of
them, all of them, once; every path leads there, and whatever comes later (a provider that answers a client who left, a
look-up that is done too late) finds `_ended` and stops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibridge import errors
from aibridge.admission.learned import Asked
from aibridge.admission.ratelimitheaders import lines
from aibridge.admission.reservation import NOTHING
from aibridge.dialects import facts, usage
from aibridge.dialects.clients import client_of
from aibridge.dialects.reader import UsageReader
from aibridge.log import Completion
from aibridge.model import Dialect, Principal
from aibridge.providers.routes import Route
from aibridge.relay.pump import Pump
from aibridge.web import faults
from aibridge.web.attempts import Attempts
from aibridge.web.entrance import CLASSES, Entrance
from aibridge.web.intake import Intake
from aibridge.web.outcome import cause_of, outcome_of

if TYPE_CHECKING:
    from aibridge.web.request import Request
    from aibridge.web.terms import Bridge

_log = Logger(namespace=__name__)

Pair = tuple[bytes, bytes]

ANYONE: Final = "anyone"
NOBODY: Final = Principal(id="", name="")

# A member of an enumeration is looked up each time, unless it has a name of its own.
_NONE: Final = usage.Source.NONE
_ESTIMATED: Final = usage.Source.ESTIMATED
_RESPONSES: Final = Dialect.RESPONSES


class Ending:
    """
    The half of an exchange that lets go.

    :param bridge: what all exchanges share.
    :param request: its head is complete, its body unread.
    """

    def __init__(self, bridge: Bridge, request: Request) -> None:
        self._bridge = bridge
        self._terms = bridge.terms
        self._request = request
        self._began_at = self._body_at = self._sent_at = bridge.now()
        self._completion = Completion(bridge.new_id(), request.client_host, request.method.decode("ascii"))
        self._principal = NOBODY
        self._route: Route | None = None
        self._asked: Asked | None = None
        self._reservation = NOTHING
        self._body_size = 0
        self._agent = ""
        # What it holds.
        self._lookup: Deferred[Principal] | None = None
        self._intake: Intake | None = None
        self._entrance: Entrance | None = None
        self._attempts: Attempts | None = None
        self._reader: UsageReader | None = None
        self._pump: Pump | None = None
        self._began: tuple[str, str, str] | None = None
        self._answering = False
        self._ended = False

    # -- what can happen -----------------------------------------------------------------------------------------

    def cut(self, error: errors.BridgeError) -> None:
        """
        End it now, honestly, for a reason that neither side gave.
        """
        self._fail(error)

    def broken(self, failure: Failure) -> None:
        """
        The bridge itself has a defect.
        """
        if not self._ended:
            _log.failure("Exchange {id} failed in the bridge itself.", failure, id=self._completion.request_id)
            self._fail(errors.InternalError())

    def _go_on(self, step: Callable[[Route], None]) -> None:
        """
        Take a step that had to be waited for.
        """
        if self._ended:
            return
        try:
            assert self._route is not None
            step(self._route)
        except errors.BridgeError as error:
            self._fail(error)
        except Exception:
            self.broken(Failure())

    def _probed(self) -> None:
        self._ended = True
        self._bridge.exchanges.discard(self)
        self._request.on_departure = None
        self._request.answer(200, b"", b"")

    def _client_left(self) -> None:
        self._fail(errors.ClientLeft())

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, errors.BridgeError):
            self._fail(error)
        else:
            self.broken(failure)

    def _fail(self, error: errors.BridgeError) -> None:
        if self._ended:
            return
        try:
            if self._answering:
                self._break_off(error)
            else:
                self._refuse(error)
        except Exception:
            # It cannot even be told. What it held is let go of all the same, and the client sees a broken end.
            _log.failure("How exchange {id} ends cannot be told.", id=self._completion.request_id)
            if not self._ended:
                self._end(errors.InternalError.kind)
            self._request.abort()

    # -- what the client is told ---------------------------------------------------------------------------------

    def _refuse(self, error: errors.BridgeError) -> None:
        """
        Nothing was said yet: say what is wrong, in the caller's dialect.
        """
        completion, request, route = self._completion, self._request, self._route
        completion.status = faults.status_of(error)
        self._account(error)
        self._count_in_vain(error)
        if isinstance(error, errors.ClientLeft):
            self._end(error.kind)
            return
        wait = faults.retry_after(error, self._terms.max_retry_after_s)
        completion.retry_after_s = wait or 0.0
        if isinstance(error, errors.GatewayError):
            self._uncharge()
        dialect = self._terms.routes.dialect_of(request.uri) if route is None else route.dialect
        told = faults.answer(error, dialect, completion.request_id, wait)
        self._end(error.kind)
        # How the buckets stand now that what the request was charged has been put back.
        limits = b"" if route is None else self._limits(route, [], wait)
        request.answer(told.status, told.lines + limits, told.body)

    def _counts(self, route: Route) -> bool:
        """
        Whether it counts towards the rate.
        """
        return route.counted or self._terms.count_passthrough

    def _count_in_vain(self, error: errors.BridgeError) -> None:
        """
        Count a request whose body its client did not send, or not as it had to; it has been waited for.
        """
        intake, entrance, route = self._intake, self._entrance, self._route
        if intake is None or entrance is None or route is None or not intake.is_awaited:
            return
        if isinstance(error, errors.ClientError) and self._counts(route):
            entrance.charge(None)

    def _uncharge(self) -> None:
        """
        A request that is refused counts nowhere, unless it has been to a provider already.
        """
        attempts, entrance = self._attempts, self._entrance
        if entrance is not None and (attempts is None or not attempts.count):
            entrance.uncharge()

    def _break_off(self, error: errors.BridgeError) -> None:
        """
        An answer has begun and cannot be finished: the dialect's error event where there can be one, and a connection
        that visibly breaks. Never an end that looks like one.
        """
        completion, pump, route = self._completion, self._pump, self._route
        if isinstance(error, errors.ClientLeft):
            completion.status = faults.status_of(error)
        tells = pump is not None and pump.between_events and not isinstance(error, errors.ClientLeft)
        self._account(error)
        self._end(error.kind)
        if tells:
            dialect = Dialect.PLAIN if route is None else route.dialect
            self._request.write(faults.event(error, dialect, completion.request_id))
        self._request.abort()

    def _limits(self, route: Route, received: list[Pair], retry_after_s: float | None) -> bytes:
        """
        What an answer says of the buckets that its request has met, as lines of its head.

        :param received: the fields that the provider sent.
        """
        terms, bridge = self._terms, self._bridge
        if self._principal is NOBODY or not self._counts(route):
            return b""
        states = terms.policies.states(self._principal, route.provider.name, bridge.now(), tokens=route.counted)
        if not states:
            return b""
        sent = [name.lower() for name, _ in received]
        return lines(states, route.dialect, sent, unix_now=bridge.wall_clock(), retry_after_s=retry_after_s)

    # -- the end -------------------------------------------------------------------------------------------------

    def _account(self, error: errors.BridgeError) -> None:
        completion, metrics = self._completion, self._bridge.metrics
        completion.reason = error.reason
        if isinstance(error, errors.UpstreamError):
            metrics.upstream_failed(completion.provider, error.kind)
        if isinstance(error, errors.GatewayError):
            completion.policy = error.policy
        if not self._answering and not isinstance(error, errors.ClientLeft):
            class_ = "" if self._principal is NOBODY else CLASSES[self._principal.class_]
            metrics.refused(error.reason, error.kind, completion.policy, class_)

    def _end(self, cause: str) -> None:
        """
        See Note [One ending].
        """
        bridge, completion = self._bridge, self._completion
        now = bridge.now()
        self._ended = True
        self._request.on_departure = None
        lookup, self._lookup = self._lookup, None
        if lookup is not None:
            lookup.cancel()
        if self._intake is not None:
            self._intake.release()
        report = self._told(cause)
        completion.cause = self._judge(cause, report, now)
        if self._entrance is not None:
            self._entrance.release(cause, now)
        attempts = self._attempts
        if attempts is not None:
            attempts.cancel()
            completion.attempts = attempts.count
            if attempts.hint:
                completion.hint, completion.key = attempts.hint, attempts.key
        pump, self._pump = self._pump, None
        if pump is not None:
            completion.bytes_out = pump.bytes
            pump.cancel()
        self._settle(report, now)
        if report is not None and report.error:
            completion.error = report.error
        completion.duration_s = now - self._began_at
        completion.at = bridge.wall_clock()
        if self._began is not None:
            bridge.metrics.ended(self._began)
        if self._route is not None and attempts is not None and attempts.count:
            agent = self._agent or client_of(self._request.header(b"user-agent"))
            # Whoever is not verified could call himself anything.
            initiator = completion.principal if self._terms.identity.verifies_tokens else ANYONE
            bridge.metrics.completed(
                completion, bridged=self._route.counted, agent=agent, initiator=initiator, report=report
            )
        bridge.completions.add(completion)
        exchanges = bridge.exchanges
        exchanges.discard(self)
        if not exchanges and bridge.emptied is not None:
            bridge.emptied()

    def _judge(self, cause: str, report: usage.Report | None, now: float) -> str:
        """
        See how an answer went that began well, and tell the breaker; what others had to say was known at their head.

        :return: how it ended.
        """
        route, completion = self._route, self._completion
        if route is None or not (route.bridged and 200 <= completion.upstream_status < 300):
            return cause
        outcome = outcome_of(cause, report, route.dialect)
        if self._entrance is not None and outcome is not None:
            self._entrance.tell_breaker(outcome, route.dialect, now)
        found = cause_of(cause, report)
        if found != cause:
            completion.reason = errors.UpstreamError.reason
            self._bridge.metrics.upstream_failed(completion.provider, found)
        return found

    def _settle(self, report: usage.Report | None, now: float) -> None:
        """
        Charge what was used, as far as it is known, instead of what was estimated.

        :param report: what the answer told about itself; None where there was none to be read.
        """
        completion, tokens = self._completion, 0
        # An error is free, in whatever words it is told, unless the provider says that it is not.
        if report is not None and (completion.upstream_status < 400 or report.usage is not None):
            asked, expected = self._asked, self._reservation.expected
            unfinished = usage.is_unfinished(report, asked is not None and asked.background)
            if unfinished and asked is not None:
                expected = asked.unheard(self._reservation)
            tokens, source = usage.charge(report, expected, self._body_size, unfinished)
            if source is not _NONE:
                completion.usage = source.value
                read = usage.estimated_input(self._body_size) if report.usage is None else report.usage.read
                completion.tokens_in, completion.tokens_out = read, tokens - read
            if not unfinished:
                self._learn(report, source, completion.tokens_out)
        if self._entrance is not None:
            self._entrance.settle(float(tokens), now)

    def _asks(self, route: Route, read: facts.Facts) -> Asked:
        """
        What its expected use depends on.
        """
        self._agent = self._agent or client_of(self._request.header(b"user-agent"))
        principal, prior = self._principal.id, self._terms.default_output
        most = route.most_output if read.max_tokens is None else read.max_tokens
        # Pictures have a background, too.
        background = read.background and route.dialect is _RESPONSES
        return Asked(principal, read.model, self._agent, read.size, most, read.choices, prior, background)

    def _learn(self, report: usage.Report, source: usage.Source, output: int) -> None:
        """
        Others of its kind are expected to use what it has used. Errors teach nothing.
        """
        asked, learned = self._asked, self._bridge.learned
        if asked is None or report.error or self._completion.upstream_status >= 400:
            return
        if report.usage is not None and source is usage.PROVIDER:
            learned.learn(asked, report.usage)
        elif source is _ESTIMATED and report.complete and report.unread is None:
            # It is whole, and charged what was seen of it: nobody will know better.
            learned.learn(asked, usage.Usage(input=self._completion.tokens_in, output=output))
        elif source is not _NONE and report.unread is None:
            learned.learn_at_least(asked, output)

    def _told(self, cause: str) -> usage.Report | None:
        reader, route, attempts, status = self._reader, self._route, self._attempts, self._completion.upstream_status
        self._reader = None
        if reader is not None:
            try:
                return reader.end()
            except Exception:
                _log.failure("What an answer says of itself could not be read.")
                return usage.Report(unread=usage.Unread.BROKEN)
        if route is None or not route.counted or attempts is None or not attempts.count:
            return None
        if 200 <= status < 300:
            return usage.Report(unread=usage.Unread.OTHER_TYPE)
        # The provider reads for a client that did not wait, too.
        return usage.Report() if not status and cause == errors.ClientLeft.kind else None
