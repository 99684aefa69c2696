"""
One circuit breaker, and what counts against it; what calls meet is in the tests of the table.
"""

from __future__ import annotations

import pytest

from aibridge import errors
from aibridge.admission.breaker import (
    HALF_OPEN_WAIT_S,
    Breaker,
    BreakerTerms,
    Core,
    Row,
    State,
    is_failure,
    is_success,
    make_breaker,
)
from aibridge.model import Dialect
from making import concrete_errors


def breaker(terms: BreakerTerms) -> tuple[Breaker, Core, list[State]]:
    """
    A breaker, what it remembers, and the states that it enters.
    """
    entered: list[State] = []
    core = Core(terms, entered.append, iter(range(1, 100)).__next__)
    return make_breaker(core), core, entered


@pytest.mark.parametrize("error", concrete_errors(), ids=lambda error: error.__name__)
def test_errors_that_count(error: type[errors.BridgeError]) -> None:
    """
    No connection, no answer in time, or half of one; not what the bridge refused, not who left.
    """
    counted = {
        "ResolveFailed",
        "ConnectFailed",
        "ConnectTimeout",
        "TLSFailed",
        "FirstByteTimeout",
        "UpstreamTruncated",
    }
    for dialect in Dialect:
        assert is_failure(error(), dialect) is (error.__name__ in counted)
    assert not is_success(error())


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 529])
def test_statuses_that_count(status: int) -> None:
    """
    503 and 504, and 529 where that is the vendor's word for overload.
    """
    for dialect in Dialect:
        expected = status in (503, 504) or (status == 529 and dialect is Dialect.MESSAGES)
        assert is_failure(status, dialect) is expected
    assert is_success(status) is (status < 400)


def test_a_row() -> None:
    """
    It counts whose failures they are, forgets those of long ago, and keeps no more than are needed.
    """
    row, terms = Row(), BreakerTerms(failure_threshold=3, interval_s=10)
    assert (bool(row), row.of_several()) == (False, 0)
    for principal, now in [("alice", 0.0), ("bob", 5.0), ("bob", 6.0), ("", 7.0), ("carol", 8.0)]:
        row.add(principal, now, terms)
    assert (bool(row), row.of("bob"), row.of("eve"), row.of_several()) == (True, 2, 0, 3)
    for _ in range(100):
        row.add("bob", 11.0, terms)
    assert (row.of("alice"), row.of("bob"), row.of_several()) == (0, 3, 2)
    row.clear()
    assert not row


def test_states() -> None:
    """
    Closed, open, half-open, open again, half-open, closed; the value of each is that of its metric.
    """
    machine, core, entered = breaker(BreakerTerms(failure_threshold=2, timeout_s=10, max_requests=1))
    assert core.state is State.CLOSED
    assert machine.admit(0, "") == 0
    machine.fail(0, 0, "")
    machine.fail(1, 0, "")
    assert (core.state, machine.admit(4, "")) == (State.OPEN, 7)
    machine.pass_time(11)
    assert (machine.admit(11, ""), core.round) == (0, 1)
    assert machine.admit(11, "") == HALF_OPEN_WAIT_S
    machine.fail(12, 1, "")
    machine.pass_time(22)
    assert (machine.admit(22, ""), core.round) == (0, 2)
    machine.succeed(23, 1, "")
    assert entered[-1] is State.HALF_OPEN
    machine.succeed(23, 2, "")
    assert [state.value for state in entered] == [1, 0.5, 1, 0.5, 0]


def test_time_does_nothing_by_itself() -> None:
    """
    Until somebody asks, an open breaker stays open; then, and not before its time, it may be tried.
    """
    machine, core, entered = breaker(BreakerTerms(failure_threshold=1, timeout_s=10))
    machine.pass_time(5)
    machine.fail(5, 0, "")
    machine.pass_time(14.9)
    assert (core.state, core.is_idle(14.9), core.is_idle(15)) == (State.OPEN, False, True)
    machine.pass_time(15)
    assert entered == [State.OPEN, State.HALF_OPEN]
    machine.admit(15, "")
    assert not core.is_idle(15)
    machine.give_back(core.round, "")
    assert core.is_idle(15)
