"""
The calls that one exchange makes to its provider: mostly one; another where a key is refused or told to wait, or where
a request may be sent again.

Note [Another try]: an answer that is not passed on is thrown away before the client has seen a byte of it. So one try
follows another only as long as nothing has been said, and only if the body is still there as a whole. The last answer
is passed on as it came, whatever it says. Which keys are tried is a matter of `aibridge.web.hearing`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from aibridge import errors
from aibridge.admission.retries import may_retry
from aibridge.admission.verdict import GOOD, Verdict
from aibridge.auth.credentials import central
from aibridge.dialects.limits import read_limits
from aibridge.providers.types import KeyStyle
from aibridge.relay.call import Cancellable
from aibridge.relay.client import response_pairs
from aibridge.web.account import Account
from aibridge.web.collected import Collected
from aibridge.web.hearing import Hearing, speaks_of_the_request
from aibridge.web.upstreamrequest import UpstreamRequest

NOTHING: Final = UpstreamRequest(b"", b"", [])
"""Is asked for by whoever has not begun, or does not want an answer any more."""

PAUSE_S: Final = 0.25
"""Before the first retry; each further one waits twice as long, and up to twice that by chance."""

MOST_PAUSE_S: Final = 5.0
"""A provider that asks for more is taken at its word: the client is told, and decides for itself."""

MOST_DISCARDED: Final = 65536
"""Bytes of an answer that nobody gets, which are read to keep its connection."""


class Asker(Protocol):
    """
    Whose calls they are. One of the three is called, once.
    """

    def answered(self, response: Any) -> None:
        """
        This is the answer to pass on.
        """

    def unanswered(self, error: errors.BridgeError) -> None:
        """
        There is none.
        """

    def broken(self, failure: Failure) -> None:
        """
        Something failed that is nobody's fault but the bridge's.
        """


class Attempts:
    """
    Asks a provider until there is an answer to pass on, or none to be had.

    :param chance: random numbers from 0 to 1.
    :ivar count: calls that were made.
    :ivar hint: of the configured key that was used last, masked.
    :ivar key: which of the configured keys that was, counted from 1; 0 for none.
    :ivar key_id: its id, see `aibridge.admission.keypool.Key`; empty for none.
    """

    __slots__ = (
        "_account",
        "_asker",
        "_call",
        "_chance",
        "_clock",
        "_collected",
        "_hearing",
        "_pause",
        "_request",
        "_style",
        "_wall_clock",
        "count",
        "hint",
    )

    def __init__(
        self,
        asker: Asker,
        account: Account,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        chance: Callable[[], float],
        style: KeyStyle,
    ) -> None:
        self._asker: Asker | None = asker
        self._account = account
        self._clock = clock
        self._wall_clock = wall_clock
        self._hearing = Hearing(account, clock, wall_clock)
        self._chance = chance
        self._style = style
        self._request = NOTHING
        self._call: Cancellable | None = None
        self._pause: IDelayedCall | None = None
        self._collected: Collected | None = None
        self.count = 0
        self.hint = ""

    def begin(self, request: UpstreamRequest) -> None:
        """
        Ask for the first time.

        :raises BridgeError: no key may be used now.
        """
        self._request = request
        self._ask()

    def cancel(self) -> None:
        """
        Nobody wants an answer any more.
        """
        self._asker = None
        self._request = NOTHING
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.cancel()
        collected, self._collected = self._collected, None
        if collected is not None:
            collected.cancel()
        self._hearing.end()

    @property
    def sender(self) -> str:
        """
        Whose turn it is where calls wait for a connection.
        """
        return self._request.party

    @property
    def key(self) -> int:
        """
        See the class.
        """
        return self._hearing.number

    @property
    def key_id(self) -> str:
        """
        See the class.
        """
        choice = self._hearing.choice
        return "" if choice is None else choice.key.id

    # -- one try -------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        self._hearing.choose(self._request)
        self._send()

    def _send(self) -> None:
        request, choice = self._request, self._hearing.choice
        shown = request.shown
        if choice is not None:
            credential = central(choice.key.secret, self._style)
            self.hint = credential.hint
            shown = list(credential.pairs)
        self.count = count = self.count + 1
        pairs = request.pairs + shown if shown else request.pairs
        call = self._account.client.ask(self, request.method, request.url, pairs, request.body)
        if self._asker is not None and self._collected is None and self._pause is None and self.count == count:
            # It was not over before it was there.
            self._call = call

    def _ask_again(self) -> None:
        self._pause = None
        try:
            self._ask()
        except errors.BridgeError as error:
            self._give_up(error)
        except Exception:
            self._break(Failure())

    def answered(self, response: Any) -> None:
        """
        The head of an answer is there.
        """
        self._call = None
        if self._asker is None:
            return
        hearing = self._hearing
        try:
            if hearing.matters and response.code >= 400:
                collected = Collected(response, self._clock, self._judged)
                if collected.is_waited_for:
                    self._collected = collected
                return
            if hearing.matters:
                hearing.good(response)
            self._pass_on(response, GOOD)
        except Exception:
            self._break(Failure())

    def _judged(self, collected: Collected) -> None:
        """
        An error is there, with what it says.
        """
        self._collected = None
        if self._asker is None:
            return
        hearing = self._hearing
        try:
            verdict = hearing.error(collected, self._request)
            if hearing.may_try_another:
                collected.cancel()
                self._send()
            else:
                self._pass_on(collected, verdict)
        except Exception:
            self._break(Failure())

    def _pass_on(self, response: Any, verdict: Verdict) -> None:
        """
        The answer is the client's, unless there is to be a retry.
        """
        if not speaks_of_the_request(verdict) and self._may_retry(response.code, response):
            self._discard(response)
            return
        asker, self._asker = self._asker, None
        # It is not sent again, and its body may be large.
        self._request = NOTHING
        if asker is not None:
            asker.answered(response)

    def failed(self, failure: Failure) -> None:
        """
        There is no answer.
        """
        self._call = None
        error = error_of(failure)
        if self._asker is None:
            return
        self._hearing.end()
        if error is None:
            self._break(failure)
        elif not self._may_retry(error, None):
            self._give_up(error)

    def _may_retry(self, outcome: errors.BridgeError | int, response: Any) -> bool:
        """
        See to a retry, if there may be one.
        """
        account = self._account
        if isinstance(outcome, int) and outcome < 400:
            if account.retries:
                account.budget.succeeded(self._clock.seconds())
            return False
        if self.count > account.retries or not self._request.is_repeatable:
            return False
        wait = None if response is None else read_limits(response_pairs(response), self._wall_clock()).retry_after_s
        if not may_retry(outcome, self._request.method, bytes_sent=1, started=False, retry_after_s=wait):
            return False
        pause = max(wait or 0.0, PAUSE_S * 2.0 ** (self.count - 1) * (1.0 + self._chance()))
        if account.heeds:
            # Sooner it would be refused here, and the retry wasted.
            pause = max(pause, self._hearing.wait_s)
        if pause > MOST_PAUSE_S or not account.budget.take(self._clock.seconds()):
            return False
        self._hearing.begin_again()
        self._pause = self._clock.callLater(pause, self._ask_again)
        return True

    # -- endings -------------------------------------------------------------------------------------------------

    def _discard(self, response: Any) -> None:
        response.deliverBody(Discarded())

    def _give_up(self, error: errors.BridgeError) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.unanswered(error)

    def _break(self, failure: Failure) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.broken(failure)


class Discarded:
    """
    Reads a body that nobody gets, so that its connection can be used again; gives up a long one.
    """

    def __init__(self) -> None:
        self._left = MOST_DISCARDED
        self._transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """
        There is a body.
        """
        self._transport = transport

    def dataReceived(self, data: bytes) -> None:
        """
        A piece of it.
        """
        self._left -= len(data)
        if self._left < 0 and self._transport is not None:
            transport, self._transport = self._transport, None
            transport.stopProducing()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        It is over.
        """


def error_of(failure: Failure) -> errors.BridgeError | None:
    """
    A failed call as one of our errors, or None if it is a defect.
    """
    error = failure.value
    if isinstance(error, errors.BridgeError):
        return error
    if isinstance(error, ConnectError):
        return errors.ConnectFailed()
    if isinstance(error, ResponseFailed | ResponseNeverReceived | CancelledError):
        return errors.UpstreamReset()
    return None
