"""
Somebody asks the proxy for something: who is it, and may they?

Note [One ending]: as an exchange of the bridge's does, it lets go of what it holds (a look-up of who is asking, a
connection being made) in one function, `Asking._end`, whichever way it ends.

Note [Challenge]: many clients show their credentials only when they are asked for them (RFC 9110, 11.7.1), anew on each
connection. To show none is therefore no failed attempt: it is answered with the challenge, however often it comes,
and counts for no limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibridge import errors
from aibridge.mitm.credentials import PROXY_AUTHORIZATION, token_in
from aibridge.mitm.lines import SessionLine
from aibridge.mitm.refusals import Refusal, Refused
from aibridge.mitm.terms import Proxy
from aibridge.model import Principal

if TYPE_CHECKING:
    from aibridge.web.request import Request

REFUSED: Final = "refused"
CLIENT_LEFT: Final = "client_left"

DRAIN_RETRY_S: Final = 5.0


class Asking:
    """
    One request at the proxy's own door. It ends once: by becoming what was asked for, or refused.

    :param proxy: what all share.
    :param request: its head is complete.
    """

    _log = Logger()

    __slots__ = ("_began", "_ended", "_line", "_proxy", "_request", "_step", "_terms", "_token", "_who")

    def __init__(self, proxy: Proxy, request: Request) -> None:
        self._proxy = proxy
        self._terms = proxy.terms
        self._request = request
        self._token: bytes | None = None
        # Empty while nobody in particular is known to ask.
        self._who = ""
        self._step: Deferred[Any] | None = None
        self._ended = False
        self._began = proxy.now()
        self._line = SessionLine(
            at=0.0,
            session=proxy.new_id(),
            client=request.client_host,
            host="",
            port=0,
            kind=REFUSED,
            status=0,
            cause="",
        )

    def begin(self) -> None:
        """
        Decide on the head, and go on as far as possible without waiting.
        """
        self._request.on_departure = self._client_left
        self._proxy.connecting.add(self)
        self._guarded(self._enter)

    def cut(self) -> None:
        """
        End it now: the daemon stops.
        """
        self._refuse(Refused(Refusal.DRAINING, retry_after_s=DRAIN_RETRY_S))

    # -- what is asked for ---------------------------------------------------------------------------------------

    def _enter(self) -> None:
        """
        Understand what is asked for, and go on to `_identify`.
        """
        raise NotImplementedError

    def _admitted(self) -> None:
        """
        It may be had, as far as it depends on who is asking.
        """
        raise NotImplementedError

    # -- who asks ------------------------------------------------------------------------------------------------

    def _identify(self) -> None:
        request, identity = self._request, self._terms.identity
        self._token = token_in(request.headers_named(PROXY_AUTHORIZATION))
        if self._token is None and identity.verifies_tokens:
            # See Note [Challenge].
            raise Refused(Refusal.UNAUTHENTICATED)
        found = identity.identify(self._token, request.client_host, self._proxy.now())
        if isinstance(found, Deferred):
            self._wait(found, self._identified)
        else:
            self._identified(found)

    def _identified(self, principal: Principal) -> None:
        self._line.principal = principal.name
        if not principal.origin:
            # Otherwise it is nobody that is known, and counts for where it comes from.
            self._who = f"principal {principal.id}"
        self._admitted()

    # -- steps ---------------------------------------------------------------------------------------------------

    def _wait(self, step: Deferred[Any], then: Any) -> None:
        """
        Go on with `then` when `step` has come about.
        """
        self._step = step
        step.addCallbacks(self._arrived, self._failed, (then,))
        step.addErrback(self._broken)

    def _arrived(self, result: Any, then: Any) -> None:
        self._step = None
        self._guarded(then, result)

    def _failed(self, failure: Failure) -> None:
        self._step = None
        self._guarded(failure.raiseException)

    def _guarded(self, step: Any, *arguments: Any) -> None:
        if self._ended:
            return
        try:
            step(*arguments)
        except Refused as refused:
            self._refuse(refused)
        except errors.BridgeError as error:
            self._refuse(refusal_of(error))
        except Exception:
            self._broken(Failure())

    # -- endings -------------------------------------------------------------------------------------------------

    def _broken(self, failure: Failure) -> None:
        self._log.failure("Request {id} failed in the proxy itself.", failure, id=self._line.session)
        self._refuse(Refused(Refusal.INTERNAL))

    def _client_left(self) -> None:
        self._end()
        self._told(REFUSED, 499, CLIENT_LEFT)

    def _refuse(self, refused: Refused) -> None:
        if self._ended:
            return
        refusal, request = refused.refusal, self._request
        self._end()
        self._line.reason = refusal.reason
        self._proxy.metrics.refused(refusal.reason, refusal.kind)
        pairs, body = refusal.answer(self._line.session, refused.detail, refused.retry_after_s)
        request.respond(refusal.status, pairs, len(body))
        request.write(body)
        request.finish()
        self._told(REFUSED, refusal.status, refusal.kind)

    def _end(self) -> None:
        """
        See Note [One ending].
        """
        proxy = self._proxy
        self._ended = True
        self._request.on_departure = None
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
        proxy.connecting.discard(self)
        proxy.ended()

    def _told(self, kind: str, status: int, cause: str) -> None:
        proxy, line = self._proxy, self._line
        line.kind, line.status, line.cause = kind, status, cause
        line.duration_s = proxy.now() - self._began
        line.at = proxy.wall_clock()
        proxy.completions.add(line)


def refusal_of(error: errors.BridgeError) -> Refused:
    """
    How a client is refused that could not be identified.
    """
    retry_after_s = getattr(error, "retry_after_s", None)
    match error:
        case errors.Unauthenticated():
            return Refused(Refusal.UNAUTHENTICATED)
        case errors.TooManyFailures():
            return Refused(Refusal.TOO_MANY_FAILURES, retry_after_s=retry_after_s)
        case errors.IdentityUnavailable():
            return Refused(Refusal.IDENTITY_UNAVAILABLE, retry_after_s=retry_after_s)
        case errors.BadRequest():
            return Refused(Refusal.MALFORMED, error.detail)
        case _:
            return Refused(Refusal.INTERNAL)
