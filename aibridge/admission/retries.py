"""
What may be sent to a provider a second time, and how often.

A retry is safe when the provider has not acted on the request, and kind when few are made of them: retries that
grow with the failures make an overload of a hiccup. So there is a rule for the one, and a budget for the other. Trying
another key after a 429 or a 401 is no retry: it goes by `aibridge.admission.keypool`.
"""

from __future__ import annotations

import math
from typing import Final

from aibridge import errors

SAFE_TO_REPEAT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))
"""RFC 9110, 9.2.2: twice is as good as once."""

_NEVER_REACHED: Final = (errors.ResolveFailed, errors.ConnectFailed, errors.ConnectTimeout)
_MAY_HAVE_ACTED: Final = (errors.UpstreamReset, errors.FirstByteTimeout)


def may_retry(
    outcome: errors.BridgeError | int,
    method: bytes,
    *,
    bytes_sent: int,
    started: bool,
    retry_after_s: float | None = None,
) -> bool:
    """
    Whether a request may be sent again after this outcome, an error or the status of an answer.

    Never after the first byte. Otherwise, whatever the method, if the provider did not act: it was not reached, it got
    nothing of the request, or its answer says so (429; 503 with ``Retry-After``). Otherwise only what is safe to
    repeat, after failures that a second attempt may mend. What a second attempt cannot mend (a certificate, a full
    connection pool, an answer that is not HTTP) is never repeated.

    :param bytes_sent: bytes of the request, head included, that were handed to a connection.
    :param started: a byte of an answer has gone to the client.
    :param retry_after_s: how long the answer asked to wait, if it did.
    """
    if started:
        return False
    repeatable = method in SAFE_TO_REPEAT
    if isinstance(outcome, int):
        if outcome == 429 or (outcome == 503 and retry_after_s is not None):
            return True
        return repeatable and outcome in (502, 503, 504, 529)
    if isinstance(outcome, _NEVER_REACHED):
        return True
    return isinstance(outcome, _MAY_HAVE_ACTED) and (repeatable or not bytes_sent)


class RetryBudget:
    """
    How many retries one provider is sent.

    There is a balance of `floor` retries. Each success adds `share` of one, each retry takes one. What is above the
    floor halves every `half_life_s`, so that the successes of an hour ago pay for nothing; below it, only successes
    fill it up. Hence, whatever the order of things:

    - of n requests offered since the start, the provider sees at most ``(1 + share) * n + floor``;
    - from the moment at which nothing succeeds any more, it sees at most the balance of that moment on top of what is
      offered: the floor, and `share` of about 1.44 half-lives' successes. Time alone fills nothing, so a dead provider
      that gets a request a minute gets no more than that.

    :param share: retries for each success; from 0 to 1.
    :param floor: what it begins with.
    """

    __slots__ = ("_as_of", "_balance", "_floor", "_half_life_s", "_share")

    def __init__(self, share: float = 0.1, floor: float = 3.0, half_life_s: float = 10.0) -> None:
        self._share = share
        self._floor = floor
        self._half_life_s = half_life_s
        self._balance = floor
        self._as_of = 0.0

    def succeeded(self, now: float) -> None:
        """
        A request was served.
        """
        self._balance = self.balance(now) + self._share
        self._as_of = now

    def take(self, now: float) -> bool:
        """
        Whether one retry may be made; then it is paid for.
        """
        balance = self.balance(now)
        # Ten tenths are not quite one.
        if balance < 1.0 - 1e-9:
            return False
        self._balance = max(0.0, balance - 1.0)
        self._as_of = now
        return True

    def balance(self, now: float) -> float:
        """
        How many retries could be made now.
        """
        surplus = self._balance - self._floor
        if surplus <= 0:
            return self._balance
        return self._floor + surplus * math.exp2((self._as_of - now) / self._half_life_s)
