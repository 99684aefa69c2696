"""
Counts and spreads, as Prometheus sees them.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from aibridge.tally import OTHER, Spread, Tallies, Tally


def lines(registry: CollectorRegistry) -> list[str]:
    """
    What is scraped, without the times of creation that only the library's own have.
    """
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if "_created" not in line]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1000))))
def test_counts_are_the_librarys(events: list[tuple[str, float]]) -> None:
    """
    A scrape says what it would say with the library's own counter.
    """
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("x_total", "X.", ("name",))
    ours.register(Tallies([tally]))
    counter = Counter("x_total", "X.", ("name",), registry=theirs)
    for name, amount in events:
        tally.add((name,), amount)
        counter.labels(name).inc(amount)
    assert lines(ours) == lines(theirs)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-1, 100) | st.sampled_from((0.5, 2.0, 10.0)))))
def test_spreads_are_the_librarys(events: list[tuple[str, float]]) -> None:
    """
    Likewise with its histogram, values on a bound included.
    """
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spread = Spread("x", "X.", ("name",), (0.5, 2, 10))
    ours.register(Tallies([spread]))
    histogram = Histogram("x", "X.", ("name",), registry=theirs, buckets=(0.5, 2, 10))
    for name, value in events:
        spread.observe((name,), value)
        histogram.labels(name).observe(value)
    assert lines(ours) == lines(theirs)


def test_what_goes_down() -> None:
    """
    A gauge goes down as well, and says that it is one.
    """
    registry = CollectorRegistry()
    tally = Tally("x", "X.", ("name",), goes_down=True)
    registry.register(Tallies([tally]))
    tally.add(("a",))
    tally.add(("a",))
    tally.add(("a",), -1)
    assert lines(registry) == ["# HELP x X.", "# TYPE x gauge", 'x{name="a"} 1.0']


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz"), st.sampled_from("mnopqrstuv"))))
def test_folding(events: list[tuple[str, str, str]]) -> None:
    """
    There are never more series than the bound, a quarter for each fold and one, however many the folds leave to tell
    apart; the sum is right, and what is told apart already goes on being so.
    """
    folded: list[str] = []
    tally = Tally("x_total", "X.", ("who", "what", "where"), folds=(("who",), ("what",)), folded=folded.append)
    tally.most = 8
    known: set[tuple[str, ...]] = set()
    for number, labels in enumerate(events):
        before = len(folded)
        tally.add(labels)
        told = {tuple(sample.labels.values()): sample.value for sample in tally.collect().samples}
        assert sum(told.values()) == number + 1
        assert known <= set(told)
        assert (labels not in known and len(known) >= 8) == (len(folded) > before)
        known = set(told)
    assert len(known) <= 8 + 2 + 2 + 1
    assert all(labels[0] == OTHER for labels in list(known)[8:] if labels not in events)
    assert set(folded) <= {"x_total"}
