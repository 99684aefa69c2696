"""
What holds at the gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from aibridge.model import Class

WEIGHTS: Final[Mapping[Class, float]] = MappingProxyType({Class.INTERACTIVE: 4.0, Class.DEFAULT: 2.0, Class.BATCH: 1.0})


@attrs.frozen(kw_only=True)
class SeatTerms:
    """
    What holds at the gate; replaced as a whole by a reload.

    :ivar max_concurrency: most permits out at once; 0 is no limit.
    :ivar providers: the same for each provider; one that is not named has no limit.
    :ivar queue_size: most requests that wait; 0: none does, and a full gate refuses at once.
    :ivar queue_timeout_s: how long one may wait.
    :ivar interactive_share: part of each limit that is kept for the class `interactive`, rounded down to whole
        permits; see Note [The kept share].
    :ivar weights: how much of what there is a principal of each class gets; all classes, all above 0.
    :ivar max_retry_after_s: the longest wait that a refused client is told.
    :ivar shadow: nobody waits and nobody is refused, but those who would have been are counted.
    """

    max_concurrency: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    providers: Mapping[str, int] = attrs.field(factory=dict)
    queue_size: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    queue_timeout_s: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    interactive_share: float = attrs.field(default=0.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    weights: Mapping[Class, float] = attrs.field(default=WEIGHTS)
    max_retry_after_s: float = attrs.field(default=45.0, validator=attrs.validators.gt(0))
    shadow: bool = False

    @providers.validator
    def _no_provider_below_zero(self, _: object, value: Mapping[str, int]) -> None:
        if any(limit < 0 for limit in value.values()):
            raise ValueError("a provider's limit is below 0")

    @weights.validator
    def _all_classes_weigh(self, _: object, value: Mapping[Class, float]) -> None:
        if set(value) != set(Class) or not all(weight > 0 for weight in value.values()):
            raise ValueError("each class has a weight above 0")

    def kept(self, limit: int) -> int:
        """
        Permits of a limit that are kept for `interactive`.
        """
        # A share such as 0.29 of 100 is 28.999999999999996 in floating point.
        return math.floor(limit * self.interactive_share + 1e-9)

    def lent(self, limit: int) -> int:
        """
        Those of them that others may have while they are idle; see Note [The kept share].
        """
        kept = self.kept(limit)
        if not kept:
            return 0
        all_kept = sum(map(self.kept, (self.max_concurrency, *self.providers.values())))
        return min(kept, self.queue_size * kept // max(kept, all_kept))
