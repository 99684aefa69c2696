"""
One request's life, from its head to the last byte or the last excuse.

Note [In this order]: where it goes, whose it is, whether that may be at all; then its body; then the gate, the buckets
and the breaker, and off it goes. What would be refused whatever its body says is refused at its head; but nobody holds
a permit, or has been counted, while his body is still on its way, since a body may take for ever. One that does not
come counts as a request all the same. A body that is passed on while it comes has to have begun: a window of it, or
all. Of the buckets none is filled by a request that is refused, and whoever has to wait at the gate is asked before
whether a bucket would refuse it anyway, so that nobody makes room for it in vain.

It is written in plain calls rather than as a coroutine: most requests wait for nothing but the provider, and a call
costs a tenth of an awaited Deferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH

from aibridge import errors
from aibridge.admission.learned import least_input
from aibridge.admission.reservation import Reservation
from aibridge.auth.credentials import NO_CREDENTIALS, Credential, decide, read
from aibridge.dialects import facts
from aibridge.dialects.asked import Asked
from aibridge.dialects.clients import client_of
from aibridge.dialects.includeusage import TakenOut
from aibridge.dialects.reader import reader_for
from aibridge.dialects.sse import boundary_of
from aibridge.model import Principal
from aibridge.providers.routes import Route, refusal_of
from aibridge.relay.client import response_pairs
from aibridge.relay.headers import carries, connection_values, content_of, declared_length, to_client, to_provider
from aibridge.relay.pump import Pump
from aibridge.web import faults
from aibridge.web.addedusage import asking_for_usage, without_encoding
from aibridge.web.attempts import Attempts
from aibridge.web.claims import Claims
from aibridge.web.ending import Ending
from aibridge.web.entrance import Entrance
from aibridge.web.intake import Intake
from aibridge.web.outcome import watched
from aibridge.web.passing import passing
from aibridge.web.upstreamrequest import UpstreamRequest

if TYPE_CHECKING:
    from aibridge.web.request import Request
    from aibridge.web.terms import Bridge

Pair = tuple[bytes, bytes]

DRAIN_RETRY_S: Final = 5.0

COUNTS_RETRIES: Final = b"x-stainless-retry-count"
"""What the vendors' SDKs send, which come back twice and then give up: they are told to come one after the other."""


class Exchange(Ending):
    """
    Serves one request, and ends once.

    :param bridge: what all exchanges share.
    :param request: its head is complete, its body unread.
    """

    def __init__(self, bridge: Bridge, request: Request) -> None:
        super().__init__(bridge, request)
        self._credentials = NO_CREDENTIALS
        self._credential: Credential | None = None
        self._body: bytes | None = None
        self._facts = facts.UNREAD
        self._adds_usage = False
        self._url = b""
        self._holds = True
        self._claims: Claims | None = None

    # -- may it go now? ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """
        Decide on the head, and go on as far as possible without waiting.
        """
        self._request.on_departure = self._client_left
        self._bridge.exchanges.add(self)
        try:
            self._enter()
        except errors.BridgeError as error:
            self._fail(error)
        except Exception:
            self.broken(Failure())

    def _enter(self) -> None:
        request, terms = self._request, self._terms
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
        if self._bridge.draining:
            raise errors.Draining(retry_after_s=DRAIN_RETRY_S)
        identity = terms.identity
        self._credentials = read(request.header, request.headers_named, identity.verifies_tokens)
        found = identity.identify(self._credentials.token, request.client_host, self._began_at)
        if isinstance(found, Principal):
            self._identified(found, route)
        else:
            self._lookup = found
            found.addCallbacks(self._identified_late, self._unidentified)

    def _identified_late(self, principal: Principal) -> None:
        self._lookup = None
        self._go_on(lambda route: self._identified(principal, route))

    def _unidentified(self, failure: Failure) -> None:
        self._lookup = None
        self._failed(failure)

    def _identified(self, principal: Principal, route: Route) -> None:
        bridge, request, terms, completion = self._bridge, self._request, self._terms, self._completion
        provider, self._principal = route.provider, principal
        completion.principal = principal.name
        self._credential = credential = decide(
            self._credentials, provider.credentials, provider.key, provider.key_style
        )
        completion.credential = credential.word
        completion.hint = credential.hint
        if not credential.is_clients:
            if route.refused:
                raise refusal_of(route, request.method)
            self._claims = Claims(bridge.ledger, route, principal.id, terms.accounts[provider.name].keys)
            self._claims.check_path(self._url)
        # What is free, and the client's own affair, need not be read.
        self._holds = route.holds(request.header(b"content-type")) and (route.counted or not credential.is_clients)
        most = terms.max_body if self._holds else terms.max_upload
        declared = request.declared_length
        if declared is not None and declared > most:
            raise errors.BodyTooLarge
        token = self._credentials.token
        if token is not None and terms.identity.verifies_tokens and carries(token, request.uri):
            raise errors.BadRequest("The bridge token does not belong into the URL.")
        self._entrance = Entrance(
            bridge,
            terms,
            completion,
            principal,
            provider.name,
            gives_up=request.header(COUNTS_RETRIES) is not None,
        )
        self._intake = intake = Intake(bridge.bodies, request, principal.party, most)
        body = intake.at_once()
        if body is not None:
            self._came(route, body)
        elif not self._is_hopeless(route):
            if self._holds:
                intake.whole(self._came_late, self._fail)
            else:
                intake.begin(self._came_late, self._fail)

    def _is_hopeless(self, route: Route) -> bool:
        """
        Refuse it on its head if it would be refused now whatever its body says.

        :return: whether it has ended.
        """
        if self._would_refuse(route):
            return True
        assert self._entrance is not None
        refusal = self._entrance.foresee_gate(self._bridge.now())
        if refusal is None:
            return False
        self._fail(refusal)
        return True

    def _would_refuse(self, route: Route) -> bool:
        """
        Refuse it if a bucket would, by what is known so far: its body, or how long that will be.

        :return: whether it has ended.
        """
        request, terms, entrance = self._request, self._terms, self._entrance
        assert entrance is not None
        if not self._counts(route):
            return False
        reservation = least = None
        if route.counted and terms.policies.counts_tokens:
            if self._body is not None or not self._holds:
                reservation = self._bridge.learned.expect(self._asks(route, self._facts))
            else:
                size = request.declared_length or 0
                reservation = self._bridge.learned.expect(self._asks(route, facts.Facts(size=size)))
                least = float(least_input(size))
        refusal = entrance.foresee(reservation, least)
        if refusal is None:
            return False
        self._fail(refusal)
        return True

    # -- its body is there: the gate, the buckets, the breaker -----------------------------------------------------

    def _came_late(self, body: bytes) -> None:
        self._body_at = self._bridge.now()
        self._go_on(lambda route: self._came(route, body))

    def _came(self, route: Route, body: bytes) -> None:
        self._body = body
        if self._holds:
            if route.counted:
                self._body_at = self._bridge.now()
            self._read(route, body)
        else:
            self._enter_gate(route, body)

    def _read(self, route: Route, body: bytes) -> None:
        """
        Read what its body says; what takes more than a moment is done in later turns.
        """
        request, claims = self._request, self._claims if body else None
        if claims is not None:
            claims.check_form(request)
        # Of several fields each is an encoding more (RFC 9110, 5.3).
        encoding = b",".join(request.headers_named(b"content-encoding"))
        others = None if claims is None else claims.others()
        asked = Asked(body, encoding, self._terms.max_body, None if claims is None else route.dialect, others)
        if asked.is_done or not asked.begin() or self._bridge.slices.do(asked, lambda: self._known_late(body, asked)):
            self._known(route, body, asked)

    def _known_late(self, body: bytes, asked: Asked) -> None:
        self._go_on(lambda route: self._known(route, body, asked))

    def _known(self, route: Route, body: bytes, asked: Asked) -> None:
        self._facts = asked.facts
        if self._claims is not None and body:
            self._claims.check_body(asked, body)
        self._enter_gate(route, body)

    def _enter_gate(self, route: Route, body: bytes) -> None:
        entrance, now = self._entrance, self._bridge.now()
        assert entrance is not None
        if entrance.is_open(now):
            self._permitted(route)
        elif not (entrance.has_queue and self._would_refuse(route)):
            entered = entrance.wait(self._permitted_late, self._failed)
            if isinstance(entered, errors.AtCapacity):
                self._fail(entered)
            elif entered:
                self._permitted(route)

    def _permitted_late(self) -> None:
        self._body_at = self._bridge.now()
        self._go_on(self._permitted)

    def _permitted(self, route: Route) -> None:
        bridge, completion, terms, entrance = self._bridge, self._completion, self._terms, self._entrance
        body, self._body = self._body, None
        assert body is not None and entrance is not None and self._intake is not None
        payload: Any = self._intake.stream or body or None
        completion.bytes_in = len(body) if self._holds else self._request.declared_length or 0
        if not self._holds:
            payload = passing(payload, self._request, completion, self._claims)
        if not route.counted:
            if not terms.count_passthrough or self._charge(None):
                self._send(route, payload, (0, 0))
            return
        read = self._facts
        self._body_size = read.size
        if self._holds:
            completion.model, completion.stream = read.model, read.stream
        asked = self._asks(route, read)
        # What crosses as it comes teaches nothing: its tokens have nothing to do with its size.
        self._asked = asked if self._holds else None
        self._reservation = reservation = bridge.learned.expect(asked)
        if not self._charge(reservation if terms.policies.counts_tokens else None):
            return
        if terms.breaks:
            entrance.meet_breaker(route.label, read.model, self._body_at)
        self._began = bridge.metrics.began(completion.provider, read.model, route.label)
        asking = asking_for_usage(route, body, read, self._request.header(b"content-encoding"))
        self._adds_usage = asking is not None
        self._send(route, asking or payload, route.provider.counting.counted(reservation))

    def _charge(self, reservation: Reservation | None) -> bool:
        """
        Fill the buckets.

        :return: whether there was room; else the exchange has ended.
        """
        assert self._entrance is not None
        refusal = self._entrance.charge(reservation)
        if refusal is None:
            return True
        self._fail(refusal)
        return False

    # -- the way up ----------------------------------------------------------------------------------------------

    def _send(self, route: Route, body: Any, tokens: tuple[int, int]) -> None:
        bridge, request, provider = self._bridge, self._request, route.provider
        credential = self._credential
        assert credential is not None
        pairs = to_provider(
            request.pairs,
            request.headers_named(b"connection"),
            () if credential.is_clients else provider.headers,
            client_pays=credential.is_clients,
            withheld=self._credentials.token if self._terms.identity.verifies_tokens else None,
        )
        if self._adds_usage:
            pairs = without_encoding(pairs)
        self._sent_at = bridge.now()
        account = self._terms.accounts[provider.name]
        self._attempts = Attempts(self, account, bridge.clock, bridge.wall_clock, bridge.chance, provider.key_style)
        shown = list(credential.pairs) if credential.is_clients else None
        asked = UpstreamRequest(request.method, self._url, pairs, shown, body, principal=self._principal.id)
        asked.party = self._principal.party
        asked.model, asked.route = self._completion.model, "" if route.bridged else route.label
        asked.input_tokens, asked.output_tokens = tokens
        asked.key_id = "" if self._claims is None else self._claims.key_id
        self._attempts.begin(asked)

    # -- the way back --------------------------------------------------------------------------------------------

    def answered(self, response: Any) -> None:
        """
        The provider has begun to answer.
        """
        try:
            self._answered(response)
        except Exception:
            self.broken(Failure())

    def _answered(self, response: Any) -> None:
        bridge, completion, request, route = self._bridge, self._completion, self._request, self._route
        assert route is not None
        now = bridge.now()
        completion.first_byte_s = now - self._began_at
        completion.added_s = self._sent_at - self._body_at
        completion.status = completion.upstream_status = response.code
        begins_well = 200 <= response.code < 300 and route.bridged
        if self._entrance is not None and not begins_well:
            self._entrance.tell_breaker(response.code, route.dialect, now)
        received = response_pairs(response)
        pairs = to_client(received, connection_values(received))
        pairs.append((faults.REQUEST_ID, completion.request_id.encode()))
        length = None if response.length is UNKNOWN_LENGTH else response.length
        if request.method == b"HEAD":
            length = declared_length(received)
        self._answering = True
        if self._intake is not None:
            # It cannot be sent again.
            self._intake.release()
        # A stream may last for an hour; what was said in its request's head is not needed that long.
        self._agent = self._agent or client_of(request.header(b"user-agent"))
        request.forget_fields()
        content_type, encoding = content_of(received)
        boundary = boundary_of(content_type, encoding)
        taken_out = TakenOut() if self._adds_usage and boundary is not None else None
        if taken_out is not None:
            length = None
        request.respond(response.code, pairs, length, self._limits(route, received, None))
        if route.counted:
            reader = reader_for(route.reads, content_type, encoding, memory=bridge.memory)
            self._reader = watched(reader, self._entrance) if begins_well else reader
        reading: Any = self._reader
        if self._claims is not None and self._attempts is not None:
            reading = self._claims.reader(reading, response.code, received, self._attempts.key_id)
        self._pump = Pump(request, boundary, self._pumped, reading, bridge.slices, taken_out)
        response.deliverBody(self._pump)

    def unanswered(self, error: errors.BridgeError) -> None:
        """
        The provider gives no answer.
        """
        if self._entrance is not None and self._route is not None:
            self._entrance.tell_breaker(error, self._route.dialect, self._bridge.now())
        self._fail(error)

    def _pumped(self, error: errors.UpstreamError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        if self._claims is not None:
            self._claims.end()
        self._end("completed")
        self._request.finish()


def serve(bridge: Bridge, request: Request) -> None:
    """
    Begin an exchange with a request whose head is complete; it answers when it can.
    """
    Exchange(bridge, request).begin()
