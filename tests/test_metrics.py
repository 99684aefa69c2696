"""
What is counted, under which names, and that no client can make a series of its own.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aibridge.dialects.usage import Report, Unread, Usage
from aibridge.metrics import OTHER, Metrics, Names
from making import completion

CODERS = {
    "aibridge_interceptions": {"provider", "model", "status", "route", "method", "initiator_id", "client"},
    "aibridge_interceptions_inflight": {"provider", "model", "route"},
    "aibridge_interceptions_duration_seconds": {"provider", "model"},
    "aibridge_passthrough": {"provider", "route", "method"},
    "aibridge_tokens": {"provider", "model", "type", "initiator_id", "client"},
    "aibridge_key_pool_state_transitions": {"provider", "reason"},
    "aibridge_circuit_breaker_trips": {"provider", "endpoint", "model"},
    "aibridge_circuit_breaker_rejects": {"provider", "endpoint", "model"},
    "aibridge_provider_info": {"provider_name", "provider_type", "status"},
    "aibridge_providers_last_reload_success_timestamp_seconds": set(),
}
"""The names that dashboards of Coder's AI Bridge know, with our prefix, and their labels."""

OURS = {
    "aibridge_refusals": {"reason", "kind", "policy", "class"},
    "aibridge_queue_wait_seconds": {"class", "outcome"},
    "aibridge_unread_answers": {"provider", "why"},
    "aibridge_upstream_calls": {"provider"},
    "aibridge_upstream_errors": {"provider", "kind"},
    "aibridge_first_byte_seconds": {"provider"},
    "aibridge_added_seconds": {"provider"},
    "aibridge_bytes": {"provider", "direction"},
    "aibridge_folded": {"metric"},
    "aibridge_reactor_lag_seconds": set(),
    "aibridge_reactor_long_turn_seconds": set(),
    "aibridge_reloads": {"outcome"},
}
"""What it lacks."""


def make(models: int = 200, principals: int = 10000) -> Metrics:
    """
    Metrics on a registry of their own.
    """
    return Metrics(CollectorRegistry(), models, principals)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """
    One sample, or None if there is no such series.
    """
    found: float | None = metrics.registry.get_sample_value(name, labels)
    return found


def labels_of(metrics: Metrics, name: str, label: str) -> set[str]:
    """
    Every value that a label has.
    """
    return {
        sample.labels[label]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def complete(
    metrics: Metrics, *, bridged: bool = True, agent: str = "Codex", report: Report | None = None, **changes: Any
) -> None:
    """
    An exchange has ended.
    """
    done = completion(**changes)
    metrics.completed(done, bridged=bridged, agent=agent, initiator=done.principal, report=report)


def everything() -> Metrics:
    """
    Metrics in which everything has been counted once.
    """
    metrics = make()
    metrics.ended(metrics.began("openai", "gpt-5.4", "/v1/responses"))
    complete(metrics, attempts=1, report=Report(usage=Usage(1, 2), unread=Unread.TOO_LARGE))
    complete(metrics, bridged=False)
    metrics.refused("gate", "at_capacity")
    metrics.queued("batch", "admitted", 0.5)
    metrics.upstream_failed("openai", "reset")
    metrics.rested("openai", 429)
    metrics.tripped("openai", "/v1/responses", "gpt-5.4")
    metrics.rejected("openai", "/v1/responses", "gpt-5.4")
    metrics._fold("aibridge_tokens_total")
    metrics.lagged(0.001)
    metrics.turned(0.02)
    metrics.reloads.labels("success").inc()
    metrics.provider_info.labels("openai", "openai", "enabled").set(1)
    return metrics


def test_names_and_labels() -> None:
    """
    Exactly these, the known ones under their known names.
    """
    families = {family.name: family for family in everything().registry.collect()}
    assert set(families) == set(CODERS) | set(OURS)
    for name, labels in {**CODERS, **OURS}.items():
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == labels, sample.name


def test_every_metric_is_explained() -> None:
    """
    With a sentence each.
    """
    for family in everything().registry.collect():
        assert family.documentation.endswith("."), family.name


def test_it_can_be_scraped() -> None:
    """
    The text form is one that Prometheus reads.
    """
    text = generate_latest(everything().registry).decode()
    assert {family.name for family in text_string_to_metric_families(text)} >= set(CODERS)


def test_registries_are_apart() -> None:
    """
    Two bridges in one process do not count for each other.
    """
    one, other = make(), make()
    one.refused("gate", "at_capacity")
    labels = {"reason": "gate", "kind": "at_capacity", "policy": "", "class": ""}
    assert value(one, "aibridge_refusals_total", **labels) == 1
    assert value(other, "aibridge_refusals_total", **labels) is None


def test_a_bridged_exchange_is_counted() -> None:
    """
    With its labels, its bytes both ways and its times.
    """
    metrics = make()
    complete(metrics)
    labels = {
        "provider": "openai",
        "model": "gpt-5.4",
        "status": "completed",
        "route": "/v1/chat/completions",
        "method": "POST",
        "initiator_id": "ada",
        "client": "Codex",
    }
    assert value(metrics, "aibridge_interceptions_total", **labels) == 1
    assert value(metrics, "aibridge_bytes_total", provider="openai", direction="to_provider") == 512
    assert value(metrics, "aibridge_bytes_total", provider="openai", direction="to_client") == 2048
    assert value(metrics, "aibridge_first_byte_seconds_sum", provider="openai") == 0.75
    assert value(metrics, "aibridge_added_seconds_sum", provider="openai") == 0.000125
    assert value(metrics, "aibridge_interceptions_duration_seconds_sum", provider="openai", model="gpt-5.4") == 3.5
    assert labels_of(metrics, "aibridge_passthrough_total", "route") == set()


def test_a_passthrough_exchange_is_counted_as_such() -> None:
    """
    By its route's pattern; it is no interception, and its model is nobody's business.
    """
    metrics = make()
    complete(metrics, bridged=False, route="/v1/models/*", method="GET")
    assert value(metrics, "aibridge_passthrough_total", provider="openai", route="/v1/models/*", method="GET") == 1
    assert labels_of(metrics, "aibridge_interceptions_total", "model") == set()
    assert metrics.models.known("gpt-5.4") == OTHER


def test_refusals_say_by_which_limit() -> None:
    """
    And of which class the principal was.
    """
    metrics = make()
    metrics.refused("rate", "rate_limited", "per-principal", "batch")
    labels = {"reason": "rate", "kind": "rate_limited", "policy": "per-principal", "class": "batch"}
    assert value(metrics, "aibridge_refusals_total", **labels) == 1


def test_tokens_are_counted_by_type() -> None:
    """
    The four that add up, and what vendors tell beside them; not those that are zero.
    """
    metrics = make()
    usage = Usage(input=10, output=5, cache_read=7, extras={"output_reasoning": 3, "total_tokens": 0})
    complete(metrics, report=Report(usage=usage))
    complete(metrics, report=Report())
    told = {
        sample.labels["type"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "aibridge_tokens_total"
    }
    assert told == {"input": 10, "output": 5, "cache_read_input_tokens": 7, "output_reasoning": 3}


def test_what_could_not_be_read_is_counted() -> None:
    """
    By why.
    """
    metrics = make()
    complete(metrics, report=Report(unread=Unread.ENCODED))
    assert value(metrics, "aibridge_unread_answers_total", provider="openai", why="encoded") == 1


def test_every_call_is_counted() -> None:
    """
    Also on passthrough routes, and those that had no answer.
    """
    metrics = make()
    complete(metrics, attempts=3)
    complete(metrics, attempts=1, bridged=False, upstream_status=0)
    assert value(metrics, "aibridge_upstream_calls_total", provider="openai") == 4


def test_why_keys_rest() -> None:
    """
    In Coder's words.
    """
    metrics = make()
    metrics.rested("openai", 429)
    metrics.rested("openai", 401)
    assert labels_of(metrics, "aibridge_key_pool_state_transitions_total", "reason") == {"rate_limited", "unauthorized"}


def test_breakers_make_no_series_of_what_clients_say() -> None:
    """
    A model that no provider has served is ``other``.
    """
    metrics = make()
    complete(metrics)
    for model in ("made-up", "gpt-5.4"):
        metrics.tripped("openai", "/v1/responses", model)
        metrics.rejected("openai", "/v1/responses", model)
    assert labels_of(metrics, "aibridge_circuit_breaker_trips_total", "model") == {OTHER, "gpt-5.4"}
    assert labels_of(metrics, "aibridge_circuit_breaker_rejects_total", "model") == {OTHER, "gpt-5.4"}


@pytest.mark.parametrize(
    ("cause", "upstream_status", "status"),
    [
        ("completed", 200, "completed"),
        ("completed", 304, "completed"),
        ("completed", 400, "failed"),
        ("completed", 529, "failed"),
        ("client_left", 200, "failed"),
        ("truncated", 200, "failed"),
        ("connect", 0, "failed"),
    ],
)
def test_how_it_ended(cause: str, upstream_status: int, status: str) -> None:
    """
    Completed is what came whole and was no error of the provider's.
    """
    metrics = make()
    complete(metrics, cause=cause, upstream_status=upstream_status)
    assert labels_of(metrics, "aibridge_interceptions_total", "status") == {status}


@pytest.mark.parametrize(
    ("cause", "upstream_status"), [("completed", 404), ("completed", 302), ("truncated", 200), ("connect", 0)]
)
def test_models_are_learnt_from_success_alone(cause: str, upstream_status: int) -> None:
    """
    A name that no provider has served is no series.
    """
    metrics = make()
    complete(metrics, model="made-up", cause=cause, upstream_status=upstream_status)
    assert labels_of(metrics, "aibridge_interceptions_total", "model") == {OTHER}
    complete(metrics, model="made-up")
    complete(metrics, model="made-up", cause=cause, upstream_status=upstream_status)
    assert labels_of(metrics, "aibridge_interceptions_total", "model") == {OTHER, "made-up"}


def test_asking_teaches_no_model() -> None:
    """
    An exchange that begins knows only the models that have been served.
    """
    metrics = make()
    began = metrics.began("openai", "gpt-5.4", "/v1/responses")
    assert began == ("openai", OTHER, "/v1/responses")
    complete(metrics)
    assert metrics.began("openai", "gpt-5.4", "/v1/responses") == ("openai", "gpt-5.4", "/v1/responses")


def test_what_began_ends() -> None:
    """
    The gauge returns to zero, also when the model became known in between.
    """
    metrics = make()
    first = metrics.began("openai", "gpt-5.4", "/v1/responses")
    second = metrics.began("openai", "gpt-5.4", "/v1/responses")
    labels = {"provider": "openai", "model": OTHER, "route": "/v1/responses"}
    assert value(metrics, "aibridge_interceptions_inflight", **labels) == 2
    complete(metrics)
    metrics.ended(first)
    metrics.ended(second)
    assert value(metrics, "aibridge_interceptions_inflight", **labels) == 0


def test_times_are_those_of_answers() -> None:
    """
    An exchange that no provider answered has no time to the first byte.
    """
    metrics = make()
    complete(metrics, cause="connect", upstream_status=0, bytes_in=0, bytes_out=0)
    assert value(metrics, "aibridge_first_byte_seconds_count", provider="openai") is None
    assert value(metrics, "aibridge_bytes_total", provider="openai", direction="to_client") is None


def test_methods_are_a_closed_set() -> None:
    """
    Made-up ones are counted together.
    """
    metrics = make()
    for method in ("GET", "QUACK", "get", ""):
        complete(metrics, bridged=False, method=method)
    assert labels_of(metrics, "aibridge_passthrough_total", "method") == {"GET", OTHER}


@given(st.lists(st.text(st.characters(), max_size=140), max_size=40))
def test_series_are_bounded(names: list[str]) -> None:
    """
    Whatever names clients make up, also where providers serve them all: a fixed number of series, and a page that can
    be scraped.
    """
    metrics = make(models=3, principals=4)
    for name in names:
        metrics.ended(metrics.began("openai", name, "/v1/responses"))
        complete(metrics, model=name, principal=name)
    assert len(labels_of(metrics, "aibridge_interceptions_total", "model")) <= 3 + 1
    assert len(labels_of(metrics, "aibridge_interceptions_total", "initiator_id")) <= 4 + 1
    assert len(labels_of(metrics, "aibridge_interceptions_inflight", "model")) <= 3 + 1
    text = generate_latest(metrics.registry).decode()
    assert list(text_string_to_metric_families(text))


def test_names_that_came_first_stay() -> None:
    """
    A series never changes its meaning; what comes later is ``other``, until the process ends.
    """
    names = Names(2)
    assert [names.learn(name) for name in ("a", "b", "c", "a", "b")] == ["a", "b", OTHER, "a", "b"]
    assert [names.known(name) for name in ("a", "c")] == ["a", OTHER]


@pytest.mark.parametrize("name", ["a\nb", "\x1b[0m", "\ud800", "x" * 129])
def test_names_that_are_no_names(name: str) -> None:
    """
    Control characters, halves of characters, and what is longer than any name.
    """
    names = Names(10)
    assert names.learn(name) == OTHER
    assert names.known(name) == OTHER
    assert names.learn("x" * 128) == "x" * 128


def test_principals_can_be_left_out() -> None:
    """
    Then the label has no value, which to Prometheus is none, and a thousand of them are one series.
    """
    metrics = make()
    metrics.bound(by_principal=False, series=1000)
    for number in range(100):
        complete(metrics, principal=f"p{number}", report=Report(usage=Usage(1, 2)))
    for name in ("aibridge_interceptions_total", "aibridge_tokens_total"):
        assert labels_of(metrics, name, "initiator_id") == {""}
    metrics.bound(by_principal=True, series=1000)
    complete(metrics, principal="ada")
    assert labels_of(metrics, "aibridge_interceptions_total", "initiator_id") == {"", "ada"}


def test_there_is_a_bound_on_series() -> None:
    """
    Who comes later is counted under other, and how often is counted too; no count is lost.
    """
    metrics = make()
    metrics.bound(by_principal=True, series=100)
    for number in range(1000):
        complete(metrics, principal=f"p{number}", agent=("Codex", "Claude Code")[number % 2])
    name = "aibridge_interceptions_total"
    counts = [sample.value for family in metrics.registry.collect() for sample in family.samples if sample.name == name]
    assert (len(counts), sum(counts)) == (101, 1000)
    assert {"p0", "p99", OTHER} < labels_of(metrics, name, "initiator_id")
    assert labels_of(metrics, name, "client") == {"Codex", "Claude Code", OTHER}
    assert labels_of(metrics, name, "model") == {"gpt-5.4"}
    assert value(metrics, "aibridge_folded_total", metric=name) == 900


def test_principals_beyond_those_that_are_known_are_counted() -> None:
    """
    As what is folded.
    """
    metrics = make(principals=2)
    for name in "abcd":
        complete(metrics, principal=name)
    assert value(metrics, "aibridge_folded_total", metric="aibridge_interceptions_total") == 2
