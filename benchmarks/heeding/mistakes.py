"""
Ways in which one caller could harm another: bob makes a mistake, or asks for more than there is of one thing, and alice
goes on as always.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.heeding import spoken
from benchmarks.heeding.callers import Caller
from benchmarks.heeding.quotas import INPUT, OUTPUT, REQUESTS, TOTAL, Quota
from benchmarks.heeding.rules import Rule, anthropic, openai
from benchmarks.heeding.scene import Scene
from benchmarks.heeding.vendor import Asked, Script, Scripted

ALICE = "alice"
BOB = "bob"

RHYTHMS = (0.3, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two of bob's requests."""

MOST_JSON = 2**53 - 1
"""The largest ``max_tokens`` that every JSON reader can tell from its neighbours."""

AMPLE = openai("ample", Quota(REQUESTS, 6000.0), Quota(TOTAL, 6e6, reserves=True))
AMPLE_ANTHROPIC = anthropic("ample", Quota(REQUESTS, 6000.0), Quota(INPUT, 6e6), Quota(OUTPUT, 6e6))
SMALL = openai("150,000 tokens", Quota(TOTAL, 150_000.0, reserves=True))


@dataclass(frozen=True)
class Mistake:
    """
    A scene, and what has to come of it.

    :ivar served: callers of which `least` have to be served.
    :ivar own: callers that get nothing but answers of the provider's.
    :ivar most_tries: calls to the provider for one request at most, on average.
    """

    scene: Scene
    served: tuple[str, ...] = (ALICE,)
    least: float = 0.99
    own: tuple[str, ...] = ()
    most_tries: float = 0.0


def only(caller: str, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Callable[[], Script]:
    """
    The provider always answers one caller the same.
    """

    def answer(asked: Asked) -> Scripted | None:
        return Scripted(status, body, list(headers)) if asked.caller == caller else None

    return lambda: answer


def _alice(every_s: float = 0.5, **more: object) -> Caller:
    return Caller(**{"name": ALICE, "every_s": every_s, **more})  # type: ignore[arg-type]  # fields by name


def _bob(every_s: float, **more: object) -> Caller:
    return Caller(**{"name": BOB, "every_s": every_s, "steady": True, **more})  # type: ignore[arg-type]  # likewise


TOO_LARGE = "Request too large on tokens per min (TPM): Limit 30000, Requested 50000."
UNFAMILIAR = "Tokens per minute: 50000 wanted, 30000 granted."
"""In words that nobody has seen before."""


def too_large(
    rule: Rule,
    keys: int,
    every_s: float,
    seconds: float,
    *headers: tuple[bytes, bytes],
    message: str = TOO_LARGE,
    others: int = 1,
) -> Mistake:
    """
    Bob repeats a request that is larger than what the account may use in a minute, and so is answered 429 each time;
    and so do others, if there are several.
    """
    body = spoken.refusal(rule.words, message)

    def answer(asked: Asked) -> Scripted | None:
        return Scripted(429, body, list(headers)) if asked.caller.startswith(BOB) else None

    bobs = [_bob(every_s * 1.1**n, name=f"{BOB}{n or ''}") for n in range(others)]
    parts = [
        f"too-large requests of {'another' if others == 1 else f'{others} others'}",
        rule.words,
        _keys(keys),
        f"every {every_s:g} s",
        *(["retry-after"] if headers else []),
        *(["unfamiliar words"] if message is UNFAMILIAR else []),
    ]
    scene = Scene(", ".join(parts), rule, (_alice(), *bobs), seconds, lambda: answer, keys)
    # Whoever is told when to come back may be kept from coming sooner.
    own = () if headers else tuple(bob.name for bob in bobs)
    return Mistake(scene, own=own, most_tries=min(keys, 2))


def foreign_organization(header: str, keys: int, seconds: float) -> Mistake:
    """
    Bob's SDK sends an organization, which is not that of the configured key; the provider would refuse both together.
    """
    body = spoken.refusal(
        spoken.OPENAI, "OpenAI-Organization header should match organization for API key", "invalid_request_error",
        "mismatched_organization",
    )  # fmt: skip

    def answer(asked: Asked) -> Scripted | None:
        return Scripted(401, body) if header.lower() in asked.headers else None

    bob = _bob(0.5, headers=((header, "org-foo"),))
    scene = Scene(f"{header} of another, {_keys(keys)}", AMPLE, (_alice(), bob), seconds, lambda: answer, keys)
    return Mistake(scene, served=(ALICE, BOB))


def refused_alone(status: int, keys: int, seconds: float, *headers: tuple[bytes, bytes]) -> Mistake:
    """
    Something about bob's requests makes the provider refuse them as if it were about the key, or about itself.
    """
    body = spoken.refusal(spoken.OPENAI, "Not for you.", "error", "refused")
    when = ", retry-after" if headers else ""
    name = f"{status} for one caller alone, {_keys(keys)}{when}"
    scene = Scene(name, AMPLE, (_alice(), _bob(0.5)), seconds, only(BOB, status, body, *headers), keys)
    return Mistake(scene)


def absurd_maximum(max_tokens: int, status: int, often: int, seconds: float) -> Mistake:
    """
    Bob allows more output than there is, and is answered with an error, without a word of limits.
    """
    body = spoken.refusal(spoken.OPENAI, "max_tokens is too large", "invalid_request_error", "invalid_value")
    bob = _bob(2.0, begins_s=10.0, most=often, max_tokens=max_tokens)
    name = f"max_tokens of {max_tokens}, answered {status}, {'once' if often == 1 else 'again and again'}"
    return Mistake(Scene(name, SMALL, (_alice(1.0), bob), seconds, only(BOB, status, body)))


def one_model_used_up(rule: Rule, seconds: float) -> Mistake:
    """
    Bob uses up one model; alice asks for another one, counts tokens, and lists models.
    """

    def answer(asked: Asked) -> Scripted | None:
        free = asked.path.endswith(("/count_tokens", "/models"))
        return Scripted(200, b'{"input_tokens": 10}') if free else None

    bob = _bob(0.1, model="opus")
    alice = _alice(model="haiku")
    lists = Caller("alice-lists", 2.0, method="GET", path="/v1/models", principal=ALICE)
    callers = [alice, lists, bob]
    served = [ALICE, "alice-lists"]
    if rule.type == "anthropic":
        callers.append(Caller("alice-counts", 2.0, path="/v1/messages/count_tokens", principal=ALICE, model="opus"))
        served.append("alice-counts")
    scene = Scene(f"one model used up, {rule.name}", rule, tuple(callers), seconds, lambda: answer)
    return Mistake(scene, served=tuple(served))


def generous_maximum(per_minute: float, seconds: float, principal: str = "") -> Mistake:
    """
    Five clients, perhaps of one principal, allow 128,000 tokens of output, as coding agents do, and get some 500; the
    provider counts what it produces.
    """
    rule = anthropic(f"{per_minute:.0f} output tokens", Quota(OUTPUT, per_minute))
    callers = tuple(Caller(f"agent-{n}", 6.0, output=500, max_tokens=128_000, principal=principal) for n in range(5))
    of_one = ", of one" if principal else ""
    name = f"max_tokens far above what is written{of_one}, {per_minute:.0f} tokens/min"
    scene = Scene(name, rule, callers, seconds)
    return Mistake(scene, served=())


def own_limits(at_once: int, is_known: bool) -> Mistake:
    """
    One principal with many agents at once, under a ``[[limit]]`` of tokens into which what they use fits, and what they
    allow does not.

    :param is_known: one of them has asked before.
    """
    limits = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 400000\n'
    before = [Caller("alice-before", 5.0, steady=True, most=4, output=500, max_tokens=128_000, principal=ALICE)]
    agents = [
        Caller(f"agent-{n}", 1.0, True, 60.0, 1, output=500, max_tokens=128_000, principal=ALICE)
        for n in range(at_once)
    ]
    name = f"token limits of our own, {at_once} agents at once" + ("" if is_known else ", the first ever")
    callers = (*(before if is_known else ()), *agents)
    return Mistake(Scene(name, AMPLE_ANTHROPIC, callers, 70.0, limits=limits), served=())


def recovered(words: str, keys: int, status: int, seconds: float) -> Mistake:
    """
    The provider says "wait five minutes" to everybody, and means two seconds.
    """
    rule = AMPLE if words == spoken.OPENAI else AMPLE_ANTHROPIC
    body = spoken.refusal(words, "Wait.")

    def answer(asked: Asked) -> Scripted | None:
        return Scripted(status, body, [(b"retry-after", b"300")]) if 10 <= asked.at < 12 else None

    callers = (_alice(0.5, steady=True), _bob(0.7))
    scene = Scene(
        f"a recovered provider, {words}, {status}, {_keys(keys)}", rule, callers, seconds, lambda: answer, keys
    )
    return Mistake(scene, served=(ALICE, BOB))


BOTH = ((1, TOO_LARGE), (1, UNFAMILIAR), (3, UNFAMILIAR))


def all_mistakes(seconds: float) -> list[Mistake]:
    """
    Everything that is looked at.
    """
    again = (b"retry-after", b"60")
    tokens = openai("tokens reserved", Quota(TOTAL, 240_000.0, reserves=True))
    requests = anthropic("requests", Quota(REQUESTS, 240.0))
    return [
        *(too_large(rule, 1, every_s, seconds) for rule in (AMPLE, AMPLE_ANTHROPIC) for every_s in RHYTHMS),
        *(too_large(AMPLE, keys, 0.5, seconds) for keys in (2, 3, 16)),
        *(too_large(AMPLE, keys, 0.5, seconds, again) for keys in (1, 2)),
        *(too_large(AMPLE, keys, 0.5, seconds, message=UNFAMILIAR) for keys in (1, 3)),
        too_large(AMPLE_ANTHROPIC, 1, 0.5, seconds, again, message=UNFAMILIAR),
        *(too_large(AMPLE, keys, 0.5, seconds, message=message, others=2) for keys, message in BOTH),
        absurd_maximum(MOST_JSON, 400, 1, seconds),
        absurd_maximum(MOST_JSON, 400, 0, seconds),
        absurd_maximum(140_000, 400, 0, seconds),
        absurd_maximum(MOST_JSON, 500, 0, seconds),
        *(foreign_organization("OpenAI-Organization", keys, seconds) for keys in (1, 2, 3)),
        foreign_organization("OpenAI-Project", 2, seconds),
        *(refused_alone(401, keys, seconds) for keys in (1, 2, 3)),
        *(refused_alone(status, 1, seconds, again) for status in (503, 529)),
        one_model_used_up(tokens, seconds),
        one_model_used_up(requests, seconds),
        generous_maximum(400_000.0, seconds),
        generous_maximum(80_000.0, seconds),
        generous_maximum(80_000.0, seconds, ALICE),
        own_limits(8, False),
        own_limits(8, True),
        own_limits(30, True),
        *(recovered(words, keys, 429, 4 * seconds) for words in (spoken.OPENAI, spoken.ANTHROPIC) for keys in (1, 2)),
        recovered(spoken.ANTHROPIC, 1, 529, 4 * seconds),
    ]


def _keys(count: int) -> str:
    return f"{count} key{'s' if count > 1 else ''}"
