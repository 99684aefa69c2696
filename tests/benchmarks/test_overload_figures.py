"""
Tests for `benchmarks.overload.figures`.
"""

from __future__ import annotations

import math

import pytest

from benchmarks.overload.callers import Caller, Obedient, Steady
from benchmarks.overload.crowd import Answer
from benchmarks.overload.figures import Figures, Window, figures, percentile
from benchmarks.overload.scenes import Scene, Size, Terms

SIZE = Size(permits=10, service_ms=50)
WINDOW = Window(1.0, 3.0)
A, B = Steady("a", "a"), Steady("b", "b")


def answer(
    caller: Caller = A,
    *,
    due: float = 1.0,
    took: float = 0.05,
    status: int = 200,
    purpose: str = "-",
    reason: str = "-",
) -> Answer:
    """
    A request, sent a millisecond late.
    """
    retry = 2000 if status == 429 else None
    return Answer(caller, purpose, due, due + 0.001, due + took, status, retry, reason)


def refused(caller: Caller = A, *, policy: str = "queue", took: float = 0.001, due: float = 1.0) -> Answer:
    """
    One that the gate refused.
    """
    return answer(caller, due=due, took=took, status=503, reason=f'gate; policy="{policy}"')


def of(name: str, *answers: Answer) -> Figures:
    """
    The figures of a scene of these answers.
    """
    callers = tuple({each.caller.name: each.caller for each in answers}.values())
    return figures(Scene(name, Terms("terms", 10), callers, 1.0), answers, WINDOW, SIZE)


@pytest.mark.parametrize(
    ("part", "found"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_percentiles(part: float, found: float) -> None:
    """
    The smallest value that so many do not exceed, in whatever order they come.
    """
    assert percentile(range(100, 0, -1), part) == found


def test_percentile_of_few() -> None:
    """
    Of one value all of them are that; of none there is none.
    """
    assert percentile([7.0], 0.01) == percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.5))


def test_goodput() -> None:
    """
    Answers that were whole within the window, whenever they were due, as a part of the capacity: here of 400.
    """
    found = of(
        "load-1",
        answer(due=0.97),
        *(answer(due=1.5) for _ in range(98)),
        answer(due=2.9),
        answer(due=2.96),
        answer(due=0.9),
        answer(due=1.5, status=0),
        refused(due=1.5),
    )
    assert found["goodput"] == pytest.approx(100 / 400)


def test_latencies_of_those_due_within_the_window() -> None:
    """
    Whenever they were answered; from when they were due.
    """
    found = of("load-1", answer(due=0.9, took=9.0), answer(due=1.0, took=0.06), answer(due=2.9, took=1.0))
    assert (found["asked"], found["asked_per_s"]) == (2, 1)
    assert found["admitted_p50_ms"] == pytest.approx(60)
    assert found["admitted_p99_ms"] == pytest.approx(1000)
    assert found["load_late_p99_ms"] == pytest.approx(1)


def test_those_who_had_a_place_are_told_apart() -> None:
    """
    Displaced and timed out ones have waited, others were refused when they came.
    """
    found = of(
        "load-2",
        refused(policy="daemon", took=0.001),
        refused(policy="queue", took=0.002),
        refused(policy="displaced", took=0.03),
        refused(policy="timeout", took=0.5),
        *(answer() for _ in range(6)),
    )
    assert (found["refused"], found["displaced"]) == (0.2, 0.2)
    assert found["refused_p99_ms"] == pytest.approx(2)
    assert found["sent_away_p99_ms"] == pytest.approx(500)
    assert found["displaced_p50_ms"] == pytest.approx(30)
    assert found["displaced_p99_ms"] == pytest.approx(500)


def test_unanswered_ones_count_wherever_they_are() -> None:
    """
    Before the window and after it, too.
    """
    found = of("load-1", answer(due=0.5, status=0), answer(due=5.0, status=0), answer(due=1.5))
    assert found["unanswered"] == 2


def test_what_there_is_nothing_of_is_left_out() -> None:
    """
    Nobody was refused, so nobody was told late.
    """
    found = of("load-1", answer())
    assert "refused_p99_ms" not in found
    assert found["refused"] == 0


def test_shares_of_equals() -> None:
    """
    The least and the most that one of them got, as a part of what each would get; one that got nothing is one, too.
    """
    c = Steady("c", "c")
    found = of("load-2", *[answer(A)] * 4, *[answer(B)] * 2, refused(c))
    assert found["least_share"] == 0
    assert found["most_share"] == pytest.approx(2)


def test_the_ten_and_the_crowd() -> None:
    """
    What the ten lose, how long they wait beyond the service time, and how much of what each side asked for it got.
    """
    ten, crowd = Steady("ten-1", "ten"), Steady("crowd", "crowd")
    found = of(
        "fair", *[answer(ten, took=0.09)] * 3, refused(ten), *[answer(crowd, took=0.2)] * 3, *[refused(crowd)] * 9
    )
    assert (found["ten_asked"], found["ten_lost"]) == (4, 1)
    assert found["ten_wait_p99_ms"] == pytest.approx(40)
    assert (found["ten_share"], found["crowd_share"]) == (0.5, 0.5)
    assert (found["ten_served"], found["crowd_served"]) == (0.75, 0.25)


def test_a_request_of_the_ten_without_an_answer_is_lost() -> None:
    """
    As much as a refused one.
    """
    assert of("fair", answer(Steady("ten-1", "ten"), status=0))["ten_lost"] == 1


def test_classes() -> None:
    """
    What `interactive` loses, and what all of them get of what they asked for.
    """
    person, other, job = (Steady(name, name, name) for name in ("interactive", "default", "batch"))
    found = of("classes", answer(person, took=0.06), answer(person), answer(other), refused(other), *[refused(job)] * 3)
    assert (found["interactive_asked"], found["interactive_lost"]) == (2, 0)
    assert found["interactive_wait_p99_ms"] == pytest.approx(10)
    assert [found[f"{name}_served"] for name in ("interactive", "default", "batch")] == [1, 0.5, 0]


def test_waits() -> None:
    """
    Those who came exactly then are to be admitted, those who came early refused: by the bucket, and nobody else.
    """
    second, tenth = Obedient("o-1", "early-1000"), Obedient("o-2", "early-100")
    found = of(
        "waits",
        answer(second, purpose="ask", status=429),
        answer(second, purpose="early", status=429),
        answer(second, purpose="early", status=503),
        answer(second, purpose="exact"),
        answer(second, purpose="exact", status=429),
        answer(second, purpose="exact"),
        answer(second, purpose="exact"),
        answer(tenth, purpose="early", status=429),
        answer(A),
    )
    assert (found["exact_asked"], found["exact_admitted"]) == (4, 0.75)
    assert (found["early_1000_asked"], found["early_1000_refused"]) == (2, 0.5)
    assert (found["early_100_asked"], found["early_100_refused"]) == (1, 1)
    assert found["told_ms"] == 2000
