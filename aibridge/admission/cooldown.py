"""
Something is left alone for a while, but for probes: a model under a key, or a whole key.

It closes for everybody when it is sure that it must (see Note [Hints] in `aibridge.admission.verdict`); whoever met
something of which that is not sure is kept waiting alone, and only if he was told for how long. While it is closed,
each principal may send a probe: the first `FIRST_S` after it closed or sooner, the next after twice that, and so on, up
to `MOST_APART_S`; with `PROBE_S` between anybody's at first, and up to `MOST_BETWEEN_S` later. So whoever has a bad
request to repeat uses up his own probes. The first probe that is answered well opens it for all.
"""

from __future__ import annotations

from typing import Final

NEVER: Final = float("-inf")

FIRST_S: Final = 1.0
"""After this at the latest somebody finds out how things are."""

MOST_APART_S: Final = 30.0
"""Between the probes of one principal."""

PROBE_S: Final = 0.5
"""Between the first probes of two, and between requests where nothing better is known."""

MOST_BETWEEN_S: Final = 4.0
"""Between probes of any two: so long may one who never probed before have to wait for somebody else's probe."""

HINT_S: Final = 5.0
"""How long one answer that names no time is remembered, at least: so long another key is better."""

EARLY_S: Final = 0.01
"""Timers of some clients ring up to a millisecond early; whoever comes that much before his time comes in time."""

MOST_S: Final = 300.0
"""How long it is closed at most, whatever the provider says."""

MOST_PRINCIPALS: Final = 64
"""Of whom hints and probes are remembered; those beyond share one place among the probes."""


class _Hint:
    """
    One principal met something.

    :ivar at: when.
    :ivar until: how long he was told to wait; not after `at` if he was not.
    :ivar number: of the last request that was sent by then; a later one that is answered well refutes it.
    :ivar sent_at: when he sent something last, once that time was over.
    """

    __slots__ = ("at", "number", "sent_at", "until")

    def __init__(self, at: float, until: float, number: int) -> None:
        self.at = at
        self.until = until
        self.number = number
        self.sent_at = NEVER

    def is_fresh(self, now: float) -> bool:
        """
        Whether another key is better for him.
        """
        return now < max(self.until, self.at + HINT_S)

    def wait(self, now: float) -> float:
        """
        How long he is to wait once the time is over that he was told: until one is served his requests go one by one,
        for `HINT_S` at most.
        """
        if self.until <= self.at or now >= self.until + HINT_S:
            return 0.0
        return max(0.0, self.sent_at + PROBE_S - now)


class _Prober:
    """
    When one principal may probe.
    """

    __slots__ = ("apart_s", "due")

    def __init__(self, due: float) -> None:
        self.due = due
        self.apart_s = FIRST_S


class CoolDown:
    """
    Whether something is left alone. Time is monotonic seconds.

    :ivar until: for how long it is closed for all.
    :ivar cause: the status for which it is, or was last; 0 if it never was.
    :ivar number: of the last request that was sent before it closed; answers to later ones are news.
    """

    __slots__ = ("_between_s", "_first_s", "_hints", "_probed_at", "_probers", "_since", "cause", "number", "until")

    def __init__(self) -> None:
        self.until = NEVER
        self.cause = 0
        self.number = 0
        self._since = NEVER
        self._first_s = FIRST_S
        self._probed_at = NEVER
        self._between_s = PROBE_S
        self._hints: dict[str, _Hint] = {}
        self._probers: dict[str, _Prober] = {}

    @property
    def is_quiet(self) -> bool:
        """
        Nothing was said that holds, or might.
        """
        return self.until == NEVER and not self._hints

    @property
    def has_hints(self) -> bool:
        """
        Somebody met something alone.
        """
        return bool(self._hints)

    def is_closed(self, now: float) -> bool:
        """
        Whether it is left alone by all.
        """
        return now < self.until

    def is_hinted(self, principal: str, now: float) -> bool:
        """
        Whether this principal lately met something that was not found to be his own affair: another key is better.
        """
        hint = self._hints.get(principal)
        return hint is not None and hint.is_fresh(now)

    # -- what is heard -------------------------------------------------------------------------------------------

    def close(self, until: float, cause: int, number: int, now: float, first_s: float = FIRST_S) -> None:
        """
        It is sure that it is to be left alone. Never shortened: what asks for longest holds.

        :param number: of the last request that was sent.
        :param first_s: how soon it may be probed.
        """
        if now >= self.until:
            self._since, self._first_s = now, first_s
            self._probers = {}
            self._probed_at = NEVER
            self._between_s = PROBE_S
        if until > self.until:
            self.until = min(until, now + MOST_S)
            self.cause = cause
        self.number = number
        # What is sure needs no hints.
        self._hints = {}

    def met(self, principal: str, wait_s: float | None, number: int, now: float) -> None:
        """
        One principal has met something; see Note [Hints] in `aibridge.admission.verdict`.

        :param wait_s: how long he was told to wait, if he was.
        :param number: of the last request that was sent.
        """
        hints = self._hints
        hints.pop(principal, None)
        if len(hints) >= MOST_PRINCIPALS:
            hints.pop(next(iter(hints)))
        hints[principal] = _Hint(now, now + max(0.0, min(wait_s or 0.0, MOST_S) - EARLY_S), number)

    def good(self, number: int) -> bool:
        """
        A request was answered well: what was met before it was sent is refuted.

        :param number: of that request.
        :return: whether that has opened it.
        """
        if self._hints:
            self._hints = {name: hint for name, hint in self._hints.items() if hint.number >= number}
        if self.until == NEVER or number <= self.number:
            return False
        self.open()
        return True

    def open(self) -> None:
        """
        It need not be left alone any more.
        """
        self.until = self._since = self._probed_at = NEVER
        self._between_s = PROBE_S
        self._probers = {}

    # -- what is asked -------------------------------------------------------------------------------------------

    def wait(self, principal: str, now: float) -> float:
        """
        How long this principal is to wait; 0.0 if he may send now, be it as a probe. Nothing is counted.
        """
        until, since, first_s = self.until, self._since, self._first_s
        hint = self._hints.get(principal) if self._hints else None
        if hint is not None and hint.until > until:
            until = hint.until
            if since == NEVER or now >= self.until:
                since, first_s = hint.at, FIRST_S
        if now >= until:
            return 0.0 if hint is None else hint.wait(now)
        return 0.0 if now >= self._due(principal, since + first_s) else until - now

    def sent(self, principal: str, now: float) -> None:
        """
        This principal sends now. If others, or he, would have to wait, that was his probe.
        """
        hint = self._hints.get(principal) if self._hints else None
        if now >= self.until and (hint is None or now >= hint.until):
            if hint is not None:
                hint.sent_at = now
            return
        if self._probed_at != NEVER:
            self._between_s = min(2 * self._between_s, MOST_BETWEEN_S)
        self._probed_at = now
        prober = self._probers.get(principal)
        if prober is None:
            if len(self._probers) >= MOST_PRINCIPALS:
                principal = ""
            prober = self._probers.setdefault(principal, _Prober(now))
        prober.apart_s = min(2 * prober.apart_s, MOST_APART_S)
        prober.due = now + prober.apart_s

    def _due(self, principal: str, first: float) -> float:
        """
        When he may send his next probe.
        """
        prober = self._probers.get(principal)
        if prober is None and len(self._probers) >= MOST_PRINCIPALS:
            prober = self._probers.get("")
        return max(first if prober is None else prober.due, self._probed_at + self._between_s)
