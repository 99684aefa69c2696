"""
Values that have no text: keys and tokens can be used, compared and masked, but not printed.
"""

from __future__ import annotations

import hmac
from typing import Final

HIDDEN: Final = "<secret>"


class Secret:
    """
    A key or a token. Its `repr`, `str` and `format` are ``<secret>``; `reveal` is the only way to its text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """
        The text itself, for the one place that puts it on the wire.
        """
        return self._text

    def hint(self) -> str:
        """
        Enough to tell one key from another, and no more: 4+4 characters of at least 20, 2+2 of at least 10, 1+1 of
        at least 5, else nothing.
        """
        text = self._text
        for least, shown in ((20, 4), (10, 2), (5, 1)):
            if len(text) >= least:
                return f"{text[:shown]}...{text[-shown:]}"
        return "..."

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # A text from the environment may hold bytes that are not UTF-8, as surrogates.
        return hmac.compare_digest(
            self._text.encode("utf-8", "surrogatepass"), other._text.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret cannot be pickled")
