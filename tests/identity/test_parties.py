"""
How many shares one address gets.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aibridge.identity.parties import EACH, KEPT_S, Parties


def test_the_first_few_are_apart() -> None:
    """
    And stay so while they ask; all others of the origin are one.
    """
    parties = Parties()
    first = [f"shown:{number}" for number in range(EACH)]
    assert [parties.party_of(id, "192.0.2.1", 0.0) for id in first] == first
    others = {parties.party_of(f"made up {number}", "192.0.2.1", 1.0) for number in range(1000)}
    assert others == {"origin:192.0.2.1"}
    assert [parties.party_of(id, "192.0.2.1", 50.0) for id in first] == first
    assert parties.party_of("another", "192.0.2.1", 50.0 + KEPT_S - 0.1) == "origin:192.0.2.1"
    assert parties.party_of("another", "192.0.2.1", 50.0 + KEPT_S) == "another"


def test_origins_are_apart() -> None:
    """
    What one makes up is nothing to another.
    """
    parties = Parties()
    for number in range(1000):
        parties.party_of(f"made up {number}", "192.0.2.1", 0.0)
    assert parties.party_of("new", "198.51.100.1", 0.0) == "new"


def test_only_so_many_origins() -> None:
    """
    Are remembered, of those that have asked last.
    """
    parties = Parties(each=1, most=2)
    assert [parties.party_of(f"one {origin}", origin, 0.0) for origin in "abac"] == ["one a", "one b", "one a", "one c"]
    assert len(parties) == 2
    assert parties.party_of("two", "a", 0.0) == "origin:a"
    assert parties.party_of("two", "b", 0.0) == "two"


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab"), st.sampled_from([0.0, 0.1, 30.0])), max_size=200))
def test_no_more_parties_than_there_may_be(asked: list[tuple[int, str, float]]) -> None:
    """
    Whoever asks: within the time that a principal is remembered an origin has no more parties than that.
    """
    parties, now = Parties(each=3), 0.0
    seen: list[tuple[float, str, str]] = []
    for number, origin, step in asked:
        now += step
        id = f"{origin}{number}"
        party = parties.party_of(id, origin, now)
        assert party in (id, f"origin:{origin}")
        seen.append((now, origin, party))
        lately = {each for at, of, each in seen if of == origin and now - at < KEPT_S}
        assert len(lately - {f"origin:{origin}"}) <= 3
