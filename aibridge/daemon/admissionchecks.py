"""
Whether what is configured about admission fits together: limits that are none, that clash, or that can do nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

import attrs

from aibridge.admission.configured import policy_of, seat_terms, short_form
from aibridge.admission.policy import BY_SCOPE, LEAST, Policy, Scope
from aibridge.admission.reservation import MOST_OUTPUT, reserved
from aibridge.admission.settings import AdmissionSettings, BreakerSettings, LimitSettings
from aibridge.auth.settings import AuthSettings
from aibridge.auth.tokens import Entry
from aibridge.daemon.problems import Fault, KeyPath, Severity, dotted, quoted
from aibridge.daemon.settings import LIMIT, PROVIDER, Settings
from aibridge.daemon.values import number
from aibridge.model import Class
from aibridge.providers.settings import ProviderSettings

_SHORT: KeyPath = ("admission", "rate_limit")
_WAITING = ("queue_timeout", "interactive_weight", "default_weight", "batch_weight")
_LEAST_PRINCIPALS = 1000
_BUCKET_BYTES = 256

_OWN_NAME = BY_SCOPE[Scope.PRINCIPAL]


def check_admission(settings: Settings, given: Collection[str], tokens: Collection[Entry]) -> Iterator[Fault]:
    """
    Everything that is wrong with the limits, the gate and the breakers.

    :param given: the options, dotted, that have another source than a default.
    :param tokens: those of the tokens file, where there is one to be read.
    """
    yield from _rate(settings.admission)
    yield from _gate(settings.admission, settings.provider, given, tokens)
    yield from _never_reached(settings.admission, settings.provider)
    yield from _share(settings.admission, settings.provider, settings.auth)
    yield from _breaker(settings.breaker, given)
    for index, limit in enumerate(settings.limit):
        yield from _limit((LIMIT, index), limit, settings)
    found = list(_policies(settings))
    yield from _names(found)
    yield from _idle(found)
    yield from _waits(found, settings.admission)
    yield from _tokens(found, settings.admission, given)


def warning(path: KeyPath, found: str, allowed: str = "", hint: str = "") -> Fault:
    """
    A fault with which the daemon may run.
    """
    return Fault(path=path, found=found, allowed=allowed, hint=hint, severity=Severity.WARNING)


# -- the gate ----------------------------------------------------------------------------------------------------


def _rate(admission: AdmissionSettings) -> Iterator[Fault]:
    limit, burst = admission.rate_limit, admission.rate_burst
    if 0 < limit < LEAST:
        yield Fault(path=_SHORT, found=f"the number {limit}", allowed=f"0, or at least {number(LEAST)}")
    if 0 < burst < 1:
        yield Fault(
            path=("admission", "rate_burst"),
            found=f"the number {burst}, into which no request fits",
            allowed="0, or at least 1",
        )
    elif burst and not limit:
        yield warning(
            ("admission", "rate_burst"),
            "a burst that nothing limits, since admission.rate_limit is 0",
            "a rate_limit above 0, or no rate_burst",
        )


def _gate(
    admission: AdmissionSettings,
    providers: Collection[ProviderSettings],
    given: Collection[str],
    tokens: Collection[Entry],
) -> Iterator[Fault]:
    limits = [admission.max_concurrency, admission.max_in_flight, *(provider.max_concurrency for provider in providers)]
    if not any(limits) and not any(token.max_in_flight for token in tokens):
        for name in ("queue_size", "gate_shadow"):
            if getattr(admission, name):
                yield warning(
                    ("admission", name),
                    "a gate that is always open, since nothing limits the exchanges in flight",
                    "a max_concurrency or max_in_flight above 0",
                )
    if not admission.queue_size:
        for name in _WAITING:
            if f"admission.{name}" in given:
                yield warning(
                    ("admission", name),
                    "what holds for those who wait, and nobody does, since admission.queue_size is 0",
                    "a queue_size above 0",
                )
    weights = [admission.interactive_weight, admission.default_weight, admission.batch_weight]
    if weights != sorted(weights, reverse=True):
        yield warning(
            ("admission", "batch_weight"),
            "weights of interactive, default and batch that grow: " + ", ".join(map(number, weights)),
            "weights that do not grow from interactive to batch",
        )


def _never_reached(admission: AdmissionSettings, providers: Collection[ProviderSettings]) -> Iterator[Fault]:
    whole, each = admission.max_concurrency, admission.max_in_flight
    if whole and each > whole:
        yield warning(
            ("admission", "max_in_flight"),
            f"{each} for each principal, which nobody reaches, since admission.max_concurrency is {whole}",
            f"at most {whole}",
        )
    for index, provider in enumerate(providers):
        most = provider.max_concurrency
        path = (PROVIDER, index, "max_concurrency")
        if whole and most > whole:
            yield warning(
                path, f"{most}, which is never reached, since admission.max_concurrency is {whole}", f"at most {whole}"
            )
        elif most > provider.max_connections:
            yield warning(
                path,
                f"{most}, of which some wait for a connection, since max_connections is {provider.max_connections}",
                "no more than max_connections",
            )


def _share(
    admission: AdmissionSettings, providers: Collection[ProviderSettings], auth: AuthSettings
) -> Iterator[Fault]:
    if not admission.interactive_share:
        return
    path = ("admission", "interactive_share")
    terms = seat_terms(admission, providers)
    limits = {f"provider {name}": limit for name, limit in terms.providers.items()}
    if admission.max_concurrency:
        limits["admission"] = admission.max_concurrency
    share = number(admission.interactive_share)
    if not limits:
        yield warning(path, f"{share} of no limit at all", "a max_concurrency to keep a share of")
    for name, limit in limits.items():
        kept = terms.kept(limit)
        if not kept:
            yield warning(
                path,
                f"{share}, which of the max_concurrency of {name}, {limit}, is not one whole permit",
                f"at least {number(1 / limit)}",
            )
        elif kept == limit and not terms.lent(limit):
            yield warning(
                path,
                f"{share}, which leaves nothing of the max_concurrency of {name} to other classes",
                "less than 1, or a queue to wait in",
            )
    if not _can_be(Class.INTERACTIVE, auth):
        yield warning(path, f"a share for the class interactive, which {_nobody_is(auth)}", "another default_class")


def _breaker(breaker: BreakerSettings, given: Collection[str]) -> Iterator[Fault]:
    if breaker.enabled:
        return
    for field in attrs.fields(BreakerSettings):
        if field.name != "enabled" and f"breaker.{field.name}" in given:
            yield warning(
                ("breaker", field.name),
                "what holds for breakers, and there are none, since breaker.enabled is false",
                "enabled = true",
            )


# -- the buckets -------------------------------------------------------------------------------------------------


@attrs.frozen
class _Found:
    """
    A policy, and which option says it.
    """

    path: KeyPath
    policy: Policy

    def __str__(self) -> str:
        return dotted(self.path)


def _limit(path: KeyPath, limit: LimitSettings, settings: Settings) -> Iterator[Fault]:
    if 0 < limit.burst < 1:
        yield Fault(
            path=(*path, "burst"),
            found=f"the number {limit.burst}, into which nothing fits",
            allowed="0, or at least 1",
        )
    names = [provider.name for provider in settings.provider]
    if limit.provider and limit.provider not in names:
        near = difflib.get_close_matches(limit.provider, names, n=1)
        yield Fault(
            path=(*path, "provider"),
            found=f"{quoted(limit.provider)}, which no [[{PROVIDER}]] is called",
            allowed="one of " + ", ".join(map(quoted, names)),
            hint=f"did you mean {near[0]}?" if near else "",
        )
    if not limit.class_:
        return
    if limit.scope == Scope.GLOBAL.value:
        yield warning(
            (*path, "class"),
            'a class with the scope "global", which counts just what the scope "class" does',
            'the scope "class", or no class',
        )
    if not _can_be(Class(limit.class_), settings.auth):
        yield warning(
            (*path, "class"), f"the class {limit.class_}, which {_nobody_is(settings.auth)}", "another default_class"
        )


def _can_be(class_: Class, auth: AuthSettings) -> bool:
    return auth.backend == "file" or auth.default_class == class_.value


def _nobody_is(auth: AuthSettings) -> str:
    return f'nobody is of, since with auth.backend = "{auth.backend}" everybody is {auth.default_class}'


def _policies(settings: Settings) -> Iterator[_Found]:
    """
    Those policies that are any; of the others the reason is told elsewhere.
    """
    try:
        short = short_form(settings.admission)
        if short is not None:
            yield _Found(_SHORT, short)
    except ValueError:
        pass
    for index, limit in enumerate(settings.limit):
        try:
            yield _Found((LIMIT, index), policy_of(limit))
        except ValueError:
            continue


def _names(found: list[_Found]) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    if not any(each.policy.is_per_principal for each in found):
        taken[_OWN_NAME] = "is what limits of a token's own are called"
    for each in found:
        for policy in each.policy.for_each_class():
            if policy.name in taken:
                yield Fault(
                    path=(*each.path, "name"),
                    found=f"{quoted(policy.name)}, which {taken[policy.name]}",
                    allowed="a name of its own",
                )
            taken.setdefault(policy.name, f"{each} is called too")


def _idle(found: list[_Found]) -> Iterator[Fault]:
    """
    Policies that never refuse what another does not.
    """
    taker = next((each for each in found if each.policy.is_per_principal), None)
    for at, each in enumerate(found):
        for place, other in enumerate(found):
            # Limits of a token's own may lift the taker. Of two that cover each other the later one is told.
            if other is each or other is taker or (place > at and _covers(each, other)):
                continue
            if _covers(other, each):
                yield warning(
                    _number_of(each),
                    f"a limit that refuses nothing which {other} ({other.policy.name}) does not",
                    "a lower one, or none",
                )
                break


def _number_of(each: _Found) -> KeyPath:
    return each.path if each.path == _SHORT else (*each.path, "limit")


def _covers(one: _Found, other: _Found) -> bool:
    ones = list(one.policy.for_each_class())
    return all(any(mine.covers(its) for mine in ones) for its in other.policy.for_each_class())


def _waits(found: list[_Found], admission: AdmissionSettings) -> Iterator[Fault]:
    for each in found:
        wait = 1 / each.policy.rate
        if not each.policy.counts_tokens and wait > admission.max_retry_after:
            yield warning(
                _number_of(each),
                f"room for one request after {number(round(wait, 3))} s, and clients are told to wait for "
                f"{number(admission.max_retry_after)} s at most, so that they come back too early",
                "more, or a longer admission.max_retry_after",
            )


def _tokens(found: list[_Found], admission: AdmissionSettings, given: Collection[str]) -> Iterator[Fault]:
    counting = [each for each in found if each.policy.counts_tokens]
    output = admission.token_default_output
    for each in counting:
        size = each.policy.size
        if size <= reserved(output, MOST_OUTPUT - output, size, admission.token_overshoot):
            yield warning(
                (*each.path, "burst"),
                f"{number(size)} tokens at once, all of which one request takes that names no maximum, since "
                f"admission.token_default_output is {output} and token_overshoot is "
                f"{number(admission.token_overshoot)}",
                "more, a lower token_default_output, or a higher token_overshoot",
            )
    if not counting and "admission.token_default_output" in given:
        yield warning(
            ("admission", "token_default_output"),
            "what a limit of tokens takes an answer for, and there is none",
            'a [[limit]] with the unit "tokens/min"',
        )
    many = sum(each.policy.scope in (Scope.PRINCIPAL, Scope.PRINCIPAL_PROVIDER) for each in found)
    if many and admission.bucket_memory < many * _LEAST_PRINCIPALS * _BUCKET_BYTES:
        yield warning(
            ("admission", "bucket_memory"),
            f"{admission.bucket_memory} bytes for {many} limits that count each principal, which is too little for "
            f"{_LEAST_PRINCIPALS} of them",
            f"at least {many * _LEAST_PRINCIPALS * _BUCKET_BYTES}",
        )
