"""
What a policy of the buckets says: whom it counts, what, how much of it; and what follows for one request.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

import attrs

from aibridge.model import Class

LEAST: Final = 1e-6
"""Smallest limit; a request a fortnight, which is still a time to wait for."""

MOST: Final = 1e12
"""Largest limit and burst; its whole numbers are exact, and fit into a structured field (RFC 9651, 3.3.1)."""

NAME: Final = r"[a-z0-9]+(-[a-z0-9]+)*"
"""What a policy may be called: a word in logs, labels and structured fields that needs no quotes."""


class Scope(enum.Enum):
    """
    Whom a policy counts together.
    """

    PRINCIPAL = "principal"
    PRINCIPAL_PROVIDER = "principal-provider"
    """Each principal at each provider."""
    CLASS = "class"
    """All principals of a class."""
    GLOBAL = "global"


class Unit(enum.Enum):
    """
    What a policy counts, and in what time.
    """

    REQUESTS_PER_SECOND = "requests/s"
    REQUESTS_PER_MINUTE = "requests/min"
    TOKENS_PER_MINUTE = "tokens/min"
    """Input and output together."""


_OF_ONE: Final = (Scope.PRINCIPAL, Scope.PRINCIPAL_PROVIDER)

BY_SCOPE: Final = {
    Scope.PRINCIPAL: "per-principal",
    Scope.PRINCIPAL_PROVIDER: "per-principal-provider",
    Scope.CLASS: "per-class",
    Scope.GLOBAL: "global",
}


@attrs.frozen(kw_only=True)
class Policy:
    """
    One limit, as configured.

    :ivar limit: how many of the unit on average.
    :ivar burst: requests or tokens at once; 0 means as many as `limit`, but at least 1.
    :ivar shadow: it counts what it would have refused, and refuses nothing.
    :ivar class_: only requests of this class count; None for all. A policy for a class without one stands for three,
        one for each class.
    :ivar provider: only requests to this provider count; empty for all.
    :raises ValueError: the limit or the burst is out of range, or the name has other characters than ``a-z0-9-``.
    :ivar name: how clients, logs and metrics know it; empty for the name that follows from the rest, such as
        ``per-principal``, ``per-class-batch`` or ``global-tokens``.
    """

    scope: Scope
    unit: Unit = Unit.REQUESTS_PER_SECOND
    limit: float
    burst: float = 0.0
    shadow: bool = False
    class_: Class | None = None
    provider: str = ""
    name: str = attrs.field(default="", validator=attrs.validators.matches_re(f"({NAME})?"))

    def __attrs_post_init__(self) -> None:
        if not LEAST <= self.limit <= MOST:
            raise ValueError(f"the limit of a policy is from {LEAST:g} to {MOST:g}, not {self.limit}")
        if self.burst and not 1 <= self.burst <= MOST:
            raise ValueError(f"the burst of a policy is 0, or from 1 to {MOST:g}, not {self.burst}")
        if not self.name:
            object.__setattr__(self, "name", self._derived_name())

    def _derived_name(self) -> str:
        parts = [BY_SCOPE[self.scope]]
        if self.class_ is not None:
            parts.append(self.class_.value)
        if self.provider:
            parts.append(self.provider)
        if self.counts_tokens:
            parts.append("tokens")
        return "-".join(parts)

    @property
    def counts_tokens(self) -> bool:
        """
        Whether it counts tokens, and not requests.
        """
        return self.unit is Unit.TOKENS_PER_MINUTE

    @property
    def rate(self) -> float:
        """
        Requests or tokens per second.
        """
        return self.limit if self.unit is Unit.REQUESTS_PER_SECOND else self.limit / 60.0

    @property
    def size(self) -> float:
        """
        What a bucket holds, in requests or tokens.
        """
        return max(1.0, self.burst or self.limit)

    @property
    def is_per_principal(self) -> bool:
        """
        Whether it counts requests for each principal, whatever its class and its provider; limits of a principal's own
        stand in for such a policy.
        """
        plain = self.scope is Scope.PRINCIPAL and self.class_ is None and not self.provider
        return plain and not self.counts_tokens

    def covers(self, other: Policy) -> bool:
        """
        Whether this one refuses whatever `other` would, so that `other` never makes a difference: all that is in one
        of its buckets is in one of these as well, which holds no more and leaks no faster. Of tokens that is so once
        it is known how many were used.

        Both are for one class or for all, see `for_each_class`, and limits of a principal's own are not considered.
        """
        return (
            self.counts_tokens is other.counts_tokens
            and self.rate <= other.rate
            and self.size <= other.size
            and self.class_ in (None, other.class_)
            and self.provider in ("", other.provider)
            and (other.shadow or not self.shadow)
            and (self.scope not in _OF_ONE or other.scope in _OF_ONE)
            and (self.scope is not Scope.PRINCIPAL_PROVIDER or other.scope is self.scope or bool(other.provider))
        )

    def for_each_class(self) -> Iterator[Policy]:
        """
        Itself; or, for classes without saying which, the same for each of them.
        """
        if self.scope is not Scope.CLASS or self.class_ is not None:
            yield self
            return
        for class_ in Class:
            derived = "" if self.name == self._derived_name() else f"{self.name}-{class_.value}"
            yield attrs.evolve(self, class_=class_, name=derived)
