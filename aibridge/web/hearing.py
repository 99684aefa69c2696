"""
Which key one exchange uses, and what is to be made of how the provider answers it.

Note [The same twice]: what one key is answered is a hint of the key, or of the request. A second key tells which: if it
serves the request, it was the first key; if it says the same, it was the request, and neither is left alone for it. A
third is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from aibridge import errors
from aibridge.admission.keypool import Choice, Key, KeyPool
from aibridge.admission.verdict import GOOD, Subject, Verdict, judge
from aibridge.dialects.limits import UNKNOWN, Limits, read_limits
from aibridge.relay.client import response_pairs
from aibridge.web.account import Account
from aibridge.web.collected import Collected
from aibridge.web.upstreamrequest import UpstreamRequest


class Heard:
    """
    What one key was answered, kept until another key has answered too.
    """

    __slots__ = ("choice", "limits", "status", "verdict")

    def __init__(self, choice: Choice, limits: Limits, verdict: Verdict, status: int) -> None:
        self.choice = choice
        self.limits = limits
        self.verdict = verdict
        self.status = status

    def tell(self, pool: KeyPool, now: float) -> None:
        """
        Let the key's pool hear it.
        """
        pool.heard(self.choice, self.limits, self.verdict, self.status, now)


class Hearing:
    """
    The keys of one exchange, one after the other. Whatever is chosen is settled once: by `good`, `error` or `end`.

    :ivar choice: the configured key that was used last, or None.
    """

    __slots__ = ("_account", "_clock", "_doubt", "_is_open", "_tried", "_wall_clock", "choice")

    def __init__(self, account: Account, clock: IReactorTime, wall_clock: Callable[[], float]) -> None:
        self._account = account
        self._clock = clock
        self._wall_clock = wall_clock
        self.choice: Choice | None = None
        self._is_open = False
        # What was heard of the key before, of which the next one's answer tells what it means.
        self._doubt: Heard | None = None
        self._tried: list[Key] = []

    @property
    def number(self) -> int:
        """
        Which of the configured keys is used, counted from 1; 0 for none.
        """
        keys, choice = self._account.keys, self.choice
        # It may have been taken away by a reload since.
        if keys is None or choice is None or choice.key not in keys.keys:
            return 0
        return keys.keys.index(choice.key) + 1

    @property
    def matters(self) -> bool:
        """
        Whether anything depends on how the key in use is answered.
        """
        account = self._account
        return self.choice is not None and account.keys is not None and (account.heeds or account.keys.has_several)

    @property
    def wait_s(self) -> float:
        """
        How long the key in use cools down.
        """
        choice = self.choice
        return 0.0 if choice is None else choice.pace.told(self._clock.seconds()).get("wait_s", 0.0)

    def choose(self, request: UpstreamRequest) -> None:
        """
        Use a key, if a configured one is to be used.

        :raises BridgeError: none may be used now.
        """
        account = self._account
        if request.shown is None and account.keys is not None:
            self.choice = account.choose(account.keys, self._tried, self._clock.seconds(), request)
            self._is_open = True

    def begin_again(self) -> None:
        """
        Some time has passed: those that were tried may be tried again.
        """
        self._tried = []

    def good(self, response: Any) -> None:
        """
        The request is served.
        """
        pool, choice, now = self._account.keys, self.choice, self._clock.seconds()
        doubt, self._doubt = self._doubt, None
        self._is_open = False
        if pool is None or choice is None:
            return
        limits = read_limits(response_pairs(response), self._wall_clock()) if self._account.heeds else UNKNOWN
        if doubt is not None:
            doubt.tell(pool, now)
            pool.confirmed(doubt.choice, doubt.verdict, doubt.status, now)
        pool.heard(choice, limits, GOOD, int(response.code), now)

    def error(self, collected: Collected, request: UpstreamRequest) -> Verdict:
        """
        The answer is an error; see to what it says of the key. Whether the request `may_try_another`, is asked next.

        :return: what it says.
        """
        pool, choice, now = self._account.keys, self.choice, self._clock.seconds()
        assert pool is not None
        assert choice is not None
        self._is_open = False
        limits = read_limits(collected.pairs, self._wall_clock())
        verdict = judge(collected.code, limits, collected.said())
        heard = Heard(choice, limits if self._account.heeds else UNKNOWN, verdict, collected.code)
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            doubt.tell(pool, now)
            heard.tell(pool, now)
        elif self._finds_another(pool, choice, verdict, request, now):
            self._doubt = heard
        else:
            heard.tell(pool, now)
        return verdict

    @property
    def may_try_another(self) -> bool:
        """
        Whether another key is in use since the last error, to be tried.
        """
        return self._doubt is not None

    def _finds_another(
        self, pool: KeyPool, choice: Choice, verdict: Verdict, request: UpstreamRequest, now: float
    ) -> bool:
        if not (verdict.elsewhere and request.is_repeatable and pool.has_several):
            return False
        self._tried.append(choice.key)
        try:
            self.choose(request)
        except errors.BridgeError:
            return False
        return True

    def end(self) -> None:
        """
        There is no answer, or nobody waits for it: whatever there was to be heard will not be.
        """
        pool, choice = self._account.keys, self.choice
        doubt, self._doubt = self._doubt, None
        if pool is None or choice is None:
            return
        if self._is_open:
            self._is_open = False
            pool.unanswered(choice)
        if doubt is not None:
            doubt.tell(pool, self._clock.seconds())


def speaks_of_the_request(verdict: Verdict) -> bool:
    """
    Whether it would be answered the same a little later.
    """
    return verdict.subject is Subject.REQUEST
