"""
Keys: which is used, which cools down, and what is said when all do.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge import errors
from aibridge.admission.cooldown import FIRST_S
from aibridge.admission.keypool import PACES, REST_S, Choice, Key, KeyPool, Wanted
from aibridge.admission.verdict import GOOD, judge
from aibridge.dialects.errorbody import NOTHING
from aibridge.dialects.limits import UNKNOWN, Allowance, Limits
from aibridge.secret import Secret

BOB, ALICE = "bob", "alice"
USED_UP = Limits(requests=Allowance(0, 50.0))


def pool(names: str = "abc", *, round_robin: bool = False) -> KeyPool:
    """
    Keys of one letter each.
    """
    return KeyPool([Secret(name) for name in names], round_robin)


def wanted(principal: str = BOB, model: str = "m", only: str = "") -> Wanted:
    """
    A request of somebody's for a model.
    """
    return Wanted(("", model), principal, 10, 20, only)


def choose(keys: KeyPool, now: float, what: Wanted | None = None, tried: tuple[Key, ...] = ()) -> Choice:
    """
    What is chosen.
    """
    return keys.choose(what or wanted(), now, tried)


def chosen(keys: KeyPool, now: float, what: Wanted | None = None, tried: tuple[Key, ...] = ()) -> str:
    """
    The letter of the key to use.
    """
    return choose(keys, now, what, tried).key.secret.reveal()


def hear(keys: KeyPool, choice: Choice, status: int, now: float, limits: Limits = UNKNOWN) -> None:
    """
    The answer to a request, whose body says nothing.
    """
    keys.heard(choice, limits, judge(status, limits, NOTHING), status, now)


def confirm(keys: KeyPool, choice: Choice, status: int, now: float, limits: Limits = UNKNOWN) -> None:
    """
    It is answered so, and another key serves it.
    """
    hear(keys, choice, status, now, limits)
    keys.confirmed(choice, judge(status, limits, NOTHING), status, now)


def test_the_first_that_is_usable() -> None:
    """
    The first one always, until it cools down; and again when that is over.
    """
    keys = pool()
    assert [chosen(keys, 0), chosen(keys, 0)] == ["a", "a"]
    hear(keys, choose(keys, 0), 429, 0, Limits(retry_after_s=20.0, requests=Allowance(0, 50.0)))
    assert [chosen(keys, 0), chosen(keys, 0.9), chosen(keys, 20)] == ["b", "b", "a"]


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
    Each in its turn, and those that cool down are passed over.
    """
    keys = pool(round_robin=True)
    assert [chosen(keys, 0) for _ in range(4)] == ["a", "b", "c", "a"]
    hear(keys, choose(keys, 0), 429, 0, USED_UP)
    assert [chosen(keys, 0) for _ in range(4)] == ["c", "a", "c", "a"]


def test_each_model_by_itself() -> None:
    """
    What is used up of one model is there of another, and of routes that name none.
    """
    keys = pool("a")
    hear(keys, choose(keys, 0, wanted(model="opus")), 429, 0, USED_UP)
    with pytest.raises(errors.ProviderWait):
        choose(keys, 0, wanted(ALICE, "opus"))
    for scope in (("", "haiku"), ("/v1/messages/count_tokens", "opus"), ("/v1/models", ""), ("", "")):
        assert keys.choose(Wanted(scope, ALICE), 0).key is keys.keys[0]


def test_the_key_that_is_asked_for() -> None:
    """
    Is used, or none is.
    """
    keys = pool()
    third = keys.keys[2]
    assert chosen(keys, 0, wanted(only=third.id)) == "c"
    with pytest.raises(errors.KeysRefused):
        choose(keys, 0, wanted(only=third.id), (third,))
    with pytest.raises(errors.KeysRefused):
        choose(keys, 0, wanted(only="elsewhere"))
    with pytest.raises(errors.KeysRefused):
        choose(pool("a"), 0, wanted(only="elsewhere"))


def test_a_hint_of_ones_own() -> None:
    """
    Whoever was refused with one key uses another first, and that one again if there is no other; for others nothing
    has changed.
    """
    keys = pool("ab")
    first = choose(keys, 0)
    hear(keys, first, 429, 0)
    assert (chosen(keys, 0), chosen(keys, 0, wanted(ALICE))) == ("b", "a")
    hear(keys, choose(keys, 0, wanted(), (first.key,)), 429, 0)
    assert (chosen(keys, 0), chosen(keys, 0, wanted(ALICE))) == ("a", "a")


@pytest.mark.parametrize(("status", "scope"), [(429, "model"), (401, "key")])
def test_another_key_has_served_it(status: int, scope: str) -> None:
    """
    Then it is the key, or the model under it, which cools down for all, but for probes.
    """
    keys = pool("ab")
    confirm(keys, choose(keys, 0), status, 0)
    assert chosen(keys, 0, wanted(ALICE)) == "b"
    assert chosen(keys, 0, wanted(ALICE, "other")) == ("a" if scope == "model" else "b")
    assert chosen(keys, FIRST_S, wanted(ALICE)) == "a"
    assert chosen(keys, FIRST_S, wanted(ALICE)) == "b"
    probe = choose(keys, REST_S)
    assert probe.key is keys.keys[0]


@pytest.mark.parametrize("status", [429, 401])
def test_a_probe_that_is_served(status: int) -> None:
    """
    Ends it for all.
    """
    keys = pool("ab")
    confirm(keys, choose(keys, 0), status, 0)
    probe = choose(keys, FIRST_S, wanted(ALICE))
    assert probe.key is keys.keys[0]
    keys.heard(probe, UNKNOWN, GOOD, 200, FIRST_S)
    assert chosen(keys, FIRST_S, wanted(BOB)) == "a"
    assert keys.counts(FIRST_S)["usable"] == 2


@pytest.mark.parametrize("status", [429, 401, 402, 403, 400, 500, 503, 529])
def test_both_say_the_same(status: int) -> None:
    """
    Then neither cools down, however many principals meet it.
    """
    keys = pool("abc")
    for number in range(20):
        who = wanted(f"p{number}")
        first = choose(keys, 0, who)
        second = choose(keys, 0, who, (first.key,))
        for choice in (first, second):
            hear(keys, choice, status, 0)
        assert keys.counts(0) == {"usable": 3, "rate_limited": 0, "unauthorized": 0}
        assert chosen(keys, 0, wanted(ALICE)) == "a"


def test_all_have_to_wait() -> None:
    """
    With the shortest time; if any of them is a matter of limits.
    """
    keys = pool("ab")
    for number, limits in enumerate((Limits(retry_after_s=9.0), Limits(retry_after_s=5.0))):
        choice = choose(keys, 0, wanted(only=keys.keys[number].id))
        hear(keys, choice, 429, 0, Limits(retry_after_s=limits.retry_after_s, requests=Allowance(0, 50.0)))
    with pytest.raises(errors.KeysResting) as caught:
        choose(keys, 0.5)
    assert caught.value.retry_after_s == pytest.approx(4.5 + 2)


def test_none_is_accepted() -> None:
    """
    Then there is nothing to wait for; each is probed, all the same.
    """
    keys = pool("ab")
    for key in keys.keys:
        confirm(keys, choose(keys, 0, wanted(only=key.id)), 401, 0)
    with pytest.raises(errors.KeysRefused):
        choose(keys, 0.5)
    assert keys.counts(0.5) == {"usable": 0, "rate_limited": 0, "unauthorized": 2}
    assert chosen(keys, FIRST_S) == "a"


def test_a_single_key() -> None:
    """
    Never cools down as a whole; and not at all where what the provider says is not heeded.
    """
    keys = pool("a")
    for who in (BOB, ALICE):
        hear(keys, choose(keys, 0, wanted(who)), 401, 0)
    assert chosen(keys, 0) == "a"
    hear(keys, choose(keys, 0), 429, 0, USED_UP)
    with pytest.raises(errors.ProviderWait) as caught:
        choose(keys, 0)
    assert caught.value.retry_after_s == 50 + 2
    assert keys.choose(wanted(), 0, heeds=False).key is keys.keys[0]


def test_it_is_told_when_one_cools_down() -> None:
    """
    Once each time, with the status; of one key alone nothing is told.
    """
    told: list[int] = []
    keys = KeyPool([Secret("a"), Secret("b")], on_rest=told.append)
    confirm(keys, choose(keys, 0), 429, 0)
    confirm(keys, choose(keys, 0, wanted(only=keys.keys[1].id)), 401, 0)
    hear(keys, choose(keys, FIRST_S), 429, FIRST_S, USED_UP)
    assert told == [429, 401]
    alone = KeyPool([Secret("a")], on_rest=told.append)
    hear(alone, choose(alone, 0), 429, 0, USED_UP)
    assert told == [429, 401]


def test_keys_come_and_go() -> None:
    """
    Those that stay are what they were; what is heard of one that is gone changes nothing.
    """
    keys = pool("abc")
    gone = choose(keys, 0)
    hear(keys, choose(keys, 0, wanted(only=keys.keys[1].id)), 429, 0, USED_UP)
    keys.adopt([Secret("b"), Secret("d")])
    hear(keys, gone, 429, 0, USED_UP)
    assert chosen(keys, 0) == "d"
    assert keys.counts(0) == {"usable": 1, "rate_limited": 1, "unauthorized": 0}


@pytest.mark.parametrize("names", [[], [""], [" "], ["a", "a"]])
def test_what_is_no_pool(names: list[str]) -> None:
    """
    No key, an empty one, one twice.
    """
    with pytest.raises(ValueError, match="key"):
        KeyPool(map(Secret, names))
    keys = pool("a")
    with pytest.raises(ValueError, match="key"):
        keys.adopt(map(Secret, names))
    assert chosen(keys, 0) == "a"


@given(st.lists(st.text(max_size=5), max_size=1000))
def test_models_are_the_clients_to_name(models: list[str]) -> None:
    """
    So there is a bound to how many are remembered; those in use are.
    """
    keys = pool("a")
    hear(keys, choose(keys, 0, wanted(model="opus")), 429, 0, USED_UP)
    for number, model in enumerate(models):
        hear(keys, choose(keys, 0, wanted(model=f"{model}{number}")), 404, 0)
        if number % 50 == 0:
            with pytest.raises(errors.ProviderWait):
                choose(keys, 0, wanted(ALICE, "opus"))
    assert sum(1 for _ in keys.keys[0].paces()) <= 2 * PACES


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from([200, 400, 401, 402, 403, 404, 429, 429, 429, 500, 503, 529]),
        st.none() | st.floats(0, 400),
        st.booleans(),
        st.floats(0, 2),
    ),
    max_size=40,
)


@given(ANSWERS, st.integers(1, 4), st.booleans(), st.booleans())
def test_one_never_costs_another(
    answers: list[tuple[int, float | None, bool, float]], count: int, round_robin: bool, heeds: bool
) -> None:
    """
    However one principal is answered, as long as no answer says that a limit is used up and no other key serves what
    one has refused, another can always go.
    """
    keys, now = pool("abcd"[:count], round_robin=round_robin), 0.0
    for status, retry, is_answered, step in answers:
        now += step
        try:
            choice = keys.choose(wanted(), now, heeds=heeds)
        except errors.BridgeError:
            pass
        else:
            if is_answered:
                hear(keys, choice, status, now, Limits(retry_after_s=retry))
            else:
                keys.unanswered(choice)
        keys.unanswered(keys.choose(wanted(ALICE), now, heeds=heeds))


@given(ANSWERS)
def test_the_first_success_opens_it(answers: list[tuple[int, float | None, bool, float]]) -> None:
    """
    However two principals are answered: whoever is served then may ask again at once, and so may another.
    """
    keys, now = pool("a"), 0.0
    for number, (status, retry, used_up, step) in enumerate(answers):
        now += step
        limits = Limits(retry_after_s=retry, requests=Allowance(0, 30.0) if used_up else None)
        try:
            choice = choose(keys, now, wanted((BOB, ALICE)[number % 2]))
        except errors.ProviderWait:
            continue
        if status == 200:
            keys.heard(choice, UNKNOWN, GOOD, 200, now)
            hear(keys, choose(keys, now, wanted(ALICE)), 400, now)
            hear(keys, choose(keys, now, wanted("eve")), 400, now)
        else:
            hear(keys, choice, status, now, limits)
