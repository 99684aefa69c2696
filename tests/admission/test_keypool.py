"""
Keys: which is used, which rests, and what is said when all do.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge import errors
from aibridge.admission.keypool import MOST_REST_S, Key, KeyPool
from aibridge.secret import Secret


def pool(names: str = "abc", *, round_robin: bool = False) -> KeyPool:
    """
    Keys of one letter each.
    """
    return KeyPool([Secret(name) for name in names], round_robin)


def chosen(keys: KeyPool, now: float, tried: tuple[Key, ...] = ()) -> str:
    """
    The letter of the key to use.
    """
    return keys.choose(now, tried).secret.reveal()


def test_the_first_that_is_usable() -> None:
    """
    The first one always, until it rests; and again when it has rested.
    """
    keys = pool()
    assert [chosen(keys, 0), chosen(keys, 1)] == ["a", "a"]
    assert keys.report(keys.keys[0], 429, 20, 1)
    assert [chosen(keys, 1), chosen(keys, 20.9), chosen(keys, 21)] == ["b", "b", "a"]


def test_each_key_has_an_id() -> None:
    """
    By which it is found again, in another pool too; it tells nothing of the key.
    """
    keys, others = pool(), pool("cb")
    first, second, third = keys.keys
    assert keys.find(second.id) is second
    assert [key.id for key in others.keys] == [third.id, second.id]
    assert others.find(first.id) is None
    assert keys.find("") is None
    assert first.id == "ca978112ca1bbdcafac231b3"


def test_round_robin() -> None:
    """
    Each in turn; those that rest or were tried are left out.
    """
    keys = pool(round_robin=True)
    assert [chosen(keys, 0) for _ in range(4)] == ["a", "b", "c", "a"]
    keys.report(keys.keys[1], 401, None, 0)
    assert [chosen(keys, 0) for _ in range(3)] == ["c", "a", "c"]
    assert chosen(keys, 0, (keys.keys[0],)) == "c"
    keys.adopt([Secret("a")])
    assert [chosen(keys, 0), chosen(keys, 0)] == ["a", "a"]


@pytest.mark.parametrize(
    ("status", "told", "rest"),
    [
        (429, 20, 20),
        (429, None, 60),
        (429, 0, 0),
        (429, -5, 0),
        (429, 1e9, MOST_REST_S),
        (401, None, 60),
        (401, 5, 60),
        (403, 20, None),
        (400, None, None),
        (500, None, None),
        (503, 20, None),
        (529, 20, None),
        (200, None, None),
    ],
)
def test_rests(status: int, told: float | None, rest: float | None) -> None:
    """
    429 as the provider says, else a minute; 401 a minute; everything else is the client's to see.
    """
    keys = pool("ab")
    first = keys.keys[0]
    assert keys.report(first, status, told, 100) is (rest is not None)
    assert first.until == (float("-inf") if rest is None else 100 + rest)
    if rest is not None:
        assert chosen(keys, 100 + rest) == "a"


def test_a_walk() -> None:
    """
    One exchange tries each key once, although a rest of no length is over at once.
    """
    keys = pool("ab")
    tried: list[Key] = []
    for _ in range(2):
        key = keys.choose(0, tried)
        tried.append(key)
        keys.report(key, 429, 0, 0)
    with pytest.raises(errors.KeysResting) as caught:
        keys.choose(0, tried)
    assert caught.value.retry_after_s == 0
    assert chosen(keys, 0) == "a"


def test_all_rest() -> None:
    """
    With a rate limit among the causes there is a time at which to come back: when the first rest is over.
    """
    keys = pool("ab")
    first, second = keys.keys
    keys.report(first, 429, 90, 0)
    keys.report(second, 401, None, 0)
    with pytest.raises(errors.KeysResting) as caught:
        keys.choose(10)
    assert caught.value.retry_after_s == 50
    assert keys.counts(10) == {"usable": 0, "rate_limited": 1, "unauthorized": 1}
    assert keys.counts(60) == {"usable": 1, "rate_limited": 1, "unauthorized": 0}


def test_all_refused() -> None:
    """
    Where the provider accepts no key, waiting is no help.
    """
    keys = pool("ab")
    for key in keys.keys:
        keys.report(key, 401, None, 0)
    with pytest.raises(errors.KeysRefused) as caught:
        keys.choose(1)
    assert caught.value.retry_after_s is None


def test_reload() -> None:
    """
    A key is known by its value: its rest is kept, wherever in the list it is by now; new ones are fresh.
    """
    keys = pool("ab")
    first, second = keys.keys
    keys.report(first, 429, 20, 0)
    keys.adopt([Secret("c"), Secret("a")])
    assert keys.keys[1] is first
    assert chosen(keys, 0) == "c"
    assert not keys.keys[0].is_resting(0)
    keys.report(second, 429, 20, 0)
    keys.adopt([Secret("b")])
    assert chosen(keys, 0) == "b"


@pytest.mark.parametrize(
    ("names", "error"),
    [([], "no keys provided"), (["a", ""], "empty"), (["a", " "], "empty"), (["a", "a"], "duplicate")],
)
def test_bad_lists(names: list[str], error: str) -> None:
    """
    They are refused, without a word of what is in them, and a pool stays as it was.
    """
    secrets = [Secret(name) for name in names]
    with pytest.raises(ValueError, match=error) as caught:
        KeyPool(secrets)
    assert "'" not in str(caught.value)
    keys = pool("xy")
    with pytest.raises(ValueError, match=error):
        keys.adopt(secrets)
    assert [key.secret.reveal() for key in keys.keys] == ["x", "y"]


def test_who_is_told() -> None:
    """
    The observer hears of each key that goes to rest, once.
    """
    told: list[int] = []
    keys = KeyPool([Secret("a"), Secret("b")], on_rest=told.append)
    first, second = keys.keys
    for status in (429, 429, 401, 200):
        keys.report(first, status, None, 0)
    keys.report(second, 401, None, 0)
    keys.report(first, 429, None, 1000)
    assert told == [429, 401, 429]


EVENTS = st.tuples(
    st.integers(0, 3), st.sampled_from([200, 401, 403, 429, 500]), st.none() | st.floats(0, 200), st.floats(0, 50)
)


@given(st.lists(EVENTS, max_size=40), st.booleans())
def test_whatever_happens(events: list[tuple[int, int, float | None, float]], round_robin: bool) -> None:
    """
    A rest is never shortened, a resting key is never chosen, and somebody who waits as told gets a key.
    """
    keys = pool("abcd", round_robin=round_robin)
    now = 0.0
    for number, status, told, step in events:
        key = keys.keys[number]
        before = key.until
        keys.report(key, status, told, now)
        assert key.until >= before
        now += step
        resting = [key for key in keys.keys if key.is_resting(now)]
        try:
            assert keys.choose(now) not in resting
        except errors.KeysResting as error:
            assert len(resting) == 4
            assert error.retry_after_s is not None
            assert error.retry_after_s > 0
            assert keys.choose(now + error.retry_after_s + 1e-9) in resting
        except errors.KeysRefused:
            assert len(resting) == 4
            assert all(key.cause == 401 for key in resting)
