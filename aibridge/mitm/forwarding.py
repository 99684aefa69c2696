"""
One intercepted request, from its head to the last byte or the last excuse.

It is to the bridge what an exchange of the bridge's is to a provider, and far less: nothing is decided here but where
it goes. Note [One ending] of `aibridge.web.exchange` holds here too: `Forwarding._end` alone lets go of what is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import UNKNOWN_LENGTH

from aibridge import errors
from aibridge.dialects.sse import boundary_of
from aibridge.mitm.headers import from_bridge, to_bridge
from aibridge.mitm.lines import RequestLine
from aibridge.mitm.terms import Proxy
from aibridge.model import Dialect
from aibridge.relay.call import Cancellable
from aibridge.relay.client import response_pairs
from aibridge.relay.headers import connection_values, content_of, declared_length
from aibridge.relay.outage import in_words
from aibridge.relay.pump import Pump
from aibridge.web import faults

if TYPE_CHECKING:
    from aibridge.mitm.sessions import Session
    from aibridge.web.request import Request

DRAIN_RETRY_S: Final = 5.0
COMPLETED: Final = "completed"

_LATE: Final = (
    errors.ConnectTimeout,
    errors.FirstByteTimeout,
    errors.PoolTimeout,
    errors.SilenceTimeout,
    errors.TotalTimeout,
)
_UNREACHED: Final = (errors.ResolveFailed, errors.ConnectFailed, errors.ConnectTimeout, errors.TLSFailed)

_FOREIGN: Final = (ConnectError, ResponseFailed, ResponseNeverReceived, CancelledError)


class Forwarding:
    """
    Hands one request to the bridge, and ends once.

    :param proxy: what all share.
    :param request: its head is complete, its body unread.
    :param session: the connection that it came on.
    :param target: path and query that were asked for.
    :param checks_host: its ``Host`` field has to name the host that the connection was opened to.
    """

    _log = Logger()

    __slots__ = (
        "_answering",
        "_began",
        "_call",
        "_checks_host",
        "_dialect",
        "_ended",
        "_line",
        "_proxy",
        "_pump",
        "_request",
        "_session",
        "_target",
        "_terms",
        "_told",
    )

    def __init__(
        self, proxy: Proxy, request: Request, session: Session, target: bytes, *, checks_host: bool = True
    ) -> None:
        self._proxy = proxy
        self._terms = proxy.terms
        self._request = request
        self._session = session
        self._target = target
        self._checks_host = checks_host
        self._dialect = Dialect.PLAIN
        self._began = proxy.now()
        self._call: Cancellable | None = None
        self._told = False
        self._pump: Pump | None = None
        self._answering = False
        self._ended = False
        self._line = RequestLine(
            at=0.0,
            request_id=proxy.new_request_id(),
            session=session.id,
            client=session.client_host,
            method=request.method.decode("ascii"),
            provider=session.place.name,
            host=session.place.host,
            principal=session.principal,
        )

    def begin(self) -> None:
        """
        Decide on the head, and go on as far as possible without waiting.
        """
        self._session.requests += 1
        self._request.on_departure = self._client_left
        self._proxy.forwardings.add(self)
        self._proxy.metrics.request_began(self._line.provider)
        try:
            self._enter()
        except errors.BridgeError as error:
            self._fail(error)
        except Exception:
            self._broken(Failure())

    # -- the way up ----------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        request, session, terms = self._request, self._session, self._terms
        place = session.place
        path = place.path(self._target)
        self._dialect, self._line.route = place.known_as(request.method, path)
        named = request.header(b"host") if self._checks_host else None
        if named is not None and not place.is_host(named):
            raise errors.Misdirected
        if self._proxy.draining:
            raise errors.Draining(retry_after_s=DRAIN_RETRY_S)
        if request.wants_upgrade:
            raise errors.UpgradeRefused
        declared = request.declared_length
        if declared is not None and declared > terms.max_body:
            raise errors.BodyTooLarge
        pairs = to_bridge(request.pairs, request.headers_named(b"connection"), session.token, self._line.request_id)
        self._line.bytes_in = declared or 0
        url = terms.bridge_url + path
        # A body that is all there leaves in one piece with the head.
        body = request.take_body()
        self._send(url, pairs, request.body_producer(terms.max_body) if body is None else body)

    def _send(self, url: bytes, pairs: list[tuple[bytes, bytes]], body: object) -> None:
        call = self._terms.client.ask(self, self._request.method, url, pairs, body)
        if not self._told:
            self._call = call

    # -- the way back --------------------------------------------------------------------------------------------

    def answered(self, response: Any) -> None:
        """
        The bridge answers. Called by the client.
        """
        self._told, self._call = True, None
        if self._ended:
            return
        try:
            self._answered(response)
        except Exception:
            self._broken(Failure())

    def failed(self, failure: Failure) -> None:
        """
        There will be no answer. Called by the client.
        """
        self._told, self._call = True, None
        if self._ended:
            return
        error = failure.value
        if isinstance(error, errors.UpstreamError):
            self._away(error)
        elif isinstance(error, errors.BridgeError):
            self._fail(error)
        elif isinstance(error, _FOREIGN):
            self._away(errors.UpstreamReset())
        else:
            self._broken(failure)

    def _answered(self, response: Any) -> None:
        line, request = self._line, self._request
        line.first_byte_s = self._proxy.now() - self._began
        self._terms.outage.is_over()
        line.status = response.code
        received = response_pairs(response)
        line.bridge_id = _text(received, faults.REQUEST_ID)
        line.reason = _text(received, faults.REASON)
        length = None if response.length is UNKNOWN_LENGTH else response.length
        if request.method == b"HEAD":
            length = declared_length(received)
        self._answering = True
        request.forget_fields()
        request.respond(response.code, from_bridge(received, connection_values(received)), length)
        self._proxy.metrics.responded(response.code, line.provider)
        self._pump = Pump(request, boundary_of(*content_of(received)), self._pumped)
        response.deliverBody(self._pump)

    def _pumped(self, error: errors.UpstreamError | None) -> None:
        if error is not None:
            self._away(error)
            return
        self._end(COMPLETED)
        self._request.finish()

    # -- endings -------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """
        End it now, honestly: the daemon stops.
        """
        self._fail(errors.Draining())

    def _away(self, error: errors.UpstreamError) -> None:
        """
        To the bridge, it is the provider that fails; to the proxy, it is the bridge.
        """
        self._proxy.metrics.bridge_failed(self._line.provider, error.kind)
        if isinstance(error, _UNREACHED):
            self._terms.outage.noticed(f"{error.kind} ({in_words(error)})")
        told = errors.BridgeLate() if isinstance(error, _LATE) else errors.BridgeAway()
        told.__cause__ = error
        self._fail(told)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("Request {id} failed in the proxy itself.", failure, id=self._line.request_id)
        self._fail(errors.InternalError())

    def _client_left(self) -> None:
        self._fail(errors.ClientLeft())

    def _fail(self, error: errors.BridgeError) -> None:
        if self._ended:
            return
        line, request, pump = self._line, self._request, self._pump
        line.reason = error.reason
        has_left = isinstance(error, errors.ClientLeft)
        if has_left or not self._answering:
            line.status = faults.status_of(error)
        tells = pump is not None and pump.between_events and not has_left
        self._end(error.kind)
        if self._answering:
            if tells:
                request.write(faults.event(error, self._dialect, line.request_id))
            request.abort()
        elif not has_left:
            self._proxy.metrics.refused(error.reason, error.kind)
            self._proxy.metrics.responded(line.status, line.provider)
            told = faults.answer(error, self._dialect, line.request_id, faults.retry_after(error, DRAIN_RETRY_S))
            request.answer(told.status, told.lines, told.body)

    def _end(self, cause: str) -> None:
        proxy, line, session = self._proxy, self._line, self._session
        self._ended = True
        self._request.on_departure = None
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        pump, self._pump = self._pump, None
        if pump is not None:
            line.bytes_out = pump.bytes
            pump.cancel()
        session.bytes_in += line.bytes_in
        session.bytes_out += line.bytes_out
        line.cause = cause
        line.duration_s = proxy.now() - self._began
        line.at = proxy.wall_clock()
        proxy.metrics.request_ended(line.provider)
        proxy.completions.add(line)
        proxy.forwardings.discard(self)
        proxy.ended()


def _text(pairs: list[tuple[bytes, bytes]], name: bytes) -> str:
    """
    The first value of a field as text, or nothing.
    """
    lower = name.lower()
    return next((value.decode("ascii", "replace") for field, value in pairs if field.lower() == lower), "")
