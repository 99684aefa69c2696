"""
What exchanges use, learned from what such exchanges have used.

A client that allows 128,000 tokens and is answered with 500 of them, again and again, is expected to use 500. Such
exchanges are those of one principal with one model by one client program; where there were none yet, those of the
principal with that model; and where there were none of these either, what is configured. Nobody's exchanges say
anything about another principal's: so nobody can teach what others are taken for, too much or too little, and a
newcomer is taken for what is configured, whatever the others do.

Note [The mean]: a bucket adds up what is used, so it is the mean that has to be right, and no quantile: of answers that
are short but for a long one in ten, nine in ten are below a quantile that has nothing of the tenth. With a mean that
moves by ``1/w`` of each answer's difference from it, ``(u - e) / w``, the differences of a whole sequence add up to
its last value times `w`, at most, for it cannot be below 0: one after the other, exchanges of one kind never use more
than was expected of them by more than `MOST_WEIGHT` times what is expected of one of them now, whoever thought out
their order. For that to hold, an answer may not teach that answers are short if it was not allowed to be long: one
whose request allowed less than is expected teaches nothing of the output, and cannot have more than that either.

How far exchanges that run at the same time can be beyond it is in Note [The bound] in `aibridge.admission.reservation`.

Note [A share of the table]: models are what clients call them. So each principal has at most `MOST_KINDS` entries,
which only its own replace, and all have `MOST_ENTRIES`, beyond which the principal goes that was heard of least lately.
What is forgotten is expected to be what is configured.
"""

from __future__ import annotations

import math
from typing import Final

from aibridge.admission.reservation import MOST_OUTPUT, Reservation
from aibridge.dialects.usage import BYTES_PER_TOKEN, MOST_INPUT, Usage

MOST_WEIGHT: Final = 16.0
"""How many answers the mean is of, roughly: after so many it follows a change by two thirds."""

MOST_RATIO: Final = 16.0
"""A body is not taken for less than a token for so many bytes, whatever pictures have been seen to cost."""

MOST_KINDS: Final = 32
"""Entries of one principal."""

MOST_ENTRIES: Final = 16384
"""Entries of all of them."""

ENTRY_BYTES: Final = 512
"""What an entry takes with a usual model's name, in its interpreted form; measured by a test."""

_Kind = tuple[str, str]
"""Model and client; an empty client stands for all."""


class Asked:
    """
    What is known of a request before it is answered.

    :ivar principal: its id.
    :ivar model: as the client named it, or empty.
    :ivar client: which program sent it, out of a closed set.
    :ivar body_bytes: of the request.
    :ivar maximum: the most tokens of one answer, as the request says, or None if it says nothing of it.
    :ivar choices: answers it asks for; at least 1.
    :ivar prior: tokens of output that an answer is taken for while nothing is known of its kind.
    :ivar background: it asks for an answer that is made in the background.
    """

    __slots__ = ("background", "body_bytes", "choices", "client", "maximum", "model", "principal", "prior")

    def __init__(
        self,
        principal: str,
        model: str,
        client: str,
        body_bytes: int,
        maximum: int | None,
        choices: int,
        prior: int,
        background: bool = False,
    ) -> None:
        self.principal = principal
        self.model = model
        self.client = client
        self.body_bytes = body_bytes
        self.maximum = maximum
        self.choices = choices
        self.prior = prior
        self.background = background

    @property
    def most(self) -> int:
        """
        Tokens that one answer can have at most.
        """
        return MOST_OUTPUT if self.maximum is None or self.maximum > MOST_OUTPUT else self.maximum

    def unheard(self, reservation: Reservation) -> int:
        """
        The tokens that an answer is taken for of which nobody will hear what it has used: all that its request allows;
        or where it says nothing of that, what is expected, and no less than where nothing is known: those who have
        asked for short answers must not be let off with that here.

        :param reservation: what the request was expected to use.
        """
        if self.maximum is not None:
            return reservation.expected + reservation.beyond
        return reservation.input + max(reservation.output, self.prior * self.choices)


class Experience:
    """
    What exchanges of one kind have used.

    :ivar output: tokens of one answer, on average.
    :ivar bytes: of one body.
    :ivar input: tokens of input, but for those there are more of than the body has bytes.
    :ivar apart: tokens of input beyond those, which a provider had already: earlier turns, files.
    :ivar fresh: tokens of input that did not come from the vendor's cache.
    """

    __slots__ = ("_weight", "apart", "bytes", "fresh", "input", "output")

    def __init__(self, output: float, bytes: float, input: float, fresh: float, apart: float = 0.0) -> None:
        # What it begins with counts like one exchange.
        self._weight = 1.0
        self.output = output
        self.bytes = bytes
        self.input = input
        self.fresh = fresh
        self.apart = apart

    def learn(self, output: float, bytes: float, input: float, fresh: float, *, most: float) -> None:
        """
        One exchange more has used that.

        :param most: tokens that its answer might have had; see Note [The mean].
        """
        self._weight = weight = min(self._weight + 1.0, MOST_WEIGHT)
        if most >= self.output:
            self.output += (output - self.output) / weight
        self.bytes += (bytes - self.bytes) / weight
        within = input if input < bytes else bytes
        self.input += (within - self.input) / weight
        self.apart += (input - within - self.apart) / weight
        self.fresh += (fresh - self.fresh) / weight

    def raise_output(self, output: float) -> None:
        """
        One more has used more than that, and it is not known how much.
        """
        if output > self.output:
            self._weight = weight = min(self._weight + 1.0, MOST_WEIGHT)
            self.output += (output - self.output) / weight


class Learned:
    """
    What exchanges of each principal, model and client have used; see Note [A share of the table].

    :param most_kinds: entries of one principal, at most.
    :param most_entries: entries of all, at most.
    """

    __slots__ = ("_count", "_most_entries", "_most_kinds", "_principals")

    def __init__(self, most_kinds: int = MOST_KINDS, most_entries: int = MOST_ENTRIES) -> None:
        self._most_kinds = most_kinds
        self._most_entries = most_entries
        self._count = 0
        # Both in the order in which they were last heard of.
        self._principals: dict[str, dict[_Kind, Experience]] = {}

    def expect(self, asked: Asked) -> Reservation:
        """
        What a request is expected to use.
        """
        known = self._experience(asked)
        most = asked.most
        output = asked.prior if known is None else math.ceil(known.output)
        if output > most:
            output = most
        body_bytes, choices = asked.body_bytes, asked.choices
        if known is None or known.bytes <= 0:
            input = fresh = taken_for(body_bytes, 1.0 / BYTES_PER_TOKEN)
        else:
            input = taken_for(body_bytes, min(1.0, max(1.0 / MOST_RATIO, known.input / known.bytes)))
            input = min(input + math.ceil(known.apart), MOST_INPUT)
            fresh = min(input, taken_for(body_bytes, known.fresh / known.bytes))
        # More than any model writes is refused by the provider, and takes nothing of its limits.
        named = None if asked.maximum is None or asked.maximum > MOST_OUTPUT else most * choices
        return Reservation(input, fresh, output * choices, (most - output) * choices, named)

    def learn(self, asked: Asked, usage: Usage) -> None:
        """
        A request was answered, and this is what the provider says of the whole answer.
        """
        output, most = usage.output / asked.choices, float(asked.most)
        body_bytes, fresh = float(asked.body_bytes), float(usage.input + usage.cache_write)
        for known in self._experiences(asked):
            known.learn(output, body_bytes, float(usage.read), fresh, most=most)

    def learn_at_least(self, asked: Asked, output: int) -> None:
        """
        A request was answered with so many tokens or more: it broke off, or the provider did not count them. That may
        raise what is expected, and never lowers it.
        """
        for known in self._experiences(asked):
            known.raise_output(output / asked.choices)

    def _experiences(self, asked: Asked) -> list[Experience]:
        """
        What an answer is to be added to, made if need be; its principal is now the one that was heard of last.
        """
        principal = asked.principal
        principals = self._principals
        kinds = principals.get(principal)
        if kinds is None:
            kinds = {}
        else:
            del principals[principal]
        principals[principal] = kinds
        found = []
        # The wider one last: one that is new begins with what was known before.
        for kind in ((asked.model, asked.client), (asked.model, "")):
            known = kinds.get(kind)
            if known is not None:
                del kinds[kind]
            else:
                known = _beginning(kinds.get((asked.model, "")), asked)
                if len(kinds) >= self._most_kinds:
                    del kinds[next(iter(kinds))]
                    self._count -= 1
                self._count += 1
            kinds[kind] = known
            found.append(known)
        while self._count > self._most_entries and len(self._principals) > 1:
            self._count -= len(self._principals.pop(next(iter(self._principals))))
        return found

    def _experience(self, asked: Asked) -> Experience | None:
        kinds = self._principals.get(asked.principal)
        if kinds is None:
            return None
        known = kinds.get((asked.model, asked.client))
        return kinds.get((asked.model, "")) if known is None else known

    def kinds(self, principal: str) -> dict[tuple[str, str], float]:
        """
        What is expected of a principal's answers, in tokens of output, by model and client; an empty client stands for
        all others. For those who look.
        """
        return {kind: known.output for kind, known in self._principals.get(principal, {}).items()}

    def __len__(self) -> int:
        """
        How many entries there are.
        """
        return self._count


def _beginning(wider: Experience | None, asked: Asked) -> Experience:
    """
    What is known of a kind before its first answer.
    """
    if wider is not None:
        return Experience(wider.output, wider.bytes, wider.input, wider.fresh, wider.apart)
    tokens = asked.body_bytes / BYTES_PER_TOKEN
    return Experience(float(asked.prior), float(asked.body_bytes), tokens, tokens)


def taken_for(body_bytes: int, tokens_per_byte: float) -> int:
    """
    The tokens that a body is taken to have.
    """
    return min(math.ceil(body_bytes * tokens_per_byte), MOST_INPUT)


def least_input(body_bytes: int) -> int:
    """
    The least that any body of that length is taken for.
    """
    return taken_for(body_bytes, 1.0 / MOST_RATIO)
