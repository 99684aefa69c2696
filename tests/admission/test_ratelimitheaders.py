"""
What answers say about limits, in the standard's words and in the vendors'.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.bucket import whole_seconds
from aibridge.admission.limit import Limit, State
from aibridge.admission.policies import Policies, Refusal
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.admission.ratelimitheaders import duration, lines, moment, of_dialect, standard, tightest
from aibridge.model import Dialect, Principal

ADA = Principal(id="a", name="ada")
NOON = 1795780800.0
"""2026-11-27 12:00:00 UTC."""

OPENAI = (Dialect.CHAT, Dialect.RESPONSES)


def state(remaining: int = 9, empty_in_s: float = 0.19, **changes: Any) -> State:
    """
    One of ten requests was made, at five a second, unless told otherwise.
    """
    limit = {"name": "per-principal", "counts_tokens": False, "rate": 5.0, "burst": 10.0, "shadow": False}
    return State(Limit(**{**limit, **changes}), remaining, empty_in_s)


def tokens(remaining: int = 84000, empty_in_s: float = 18.0, **changes: Any) -> State:
    """
    84000 tokens of 120000 a minute are left, unless told otherwise.
    """
    told = {"name": "per-principal-tokens", "counts_tokens": True, "rate": 2000.0, "burst": 120000.0}
    return state(remaining, empty_in_s, **{**told, **changes})


def pairs_of(told: bytes) -> list[tuple[bytes, bytes]]:
    """
    The fields of some lines of a head.
    """
    assert told == b"" or told.endswith(b"\r\n")
    found = []
    for line in told.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b": ")
        assert colon
        found.append((name, value))
    return found


def fields(*arguments: Any, **named: Any) -> list[tuple[bytes, bytes]]:
    """
    All fields of one answer.
    """
    return pairs_of(lines(*arguments, **named))


def values(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """
    Fields by name, each of which occurs once.
    """
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


def members(value: bytes) -> list[tuple[str, dict[str, str]]]:
    """
    The members of a list of strings with parameters that are integers or strings (RFC 9651, 3.1), read strictly.
    """
    string = r'"[\x20\x21\x23-\x5b\x5d-\x7e]*"'
    parameter = rf";[a-z]+=(?:-?\d{{1,15}}|{string})"
    found = []
    for member in value.decode("ascii").split(", "):
        whole = re.fullmatch(rf"({string})((?:{parameter})*)", member)
        assert whole, member
        parameters = [one.split("=", 1) for one in whole[2].split(";")[1:]]
        found.append((whole[1].strip('"'), {key: text.strip('"') for key, text in parameters}))
    return found


# -- the standard's ----------------------------------------------------------------------------------------------------


def test_one_policy() -> None:
    """
    Its quota and window, what remains of it, and when all of it will.
    """
    assert standard([state()]) == [
        (b"RateLimit-Policy", b'"per-principal";q=10;w=2'),
        (b"RateLimit", b'"per-principal";r=9;t=1'),
    ]


def test_several_policies() -> None:
    """
    Are members of one list, in their order; tokens say that they are.
    """
    assert standard([state(), tokens(), state(0, 3.01, name="global", rate=0.5, burst=1.0)]) == [
        (
            b"RateLimit-Policy",
            b'"per-principal";q=10;w=2, "per-principal-tokens";q=120000;w=60;qu="tokens", "global";q=1;w=2',
        ),
        (b"RateLimit", b'"per-principal";r=9;t=1, "per-principal-tokens";r=84000;t=18, "global";r=0;t=4'),
    ]


@pytest.mark.parametrize("dialect", Dialect)
def test_nothing_to_tell(dialect: Dialect) -> None:
    """
    Where no policy applies, or only those that are tried out, there are no fields at all.
    """
    for states in ([], [state(shadow=True)], [state(shadow=True), tokens(shadow=True)]):
        assert fields(states, dialect, unix_now=NOON) == []


def test_shadows_are_not_told() -> None:
    """
    Beside others they are left out.
    """
    assert fields([state(0, shadow=True), tokens()], Dialect.CHAT, unix_now=NOON) == fields(
        [tokens()], Dialect.CHAT, unix_now=NOON
    )


@pytest.mark.parametrize(
    ("rate", "burst", "quota", "window"),
    [
        (5.0, 5.0, 5, 1),
        (5.0, 10.0, 10, 2),
        (5.0, 7.0, 10, 2),
        (100.0, 10.0, 100, 1),
        (0.5, 1.0, 1, 2),
        (0.3, 1.0, 1, 4),
        (1 / 3, 1.0, 1, 3),
        (100 / 60, 100.0, 100, 60),
        (1e6 / 60, 1e6, 1000000, 60),
        (1.5, 1.5, 1, 1),
        (1e-6, 1e12, 1000000000, 999999999999999),
    ],
)
def test_quota_and_window(rate: float, burst: float, quota: int, window: int) -> None:
    """
    The shortest whole number of seconds in which a full bucket empties, and what leaks in it.
    """
    assert members(standard([state(rate=rate, burst=burst)])[0][1])[0][1] == {"q": str(quota), "w": str(window)}


@pytest.mark.parametrize(
    ("empty_in_s", "retry_after_s", "window"),
    [
        (0.0, None, 0),
        (4e-9, None, 0),
        (1 + 4e-9, None, 1),
        (0.01, None, 1),
        (2.0, None, 2),
        (2.01, None, 3),
        (7.5, 0.2, 1),
        (7.5, 60, 8),
    ],
)
def test_the_effective_window(empty_in_s: float, retry_after_s: float | None, window: int) -> None:
    """
    Goes on until the bucket is empty, but not beyond the time at which the client is asked to come back.
    """
    assert members(standard([state(0, empty_in_s)], retry_after_s)[1][1])[0][1]["t"] == str(window)


# -- the dialects' -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", OPENAI)
def test_openai(dialect: Dialect) -> None:
    """
    Six fields, with times as durations.
    """
    assert of_dialect([state(), tokens()], dialect, unix_now=NOON) == [
        (b"x-ratelimit-limit-requests", b"10"),
        (b"x-ratelimit-remaining-requests", b"9"),
        (b"x-ratelimit-reset-requests", b"190ms"),
        (b"x-ratelimit-limit-tokens", b"120000"),
        (b"x-ratelimit-remaining-tokens", b"84000"),
        (b"x-ratelimit-reset-tokens", b"18s"),
    ]


def test_anthropic() -> None:
    """
    Six fields, with times of day.
    """
    assert of_dialect([state(), tokens()], Dialect.MESSAGES, unix_now=NOON) == [
        (b"anthropic-ratelimit-requests-limit", b"10"),
        (b"anthropic-ratelimit-requests-remaining", b"9"),
        (b"anthropic-ratelimit-requests-reset", b"2026-11-27T12:00:01Z"),
        (b"anthropic-ratelimit-tokens-limit", b"120000"),
        (b"anthropic-ratelimit-tokens-remaining", b"84000"),
        (b"anthropic-ratelimit-tokens-reset", b"2026-11-27T12:00:18Z"),
    ]


def test_no_dialect() -> None:
    """
    Has no names of its own.
    """
    assert of_dialect([state()], Dialect.PLAIN, unix_now=NOON) == []
    assert fields([state()], Dialect.PLAIN, unix_now=NOON) == standard([state()])


@pytest.mark.parametrize("dialect", [dialect for dialect in Dialect if dialect is not Dialect.PLAIN])
def test_what_the_provider_sent_stays(dialect: Dialect) -> None:
    """
    Its numbers for requests or for tokens are left alone, and get none of the bridge's beside them: not even one of
    the three that it did not send, since the others are of another bucket.
    """
    states = [state(), tokens()]
    own = of_dialect(states, dialect, unix_now=NOON)
    for name, _ in own:
        sent = {b"date", name, b"content-type"}
        unit = b"requests" if b"requests" in name else b"tokens"
        for form in (sent, list(sent), tuple(sent)):
            assert of_dialect(states, dialect, form, unix_now=NOON) == [pair for pair in own if unit not in pair[0]]
    everything = [name for name, _ in own]
    assert of_dialect(states, dialect, everything, unix_now=NOON) == []
    assert fields(states, dialect, everything, unix_now=NOON) == standard(states)


def test_other_fields_of_the_provider_do_not_matter() -> None:
    """
    Its numbers for input tokens alone are something else; so are names of another dialect, and its own standard ones.
    """
    sent = {b"anthropic-ratelimit-input-tokens-limit", b"x-ratelimit-limit-requests", b"ratelimit", b"ratelimit-policy"}
    states = [state(), tokens()]
    assert fields(states, Dialect.MESSAGES, sent, unix_now=NOON) == fields(states, Dialect.MESSAGES, unix_now=NOON)


def test_the_tightest_is_told() -> None:
    """
    Of several policies, for requests and for tokens, the one that leaves least; of equals, the one that takes longest.
    """
    wide, close, slow = state(9), state(2, 1.0, name="global", burst=3.0), state(2, 4.0, name="slow")
    one, two = tokens(5), tokens(4)
    found = tightest([wide, one, close, two, slow, state(0, shadow=True)])
    assert found[0] is slow
    assert found[1] is two
    assert len(found) == 2
    told = values(of_dialect([wide, close], Dialect.CHAT, unix_now=NOON))
    assert told[b"x-ratelimit-limit-requests"] == b"3"
    assert told[b"x-ratelimit-remaining-requests"] == b"2"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, b"0s"),
        (1e-12, b"0s"),
        (0.0001, b"1ms"),
        (0.012, b"12ms"),
        (0.9991, b"1s"),
        (1.0, b"1s"),
        (1.5, b"1.5s"),
        (7.66, b"7.66s"),
        (59.9999, b"1m0s"),
        (90.25, b"1m30.25s"),
        (360.0, b"6m0s"),
        (3600.0, b"1h0m0s"),
        (90061.001, b"25h1m1.001s"),
    ],
)
def test_durations(seconds: float, told: bytes) -> None:
    """
    Are written as OpenAI does, and rounded up, so that nobody comes too early.
    """
    assert duration(seconds) == told


@given(st.floats(0, 1e8))
def test_durations_are_not_too_short(seconds: float) -> None:
    """
    Nor longer than by a millisecond.
    """
    told = duration(seconds).decode()
    if told.endswith("ms"):
        read = int(told[:-2]) / 1000
    else:
        parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(\d+(?:\.\d{1,3})?)s", told)
        assert parts
        read = int(parts[1] or 0) * 3600 + int(parts[2] or 0) * 60 + float(parts[3])
        assert not parts[3].endswith("0") or "." not in parts[3]
    assert seconds - 1e-6 <= read <= seconds + 0.001 + 1e-6


@pytest.mark.parametrize(
    ("unix_s", "told"),
    [
        (0.0, b"1970-01-01T00:00:00Z"),
        (NOON, b"2026-11-27T12:00:00Z"),
        (NOON + 0.2, b"2026-11-27T12:00:01Z"),
        (951782399.5, b"2000-02-29T00:00:00Z"),
        (1e18, b"9999-12-31T23:59:59Z"),
    ],
)
def test_moments(unix_s: float, told: bytes) -> None:
    """
    Are times of RFC 3339 in whole seconds, rounded up, and never beyond what it can say.
    """
    assert moment(unix_s) == told


# -- together with the buckets -----------------------------------------------------------------------------------------


@given(
    st.sampled_from([0.0, 1e7]),
    st.sampled_from([0.5, 1.0, 3.0, 100.0]),
    st.sampled_from([1.0, 2.5, 10.0]),
    st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0]), min_size=1, max_size=20),
    st.sampled_from(Dialect),
)
def test_fields_tell_the_truth(start: float, rate: float, burst: float, steps: list[float], dialect: Dialect) -> None:
    """
    On every answer, admitted or refused: so many requests pass now as remain, the bucket is empty by the time that is
    told and not a second before, no more remains than the quota, and nothing is told to go on for longer than the wait.
    """
    policies = Policies([Policy(scope=Scope.PRINCIPAL, limit=rate, burst=burst)])
    now = start
    for step in steps:
        now += step
        found = policies.check(ADA, "openai", now)
        wait = found.wait_s if isinstance(found, Refusal) else None
        states = policies.states(ADA, "openai", now)
        told = values(fields(states, dialect, unix_now=NOON, retry_after_s=wait))
        ((name, quota),) = members(told[b"RateLimit-Policy"])
        ((same, current),) = members(told[b"RateLimit"])
        assert name == same == "per-principal"
        remaining, window = int(current["r"]), int(current["t"])
        assert remaining <= int(quota["q"])
        assert window <= int(quota["w"])
        if wait is not None:
            assert remaining == 0
            assert window == min(whole_seconds(wait), whole_seconds(states[0].empty_in_s))
        else:
            assert policies.states(ADA, "openai", now + window)[0].level == pytest.approx(0, abs=1e-6)
            assert window == 0 or policies.states(ADA, "openai", now + window - 1)[0].level > 0
        if dialect in OPENAI:
            assert int(told[b"x-ratelimit-remaining-requests"]) == remaining
        elif dialect is Dialect.MESSAGES:
            reset = datetime.fromisoformat(told[b"anthropic-ratelimit-requests-reset"].decode()).astimezone(UTC)
            assert -1e-6 <= reset.timestamp() - NOON - states[0].empty_in_s < 1 + 1e-6


def test_tokens_a_minute_on_an_answer() -> None:
    """
    As configured, charged, and told.
    """
    policies = Policies([Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60000)])
    policies.check(ADA, "openai", 0, 1500)
    told = values(fields(policies.states(ADA, "openai", 0), Dialect.RESPONSES, unix_now=NOON))
    assert told[b"RateLimit-Policy"] == b'"per-principal-tokens";q=60000;w=60;qu="tokens"'
    assert told[b"RateLimit"] == b'"per-principal-tokens";r=58500;t=2'
    assert told[b"x-ratelimit-remaining-tokens"] == b"58500"
    assert told[b"x-ratelimit-reset-tokens"] == b"1.5s"
