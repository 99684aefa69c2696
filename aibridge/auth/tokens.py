"""
Tokens of the bridge's own: what they look like, how they are kept, and who one belongs to. Pure; chance and the time
are arguments.

A token is ``aib_<id>_<secret>``. The id is public: it names the token in files and logs, and is what a look-up goes
by. The secret is 32 random bytes, of which only the SHA-256 is kept. A slow and salted hash, as passwords need, would
buy nothing: it makes guessing dear, and 256 random bits cannot be guessed at any price, nor met twice in a table made
beforehand. It would cost every request milliseconds instead of a microsecond.
"""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Final

import attrs

from aibridge.errors import Unauthenticated
from aibridge.model import Class, Principal
from aibridge.secret import Secret

RANDOM_BYTES: Final = 40
"""What `Token.from_random` takes: 8 for the id, 32 for the secret."""

# Crockford's base 32 in lower case: without i, l, o and u, which are taken for other characters or make words.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
_MARK: Final = "aib_"
_HEAD: Final = len(_MARK) + _ID_LENGTH + 1
_LENGTH: Final = _HEAD + _SECRET_LENGTH

_ID: Final = re.compile(rf"[{_ALPHABET}]{{{_ID_LENGTH}}}")
_TOKEN: Final = re.compile(rf"{_MARK}({_ID.pattern})_([A-Za-z0-9_-]{{{_SECRET_LENGTH}}})")
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")

HASH_FORM: Final = "sha256: and 64 hexadecimal digits in lower case"
ID_FORM: Final = f"{_ID_LENGTH} characters of {_ALPHABET}"


@attrs.frozen
class Token:
    """
    A token as its owner has it.
    """

    id: str
    secret: Secret

    @classmethod
    def from_random(cls, random: bytes, id: str | None = None) -> Token:
        """
        A new token.

        :param random: `RANDOM_BYTES` of them, from a source fit for keys.
        :param id: of the token that this one takes the place of.
        """
        if len(random) != RANDOM_BYTES:
            raise ValueError(f"{RANDOM_BYTES} random bytes are needed")
        number = int.from_bytes(random[:8])
        made = "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in range(_ID_LENGTH))
        return cls(made if id is None else id, Secret(urlsafe_b64encode(random[8:]).decode().rstrip("=")))

    @classmethod
    def parse(cls, text: str) -> Token:
        """
        Read what `reveal` wrote.

        :raises ValueError: it is no token; the message does not repeat it.
        """
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise ValueError("not a token of the bridge")
        return cls(match[1], Secret(match[2]))

    def reveal(self) -> str:
        """
        The token's text, for its owner's eyes.
        """
        return f"{_MARK}{self.id}_{self.secret.reveal()}"

    def hashed(self) -> str:
        """
        What is kept of the secret.
        """
        return "sha256:" + sha256(self.secret.reveal().encode()).hexdigest()


def is_id(text: str) -> bool:
    """
    Whether `text` has the form of a token's id.
    """
    return _ID.fullmatch(text) is not None


def is_hash(text: str) -> bool:
    """
    Whether `text` has the form of `Token.hashed`.
    """
    return _HASH.fullmatch(text) is not None


def looks_like_token(text: str) -> bool:
    """
    Whether `text` may be a token, or the beginning of one, and so is not to be shown.
    """
    return text.strip().lower().startswith(_MARK)


@attrs.frozen(kw_only=True)
class Entry:
    """
    What is kept of one token.

    :ivar name: for people; unique.
    :ivar hash: see `Token.hashed`.
    :ivar expires: from then on it is not good any more.
    :ivar disabled: it is not good until somebody says otherwise.
    :ivar rate_limit: requests per second, 0 for no limit, None for the configured one.
    :ivar rate_burst: requests at once, or None for what follows from the limit.
    :ivar max_in_flight: exchanges in flight, 0 for no limit, None for the configured one.
    :ivar previous_hash: of the secret before the last rotation, if that is still good.
    :ivar previous_expires: how long it is.
    """

    id: str
    name: str
    hash: str = attrs.field(repr=False)
    created: datetime
    class_: Class = Class.DEFAULT
    rate_limit: float | None = None
    rate_burst: float | None = None
    max_in_flight: int | None = None
    expires: datetime | None = None
    disabled: bool = False
    previous_hash: str | None = attrs.field(default=None, repr=False)
    previous_expires: datetime | None = None

    def has_expired(self, now_utc: float) -> bool:
        """
        Whether it was good once.

        :param now_utc: Unix seconds.
        """
        return self.expires is not None and self.expires.timestamp() <= now_utc


class _Row:
    """
    An entry as a look-up meets it; times are Unix seconds.
    """

    __slots__ = ("digest", "disabled", "previous", "previous_until", "principal", "until")

    def __init__(
        self,
        principal: Principal,
        digest: bytes,
        until: float,
        previous: bytes,
        previous_until: float,
        disabled: bool,
    ) -> None:
        self.principal = principal
        self.digest = digest
        self.until = until
        self.previous = previous
        self.previous_until = previous_until
        self.disabled = disabled


# Stands in for an id that is not known, so that the look-up of one takes the same steps. No secret is known whose
# SHA-256 is all zeros, and if one were, this row has expired at all times.
_NO_DIGEST: Final = bytes(32)
_NOBODY: Final = _Row(Principal(id="", name=""), _NO_DIGEST, -math.inf, _NO_DIGEST, -math.inf, False)


class TokenTable:
    """
    Says who a token belongs to.

    :param entries: their ids are unique.
    """

    __slots__ = ("_rows",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._rows: dict[bytes, _Row] = {}
        self.add(entries)

    def add(self, entries: Iterable[Entry]) -> None:
        """
        Know some more, for a table that is made little by little before it is used.
        """
        for entry in entries:
            self._rows[f"{_MARK}{entry.id}_".encode()] = _row(entry)

    def verify(self, token: bytes, now_utc: float) -> Principal:
        """
        The principal of a token that is good now. How long the answer takes does not tell whether the id was known.

        :param now_utc: Unix seconds; wall time, since a token expires at a date.
        :raises Unauthenticated: there is none. Only who shows the right secret is told that it has expired or was
            disabled.
        """
        if len(token) != _LENGTH:
            raise Unauthenticated("This bridge token is not known.")
        row = self._rows.get(token[:_HEAD], _NOBODY)
        digest = sha256(token[_HEAD:]).digest()
        until = row.until
        if not compare_digest(digest, row.digest):
            if not compare_digest(digest, row.previous):
                raise Unauthenticated("This bridge token is not known.")
            until = min(until, row.previous_until)
        if row.disabled:
            raise Unauthenticated("This bridge token has been disabled.")
        if now_utc >= until:
            raise Unauthenticated("This bridge token has expired.")
        return row.principal

    def named(self, name: str) -> Principal | None:
        """
        The principal of this name or id, whether or not its token is good now.
        """
        return next(
            (row.principal for row in self._rows.values() if name in (row.principal.name, row.principal.id)), None
        )

    def __len__(self) -> int:
        return len(self._rows)


def principal_of(entry: Entry) -> Principal:
    """
    Whom a token belongs to.
    """
    return Principal(
        id=entry.id,
        name=entry.name,
        class_=entry.class_,
        rate_limit=entry.rate_limit,
        rate_burst=entry.rate_burst,
        max_in_flight=entry.max_in_flight,
    )


def _row(entry: Entry) -> _Row:
    return _Row(
        principal=principal_of(entry),
        digest=_digest(entry.hash),
        until=math.inf if entry.expires is None else entry.expires.timestamp(),
        previous=_NO_DIGEST if entry.previous_hash is None else _digest(entry.previous_hash),
        previous_until=-math.inf if entry.previous_expires is None else entry.previous_expires.timestamp(),
        disabled=entry.disabled,
    )


def _digest(hashed: str) -> bytes:
    return bytes.fromhex(hashed.removeprefix("sha256:"))
