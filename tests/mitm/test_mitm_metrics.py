"""
Tests for `aibridge.mitm.metrics`.
"""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from aibridge.mitm.metrics import PREFIX, ProxyMetrics


@pytest.fixture
def metrics() -> ProxyMetrics:
    """
    On a registry of their own.
    """
    return ProxyMetrics(CollectorRegistry())


def series(metrics: ProxyMetrics) -> dict[str, float]:
    """
    What Prometheus would be told, but for what is 0.
    """
    lines = generate_latest(metrics.registry).decode().splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name.removeprefix(PREFIX): float(value) for name, _, value in found if float(value)}


def test_what_is_counted(metrics: ProxyMetrics) -> None:
    """
    Each under its own name, with labels from closed sets and from the configuration.
    """
    metrics.session_began("mitm")
    metrics.session_began("tunneled")
    metrics.refused("auth", "unauthenticated")
    metrics.handshake_failed("tls_untrusted")
    metrics.tunnelled(3, 5)
    metrics.leaf_looked_up("miss")
    metrics.request_began("openai")
    metrics.request_began("openai")
    metrics.request_ended("openai")
    metrics.responded(200, "openai")
    metrics.bridge_failed("openai", "connect")
    metrics.lagged(0.25)
    metrics.turned(0.5)
    found = series(metrics)
    assert (found.pop("reactor_lag_seconds_sum"), found.pop("reactor_long_turn_seconds_sum")) == (0.25, 0.5)
    assert {name: value for name, value in found.items() if not name.startswith("reactor_")} == {
        'connect_sessions_total{type="mitm"}': 1,
        'connect_sessions_total{type="tunneled"}': 1,
        'refusals_total{kind="unauthenticated",reason="auth"}': 1,
        'tls_failures_total{kind="tls_untrusted"}': 1,
        'tunnel_bytes_total{direction="to_host"}': 3,
        'tunnel_bytes_total{direction="to_client"}': 5,
        'leaf_cache_total{outcome="miss"}': 1,
        'mitm_requests_total{provider="openai"}': 2,
        'inflight_mitm_requests{provider="openai"}': 1,
        'mitm_responses_total{code="200",provider="openai"}': 1,
        'bridge_errors_total{kind="connect",provider="openai"}': 1,
    }


def test_what_is_looked_up(metrics: ProxyMetrics) -> None:
    """
    Gauges, and the count of reloads.
    """
    metrics.leaf_entries.set(3)
    metrics.ca_expires_at.set(7)
    metrics.connections.labels("mitm").set(2)
    metrics.reloads.labels("success").inc()
    metrics.reloaded_at.set(9)
    metrics.provider_info.labels("openai", "openai").set(1)
    metrics.lost_completions.set(4)
    found = series(metrics)
    created = [name for name in found if "_created" in name]
    assert {name: value for name, value in found.items() if name not in created} == {
        "leaf_cache_entries": 3,
        "ca_expires_timestamp_seconds": 7,
        'client_connections{type="mitm"}': 2,
        'reloads_total{outcome="success"}': 1,
        "last_reload_success_timestamp_seconds": 9,
        'provider_info{provider_name="openai",provider_type="openai"}': 1,
        "completions_lost": 4,
    }
