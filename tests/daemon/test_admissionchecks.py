"""
Tests for `aibridge.daemon.admissionchecks`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given as whatever
from hypothesis import settings as running
from hypothesis import strategies as st

from aibridge.admission.configured import policies_of, seat_terms
from aibridge.admission.policies import Policies
from aibridge.admission.policy import Scope, Unit
from aibridge.admission.settings import AdmissionSettings, LimitSettings
from aibridge.auth.tokens import Entry
from aibridge.daemon.admissionchecks import check_admission
from aibridge.daemon.problems import Fault, Severity, dotted
from aibridge.daemon.settings import Settings
from aibridge.model import Class
from aibridge.providers.settings import ProviderSettings

OPENAI = ProviderSettings(name="openai", type="openai")

LIMIT = {"scope": "principal", "unit": "requests/s", "limit": 5.0}
TOKENS = {"scope": "principal", "unit": "tokens/min", "limit": 50000.0}
GLOBAL = {"scope": "global", "unit": "requests/s", "limit": 5.0}

ENTRY = Entry(id="0" * 12, name="a", hash="sha256:" + "0" * 64, created=datetime(2026, 1, 1, tzinfo=UTC))


def faults(
    *limits: dict[str, Any],
    provider: dict[str, Any] | None = None,
    tokens: tuple[Entry, ...] = (),
    **sections: dict[str, Any],
) -> list[Fault]:
    """
    What is wrong with the default settings once these are set, all of them in the file.
    """
    given = {f"{section}.{name}" for section, options in sections.items() for name in options}
    settings = attrs.evolve(
        Settings(),
        provider=(attrs.evolve(OPENAI, **(provider or {})),),
        limit=tuple(LimitSettings(**limit) for limit in limits),
        **{name: attrs.evolve(getattr(Settings(), name), **options) for name, options in sections.items()},
    )
    return list(check_admission(settings, given, tokens))


def told(found: list[Fault]) -> list[tuple[str, str]]:
    """
    Severity and dotted name of each fault; each says what is there, and what could be.
    """
    assert all(fault.found and fault.allowed for fault in found)
    return [(fault.severity.value, dotted(fault.path)) for fault in found]


def warnings(*names: str) -> list[tuple[str, str]]:
    """
    As many warnings.
    """
    return [("warning", name) for name in names]


def errors(*names: str) -> list[tuple[str, str]]:
    """
    As many errors.
    """
    return [("error", name) for name in names]


def test_nothing_is_wrong_with_defaults() -> None:
    """
    Nor with a configuration that uses all of it, as it is meant.
    """
    assert faults() == []
    found = faults(
        {**LIMIT, "scope": "principal-provider", "limit": 2.0},
        {**TOKENS, "burst": 100000.0},
        {**GLOBAL, "scope": "class", "class_": "batch", "limit": 3.0},
        {**GLOBAL, "unit": "tokens/min", "limit": 1000000.0, "provider": "openai", "name": "contract", "shadow": True},
        provider={"max_concurrency": 50},
        admission={
            "max_concurrency": 100,
            "max_in_flight": 20,
            "queue_size": 200,
            "queue_timeout": 5.0,
            "interactive_share": 0.2,
            "interactive_weight": 8.0,
            "rate_limit": 5.0,
            "rate_burst": 50.0,
            "token_default_output": 4096,
            "bucket_memory": 8388608,
        },
        breaker={"enabled": True, "timeout": 10.0},
    )
    assert told(found) == []


class TestGate:
    """
    How much is let in at once.
    """

    @pytest.mark.parametrize("option", ["queue_size", "gate_shadow"])
    def test_open_gate(self, option: str) -> None:
        """
        A queue before a gate that is always open, or trying one out, does nothing; any limit makes it do something.
        """
        asked = {option: 5 if option == "queue_size" else True}
        assert told(faults(admission=asked)) == warnings(f"admission.{option}")
        assert faults(admission={**asked, "max_concurrency": 5}) == []
        assert faults(admission={**asked, "max_in_flight": 5}) == []
        assert faults(admission=asked, provider={"max_concurrency": 5}) == []
        assert faults(admission=asked, tokens=(ENTRY, attrs.evolve(ENTRY, max_in_flight=5))) == []

    @pytest.mark.parametrize("option", ["queue_timeout", "interactive_weight", "default_weight", "batch_weight"])
    def test_no_queue(self, option: str) -> None:
        """
        What holds for those who wait is odd where nobody does, even if it is what holds anyway.
        """
        default = getattr(AdmissionSettings(), option)
        limited = {"max_concurrency": 5, option: default}
        assert told(faults(admission=limited)) == warnings(f"admission.{option}")
        assert faults(admission={**limited, "queue_size": 5}) == []

    @pytest.mark.parametrize(
        ("weights", "odd"),
        [((4.0, 2.0, 1.0), False), ((1.0, 1.0, 1.0), False), ((1.0, 2.0, 1.0), True), ((4.0, 2.0, 3.0), True)],
    )
    def test_weights(self, weights: tuple[float, ...], odd: bool) -> None:
        """
        A class that matters less does not weigh more.
        """
        names = ("interactive_weight", "default_weight", "batch_weight")
        found = faults(admission={"max_concurrency": 9, "queue_size": 9, **dict(zip(names, weights, strict=True))})
        assert told(found) == (warnings("admission.batch_weight") if odd else [])

    def test_limits_that_are_never_reached(self) -> None:
        """
        A part that is larger than the whole, and permits for which there are no connections.
        """
        whole = {"max_concurrency": 10}
        assert faults(admission={**whole, "max_in_flight": 10}, provider={"max_concurrency": 10}) == []
        found = faults(admission={**whole, "max_in_flight": 11}, provider={"max_concurrency": 11})
        assert told(found) == warnings("admission.max_in_flight", "provider[0].max_concurrency")
        found = faults(provider={"max_concurrency": 11, "max_connections": 10})
        assert told(found) == warnings("provider[0].max_concurrency")
        assert "connection" in found[0].found


class TestShare:
    """
    What is kept for the class interactive.
    """

    @pytest.mark.parametrize(
        ("share", "limit", "queue", "count"),
        [(0.5, 2, 0, 0), (0.5, 1, 0, 1), (0.01, 99, 0, 1), (0.01, 100, 0, 0), (1.0, 10, 0, 1), (1.0, 10, 5, 0)],
    )
    def test_share(self, share: float, limit: int, queue: int, count: int) -> None:
        """
        Less than one permit is nothing; all of them, without a queue to lend them from, leave nothing to others.
        """
        found = faults(admission={"max_concurrency": limit, "interactive_share": share, "queue_size": queue})
        assert told(found) == warnings(*["admission.interactive_share"] * count)

    def test_each_limit(self) -> None:
        """
        The share is one of each limit, and each of which it is nothing is named.
        """
        asked = {"max_concurrency": 100, "interactive_share": 0.1}
        (fault,) = faults(admission=asked, provider={"max_concurrency": 5})
        assert "openai" in fault.found
        assert fault.allowed == "at least 0.2"

    def test_of_nothing(self) -> None:
        """
        A share of no limit is none.
        """
        assert told(faults(admission={"interactive_share": 0.5})) == warnings("admission.interactive_share")

    def test_for_nobody(self) -> None:
        """
        Where nobody can be of the class, nothing has to be kept for it.
        """
        asked = {"max_concurrency": 100, "interactive_share": 0.1}
        found = faults(admission=asked, auth={"backend": "none"})
        assert told(found) == warnings("admission.interactive_share")
        assert faults(admission=asked, auth={"backend": "none", "default_class": "interactive"}) == []

    @running(deadline=None)
    @whatever(st.floats(0.001, 1), st.integers(1, 1000), st.integers(0, 3))
    def test_what_the_gate_makes_of_it(self, share: float, limit: int, queue: int) -> None:
        """
        There is a warning just if the gate keeps no permit, or leaves none.
        """
        admission = AdmissionSettings(max_concurrency=limit, interactive_share=share, queue_size=queue)
        terms = seat_terms(admission, ())
        kept, lent = terms.kept(limit), terms.lent(limit)
        found = faults(
            admission={
                name: getattr(admission, name) for name in ("max_concurrency", "interactive_share", "queue_size")
            }
        )
        assert bool(found) is (not kept or limit - kept + lent == 0)


class TestBreaker:
    """
    Circuit breakers.
    """

    def test_without(self) -> None:
        """
        What holds for breakers is odd where there are none.
        """
        assert told(faults(breaker={"timeout": 30.0, "shadow": True})) == warnings("breaker.timeout", "breaker.shadow")
        assert faults(breaker={"enabled": False}) == []
        assert faults(breaker={"enabled": True, "timeout": 30.0, "shadow": True}) == []


class TestRate:
    """
    The short form.
    """

    @pytest.mark.parametrize(
        ("limit", "burst", "expected"),
        [
            (0.0, 0.0, []),
            (5.0, 0.0, []),
            (0.5, 1.0, []),
            (0.02, 0.0, warnings("admission.rate_limit")),
            (1e-7, 0.0, errors("admission.rate_limit")),
            (5.0, 0.5, errors("admission.rate_burst")),
            (0.0, 5.0, warnings("admission.rate_burst")),
        ],
    )
    def test_burst(self, limit: float, burst: float, expected: list[tuple[str, str]]) -> None:
        """
        A rate is one that somebody can wait for, and a burst has room for a request, and a rate beside it.
        """
        assert told(faults(admission={"rate_limit": limit, "rate_burst": burst})) == expected


class TestLimits:
    """
    Each ``[[limit]]``.
    """

    def test_burst(self) -> None:
        """
        Something fits into a burst.
        """
        assert told(faults({**LIMIT, "burst": 0.5})) == errors("limit[0].burst")
        assert faults({**LIMIT, "burst": 1.0}) == []

    def test_provider(self) -> None:
        """
        There is one of that name; if not, the one that was meant is named.
        """
        (fault,) = faults({**LIMIT, "provider": "opena"})
        assert told([fault]) == errors("limit[0].provider")
        assert fault.hint == "did you mean openai?"
        assert faults({**LIMIT, "provider": "openai"}) == []

    def test_class_of_everybody(self) -> None:
        """
        A class of everybody is a class.
        """
        assert told(faults({**GLOBAL, "class_": "batch"})) == warnings("limit[0].class")
        assert faults({**GLOBAL, "scope": "class", "class_": "batch"}) == []

    @pytest.mark.parametrize("backend", ["coder", "none"])
    def test_class_of_nobody(self, backend: str) -> None:
        """
        Where everybody is of one class, a limit of another limits nobody.
        """
        found = faults({**LIMIT, "class_": "batch"}, auth={"backend": backend})
        assert told(found) == warnings("limit[0].class")
        assert faults({**LIMIT, "class_": "batch"}, auth={"backend": backend, "default_class": "batch"}) == []

    def test_what_was_refused(self) -> None:
        """
        A limit that lost what it needs causes no further fault.
        """
        assert faults({"scope": "", "unit": "", "limit": 0.0}) == []


class TestNames:
    """
    What the policies are called.
    """

    def test_derived(self) -> None:
        """
        Two that would be called the same need names; saying one for either is enough.
        """
        other = {**LIMIT, "limit": 2.0, "shadow": True}
        (fault,) = faults(LIMIT, other)
        assert told([fault]) == errors("limit[1].name")
        assert fault.found == '"per-principal", which limit[0] is called too'
        assert faults(LIMIT, {**other, "name": "tighter"}) == []

    def test_the_short_form(self) -> None:
        """
        It has a name, too.
        """
        (fault,) = faults({**LIMIT, "limit": 2.0, "burst": 9.0}, admission={"rate_limit": 5.0})
        assert fault.found == '"per-principal", which admission.rate_limit is called too'

    def test_the_name_of_own_limits(self) -> None:
        """
        Limits that tokens bring along have a name even where no policy has it.
        """
        (fault,) = faults({**GLOBAL, "name": "per-principal"})
        assert told([fault]) == errors("limit[0].name")
        assert "token" in fault.found

    def test_each_class(self) -> None:
        """
        A limit of each class takes three names.
        """
        classes = {**GLOBAL, "scope": "class"}
        (fault,) = faults(classes, {**GLOBAL, "limit": 9.0, "name": "per-class-batch"})
        assert told([fault]) == errors("limit[1].name")

    @running(deadline=None)
    @whatever(
        st.lists(
            st.fixed_dictionaries(
                {
                    "scope": st.sampled_from([scope.value for scope in Scope]),
                    "unit": st.sampled_from([unit.value for unit in Unit]),
                    "limit": st.just(5.0),
                    "class_": st.sampled_from(["", "batch"]),
                    "name": st.sampled_from(["", "per-principal", "global", "x", "x-batch"]),
                }
            ),
            max_size=4,
        ),
        st.sampled_from([0.0, 5.0]),
    )
    def test_what_the_buckets_make_of_it(self, limits: list[dict[str, Any]], rate: float) -> None:
        """
        There is an error just if the buckets cannot be made.
        """
        found = faults(*limits, admission={"rate_limit": rate})
        settings = tuple(LimitSettings(**limit) for limit in limits)
        try:
            Policies(policies_of(AdmissionSettings(rate_limit=rate), settings).values())
        except ValueError:
            fine = False
        else:
            fine = True
        assert fine is not any(fault.severity is Severity.ERROR for fault in found)


class TestIdle:
    """
    Policies that can never make a difference.
    """

    @pytest.mark.parametrize(
        ("limits", "idle"),
        [
            ([GLOBAL, {**LIMIT, "limit": 10.0}], ["limit[1].limit"]),
            ([{**LIMIT, "limit": 10.0}, GLOBAL], ["limit[0].limit"]),
            ([GLOBAL, {**LIMIT, "limit": 4.0}], []),
            ([GLOBAL, {**LIMIT, "burst": 4.0}], []),
            ([GLOBAL, {**GLOBAL, "name": "again"}], ["limit[1].limit"]),
            ([{**GLOBAL, "shadow": True}, {**GLOBAL, "name": "again"}], ["limit[0].limit"]),
            ([GLOBAL, {**GLOBAL, "scope": "class"}], ["limit[1].limit"]),
            ([{**GLOBAL, "scope": "class"}, {**GLOBAL, "limit": 9.0}], []),
            ([{**GLOBAL, "provider": "openai"}, {**LIMIT, "limit": 9.0}], []),
            ([{**TOKENS, "scope": "global"}, TOKENS], ["limit[1].limit"]),
            # A token may have a limit of its own above that of the first, and then the second is what holds.
            ([LIMIT, {**LIMIT, "limit": 50.0, "name": "ceiling"}], []),
        ],
    )
    def test_idle(self, limits: list[dict[str, Any]], idle: list[str]) -> None:
        """
        A limit that another covers does nothing; of two that cover each other that is the later one.
        """
        assert told(faults(*limits)) == warnings(*idle)

    def test_the_short_form(self) -> None:
        """
        It can be the one that does nothing.
        """
        found = faults(GLOBAL, admission={"rate_limit": 10.0})
        assert told(found) == warnings("admission.rate_limit")
        assert "limit[0] (global)" in found[0].found


class TestWaits:
    """
    Waits that nobody is told.
    """

    def test_too_early(self) -> None:
        """
        A limit for whose next request one has to wait longer than clients are told sends them back too early; of tokens
        nobody knows how many come.
        """
        minute = {**LIMIT, "unit": "requests/min", "limit": 1.0}
        (fault,) = faults(minute)
        assert told([fault]) == warnings("limit[0].limit")
        assert "60 s" in fault.found
        assert "45 s" in fault.found
        assert faults(minute, admission={"max_retry_after": 60}) == []
        assert faults({**minute, "limit": 2.0}) == []
        assert faults({**TOKENS, "limit": 2000.0}) == []


class TestTokens:
    """
    Limits of tokens.
    """

    def test_burst(self) -> None:
        """
        A burst that one request takes by its estimate lets one request through at a time.
        """
        assert told(faults({**TOKENS, "burst": 1024.0})) == warnings("limit[0].burst")
        assert told(faults({**TOKENS, "limit": 1000.0})) == warnings("limit[0].burst")
        assert faults({**TOKENS, "burst": 1024.0}, admission={"token_default_output": 100}) == []
        assert faults({**TOKENS, "burst": 1100.0}) == []
        strict = faults({**TOKENS, "burst": 60000.0}, admission={"token_overshoot": 1.0})
        assert told(strict) == warnings("limit[0].burst")
        assert faults({**TOKENS, "burst": 60000.0}, admission={"token_overshoot": 1.1}) == []

    def test_estimate_without_a_limit(self) -> None:
        """
        Nothing is estimated where nothing counts tokens.
        """
        asked = {"token_default_output": 1024}
        assert told(faults(LIMIT, admission=asked)) == warnings("admission.token_default_output")
        assert faults(TOKENS, admission=asked) == []

    def test_memory(self) -> None:
        """
        Buckets for each principal need memory, as many times as there are such limits.
        """
        many = [{**LIMIT, "limit": 5.0 - n / 10, "burst": 10.0 + n, "name": f"l{n}"} for n in range(8)]
        asked = {"bucket_memory": 1048576}
        assert faults(*many[:4], admission=asked) == []
        assert told(faults(*many, admission=asked)) == warnings("admission.bucket_memory")


def test_classes_are_those_there_are() -> None:
    """
    The weights that are compared are those of all classes.
    """
    assert {f"{class_.value}_weight" for class_ in Class} <= {field.name for field in attrs.fields(AdmissionSettings)}
