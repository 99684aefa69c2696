"""
One request's life, from its head to the last byte or the last excuse.

Note [One ending]: an exchange holds up to four things: a permit, a look-up of who is asking, an upstream call, and the
way of its bytes back. `Exchange._end` alone lets go of them, all of them, once; every path leads there, and whatever
comes later (a provider that answers a client who left, a look-up that is done too late) finds `_ended` and stops.

It is written in plain calls rather than as a coroutine: most requests wait for nothing but the provider, and a call
costs a tenth of an awaited Deferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from aibridge import errors
from aibridge.auth.credentials import NO_CREDENTIALS, carries, decide, read
from aibridge.dialects import facts
from aibridge.dialects.clients import client_of
from aibridge.dialects.sse import Boundary
from aibridge.log import Completion
from aibridge.model import Dialect, Principal
from aibridge.providers.routes import Route
from aibridge.relay.client import response_pairs
from aibridge.relay.headers import connection_values, to_client, to_provider
from aibridge.relay.pump import Pump
from aibridge.web import faults

if TYPE_CHECKING:
    from aibridge.admission.gate import Permit
    from aibridge.web.request import Request
    from aibridge.web.terms import Bridge

_log = Logger()

CAPACITY_RETRY_S = 1.0
DRAIN_RETRY_S = 5.0
ANYONE = "anyone"


class Exchange:
    """
    Serves one request, and ends once.

    :param bridge: what all exchanges share.
    :param request: its head is complete, its body unread.
    """

    __slots__ = (
        "_agent",
        "_answering",
        "_asked",
        "_began",
        "_began_at",
        "_body_at",
        "_bridge",
        "_call",
        "_completion",
        "_credentials",
        "_ended",
        "_lookup",
        "_permit",
        "_pump",
        "_request",
        "_route",
        "_sent_at",
        "_terms",
        "_url",
    )

    def __init__(self, bridge: Bridge, request: Request) -> None:
        self._bridge = bridge
        self._terms = bridge.terms
        self._request = request
        self._began_at = self._body_at = self._sent_at = bridge.now()
        self._completion = Completion(
            at=0.0,
            request_id=bridge.new_id(),
            client=request.client_host,
            method=request.method.decode("ascii"),
            route="",
            status=0,
            cause="",
        )
        self._credentials = NO_CREDENTIALS
        self._route: Route | None = None
        self._url = b""
        self._permit: Permit | None = None
        self._lookup: Deferred[Principal] | None = None
        self._call: Deferred[IResponse] | None = None
        self._pump: Pump | None = None
        self._began: tuple[str, str, str] | None = None
        self._agent = ""
        self._asked = False
        self._answering = False
        self._ended = False

    # -- may it go now? ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """
        Decide on the head, and go on as far as possible without waiting.
        """
        self._request.on_departure = self._client_left
        self._bridge.exchanges.add(self)
        self._guarded(self._enter)

    def _guarded(self, step: Any, *arguments: Any) -> None:
        try:
            step(*arguments)
        except errors.BridgeError as error:
            self._fail(error)
        except Exception:
            self._broken(Failure())

    def _enter(self) -> None:
        bridge, request, terms = self._bridge, self._request, self._terms
        if request.wants_upgrade:
            raise errors.UpgradeRefused
        try:
            route, self._url = terms.routes.resolve(request.method, request.uri)
        except errors.RouteUnknown:
            if terms.routes.is_probe(request.method, request.uri):
                self._probed()
                return
            raise
        self._route = route
        self._completion.route = route.label
        self._completion.provider = route.provider.name
        if bridge.draining:
            raise errors.Draining(retry_after_s=DRAIN_RETRY_S)
        self._permit = bridge.gate.enter()
        if self._permit is None:
            raise errors.AtCapacity(retry_after_s=CAPACITY_RETRY_S)
        identity = terms.identity
        self._credentials = read(request.header, request.headers_named, identity.verifies_tokens)
        found = identity.identify(self._credentials.token, request.client_host, self._began_at)
        if isinstance(found, Deferred):
            self._lookup = found
            found.addCallbacks(self._identified_late, self._unidentified)
        else:
            self._identified(found)

    def _probed(self) -> None:
        self._ended = True
        self._bridge.exchanges.discard(self)
        self._request.on_departure = None
        self._request.respond(200, [], 0)
        self._request.finish()

    def _identified_late(self, principal: Principal) -> None:
        self._lookup = None
        if not self._ended:
            self._guarded(self._identified, principal)

    def _unidentified(self, failure: Failure) -> None:
        self._lookup = None
        if self._ended:
            return
        if isinstance(failure.value, errors.BridgeError):
            self._fail(failure.value)
        else:
            self._broken(failure)

    def _identified(self, principal: Principal) -> None:
        bridge, request, terms, route = self._bridge, self._request, self._terms, self._route
        assert route is not None
        self._completion.principal = principal.name
        declared = request.declared_length
        if declared is not None and declared > terms.max_body:
            raise errors.BodyTooLarge
        provider = route.provider
        credential = decide(self._credentials, provider.settings.credentials, provider.key, provider.type.key_style)
        self._completion.credential = credential.kind.value
        self._completion.hint = credential.hint
        withheld = self._credentials.token if terms.identity.verifies_tokens else None
        if withheld is not None and carries(withheld, request.uri):
            raise errors.BadRequest("The bridge token does not belong into the URL.")
        if route.bridged or terms.count_passthrough:
            rate = terms.rate_limit if principal.rate_limit is None else principal.rate_limit
            if rate > 0:
                burst = terms.rate_burst if principal.rate_limit is None else max(1.0, rate)
                if principal.rate_burst is not None:
                    burst = principal.rate_burst
                wait = bridge.buckets.take(principal.id, bridge.now(), rate, burst)
                if wait:
                    raise errors.RateLimited(retry_after_s=wait)
        pairs = to_provider(
            request.pairs,
            request.headers_named(b"connection"),
            credential.pairs,
            client_pays=credential.is_clients,
            withheld=withheld,
        )
        if route.bridged:
            request.read_body(terms.max_body, lambda body: self._guarded(self._read, pairs, body), self._fail)
        else:
            self._send(pairs, None if declared == 0 else request.body_producer(terms.max_body))
            self._completion.bytes_in = declared or 0

    # -- the way up ----------------------------------------------------------------------------------------------

    def _read(self, pairs: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self._ended:
            return
        route, completion = self._route, self._completion
        assert route is not None
        self._body_at = self._bridge.now()
        completion.bytes_in = len(body)
        if self._request.header(b"content-encoding") is None:
            read = facts.read(body)
            completion.model, completion.stream = read.model, read.stream
        self._began = self._bridge.metrics.began(completion.provider, completion.model, completion.route)
        self._send(pairs, body)

    def _send(self, pairs: list[tuple[bytes, bytes]], body: object) -> None:
        route = self._route
        assert route is not None
        self._sent_at = self._bridge.now()
        self._asked = True
        client = self._terms.clients[route.provider.name]
        call = self._call = client.request(self._request.method, self._url, headers=pairs, data=body)
        call.addCallbacks(self._answered, self._unanswered)
        call.addErrback(self._broken)

    # -- the way back --------------------------------------------------------------------------------------------

    def _answered(self, response: IResponse) -> None:
        self._call = None
        if self._ended:
            return
        completion, request = self._completion, self._request
        now = self._bridge.now()
        completion.first_byte_s = now - self._began_at
        completion.added_s = self._sent_at - (self._body_at if self._began is not None else self._began_at)
        completion.status = completion.upstream_status = response.code
        received = response_pairs(response)
        pairs = to_client(received, connection_values(received))
        pairs.append((faults.REQUEST_ID, completion.request_id.encode()))
        length = None if response.length is UNKNOWN_LENGTH else response.length
        if request.method == b"HEAD":
            length = _declared(received)
        self._answering = True
        # A stream may last for an hour; what was said in its request's head is not needed that long.
        self._agent = client_of(request.header(b"user-agent"))
        request.forget_fields()
        request.respond(response.code, pairs, length)
        self._pump = Pump(request, Boundary() if _is_stream(received) else None, self._pumped)
        response.deliverBody(self._pump)

    def _unanswered(self, failure: Failure) -> None:
        self._call = None
        if self._ended:
            return
        error = failure.value
        if isinstance(error, errors.BridgeError):
            self._fail(error)
        elif isinstance(error, ConnectError):
            self._fail(errors.ConnectFailed())
        elif isinstance(error, ResponseFailed | ResponseNeverReceived | CancelledError):
            self._fail(errors.UpstreamReset())
        else:
            self._broken(failure)

    def _pumped(self, error: errors.UpstreamError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        self._end("completed")
        self._request.finish()

    # -- endings -------------------------------------------------------------------------------------------------

    def cut(self, error: errors.BridgeError) -> None:
        """
        End it now, honestly, for a reason that neither side gave.
        """
        self._fail(error)

    def _broken(self, failure: Failure) -> None:
        _log.failure("Exchange {id} failed in the bridge itself.", failure, id=self._completion.request_id)
        self._fail(errors.InternalError())

    def _client_left(self) -> None:
        self._fail(errors.ClientLeft())

    def _fail(self, error: errors.BridgeError) -> None:
        if self._ended:
            return
        if self._answering:
            self._break_off(error)
        else:
            self._refuse(error)

    def _refuse(self, error: errors.BridgeError) -> None:
        """
        Nothing was said yet: say what is wrong, in the caller's dialect.
        """
        completion, request = self._completion, self._request
        completion.status = faults.status_of(error)
        completion.reason = error.reason
        dialect = self._terms.routes.dialect_of(request.uri) if self._route is None else self._route.dialect
        self._account(error)
        self._end(error.kind)
        if isinstance(error, errors.ClientLeft):
            return
        told = faults.answer(error, dialect, completion.request_id, self._terms.max_retry_after_s)
        request.respond(told.status, told.pairs, len(told.body))
        request.write(told.body)
        request.finish()

    def _break_off(self, error: errors.BridgeError) -> None:
        """
        An answer has begun and cannot be finished: the dialect's error event where there can be one, and a connection
        that visibly breaks. Never an end that looks like one.
        """
        completion, pump, route = self._completion, self._pump, self._route
        completion.reason = error.reason
        if isinstance(error, errors.ClientLeft):
            completion.status = faults.status_of(error)
        tells = pump is not None and pump.between_events and not isinstance(error, errors.ClientLeft)
        self._account(error)
        self._end(error.kind)
        if tells:
            dialect = Dialect.PLAIN if route is None else route.dialect
            self._request.write(faults.event(error, dialect, completion.request_id))
        self._request.abort()

    def _account(self, error: errors.BridgeError) -> None:
        metrics = self._bridge.metrics
        if isinstance(error, errors.UpstreamError):
            metrics.upstream_failed(self._completion.provider, error.kind)
        if not self._answering and not isinstance(error, errors.ClientLeft):
            metrics.refused(error.reason, error.kind)

    def _end(self, cause: str) -> None:
        """
        See Note [One ending].
        """
        bridge, completion = self._bridge, self._completion
        self._ended = True
        self._request.on_departure = None
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.give_back()
        for waiting in (self._lookup, self._call):
            if waiting is not None:
                waiting.cancel()
        self._lookup = self._call = None
        pump, self._pump = self._pump, None
        if pump is not None:
            completion.bytes_out = pump.bytes
            pump.cancel()
        completion.cause = cause
        completion.duration_s = bridge.now() - self._began_at
        completion.at = bridge.wall_clock()
        if self._began is not None:
            bridge.metrics.ended(self._began)
        if self._route is not None and self._asked:
            agent = self._agent or client_of(self._request.header(b"user-agent"))
            # Whoever is not verified could call himself anything.
            initiator = completion.principal if self._terms.identity.verifies_tokens else ANYONE
            bridge.metrics.completed(completion, bridged=self._route.bridged, agent=agent, initiator=initiator)
        bridge.completions.add(completion)
        exchanges = bridge.exchanges
        exchanges.discard(self)
        if not exchanges and bridge.emptied is not None:
            bridge.emptied()


def _is_stream(pairs: list[tuple[bytes, bytes]]) -> bool:
    """
    Whether a body is server-sent events that are not encoded, so that an event could be added to it.
    """
    is_stream = False
    for name, value in pairs:
        lower = name.lower()
        if lower == b"content-type":
            is_stream = value.lower().startswith(b"text/event-stream")
        elif lower == b"content-encoding" and value.lower() != b"identity":
            return False
    return is_stream


def _declared(pairs: list[tuple[bytes, bytes]]) -> int | None:
    for name, value in pairs:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return None
