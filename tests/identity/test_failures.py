"""
How often an address may fail.
"""

from __future__ import annotations

import pytest

from aibridge.auth.settings import AuthSettings
from aibridge.errors import TooManyFailures, Unauthenticated
from aibridge.identity.failures import Failures

ERROR = Unauthenticated("not known")


def outcomes(failures: Failures, host: str, now: float, count: int) -> str:
    """
    What some failures at one time are answered with: ``u`` for unauthenticated, ``t`` for too many.
    """
    return "".join("u" if failures.count(ERROR, host, now) is ERROR else "t" for _ in range(count))


def test_up_to_the_burst() -> None:
    """
    A burst of failures is answered as failures, and those beyond it are told to wait.
    """
    failures = Failures(0.5, 3, 10)
    assert outcomes(failures, "192.0.2.1", 100.0, 5) == "uuutt"
    refusal = failures.count(ERROR, "192.0.2.1", 100.0)
    assert isinstance(refusal, TooManyFailures)
    assert refusal.retry_after_s == pytest.approx(2.0)
    assert outcomes(failures, "192.0.2.1", 102.0, 2) == "ut"


def test_addresses_do_not_touch_each_other() -> None:
    """
    Each address has its own count, and a /64 of IPv6 is one.
    """
    failures = Failures(1, 1, 10)
    assert outcomes(failures, "192.0.2.1", 0.0, 2) == "ut"
    assert outcomes(failures, "192.0.2.2", 0.0, 2) == "ut"
    assert outcomes(failures, "2001:db8::1", 0.0, 1) == "u"
    assert outcomes(failures, "2001:db8::2", 0.0, 1) == "t"
    assert outcomes(failures, "2001:db8:0:1::1", 0.0, 1) == "u"


def test_waiting_is_not_counting() -> None:
    """
    To ask how long to wait adds nothing, and the answer is that of the next count.
    """
    failures = Failures(0.5, 2, 10)
    assert [failures.wait("192.0.2.1", 0.0) for _ in range(5)] == [0.0] * 5
    assert outcomes(failures, "192.0.2.1", 0.0, 1) == "u"
    assert failures.wait("192.0.2.1", 0.0) == 0.0
    assert outcomes(failures, "192.0.2.1", 0.0, 1) == "u"
    assert failures.wait("192.0.2.1", 0.0) == pytest.approx(2.0)
    assert failures.wait("192.0.2.1", 2.0) == 0.0
    assert outcomes(failures, "192.0.2.1", 2.0, 2) == "ut"


def test_no_limit() -> None:
    """
    A rate of 0 limits nothing and remembers nobody.
    """
    failures = Failures(0, 1, 10)
    assert outcomes(failures, "192.0.2.1", 0.0, 50) == "u" * 50
    assert failures.wait("192.0.2.1", 0.0) == 0.0
    assert len(failures) == 0


def test_the_table_has_a_fixed_size() -> None:
    """
    Addresses without end are remembered only so far, and none of them starts afresh for that.
    """
    failures = Failures(1, 1, 100)
    for number in range(1000):
        failures.count(ERROR, f"198.51.{number // 256}.{number % 256}", 0.0)
    assert len(failures) == 100
    assert outcomes(failures, "198.51.0.0", 0.0, 1) == "t"
    assert outcomes(failures, "198.51.3.231", 0.0, 1) == "t"


def test_settings() -> None:
    """
    The settings say how often and how many.
    """
    failures = Failures.from_settings(AuthSettings(failure_rate=1.0, failure_burst=2.0, failure_addresses=1))
    assert outcomes(failures, "192.0.2.1", 0.0, 3) == "uut"
    assert outcomes(failures, "192.0.2.2", 0.0, 1) == "u"
    assert len(failures) == 1


def test_what_was_no_failure() -> None:
    """
    It can be counted before it is known to be one, and is forgiven then.
    """
    failures = Failures(0.5, 2, 10)
    assert [failures.take("192.0.2.1", 0.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    failures.forgive("192.0.2.1", 0.0, 0.0)
    assert [failures.take("192.0.2.1", 0.0) for _ in range(2)] == [0.0, 2.0]
    failures.forgive("192.0.2.1", 0.5, 0.0)
    assert [failures.take("192.0.2.1", 0.5) for _ in range(2)] == [0.0, 2.0]


def test_a_site_fails_as_four_addresses() -> None:
    """
    Of IPv6; one whose failure is forgiven has it back.
    """
    failures = Failures(1, 2, 100)
    hosts = [f"2001:db8:1:{number:x}::1" for number in range(20)]
    assert [failures.take(host, 0.0) for host in hosts].count(0.0) == 8
    assert failures.wait("2001:db8:1:ffff::1", 0.0) == pytest.approx(0.25)
    assert failures.take("2001:db8:2::1", 0.0) == 0.0
    failures.forgive(hosts[0], 0.0, 0.0)
    assert [failures.take("2001:db8:1:ffff::1", 0.0) for _ in range(2)] == [0.0, pytest.approx(0.25)]
    assert not any(failures.take(f"198.51.100.{number}", 0.0) for number in range(20))


def test_another_kind() -> None:
    """
    Has the same limits, and failures of its own.
    """
    failures = Failures(0.5, 1, 10)
    assert outcomes(failures, "192.0.2.1", 0.0, 2) == "ut"
    assert outcomes(failures.another(), "192.0.2.1", 0.0, 2) == "ut"


def test_a_site_takes_no_place_from_others() -> None:
    """
    However many addresses it fails from.
    """
    failures = Failures(1, 1000, 100)
    for number in range(1000):
        failures.count(ERROR, f"2001:db8:1:{number:x}::1", 0.0)
    assert len(failures) == 50
    assert failures.wait("2001:db8:2::1", 0.0) == 0.0
