"""
What answers say about the buckets their requests met: the standard's fields, and the names that SDKs know.

``RateLimit-Policy`` and ``RateLimit`` are those of draft-ietf-httpapi-ratelimit-headers-11 (May 2026). Its quota and
window, ``q`` and ``w``, are those of windows; of a leaky bucket they say the average: `w` is the shortest whole number
of seconds in which a full bucket empties, `q` what leaks in it. The unit ``requests`` is the default and is left out;
``tokens`` is not registered yet. Shadows are not told, since nobody has to mind them.

The dialects have one number for requests and one for tokens: of several policies, the one with the least remaining is
told, as the vendors do (https://platform.openai.com/docs/guides/rate-limits,
https://docs.anthropic.com/en/api/rate-limits). Their "reset" is the time at which the bucket is empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from aibridge.admission.bucket import ROUNDING_S, whole_seconds
from aibridge.admission.limit import Limit, State
from aibridge.model import Dialect

Pair = tuple[bytes, bytes]

POLICY: Final = b"RateLimit-Policy"
CURRENT: Final = b"RateLimit"

_MOST_INTEGER = 999_999_999_999_999
"""RFC 9651, 3.3.1."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253402300799
"""The last of the year 9999, beyond which RFC 3339 has no time."""


class _Names:
    """
    What a dialect calls the three numbers of one unit.

    :ivar all: the three.
    """

    __slots__ = ("all", "limit", "remaining", "reset")

    def __init__(self, limit: bytes, remaining: bytes, reset: bytes) -> None:
        self.limit = limit
        self.remaining = remaining
        self.reset = reset
        self.all = frozenset((limit, remaining, reset))


_OPENAI_REQUESTS = _Names(
    b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"
)
_OPENAI_TOKENS = _Names(b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")
_ANTHROPIC_REQUESTS = _Names(
    b"anthropic-ratelimit-requests-limit",
    b"anthropic-ratelimit-requests-remaining",
    b"anthropic-ratelimit-requests-reset",
)
_ANTHROPIC_TOKENS = _Names(
    b"anthropic-ratelimit-tokens-limit",
    b"anthropic-ratelimit-tokens-remaining",
    b"anthropic-ratelimit-tokens-reset",
)


# Named, so that they need not be looked up each time.
_MESSAGES: Final = Dialect.MESSAGES
_PLAIN: Final = Dialect.PLAIN


class _Static:
    """
    The parts of the fields that depend on the limit alone.

    :ivar policy: its member of ``RateLimit-Policy``.
    :ivar item: its member of ``RateLimit``, with places for two numbers.
    :ivar burst: what dialects call the limit.
    :ivar lines: what an answer says that has met no other limit, by dialect, with places for what `item` says, for
        what remains and for when it is reset.
    """

    __slots__ = ("anthropic", "burst", "item", "lines", "openai", "policy")

    def __init__(self, policy: bytes, item: bytes, burst: bytes, openai: _Names, anthropic: _Names) -> None:
        self.policy = policy
        self.item = item
        self.burst = burst
        self.openai = openai
        self.anthropic = anthropic
        told = b"%b: %b\r\n%b: %b\r\n" % (POLICY, policy, CURRENT, item)
        self.lines: dict[Dialect, bytes] = {}
        for dialect in Dialect:
            if dialect is Dialect.PLAIN:
                self.lines[dialect] = told
                continue
            names = anthropic if dialect is Dialect.MESSAGES else openai
            own = (names.limit, burst, names.remaining, names.reset)
            self.lines[dialect] = told + b"%b: %b\r\n%b: %%d\r\n%b: %%b\r\n" % own


@lru_cache(maxsize=2048)
def _static(limit: Limit) -> _Static:
    # Names of policies need no escape in a string of RFC 9651: they are made of a-z, 0-9 and hyphens.
    name = b'"%s"' % limit.name.encode("ascii")
    window = min(max(1, math.ceil(limit.burst / limit.rate - 1e-9)), _MOST_INTEGER)
    quota = min(math.floor(window * limit.rate * (1 + 1e-12) + 1e-9), _MOST_INTEGER)
    policy = b"%s;q=%d;w=%d%s" % (name, quota, window, b';qu="tokens"' if limit.counts_tokens else b"")
    return _Static(
        policy=policy,
        item=name + b";r=%d;t=%d",
        burst=b"%d" % math.floor(limit.burst + 1e-9),
        openai=_OPENAI_TOKENS if limit.counts_tokens else _OPENAI_REQUESTS,
        anthropic=_ANTHROPIC_TOKENS if limit.counts_tokens else _ANTHROPIC_REQUESTS,
    )


def lines(
    states: Sequence[State],
    dialect: Dialect,
    sent: Sequence[bytes] = (),
    *,
    unix_now: float,
    retry_after_s: float | None = None,
) -> bytes:
    """
    All fields for one answer, as lines of its head: the standard's, and the dialect's where the provider did not send
    them.

    :param sent: names of the fields that the provider sent, in lower case.
    :param unix_now: wall-clock seconds, for dialects that tell a time and not a wait.
    :param retry_after_s: what the answer says in ``Retry-After``, if it does.
    """
    if len(states) == 1 and not states[0].limit.shadow:
        state = states[0]
        static = _static(state.limit)
        is_anthropic = dialect is _MESSAGES
        names = static.anthropic if is_anthropic else static.openai
        if dialect is _PLAIN:
            return static.lines[dialect] % (state.remaining, _window(state, _longest(retry_after_s)))
        if not sent or names.all.isdisjoint(sent):
            left = state.empty_in_s
            reset = moment(unix_now + left) if is_anthropic else duration(left)
            remaining = state.remaining
            return static.lines[dialect] % (remaining, _window(state, _longest(retry_after_s)), remaining, reset)
    told = standard(states, retry_after_s) + of_dialect(states, dialect, sent, unix_now=unix_now)
    return b"".join([b"%b: %b\r\n" % pair for pair in told])


def _longest(retry_after_s: float | None) -> int:
    return _MOST_INTEGER if retry_after_s is None else min(whole_seconds(retry_after_s), _MOST_INTEGER)


def _window(state: State, longest: int) -> int:
    # Rounding up as `whole_seconds` does, but down to 0: an empty bucket has no window.
    return min(math.ceil(state.empty_in_s - ROUNDING_S / 2), longest)


def standard(states: Sequence[State], retry_after_s: float | None = None) -> list[Pair]:
    """
    ``RateLimit-Policy`` and ``RateLimit``; none where no policy applies.

    They are lists and may be split over several fields (3 and 4 of the draft), so they go beside a provider's own.

    :param retry_after_s: what the answer says in ``Retry-After``. No effective window, `t`, goes on for longer (6 of
        the draft), so that a client which minds both waits for one of them. Without it, `t` is the time until the
        bucket is empty.
    """
    longest = _longest(retry_after_s)
    policies: list[bytes] = []
    items: list[bytes] = []
    for state in states:
        if state.limit.shadow:
            continue
        static = _static(state.limit)
        policies.append(static.policy)
        items.append(static.item % (state.remaining, _window(state, longest)))
    return [(POLICY, b", ".join(policies)), (CURRENT, b", ".join(items))] if items else []


def of_dialect(states: Sequence[State], dialect: Dialect, sent: Iterable[bytes] = (), *, unix_now: float) -> list[Pair]:
    """
    The limits under the names that SDKs of the dialect read.

    Requests and tokens are told apart: a provider's own numbers for one are left alone, all of them, and stay without
    the bridge's beside them.

    :param sent: names of the fields that the provider sent, in lower case.
    :param unix_now: wall-clock seconds.
    """
    if dialect is Dialect.PLAIN:
        return []
    pairs: list[Pair] = []
    is_anthropic = dialect is Dialect.MESSAGES
    for state in tightest(states):
        static = _static(state.limit)
        names = static.anthropic if is_anthropic else static.openai
        if not names.all.isdisjoint(sent):
            continue
        empty_in_s = state.empty_in_s
        pairs += (
            (names.limit, static.burst),
            (names.remaining, b"%d" % state.remaining),
            (names.reset, moment(unix_now + empty_in_s) if is_anthropic else duration(empty_in_s)),
        )
    return pairs


def tightest(states: Sequence[State]) -> list[State]:
    """
    Of the policies for requests, the one that leaves least now, and the one of those for tokens; of several, the one
    that goes on for longest. Shadows do not count.
    """
    if len(states) == 1:
        return [] if states[0].limit.shadow else [states[0]]
    told = [state for state in states if not state.limit.shadow]
    kinds = ([state for state in told if state.limit.counts_tokens is tokens] for tokens in (False, True))
    return [min(kind, key=lambda state: (state.remaining, -state.empty_in_s)) for kind in kinds if kind]


def duration(seconds: float) -> bytes:
    """
    A time as OpenAI writes it: ``12ms``, ``1s``, ``1.5s``, ``6m0s``, ``1h0m0s``; rounded up to milliseconds.
    """
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if milliseconds <= 0:
        return b"0s"
    if milliseconds < 1000:
        return b"%dms" % milliseconds
    whole, milliseconds = divmod(milliseconds, 1000)
    minutes, whole = divmod(whole, 60)
    told = b"%d" % whole
    if milliseconds:
        told += (b".%03d" % milliseconds).rstrip(b"0")
    if not minutes:
        return told + b"s"
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ss" % (hours, minutes, told) if hours else b"%dm%ss" % (minutes, told)


def moment(unix_s: float) -> bytes:
    """
    A time as Anthropic writes it (RFC 3339): ``2026-11-27T12:00:00Z``, rounded up to seconds.
    """
    return _moment(min(math.ceil(unix_s - 1e-6), _LAST_SECOND))


@lru_cache(maxsize=256)
def _moment(second: int) -> bytes:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ").encode("ascii")
