"""
What an exchange has cost in tokens: the shape that all dialects share, how it is known, and what stands for it while
it is not.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aibridge.dialects.facts import MOST_TOKENS
from aibridge.dialects.weight import PER_TOKEN

BYTES_PER_TOKEN: Final = 4
"""Of a request: what English text and JSON come to, on average, with all vendors' tokenizers."""

MOST_INPUT: Final = 1_000_000
"""Tokens; no request is taken for more, however many bytes of pictures it carries: no model on offer reads more."""

DEFAULT_OUTPUT: Final = 1024
"""Tokens that a request is taken to be answered with while nothing is known of such requests, unless it allows less."""

EXTRAS: Final = (
    "prompt_audio",
    "prompt_cached",
    "completion_accepted_prediction",
    "completion_rejected_prediction",
    "completion_audio",
    "completion_reasoning",
    "input_cached",
    "output_reasoning",
    "total_tokens",
    "web_search_requests",
    "web_fetch_requests",
    "cache_creation_input",
    "cache_read_input",
    "cache_ephemeral_1h_input",
    "cache_ephemeral_5m_input",
)
"""All names that `Usage.extras` can have; a closed set, so that they can be labels."""


_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class Source(enum.Enum):
    """
    How a count of tokens is known.
    """

    PROVIDER = "provider"
    """The provider told it, for the whole answer."""
    PARTIAL = "partial"
    """The provider told some of it, and then the answer broke off."""
    ESTIMATED = "estimated"
    """The provider told nothing; it is reckoned from what was sent and seen."""
    NONE = "none"
    """Nothing is known."""


PROVIDER: Final = Source.PROVIDER
"""Has a name of its own, so that it need not be looked up each time."""


class Unread(enum.Enum):
    """
    Why an answer, or a part of it, could not be read.
    """

    TOO_LARGE = "too_large"
    """More comes out of its encoding than may, or what was to be kept of it is more than is kept."""
    BEHIND = "behind"
    """Its client had left before all of it was read, which happens where a little stands for very much."""
    ENCODED = "encoded"
    """Its content encoding is one that cannot be undone here."""
    BROKEN = "broken"
    """It is not what its content type or its content encoding says."""
    OTHER_TYPE = "other_type"
    """It is neither JSON nor server-sent events."""


class Usage:
    """
    The tokens of one answer, each counted once, in the same way for all vendors. It does not change.

    :ivar input: read afresh: neither from a cache nor into one.
    :ivar output: written, thoughts included.
    :ivar cache_read: read from the vendor's cache.
    :ivar cache_write: read, and written to the vendor's cache.
    :ivar extras: what the vendor tells beside that, as it told it, under the names of `EXTRAS`; most are parts of the
        four, and none is to be added to them.
    """

    __slots__ = ("cache_read", "cache_write", "extras", "input", "output")

    def __init__(
        self,
        input: int = 0,
        output: int = 0,
        cache_read: int = 0,
        cache_write: int = 0,
        extras: Mapping[str, int] = _NONE,
    ) -> None:
        self.input = input
        self.output = output
        self.cache_read = cache_read
        self.cache_write = cache_write
        self.extras = extras

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Usage) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash((self.input, self.output, self.cache_read, self.cache_write))

    def __repr__(self) -> str:
        return f"Usage{self._all()}"

    def _all(self) -> tuple[int, int, int, int, dict[str, int]]:
        return self.input, self.output, self.cache_read, self.cache_write, dict(self.extras)

    @classmethod
    def of_inclusive(cls, read: int, output: int, cached: int, written: int, extras: Mapping[str, int]) -> Usage:
        """
        The usage of a vendor whose count of what was read has the cached tokens in it.

        More cached tokens than tokens are a mistake of the vendor's; the sum stays what it says was read.
        """
        cached = min(cached, read)
        written = min(written, read - cached)
        return cls(read - cached - written, output, cached, written, extras)

    @property
    def read(self) -> int:
        """
        All that went into the model.
        """
        return self.input + self.cache_read + self.cache_write

    @property
    def total(self) -> int:
        """
        All that was read and written.
        """
        return self.read + self.output


class Report:
    """
    What a response has told about itself. Texts in it are short, and none is the model's. It does not change.

    :ivar usage: as far as it was told, or None.
    :ivar model: as the response names it, which may be longer than what was asked for, or empty.
    :ivar id: of the response, or empty.
    :ivar stop: why the model stopped, in the vendor's word, or empty.
    :ivar error: the type of the error that the response carries, in the vendor's word, or empty.
    :ivar complete: the dialect's mark of a whole answer was seen.
    :ivar pieces: deltas that were seen in a stream, with those that only open or close a text. Most vendors send one
        for each token, none more, so where no usage was told this is about the least that was written.
    :ivar text: what the texts of the answer weigh that were seen, those of thoughts and of what tools are given.
    :ivar unread: why something could not be read, or None.
    :ivar cut: it is half an answer: a stream without its last event, or a body that is no whole one.
    :ivar unfinished: the response is made in the background, and was not over when its answer was.
    """

    __slots__ = (
        "complete",
        "cut",
        "error",
        "id",
        "model",
        "pieces",
        "source",
        "stop",
        "text",
        "unfinished",
        "unread",
        "usage",
    )

    def __init__(
        self,
        *,
        usage: Usage | None = None,
        source: Source = Source.NONE,
        model: str = "",
        id: str = "",
        stop: str = "",
        error: str = "",
        complete: bool = False,
        pieces: int = 0,
        text: int = 0,
        unread: Unread | None = None,
        cut: bool = False,
        unfinished: bool = False,
    ) -> None:
        self.usage = usage
        self.source = source
        self.model = model
        self.id = id
        self.stop = stop
        self.error = error
        self.complete = complete
        self.pieces = pieces
        self.text = text
        self.unread = unread
        self.cut = cut
        self.unfinished = unfinished

    def but_for(self, unread: Unread) -> Report:
        """
        The same, of an answer of which something could not be read.
        """
        return Report(
            usage=self.usage,
            source=self.source,
            model=self.model,
            id=self.id,
            stop=self.stop,
            error=self.error,
            complete=self.complete,
            pieces=self.pieces,
            text=self.text,
            unread=unread,
            cut=False,
            unfinished=self.unfinished,
        )

    @property
    def seen(self) -> int:
        """
        The tokens that were written, as far as they were seen: by their texts, but one for each piece at least.
        """
        return max(self.pieces, -(-self.text // PER_TOKEN))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash((self.source, self.model, self.id, self.pieces))

    def __repr__(self) -> str:
        return f"Report{self._all()}"

    def _all(self) -> tuple[object, ...]:
        told = (self.usage, self.source, self.model, self.id, self.stop, self.error, self.complete)
        return (*told, self.pieces, self.unread, self.unfinished)


def estimated_input(body_bytes: int) -> int:
    """
    The tokens that a request of so many bytes is taken to have.
    """
    return min(-(-body_bytes // BYTES_PER_TOKEN), MOST_INPUT)


def is_unfinished(report: Report, background: bool) -> bool:
    """
    Whether a response was not over when its answer was, and is made all the same.

    :param background: its request asked for that. Who leaves before he is told anything is not told this either.
    """
    return report.unfinished or (background and not report.stop and not report.error)


def charge(report: Report, estimated: int, body_bytes: int, unfinished: bool = False) -> tuple[int, Source]:
    """
    The tokens that an exchange has cost in the end, and how that is known.

    What the provider told for the whole answer is taken as it is, zero included. Of an answer that broke off, it is
    what was seen, though it may have told less before. Where the provider told nothing, an answer is taken for its
    request and what was seen of it, an error for nothing, and what could not be read, or is not over, for what was
    estimated, if that is more.

    :param estimated: the tokens that the request was expected to use.
    :param body_bytes: of the request.
    :param unfinished: see `is_unfinished`.
    """
    usage, seen = report.usage, report.seen
    if unfinished:
        read = estimated_input(body_bytes) if usage is None else usage.read
        return max(estimated, read + seen), Source.ESTIMATED
    if usage is not None:
        if report.source is PROVIDER:
            return usage.total, PROVIDER
        return usage.read + max(usage.output, seen), Source.PARTIAL
    if report.error and not seen:
        return 0, Source.NONE
    tokens = estimated_input(body_bytes) + seen
    return tokens if report.unread is None else max(estimated, tokens), Source.ESTIMATED


def count_of(told: Mapping[str, object], key: str) -> int | None:
    """
    A count out of a vendor's object, or None where it has none: absent, null, negative, or no number at all.
    """
    value = told.get(key)
    # A bool is an int in Python, and none in JSON.
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def object_of(told: Mapping[str, object], key: str) -> Mapping[str, object]:
    """
    An object out of a vendor's object, empty where it has none.
    """
    value = told.get(key)
    return value if isinstance(value, dict) else {}


def extras_of(*named: tuple[str, int | None]) -> dict[str, int]:
    """
    The extras that were told, among them those that are zero.
    """
    return {name: count for name, count in named if count is not None}
