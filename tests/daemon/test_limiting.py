"""
Tests for `aibridge.daemon.limiting`.
"""

from __future__ import annotations

from typing import Any

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.breakers import Breakers
from aibridge.admission.keypool import KeyPool
from aibridge.admission.learned import Learned
from aibridge.admission.policies import Policies
from aibridge.admission.report import report
from aibridge.admission.retries import RetryBudget
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.daemon.config import Loaded, load
from aibridge.daemon.limiting import configured_limiters, limiters, sources
from aibridge.secret import Secret

FILE = """
[auth]
backend = "none"
[admission]
max_concurrency = 10
[breaker]
enabled = true
[[provider]]
name = "demo"
type = "demo"
max_concurrency = 5
[[limit]]
scope = "global"
unit = "tokens/min"
limit = 50000
"""


def loaded(tmp_path: Any) -> Loaded:
    """
    A configuration from a file and the environment.
    """
    path = tmp_path / "aibridge.toml"
    path.write_text(FILE)
    return load(str(path), {"AIBRIDGE_RATE_LIMIT": "5"}, {"max-concurrency": "20"})


def test_sources(tmp_path: Any) -> None:
    """
    Each option's, and each limit's as a whole.
    """
    told = sources(loaded(tmp_path))
    assert told["admission.max_concurrency"] == "option --max-concurrency"
    assert told["admission.rate_limit"] == "environment AIBRIDGE_RATE_LIMIT"
    assert told["admission.queue_size"] == "default"
    assert told["provider[0].max_concurrency"] == told["limit[0]"] == str(tmp_path / "aibridge.toml")


def test_as_configured(tmp_path: Any) -> None:
    """
    Without a daemon all limits are told, at rest.
    """
    told = report(configured_limiters(loaded(tmp_path)), None, 0.0)
    assert [(row["what"], row["limit"], row["in_use"]) for row in told["gate"]["limits"]] == [
        ("all", 20, 0),
        ("provider demo", 5, 0),
        ("each principal", None, None),
    ]
    assert [(row["policy"], row["source"]) for row in told["limits"]] == [
        ("per-principal", "environment AIBRIDGE_RATE_LIMIT"),
        ("global-tokens", str(tmp_path / "aibridge.toml")),
    ]
    assert told["breakers"]["timeout_s"] == 30.0
    assert told["memory"]["limit"] == 67108864


def test_as_enforced(tmp_path: Any) -> None:
    """
    With a daemon's own objects, what they say is told.
    """
    seats = Seats(SeatTerms(), lambda: 0.0, lambda: 0.0)
    policies = Policies()
    breakers = Breakers(BreakerTerms())
    pools, budgets = {"demo": KeyPool([Secret("k")])}, {"demo": RetryBudget()}
    learned = Learned()
    made = limiters(loaded(tmp_path), seats, policies, breakers, pools, budgets, learned)
    assert made.learned is learned
    assert (made.seats, made.policies, made.breakers) == (seats, policies, breakers)
    assert (made.pools, made.budgets) == (pools, budgets)
    assert made.providers == ["demo"]
    assert made.terms.providers == {"demo": 5}
