"""
What one exchange is expected to use, until its answer says: its reservation.

Note [The bound]: a bucket of tokens holds for each open exchange what such exchanges use, not what they are allowed to,
which is a hundred times as much with some clients. So it can be wrong, and this is by how much. For a request that is
expected to use `e` and may use `c`, a bucket that holds `B` is charged

    r = e + min(c - e, B) / k

with `k` the configured overshoot. Where ``c - e`` is no more than `B`, ``k * r`` is at least `c`; where it is more,
``r`` is at least ``B / k``, so that ``k * r * c / B`` is at least `c`. And `r` is never more than
`B`, see `aibridge.admission.charge`, which is no less than ``c * B / C``. In any case, with `C` the most that one
request may use, no request uses more than ``m * r`` with ``m = k * max(1, C / B)``.

What is charged in any stretch of `T` seconds fits into the bucket and what leaks meanwhile: the sum of all `r`, less
what is put back for exchanges that used less, is at most ``B + rate * T``. What was put back was not used. So, whoever
has been taught whatever before, and however many come at once,

    all that exchanges use which were let in within T seconds  <=  m * (B + rate * T)

and the debt that they leave is that less ``B + rate * T``. It is paid before anything else is let in, so that over a
longer time no more is used than leaks. In expectation there is no debt at all; see Note [The mean] in
`aibridge.admission.learned`. With an overshoot of 1 and a bucket that holds what one request may use, ``m`` is 1: all
that is allowed is reserved.

What a request may use is its input, as expected, and the output that it allows, or `MOST_OUTPUT`. Of the input in its
body no more than `MOST_RATIO` times as much is used as was expected, since a token has a byte at least. What the
provider had already (earlier turns that a request only names, files, pictures by their address) is expected by its mean
alone: the bound does not hold for it, but for what a model can read at most.
"""

from __future__ import annotations

from typing import Final

MOST_OUTPUT: Final = 131_072
"""Tokens; no answer is taken for more, whatever is asked for: no model on offer writes more at once."""

OVERSHOOT: Final = 16.0
"""`k`, unless it is configured: eight agents that allow 128,000 tokens each fit at once into 80,000 a minute."""


class Reservation:
    """
    What one exchange is expected to use. It does not change.

    :ivar input: tokens of input, cached ones included.
    :ivar fresh: those of them that are expected not to come from the vendor's cache.
    :ivar output: tokens of output, of all its answers.
    :ivar beyond: tokens of output that it may be answered with beyond that.
    :ivar maximum: tokens of output that the request allows in its own words, or None if it names none that can be.
    """

    __slots__ = ("beyond", "fresh", "input", "maximum", "output")

    def __init__(self, input: int, fresh: int, output: int, beyond: int, maximum: int | None) -> None:
        self.input = input
        self.fresh = fresh
        self.output = output
        self.beyond = beyond
        self.maximum = maximum

    @property
    def expected(self) -> int:
        """
        Input and output together.
        """
        return self.input + self.output


NOTHING: Final = Reservation(0, 0, 0, 0, 0)


def reserved(expected: float, beyond: float, burst: float, overshoot: float) -> float:
    """
    The tokens that a bucket is charged for a request at first; see Note [The bound].

    :param beyond: what it may use beyond what is expected.
    :param burst: what the bucket holds.
    :param overshoot: at least 1.
    """
    return expected + (beyond if beyond < burst else burst) / overshoot
