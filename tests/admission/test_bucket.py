"""
Leaky buckets: how much is let in, and what those are told who must wait.
"""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aibridge.admission.bucket import ENTRY_BYTES, Buckets, Origin, whole_seconds

STARTS = st.sampled_from([0.0, 0.1, 1234.5, 1e6, 3e7])
"""Monotonic clocks begin anywhere; a machine that runs for a year is at 3e7."""
RATES = st.sampled_from([0.01, 0.5, 1.0, 2.0, 3.0, 10.0, 1000.0]) | st.floats(0.01, 10000)
BURSTS = st.sampled_from([1.0, 2.0, 10.0]) | st.floats(1, 1000)


def waits(count: int, *, rate: float, burst: float, step: float = 0.0) -> list[float]:
    """
    What so many requests are told, one each `step` seconds.
    """
    buckets = Buckets(10)
    return [buckets.take("a", 1000 + step * number, rate, burst) for number in range(count)]


def test_five_at_once_with_a_limit_of_two() -> None:
    """
    The first two are let in, the others are not, and all three are told the same since refused ones do not count.
    """
    assert waits(5, rate=2, burst=2) == [0, 0, 0.5, 0.5, 0.5]


def test_one_at_a_time_with_a_limit_of_one() -> None:
    """
    Twice the rate is let in every other time.
    """
    assert [wait == 0 for wait in waits(6, rate=1, burst=1, step=0.5)] == [True, False, True, False, True, False]


def test_a_steady_client_at_its_limit() -> None:
    """
    Whoever asks exactly as often as allowed is never refused, not at any border of any window.
    """
    assert not any(waits(10000, rate=3, burst=1, step=1 / 3))


def test_fractions_of_a_request_per_second() -> None:
    """
    One in two seconds is a rate like others.
    """
    assert waits(3, rate=0.5, burst=1, step=1) == [0, 1, 0]


def test_a_cost_of_more_than_one() -> None:
    """
    It takes as much room as it says.
    """
    buckets = Buckets(10)
    assert buckets.take("a", 0, 1, 10, cost=8) == 0
    assert buckets.take("a", 0, 1, 10, cost=3) == pytest.approx(1)
    assert buckets.take("a", 0, 1, 10, cost=2) == 0


def test_level() -> None:
    """
    It rises with what is let in and leaks with time, down to nothing.
    """
    buckets = Buckets(10)
    assert buckets.level("a", 5, 2) == 0
    for _ in range(4):
        buckets.take("a", 5, 2, 3)
    assert [buckets.level("a", now, 2) for now in (5, 5.5, 6, 6.5, 100)] == [3, 2, 1, 0, 0]


def test_keys_are_apart() -> None:
    """
    Five tokens with a limit of one: all pass.
    """
    buckets = Buckets(10)
    assert [buckets.take(key, 0, 1, 1) for key in "abcde"] == [0] * 5
    assert all(buckets.take(key, 0, 1, 1) for key in "abcde")


def test_the_table_is_bounded() -> None:
    """
    Beyond its size nobody is forgotten who has something in a bucket; others share what there is for them.
    """
    buckets = Buckets(3, cells=1)
    for key in "abc":
        buckets.take(key, 0, 1, 1)
    assert buckets.take("d", 0, 1, 1) == 0
    assert [buckets.take(key, 0, 1, 1) for key in "abcde"] == [1] * 5
    assert [buckets.level(key, 0.25, 1) for key in "abcde"] == [0.75] * 5
    assert len(buckets) == 3


def test_the_empty_are_forgotten() -> None:
    """
    Once a bucket is empty, its place is somebody else's, who begins where those stand that had no place.
    """
    buckets = Buckets(2, cells=1)
    buckets.take("a", 0, 1, 2)
    buckets.take("b", 0, 1, 2)
    buckets.take("b", 0, 1, 2)
    buckets.take("c", 0.5, 1, 2)
    buckets.take("c", 0.5, 1, 2)
    assert [buckets.level(key, 1.25, 1) for key in "abc"] == [0, 0.75, 1.25]
    assert buckets.take("d", 1.25, 1, 2) == 0.25
    assert buckets.take("d", 1.5, 1, 2) == 0
    assert [buckets.level(key, 1.5, 1) for key in "abcd"] == [1, 0.5, 1, 2]
    assert len(buckets) == 2


def test_a_sharp_eye_on_the_empty_is_not_needed() -> None:
    """
    With a few that are busy and endless others that come once, the table stays small by itself.
    """
    buckets = Buckets()
    for number in range(5000):
        buckets.take(f"once {number}", number, 1, 1)
        for busy in "abc":
            buckets.take(busy, number, 0.1, 1)
    assert len(buckets) < 20


def test_other_keys_share_many_cells() -> None:
    """
    What one key without a place adds is felt by few of the others.
    """
    buckets = Buckets(0)
    buckets.take("a", 0, 1, 1)
    felt = sum(bool(buckets.level(f"other {number}", 0, 1)) for number in range(1000))
    assert felt < 100
    assert buckets.level("a", 0, 1) == 1


@given(st.lists(st.text(max_size=2)), st.integers(1, 5))
def test_any_keys_stay_within_the_size(keys: list[str], size: int) -> None:
    """
    Whatever they are.
    """
    buckets = Buckets(size)
    for key in keys:
        buckets.take(key, 0, 1, 2)
        assert len(buckets) <= size


@given(
    STARTS,
    RATES,
    BURSTS,
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ab"), st.booleans()), min_size=1, max_size=60),
)
def test_never_more_than_burst_and_rate(
    start: float, rate: float, burst: float, asked: list[tuple[float, str, bool]]
) -> None:
    """
    In any window of time, however it is cut and whatever was asked in it: at most the burst, and what has leaked.

    Times go on by a part of what would fill the bucket, or by exactly what the last one was told to wait.
    """
    buckets = Buckets(10)
    now, told = start, 0.0
    admitted: dict[str, list[float]] = {"a": [], "b": []}
    for step, key, patient in asked:
        now += told if patient else step / rate
        told = buckets.take(key, now, rate, burst)
        if not told:
            admitted[key].append(now)
    for times in admitted.values():
        for first, begin in enumerate(times):
            for last in range(first, len(times)):
                allowed = burst + rate * (times[last] - begin)
                assert last - first + 1 <= allowed + 1e-7 * rate + 1e-9 * burst


@given(STARTS, RATES, BURSTS, st.lists(st.floats(0, 1), max_size=20))
def test_waiting_as_told_is_enough_and_needed(start: float, rate: float, burst: float, steps: list[float]) -> None:
    """
    Whoever waits exactly as long as told is let in; one part in a hundred or one second less, and not. Those who come
    too early lose nothing by it.
    """
    buckets = Buckets(10)
    now = start
    for step in steps:
        now += step / rate
        buckets.take("a", now, rate, burst)
    wait = 0.0
    while not wait:
        wait = buckets.take("a", now, rate, burst)
    assert 0 < wait <= 1 / rate + 1e-6
    assert buckets.take("a", now, rate, burst) == wait
    if wait > 1e-5:
        assert buckets.take("a", now + wait * 0.99, rate, burst)
    if wait > 1:
        assert buckets.take("a", now + wait - 1, rate, burst)
    assert buckets.take("a", now + wait, rate, burst) == 0.0


@given(STARTS, RATES, BURSTS, st.integers(1, 30))
def test_retry_after_is_enough(start: float, rate: float, burst: float, count: int) -> None:
    """
    The whole seconds that a client is told let it in, and the bucket is no emptier for having been asked.
    """
    buckets = Buckets(10)
    for _ in range(int(burst) + count):
        wait = buckets.take("a", start, rate, burst)
    assume(wait)
    assert buckets.take("a", start + whole_seconds(wait), rate, burst) == 0.0


@given(STARTS, RATES, BURSTS, RATES, BURSTS)
def test_other_terms_from_now_on(start: float, rate: float, burst: float, new_rate: float, new_burst: float) -> None:
    """
    A bucket that was filled under other limits is at most full under the new ones: nobody waits at a raised rate for
    what a low one would take, nor is let in beyond the new burst.
    """
    buckets = Buckets(10)
    for _ in range(int(burst) + 1):
        buckets.take("a", start, rate, burst)
    count = 0
    while not (wait := buckets.take("a", start, new_rate, new_burst)):
        count += 1
    assert count <= new_burst + 1e-6 * new_rate
    assert wait <= 1 / new_rate + 2e-6
    assert buckets.take("a", start + wait, new_rate, new_burst) == 0.0


def test_a_raised_limit_helps_at_once() -> None:
    """
    After one request of a hundred seconds each, ten a second means a tenth of a second, and fills from there.
    """
    buckets = Buckets(10)
    assert buckets.take("a", 0, 0.01, 1) == 0
    assert buckets.take("a", 0, 0.01, 1) == 100
    assert buckets.take("a", 0, 10, 10) == pytest.approx(0.1)
    assert [bool(buckets.take("a", 0.3, 10, 10)) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (0.0, 1),
        (1e-9, 1),
        (0.2, 1),
        (1.0, 1),
        (1.0 + 1e-12, 1),
        (1.0 + 4e-9, 1),
        (1.0 + 4e-8, 2),
        (1.001, 2),
        (2.0, 2),
        (44.5, 45),
        (86400.0, 86400),
    ],
)
def test_whole_seconds(wait: float, told: int) -> None:
    """
    Rounded up, as one second less is too early; never 0, which some SDKs take for no header; not up by rounding alone.
    """
    assert whole_seconds(wait) == told


@given(STARTS, RATES, BURSTS, st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1)), max_size=20))
def test_asking_is_not_taking(start: float, rate: float, burst: float, asked: list[tuple[float, float]]) -> None:
    """
    To ask for the wait adds nothing, and the answer is what taking is told.
    """
    buckets, now = Buckets(10), start
    for step, cost in asked:
        now += step / rate
        level = buckets.level("a", now, rate)
        wait = buckets.wait_for("a", now, rate, burst, cost)
        assert buckets.level("a", now, rate) == pytest.approx(min(level, burst), abs=2e-6 * rate)
        assert buckets.take("a", now, rate, burst, cost) == wait


def test_filling_beyond_the_brim() -> None:
    """
    It can be filled with more than it holds, and leaks as it always does.
    """
    buckets = Buckets(10)
    assert buckets.fill("a", 0, 3.0) == "a"
    assert buckets.fill("a", 1, 3.0) == "a"
    assert [buckets.level("a", now, 2) for now in (1, 2, 6, 7)] == [10, 8, 0, 0]
    assert buckets.empty_at("a") == 6


def test_putting_back() -> None:
    """
    No more is taken out than there is, in an entry as in a cell; what is forgotten was empty, and stays so.
    """
    buckets = Buckets(1, cells=1)
    assert buckets.fill("a", 0, 3.0) == "a"
    cell = buckets.fill("b", 0, 3.0)
    assert cell == 0
    for place, key in (("a", "a"), (cell, "b")):
        buckets.put_back(place, 1, 0.5)
        assert buckets.seconds_left(key, 1) == 1.5
        buckets.put_back(place, 1, 5.0)
        assert buckets.seconds_left(key, 1) == 0
    buckets.put_back("c", 1, 5.0)
    assert len(buckets) == 1
    assert buckets.seconds_left("c", 1) == 0


def test_taking_back() -> None:
    """
    What was added is taken out again, but for what has leaked since; also from a cell.
    """
    buckets = Buckets(size=1)
    for key in ("kept", "in a cell"):
        for _ in range(3):
            buckets.take(key, 0.0, 1.0, 5.0)
        buckets.take_back(key, 0.0, 0.0, 1.0)
        assert buckets.level(key, 0.0, 1.0) == 2.0
        buckets.take(key, 0.0, 1.0, 5.0)
        buckets.take_back(key, 0.25, 0.0, 1.0)
        assert buckets.level(key, 0.25, 1.0) == 2.0
        buckets.take_back(key, 1.0, 0.0, 1.0)
        assert buckets.level(key, 1.0, 1.0) == 1.25
    buckets.take_back("never there", 1.0, 1.0, 1.0)
    Buckets().take_back("never there", 1.0, 1.0, 1.0)


@given(
    RATES,
    BURSTS,
    st.integers(1, 3),
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abcd"), st.none() | st.floats(0, 4)), max_size=25),
)
def test_what_is_taken_back_lets_nobody_past_the_limit(
    rate: float, burst: float, size: int, asked: list[tuple[float, str, float | None]]
) -> None:
    """
    Of those that were let in and not taken back, no window has more than the burst and what leaks in it.
    """
    buckets = Buckets(size=size, cells=1)
    later: list[tuple[float, str, float]] = []
    kept: dict[str, list[float]] = {}
    now = 0.0
    for pause, key, back_after in asked:
        now += pause / rate
        for due in sorted(due for due in later if due[0] <= now):
            later.remove(due)
            buckets.take_back(due[1], due[0], due[2], 1.0 / rate)
        if buckets.take(key, now, rate, burst):
            continue
        if back_after is None:
            kept.setdefault(key, []).append(now)
        else:
            later.append((now + back_after / rate, key, now))
    for times in kept.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


def test_the_same_levels_at_another_rate() -> None:
    """
    Half the rate is twice the time, for those with an entry and those without, and for none that are empty.
    """
    buckets = Buckets(2, cells=1)
    buckets.fill("a", 0, 1.0)
    buckets.fill("b", 0, 5.0)
    buckets.fill("c", 0, 9.0)
    buckets.stretch(1, 2.0)
    assert [buckets.seconds_left(key, 1) for key in "abc"] == [0, 8, 16]


def test_room_can_be_taken_and_given() -> None:
    """
    With less memory nobody is forgotten, and nobody new remembered; with more they are again.
    """
    buckets = Buckets(memory=2 * (ENTRY_BYTES + 65), cells=1)
    for key in "abc":
        buckets.fill(key, 0, 10.0)
    assert len(buckets) == 2
    buckets.memory = 0
    buckets.fill("d", 1, 10.0)
    assert [buckets.seconds_left(key, 1) for key in "abcd"] == [9, 9, 19, 19]
    buckets.memory = 10000
    buckets.fill("d", 2, 10.0)
    assert len(buckets) == 3
    assert [buckets.seconds_left(key, 3) for key in "abcd"] == [7, 7, 17, 27]


@pytest.mark.parametrize("form", ["{:032d}", "{}", "\N{SNOWMAN}{:032d}", "{:0300d}"])
@pytest.mark.parametrize("count", [10, 1000, 10923, 21846])
def test_entries_take_no_more_than_they_count(form: str, count: int) -> None:
    """
    Just after the table has grown and at any other time, with short keys and long ones, the memory in use has never
    been more than what is counted.
    """
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        buckets = Buckets()
        for number in range(count):
            buckets.fill(form.format(number), 0, 10.0)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert len(buckets) == count
    assert most < buckets.bytes_used + 2000


def test_memory_is_bounded_whatever_comes() -> None:
    """
    Far more keys than there is memory for, with something in every bucket: what is in use stays below the bound, and
    the last one is limited as the first one is.
    """
    bound = 2_000_000
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        buckets = Buckets(memory=bound)
        for number in range(50000):
            buckets.take(f"{number:032d}", number / 1e6, 0.01, 1)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert most < bound + 10000
    assert len(buckets) > 5000
    assert buckets.bytes_used <= bound
    for number in (0, 49999):
        assert buckets.take(f"{number:032d}", 1, 0.01, 1) > 90


@given(
    st.sampled_from([0, 1, 2]),
    st.sampled_from([1, 2]),
    st.sampled_from([1.0, 2.0, 2.5]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0]), st.sampled_from("abcdef")), max_size=60),
)
def test_no_key_is_let_past_its_limit_by_being_forgotten(
    size: int, cells: int, burst: float, asked: list[tuple[float, str]]
) -> None:
    """
    However small the table: whatever counts for a key is never less full than a bucket of its own would be that
    nobody forgot, and so it is never let in when that would refuse it.
    """
    small, large = Buckets(size, cells=cells), Buckets()
    now = 1000.0
    for step, key in asked:
        now += step
        if not small.take(key, now, 1, burst):
            assert not large.take(key, now, 1, burst)
        for other in "abcdef":
            assert small.level(other, now, 1) >= large.level(other, now, 1) - 1e-9
        assert len(small) <= size


@given(
    st.sampled_from([0, 1, 2]),
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 1.0, 20.0]), st.sampled_from([("a", 1.0), ("b", 0.1), ("c", 10.0)])),
        max_size=60,
    ),
)
def test_limits_of_their_own_hold_without_a_place_too(size: int, asked: list[tuple[float, tuple[str, float]]]) -> None:
    """
    Keys with different rates may share a cell, and none gets past its own.
    """
    small, large = Buckets(size, cells=1), Buckets()
    now = 1000.0
    for step, (key, rate) in asked:
        now += step
        if not small.take(key, now, rate, 2):
            assert not large.take(key, now, rate, 2)


def test_made_up_keys_cost_their_origin() -> None:
    """
    However many keys one origin makes up: newcomers from elsewhere have buckets of their own, and those who were there
    before keep theirs. Its own further keys share a single one.
    """
    buckets = Buckets(memory=100_000, cells=1)
    assert buckets.take("there before", 0, 0.01, 2, origin="office") == 0
    waits = [buckets.take(f"made up {number}", 0, 0.01, 1, origin="flooder") for number in range(5000)]
    alone = waits.count(0.0)
    assert 100 < alone < 200
    assert not any(waits[: alone - 1])
    assert buckets.bytes_used <= 100_000
    for number in range(20):
        assert [bool(buckets.take(f"new {number}", 1, 0.01, 1, origin=f"home {number}")) for _ in range(2)] == [
            False,
            True,
        ]
    assert buckets.take("there before", 1, 0.01, 2, origin="office") == 0
    assert buckets.take("there before", 1, 0.01, 2, origin="office") > 90
    assert buckets.take("new in the office", 1, 0.01, 1, origin="office") == 0
    assert buckets.take("made up 0", 1, 0.01, 1, origin="flooder") > 90
    assert buckets.take("made up last", 1, 0.01, 1, origin="flooder") > 90


@pytest.mark.parametrize("flooders", [1, 2, 10, 50])
def test_several_that_make_up_keys(flooders: int) -> None:
    """
    Each of them ends with as much as is left free, and a newcomer finds room.
    """
    buckets = Buckets(memory=100_000, cells=1)
    for number in range(20_000):
        origin = number % flooders
        buckets.fill(f"made up {number}", 0, 1e6, f"flooder {origin}")
    free = 100_000 - buckets.bytes_used
    assert free == pytest.approx(100_000 / (flooders + 1), abs=400)
    assert buckets.take("new", 0, 1, 1, origin="home") == 0
    assert buckets.take("new", 0, 1, 1, origin="home") == 1


def test_shares_of_a_number_of_entries() -> None:
    """
    Where it is their number that is bounded, that is what is shared.
    """
    buckets = Buckets(8, cells=1)
    for number in range(100):
        buckets.fill(f"made up {number}", 0, 1e6, "flooder")
    assert len(buckets) == 4
    assert buckets.take("new", 0, 1, 1, origin="home") == 0


def test_what_an_origin_shares_is_a_place() -> None:
    """
    It can be taken back and put back there, takes part in a change of the rate, and is forgotten with its last entry
    but for what is in it.
    """
    buckets = Buckets(2, cells=1)
    assert buckets.fill("a", 0, 1.0, "home") == "a"
    place = buckets.fill("b", 0, 8.0, "home")
    assert isinstance(place, Origin)
    assert buckets.seconds_left("c", 0, "home") == 8
    assert buckets.seconds_left("c", 0, "elsewhere") == 0
    buckets.put_back(place, 0, 2.0)
    buckets.take_back("b", 0, 0, 2.0, "home")
    assert buckets.empty_at(place) == 4
    buckets.stretch(0, 2.0)
    assert buckets.seconds_left("b", 0, "home") == 8
    buckets.fill("d", 3, 1.0, "elsewhere")
    assert (len(buckets), buckets.seconds_left("a", 3, "home")) == (1, 5)
    assert buckets.seconds_left("b", 3, "home") == 5


@given(
    st.sampled_from([0, 1, 2, 4]),
    st.sampled_from([1, 2]),
    st.sampled_from([1.0, 2.0, 2.5]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0]), st.sampled_from("abcdef")), max_size=60),
)
def test_no_key_is_let_past_its_limit_by_its_origin(
    size: int, cells: int, burst: float, asked: list[tuple[float, str]]
) -> None:
    """
    As long as it comes from one place: what counts for it is never less full than a bucket of its own.
    """
    origins = {"a": "one", "b": "one", "c": "one", "d": "two", "e": "two", "f": ""}
    small, large = Buckets(size, cells=cells), Buckets()
    now = 1000.0
    for step, key in asked:
        now += step
        if not small.take(key, now, 1, burst, origin=origins[key]):
            assert not large.take(key, now, 1, burst)
        for other, origin in origins.items():
            assert small.level(other, now, 1, origin) >= large.level(other, now, 1) - 1e-9
        assert len(small) <= size


@pytest.mark.parametrize("count", [10, 1000, 10923])
def test_origins_take_no_more_than_they_count(count: int) -> None:
    """
    One for each entry is the worst there is.
    """
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        buckets = Buckets(memory=1e9)
        for number in range(count):
            buckets.fill(f"{number:032d}", 0, 10.0, f"origin {number:032d}")
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert most < buckets.bytes_used + 2000
