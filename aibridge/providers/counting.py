"""
How vendors count what a request takes of their limits of tokens: a row for each, with where it is said.

What a vendor says is left of a limit falls by what it counts, and when. To reserve more than that of what is left
refuses requests that the vendor would have served; to reserve less lets it refuse them.
"""

from __future__ import annotations

import enum
from typing import Final
from urllib.parse import urlsplit

from aibridge.admission.reservation import Reservation


class Output(enum.Enum):
    """
    What counts as a request's output while it is not known.
    """

    PRODUCED = "produced"
    """Nothing but what has been written: so what it is expected to be."""
    MAXIMUM = "maximum"
    """The maximum that the request names, until its answer has ended."""
    LARGER = "larger"
    """The maximum that the request names or its input, whichever is more, stands for both."""


class Counting:
    """
    The rule of one vendor. It does not change.

    :ivar vendor: its name.
    :ivar output: see `Output`; where a request names no maximum it is what is expected.
    :ivar counts_cached: input that came from the vendor's cache counts.
    :ivar source: where the vendor says so; empty where none does.
    """

    __slots__ = ("counts_cached", "output", "source", "vendor")

    def __init__(self, vendor: str, output: Output, *, counts_cached: bool, source: str) -> None:
        self.vendor = vendor
        self.output = output
        self.counts_cached = counts_cached
        self.source = source

    def counted(self, reservation: Reservation) -> tuple[int, int]:
        """
        What a request takes of the vendor's limits, as far as can be known before: tokens of input, and of output.
        """
        input = reservation.input if self.counts_cached else reservation.fresh
        maximum = reservation.maximum
        if maximum is None or self.output is Output.PRODUCED:
            return input, reservation.output
        if self.output is Output.MAXIMUM:
            return input, maximum
        return input, max(0, maximum - input)


ANTHROPIC: Final = Counting(
    "Anthropic",
    # What is written counts as it is written, and max_tokens not at all; input that comes from a cache counts with
    # a few old models alone.
    Output.PRODUCED,
    counts_cached=False,
    source="https://platform.claude.com/docs/en/api/rate-limits",
)
OPENAI: Final = Counting(
    "OpenAI",
    # The larger of max_tokens and an estimate by the number of characters.
    Output.LARGER,
    counts_cached=True,
    source="https://platform.openai.com/docs/guides/rate-limits",
)
AZURE: Final = Counting(
    "Azure OpenAI",
    # The prompt's text, max_tokens and best_of; counted when the request is received.
    Output.MAXIMUM,
    counts_cached=True,
    source="https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota",
)
CEREBRAS: Final = Counting(
    "Cerebras",
    # The prompt and max_completion_tokens, before the request is processed.
    Output.MAXIMUM,
    counts_cached=True,
    source="https://inference-docs.cerebras.ai/support/rate-limits",
)
GROQ: Final = Counting(
    "Groq",
    # Cached tokens do not count.
    Output.PRODUCED,
    counts_cached=False,
    source="https://console.groq.com/docs/rate-limits",
)
MISTRAL: Final = Counting(
    "Mistral",
    # Input and output together.
    Output.PRODUCED,
    counts_cached=True,
    source="https://docs.mistral.ai/deployment/ai-studio/tier",
)
UNKNOWN: Final = Counting(
    # What is left is told with each answer, so that a vendor that reserves more is heard of soon; refusing what it
    # would have served is the greater harm.
    "",
    Output.PRODUCED,
    counts_cached=True,
    source="",
)

BY_HOST: Final = {
    ".anthropic.com": ANTHROPIC,
    ".openai.com": OPENAI,
    ".openai.azure.com": AZURE,
    ".cognitiveservices.azure.com": AZURE,
    ".cerebras.ai": CEREBRAS,
    ".groq.com": GROQ,
    ".mistral.ai": MISTRAL,
}
"""The end of a base URL's host → the rule. A type whose base URL is a relay's or a proxy's follows `BY_TYPE`."""

BY_TYPE: Final = {"anthropic": ANTHROPIC, "openai": OPENAI}
"""Provider type → the rule, where the host says nothing."""


def counting_of(type_: str, base_url: str) -> Counting:
    """
    The rule that a provider counts by.

    :param type_: name of the provider's type.
    :param base_url: where its API is.
    """
    host = urlsplit(base_url).hostname or ""
    for end, counting in BY_HOST.items():
        if f".{host}".endswith(end):
            return counting
    return BY_TYPE.get(type_, UNKNOWN)
