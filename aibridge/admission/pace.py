"""
Listening to the provider: what it said of a key's limits slows the bridge down before the provider has to refuse.

Three rules, for each key by itself, of which the strictest holds:

1. **Told to wait** (429; 503 or 529 with ``retry-after``): nobody is sent until then.
2. **Told what is left** (r requests or tokens, all of the limit again in t seconds): until the reset or the next
   report, at most r less what was sent after the request that the report answers; half of that at once if it was
   quiet before, and the rest spread evenly over t. When it is used up, one probe is sent after a tenth of the time that
   is left, or after ``retry-after``, as most limits fill up steadily, and one request's answer says how far.
3. **After either**, while nobody knows better: one request is sent. Each answer to one sent since, other than 429, 503
   and 529, doubles how many may have been sent; at `OPEN_AT` everybody may go. Where answers are slow, one more is
   sent each `PROBE_S`.

What is sure, then, if the provider takes requests in the order in which they were sent: of those let through by rule 2
it has to refuse none but probes, whether its limit is a window that begins anew or a bucket that fills steadily; and
after rule 1, k answers later and s seconds on, it has been sent at most ``2 ** k + s / PROBE_S`` requests, not a
thousand waiting ones. With a bucket and enough to do, rule 2 settles where it is half full, and sends at the rate at
which it fills.

Note [One by one]: those who have to wait are told when it is worth asking again, and if all were told the same, all but
one would be told again, and SDKs give up at the third time. So each is told to come after those before it, at a pace at
which the rules let it through; and under rules 1 and 3 some time after the provider may be asked again, as whoever asks
it then, having had a 429 of its own, may hear another one.
"""

from __future__ import annotations

from typing import Final

from aibridge.dialects.limits import UNKNOWN, Allowance, Limits

TOLD_TO_WAIT: Final = frozenset((429, 503, 529))

HOLD_S: Final = 1.0
"""How long nobody is sent after a 429 that names no time."""

MOST_HOLD_S: Final = 300.0
"""How long nobody is sent at most, whatever the provider says; then one request learns how it is by now."""

PROBE_S: Final = 0.5
LEAST_PROBE_S: Final = 1.0
OPEN_AT: Final = 64
BURST_SHARE: Final = 0.5
PROBE_SHARE: Final = 0.1

APART_S: Final = 0.6
"""Between those who are told to come one by one under rule 3: more than `PROBE_S`, as they are not the only ones."""

BEHIND_S: Final = 2.0
"""How long after the provider may be asked again the first of them comes: by then it has said "wait a second" once
more, or not."""

MOST_APART_S: Final = 20.0
"""By how much those who were told before lengthen a wait at most: some never come."""

_NEVER: Final = float("-inf")

_UNITS: Final = ("requests", "tokens", "input_tokens", "output_tokens")

Mark = tuple[int, int, int]
"""How much had been sent, a request included, when it was let through: requests, input and output tokens."""


class _Share:
    """
    What is left of one limit, by one report.

    :ivar left: requests or tokens that may still be sent.
    :ivar until: when the report no longer holds.
    """

    __slots__ = ("_at", "_burst", "_level", "_probe_at", "_rate", "left", "until")

    def __init__(self) -> None:
        self.left = 0.0
        self.until = _NEVER
        self._at = self._level = self._rate = self._burst = 0.0
        self._probe_at = _NEVER

    def hear(self, left: float, reset_s: float, now: float) -> None:
        """
        A report has come.
        """
        # A quiet key has nothing in its bucket, one in use what has not leaked yet; that is kept.
        self._leak(now)
        if now >= self.until:
            self._level = 0.0
        reset_s = min(reset_s, MOST_HOLD_S)
        self.left = left
        self.until = now + reset_s
        self._rate = left / reset_s if reset_s else 0.0
        self._burst = left * BURST_SHARE
        self._probe_at = now + max(LEAST_PROBE_S, reset_s * PROBE_SHARE)

    def wait(self, now: float, cost: float) -> float:
        """
        How long until `cost` may be sent; 0.0 if now.
        """
        if now >= self.until or not cost:
            return 0.0
        if cost > self.left:
            # A probe: one for each report, however much it costs; that is an estimate.
            return max(0.0, min(self._probe_at, self.until) - now)
        self._leak(now)
        excess = self._level + cost - max(cost, self._burst)
        if excess <= self._rate * 1e-6:
            return 0.0
        return min(excess / self._rate, self.until - now)

    def apart(self, cost: float) -> float:
        """
        How long one has to be behind another so that `cost` may be sent; `APART_S` if that is not known.
        """
        return cost / self._rate if 0 < cost <= self.left else APART_S

    def send(self, now: float, cost: float) -> None:
        """
        `cost` is sent, having waited as told.
        """
        if not cost:
            return
        self._probe_at = self.until if cost > self.left else now + max(LEAST_PROBE_S, (self.until - now) * PROBE_SHARE)
        self.left = max(0.0, self.left - cost)
        self._level += cost

    def probe_at(self, at: float) -> None:
        """
        The provider has said when it may be asked again.
        """
        self._probe_at = at

    def _leak(self, now: float) -> None:
        self._level = max(0.0, self._level - (now - self._at) * self._rate)
        self._at = now


class Pace:
    """
    How fast one key may be used.

    A request asks `wait`; if it may go, `mark` is kept with it and handed to `heard` with the answer's head. A
    request without an answer has nothing to tell. Until a provider has spoken of limits, nobody waits.
    """

    __slots__ = (
        "_apart_s",
        "_base",
        "_extra",
        "_heard",
        "_hold_until",
        "_probe_at",
        "_sent",
        "_shares",
        "_turn_at",
        "_waited",
        "_window",
    )

    def __init__(self) -> None:
        self._sent: Mark = (0, 0, 0)
        self._heard: Mark = (0, 0, 0)
        self._hold_until = _NEVER
        # Rule 3: after the first `_base` requests up to `_window` may be sent, and `_extra` where answers were slow; a
        # window of 0 means that it does not apply.
        self._window = 0
        self._extra = 0
        self._base = 0
        self._probe_at = _NEVER
        # Rule 2, by what is counted, see `_UNITS`.
        self._shares: dict[int, _Share] = {}
        self._waited = False
        # See Note [One by one]: when the last of them was told to come, and by how much the next one comes later.
        self._turn_at = _NEVER
        self._apart_s = APART_S

    @property
    def mark(self) -> Mark:
        """
        What identifies the request that was just let through.
        """
        return self._sent

    @property
    def is_careful(self) -> bool:
        """
        Rule 3 applies, so that every answer counts, whatever it says.
        """
        return self._window > 0

    def wait(self, now: float, input_tokens: int = 0, output_tokens: int = 0) -> float:
        """
        Let one request through, or say how long it is to wait; then nothing is counted.

        :param now: monotonic seconds.
        :param input_tokens: as estimated; an estimate that is too low makes the next report stricter, no more.
        :return: 0.0 if it may go now, else seconds after which it is worth asking again.
        """
        sent = self._sent
        if self._window or self._shares:
            wait = self._wait(now, (1, input_tokens + output_tokens, input_tokens, output_tokens))
            if wait:
                return wait
        self._sent = (sent[0] + 1, sent[1] + input_tokens, sent[2] + output_tokens)
        return 0.0

    def sent_away(self, wait: float, now: float) -> float:
        """
        Somebody is told to come back; see Note [One by one].

        :param wait: as `wait` has just told.
        :return: seconds, no fewer.
        """
        soonest = now + wait
        if self._window:
            soonest += BEHIND_S
        self._turn_at = min(max(self._turn_at + self._apart_s, soonest), soonest + MOST_APART_S)
        return self._turn_at - now

    def told(self, now: float) -> dict[str, float]:
        """
        What the provider has said and still holds, for those who look; nothing where it has not spoken.

        :return: ``wait_s``, how long nobody is sent; and what is left of its limits by this count, such as
            ``requests_left`` and ``tokens_left``.
        """
        told = {"wait_s": self._hold_until - now} if now < self._hold_until else {}
        for unit, share in self._shares.items():
            if now < share.until:
                told[f"{_UNITS[unit]}_left"] = share.left
        return told

    def _wait(self, now: float, costs: tuple[int, int, int, int]) -> float:
        if now < self._hold_until:
            self._apart_s = APART_S
            return self._hold_until - now
        for share in self._shares.values():
            if now >= share.until:
                self._expire(now)
                break
        # Whoever goes beyond the window has waited for `_probe_at`.
        beyond = self._window and self._sent[0] >= self._base + self._window + self._extra
        shares = self._shares
        wait = max(0.0, self._probe_at - now) if beyond else 0.0
        for unit, share in shares.items():
            wait = max(wait, share.wait(now, costs[unit]))
        if wait:
            self._waited = True
            apart = [share.apart(costs[unit]) for unit, share in shares.items() if costs[unit]]
            self._apart_s = max(APART_S if self._window or not apart else 0.0, *apart, 0.0)
            return wait
        for unit, share in shares.items():
            share.send(now, costs[unit])
        if beyond:
            self._extra += 1
            # Who comes a little late does not delay the next one.
            self._probe_at = max(self._probe_at, now - 2 * PROBE_S) + PROBE_S
        elif self._window and self._probe_at == _NEVER:
            self._probe_at = now + PROBE_S
        return 0.0

    def _expire(self, now: float) -> None:
        """
        Reports whose reset has come say nothing any more; if somebody waited for that, others do too.
        """
        self._shares = {unit: share for unit, share in self._shares.items() if now < share.until}
        if self._waited and not self._window:
            self._begin_again()
        self._waited = False

    def _begin_again(self) -> None:
        self._window = 1
        self._extra = 0
        self._base = self._sent[0]
        self._probe_at = _NEVER

    def heard(self, limits: Limits, status: int, now: float, mark: Mark) -> None:
        """
        The head of an answer has come.

        :param mark: that of the request which it answers. What answers an earlier request than the last report did is
            out of date, but for being told to wait.
        """
        if status not in TOLD_TO_WAIT:
            if self._window and mark[0] > self._base:
                self._window *= 2
                if self._window >= OPEN_AT:
                    self._window = 0
                    self._turn_at = _NEVER
        elif status == 429 or limits.retry_after_s is not None:
            wait = HOLD_S if limits.retry_after_s is None else min(limits.retry_after_s, MOST_HOLD_S)
            self._hold_until = max(self._hold_until, now + wait)
            self._begin_again()
        if mark >= self._heard and limits is not UNKNOWN:
            self._heard = mark
            sent = self._sent
            input_, output = sent[1] - mark[1], sent[2] - mark[2]
            self._report(0, limits.requests, sent[0] - mark[0], now)
            self._report(1, limits.tokens, input_ + output, now)
            self._report(2, limits.input_tokens, input_, now)
            self._report(3, limits.output_tokens, output, now)
            if status in TOLD_TO_WAIT and limits.retry_after_s is not None:
                for share in self._shares.values():
                    share.probe_at(self._hold_until)

    def _report(self, unit: int, allowance: Allowance | None, since: int, now: float) -> None:
        if allowance is None:
            return
        if allowance.reset_s <= 0:
            # All of the limit is there.
            self._shares.pop(unit, None)
            return
        share = self._shares.get(unit)
        if share is None:
            share = self._shares[unit] = _Share()
        share.hear(float(max(0, allowance.remaining - since)), allowance.reset_s, now)
