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

from aibridge.metrics import OTHER, Metrics, Names
from making import completion

CODERS = {
    "aibridge_interceptions": {"provider", "model", "status", "route", "method", "initiator_id", "client"},
    "aibridge_interceptions_inflight": {"provider", "model", "route"},
    "aibridge_interceptions_duration_seconds": {"provider", "model"},
    "aibridge_passthrough": {"provider", "route", "method"},
    "aibridge_provider_info": {"provider_name", "provider_type", "status"},
    "aibridge_providers_last_reload_success_timestamp_seconds": set(),
}
"""The names that dashboards of Coder's AI Bridge know, with our prefix, and their labels."""

OURS = {
    "aibridge_refusals": {"reason", "kind"},
    "aibridge_upstream_errors": {"provider", "kind"},
    "aibridge_first_byte_seconds": {"provider"},
    "aibridge_added_seconds": {"provider"},
    "aibridge_bytes": {"provider", "direction"},
    "aibridge_permits_in_use": set(),
    "aibridge_permits_limit": set(),
    "aibridge_client_connections": set(),
    "aibridge_upstream_connections": {"provider", "state"},
    "aibridge_reloads": {"outcome"},
    "aibridge_completions_lost": set(),
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


def complete(metrics: Metrics, *, bridged: bool = True, agent: str = "Codex", **changes: Any) -> None:
    """
    An exchange has ended.
    """
    done = completion(**changes)
    metrics.completed(done, bridged=bridged, agent=agent, initiator=done.principal)


def everything() -> Metrics:
    """
    Metrics in which everything has been counted once.
    """
    metrics = make()
    metrics.ended(metrics.began("openai", "gpt-5.4", "/v1/responses"))
    complete(metrics)
    complete(metrics, bridged=False)
    metrics.refused("gate", "at_capacity")
    metrics.upstream_failed("openai", "reset")
    metrics.upstream_connections.labels("openai", "idle").set(1)
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
    assert value(one, "aibridge_refusals_total", reason="gate", kind="at_capacity") == 1
    assert value(other, "aibridge_refusals_total", reason="gate", kind="at_capacity") is None


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
