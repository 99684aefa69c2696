"""
What exchanges are expected to use, by what such exchanges have used.
"""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.learned import ENTRY_BYTES, MOST_ENTRIES, MOST_KINDS, MOST_WEIGHT, Asked, Learned, least_input
from aibridge.admission.reservation import MOST_OUTPUT, Reservation
from aibridge.dialects.usage import MOST_INPUT, Usage

PRIOR = 1024
CLAUDE = "Claude Code"


def asked(
    principal: str = "ada",
    model: str = "opus",
    client: str = CLAUDE,
    *,
    body_bytes: int = 4000,
    maximum: int | None = 128_000,
    choices: int = 1,
) -> Asked:
    """
    A request as coding agents make it.
    """
    return Asked(principal, model, client, body_bytes, maximum, choices, PRIOR)


def told(reservation: Reservation) -> tuple[int, int, int, int, int | None]:
    """
    All that it says.
    """
    return (
        reservation.input,
        reservation.fresh,
        reservation.output,
        reservation.beyond,
        reservation.maximum,
    )


def test_what_nobody_hears_of() -> None:
    """
    Is taken for all that is allowed; where nothing is named, for what is expected, and no less than at first.
    """
    learned = Learned()
    for maximum, output in ((128_000, 128_000), (500, 500), (10**15, MOST_OUTPUT), (None, PRIOR)):
        request = asked(maximum=maximum)
        assert request.unheard(learned.expect(request)) == 1000 + output
    for _ in range(100):
        learned.learn(asked(), Usage(input=1000, output=3))
    request = asked(maximum=None)
    assert learned.expect(request).output < PRIOR
    assert request.unheard(learned.expect(request)) == 1000 + PRIOR
    for _ in range(100):
        learned.learn(asked(), Usage(input=1000, output=20_000))
    assert request.unheard(learned.expect(request)) == 1000 + learned.expect(request).output > 19_000


class TestFirst:
    """
    While nothing is known.
    """

    @pytest.mark.parametrize(
        ("maximum", "choices", "output", "beyond", "named"),
        [
            (128_000, 1, PRIOR, 128_000 - PRIOR, 128_000),
            (500, 1, 500, 0, 500),
            (500, 3, 1500, 0, 1500),
            (0, 1, 0, 0, 0),
            (None, 1, PRIOR, MOST_OUTPUT - PRIOR, None),
            (None, 2, 2 * PRIOR, 2 * (MOST_OUTPUT - PRIOR), None),
            (MOST_OUTPUT, 1, PRIOR, MOST_OUTPUT - PRIOR, MOST_OUTPUT),
            (MOST_OUTPUT + 1, 1, PRIOR, MOST_OUTPUT - PRIOR, None),
            (2**53 - 1, 1, PRIOR, MOST_OUTPUT - PRIOR, None),
        ],
    )
    def test_output(self, maximum: int | None, choices: int, output: int, beyond: int, named: int | None) -> None:
        """
        What is configured, for each answer; never more than is allowed, and what is allowed is no more than a model can
        write: a maximum beyond that is none.
        """
        found = Learned().expect(asked(maximum=maximum, choices=choices))
        assert told(found) == (1000, 1000, output, beyond, named)

    @pytest.mark.parametrize(
        ("body_bytes", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (4000, 1000), (32 * 1024 * 1024, MOST_INPUT)]
    )
    def test_input(self, body_bytes: int, tokens: int) -> None:
        """
        A token for four bytes, rounded up, and no more than any model reads.
        """
        found = Learned().expect(asked(body_bytes=body_bytes))
        assert (found.input, found.fresh) == (tokens, tokens)


class TestLearning:
    """
    Once something is.
    """

    def test_what_is_used_again_and_again(self) -> None:
        """
        Is soon what is expected: after three answers it is below what was configured, after eighty it is that.
        """
        learned = Learned()
        found = []
        for _ in range(80):
            learned.learn(asked(), Usage(input=100, output=500, cache_read=1900))
            found.append(learned.expect(asked()).output)
        assert found[0] == 762
        assert found[2] == 631
        assert found == sorted(found, reverse=True)
        assert 500 <= found[-1] <= 510
        last = learned.expect(asked(body_bytes=8000))
        assert 3950 <= last.input <= 4000
        assert 200 <= last.fresh <= 220

    def test_a_change(self) -> None:
        """
        Is followed, up and down alike.
        """
        learned = Learned()
        for output in (500, 20_000, 500):
            for _ in range(80):
                learned.learn(asked(), Usage(input=1000, output=output))
            assert learned.expect(asked()).output == pytest.approx(output, rel=0.25)

    def test_each_of_several_answers(self) -> None:
        """
        Is learned by itself, so that more of them are expected to be so much more.
        """
        learned = Learned()
        for _ in range(100):
            learned.learn(asked(choices=4), Usage(output=400))
        assert learned.expect(asked(choices=4)).output == pytest.approx(400, abs=20)
        assert learned.expect(asked()).output == pytest.approx(100, abs=5)

    def test_what_is_allowed_is_the_cap(self) -> None:
        """
        Whatever was learned.
        """
        learned = Learned()
        for _ in range(100):
            learned.learn(asked(), Usage(output=5000))
        found = learned.expect(asked(maximum=300))
        assert (found.output, found.beyond) == (300, 0)

    @pytest.mark.parametrize(("bytes_per_token", "tokens"), [(1, 4000), (0.5, 10000), (3, 1334), (16, 250), (600, 250)])
    def test_pictures_and_dense_text(self, bytes_per_token: float, tokens: int) -> None:
        """
        A body is taken for what such bodies had, within bounds: never for nothing, and for more tokens than bytes
        only as far as they were not in it.
        """
        learned = Learned()
        for _ in range(200):
            learned.learn(asked(body_bytes=6000), Usage(input=int(6000 / bytes_per_token)))
        assert learned.expect(asked()).input == pytest.approx(tokens, rel=0.01)
        assert least_input(4000) <= learned.expect(asked()).input

    def test_what_the_provider_had_already(self) -> None:
        """
        A request that names earlier turns has more input than bytes; that is expected of the next one, whatever the
        size of its body.
        """
        learned = Learned()
        for _ in range(100):
            learned.learn(asked(body_bytes=400), Usage(input=50_000, cache_read=100))
        for body_bytes in (400, 4000):
            found = learned.expect(asked(body_bytes=body_bytes))
            assert found.input == pytest.approx(49_700 + body_bytes, rel=0.01)
            assert found.fresh <= found.input

    def test_an_empty_body(self) -> None:
        """
        Has nothing to be reckoned with, and fails nothing.
        """
        learned = Learned()
        learned.learn(asked(body_bytes=0), Usage(input=5000, output=10))
        assert learned.expect(asked(body_bytes=0)).input == 0
        assert learned.expect(asked(body_bytes=400)).input == 100
        learned.learn(asked(), Usage(input=1000, output=10))
        assert learned.expect(asked()).input > 1000

    def test_parts_only_raise(self) -> None:
        """
        Of an answer that broke off it is known that it was no shorter.
        """
        learned = Learned()
        learned.learn_at_least(asked(), 10)
        assert learned.expect(asked()).output == PRIOR
        learned.learn_at_least(asked(), 9000)
        assert learned.expect(asked()).output > PRIOR

    def test_what_was_not_allowed_to_be_long(self) -> None:
        """
        Does not teach that answers are short: a probe that allows one token says nothing of those that allow many.
        """
        learned = Learned()
        for _ in range(100):
            learned.learn(asked(maximum=1), Usage(input=10, output=1))
        assert learned.expect(asked()).output == PRIOR


class TestFallbacks:
    """
    Whose answers say something about whose.
    """

    def test_another_client(self) -> None:
        """
        Of the same principal and model is expected to use what the others did, until it has something of its own.
        """
        learned = Learned()
        for _ in range(100):
            learned.learn(asked(), Usage(output=200))
        assert learned.expect(asked(client="curl")).output == pytest.approx(200, abs=5)
        for _ in range(100):
            learned.learn(asked(client="curl"), Usage(output=9000))
        assert learned.expect(asked(client="curl")).output == pytest.approx(9000, rel=0.05)
        assert learned.expect(asked()).output == pytest.approx(200, abs=5)

    def test_another_model(self) -> None:
        """
        Is something else.
        """
        learned = Learned()
        for _ in range(100):
            learned.learn(asked(model="haiku"), Usage(output=5))
        assert learned.expect(asked()).output == PRIOR

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("opus", "haiku", "")),
                st.sampled_from((CLAUDE, "curl")),
                st.integers(0, 10**9),
                st.integers(0, 10**9),
                st.booleans(),
            ),
            max_size=60,
        )
    )
    def test_nobody_teaches_what_others_are_taken_for(self, history: list[tuple[str, str, int, int, bool]]) -> None:
        """
        Whatever a principal's exchanges use, another one's are expected to use what they would be without it: of a
        newcomer, and of one who is known.
        """
        alone, together = Learned(), Learned()
        for learned in (alone, together):
            learned.learn(asked("alice"), Usage(input=1000, output=700))
        for model, client, input, output, whole in history:
            if whole:
                together.learn(asked("bob", model, client), Usage(input=input, output=output))
            else:
                together.learn_at_least(asked("bob", model, client), output)
        for principal in ("alice", "newcomer"):
            for model in ("opus", "haiku", ""):
                request = asked(principal, model)
                assert told(together.expect(request)) == told(alone.expect(request))


class TestTheMean:
    """
    What is used beyond what is expected, in sum.
    """

    @given(st.lists(st.integers(0, 128_000), max_size=200))
    def test_one_after_the_other(self, outputs: list[int]) -> None:
        """
        In whatever order long and short answers come, all that they have beyond what was expected of each, less what
        they fall short of it, is no more than a few times what is expected of the next one.
        """
        learned, beyond = Learned(), 0.0
        for output in outputs:
            beyond += output - learned.expect(asked()).output
            learned.learn(asked(), Usage(output=output))
            assert beyond <= MOST_WEIGHT * learned.expect(asked()).output

    @given(st.lists(st.tuples(st.sampled_from((1, 500, 128_000)), st.integers(0, 128_000)), max_size=200))
    def test_with_short_ones_between_that_were_not_allowed_to_be_long(self, asks: list[tuple[int, int]]) -> None:
        """
        Nobody can lower what is expected by requests that cannot use it.
        """
        learned, beyond = Learned(), 0.0
        for maximum, output in asks:
            request, used = asked(maximum=maximum), min(output, maximum)
            expected = learned.expect(request).output
            beyond += used - expected if maximum == 128_000 else max(0, used - expected)
            learned.learn(request, Usage(output=used))
        assert beyond <= MOST_WEIGHT * learned.expect(asked()).output


class TestTable:
    """
    Models are what clients call them.
    """

    def test_one_principal_cannot_push_out_another(self) -> None:
        """
        Whoever names a new model each time replaces his own entries, and only those.
        """
        learned = Learned(most_entries=2 * MOST_KINDS)
        learned.learn(asked("alice"), Usage(output=1))
        known = learned.kinds("alice")
        for number in range(20 * MOST_KINDS):
            learned.learn(asked("bob", f"model-{number}"), Usage(output=1))
        assert len(learned.kinds("bob")) == MOST_KINDS
        assert learned.kinds("alice") == known
        assert len(learned) == MOST_KINDS + 2

    def test_those_in_use_stay(self) -> None:
        """
        Of one principal's it is what was not heard of for the longest time that goes.
        """
        learned = Learned(most_kinds=4)
        for model in ("a", "b", "a", "c", "a", "d"):
            learned.learn(asked(model=model), Usage(output=1))
        assert {model for model, _ in learned.kinds("ada")} == {"a", "d"}

    @given(
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9), st.sampled_from(("curl", "Zed"))), max_size=150),
        st.integers(1, 6),
        st.integers(2, 20),
    )
    def test_bounded(self, asks: list[tuple[int, int, str]], most_kinds: int, most_entries: int) -> None:
        """
        Whoever asks for what, there are no more entries than are allowed, or than one principal may have.
        """
        learned = Learned(most_kinds, most_entries)
        for principal, model, client in asks:
            learned.learn(asked(str(principal), str(model), client), Usage(output=1))
            assert 0 < len(learned) <= max(most_entries, most_kinds)
            assert len(learned) == sum(len(learned.kinds(str(number))) for number in range(13))

    def test_whoever_was_heard_of_last_stays(self) -> None:
        """
        When all together are too many, it is the principal that was not heard of for the longest time that goes.
        """
        learned = Learned(most_entries=6)
        for principal in ("a", "b", "c", "a", "d"):
            learned.learn(asked(principal), Usage(output=1))
        assert [bool(learned.kinds(principal)) for principal in "abcd"] == [True, False, True, True]

    def test_memory(self) -> None:
        """
        An entry takes less than is said of it, the principal's part included; so a full table takes ten megabytes.
        """
        learned, count = Learned(), 4000
        tracemalloc.start()
        try:
            for number in range(count // 2):
                learned.learn(asked(f"principal-{number}", f"claude-opus-{number:012d}"), Usage(input=1, output=7))
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(learned) == count
        assert taken / count < ENTRY_BYTES
        assert ENTRY_BYTES * MOST_ENTRIES < 16 * 1024 * 1024
