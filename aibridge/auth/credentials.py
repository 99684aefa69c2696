"""
What a client shows to come in, what it brought for the provider, and which of the two a provider is shown. Pure.

One header counts as the bridge token: the Coder header, else ``Authorization: Bearer``, else ``X-Api-Key``. Only a
client that showed its token in the Coder header can have brought a provider key beside it (bring your own key); in
the other two headers the token stands where that key would, so neither of them crosses. A header that contains the
token never crosses at all.
"""

from __future__ import annotations

import binascii
import enum
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from aibridge.errors import BadRequest, CredentialMissing
from aibridge.model import CredentialKind
from aibridge.providers.types import KeyStyle
from aibridge.relay.headers import carries
from aibridge.secret import Secret

Pair = tuple[bytes, bytes]

CODER: Final = b"x-coder-token"
GOVERNANCE: Final = b"x-coder-ai-governance-token"
"""The Coder header's other name."""

AUTHORIZATION: Final = b"authorization"
API_KEY: Final = b"x-api-key"

_OWS: Final = b" \t"


class Source(enum.Enum):
    """
    The header in which a token was shown.
    """

    CODER = "coder"
    BEARER = "bearer"
    API_KEY = "api-key"
    NONE = "none"


class Credentials:
    """
    What one request showed. It has no text, so that none of it comes into a log.

    :ivar token: for the bridge, or None.
    :ivar own_authorization: the ``Authorization`` that the client brought for the provider, as sent, or None.
    :ivar own_api_key: its ``X-Api-Key``, likewise.
    """

    __slots__ = ("own_api_key", "own_authorization", "source", "token")

    def __init__(
        self,
        token: bytes | None = None,
        source: Source = Source.NONE,
        own_authorization: bytes | None = None,
        own_api_key: bytes | None = None,
    ) -> None:
        self.token = token
        self.source = source
        self.own_authorization = own_authorization
        self.own_api_key = own_api_key


NO_CREDENTIALS: Final = Credentials()


class Credential:
    """
    What the provider is shown. It has no text either.

    :ivar kind: its word in the log is `word`.
    :ivar pairs: the header fields that show it.
    :ivar hint: the key, masked; empty where there is none.
    :ivar is_clients: it is the client's own, and so the client who pays.
    """

    __slots__ = ("hint", "is_clients", "kind", "pairs", "word")

    def __init__(self, kind: CredentialKind, pairs: Sequence[Pair], hint: str = "") -> None:
        self.kind = kind
        self.word: str = kind.value
        self.pairs = pairs
        self.hint = hint
        self.is_clients = kind is CredentialKind.CLIENT


_NO_KEY: Final = Credential(CredentialKind.NONE, ())


def read(
    header: Callable[[bytes], bytes | None],
    headers_named: Callable[[bytes], Sequence[bytes]],
    verifies_tokens: bool = True,
) -> Credentials:
    """
    Find the token and what else was brought.

    Values are trimmed and empty ones are no values; an ``Authorization`` that is not two words of which the first is
    ``Bearer``, in any case, is no token.

    :param header: one value of a field by its lower-case name, or None if there is no such field.
    :param headers_named: all values of a field.
    :param verifies_tokens: tokens are the bridge's own. If they are not, a provider key alone is both the token, by
        which its user is told from others, and a key that crosses.
    :raises BadRequest: one field has several values, and nothing says which of them counts.
    """
    # Absent fields are found out here, since most are.
    token = None if header(CODER) is None else _only(CODER, headers_named)
    if header(GOVERNANCE) is not None:
        alias = _only(GOVERNANCE, headers_named)
        if None not in (token, alias) and alias != token:
            raise _ambiguous(GOVERNANCE)
        token = token or alias
    authorization = None if header(AUTHORIZATION) is None else _only(AUTHORIZATION, headers_named)
    api_key = None if header(API_KEY) is None else _only(API_KEY, headers_named)
    if token is not None:
        shows = _shows if verifies_tokens else _is
        return Credentials(
            token=token,
            source=Source.CODER,
            own_authorization=None if authorization is None or shows(token, authorization) else authorization,
            own_api_key=None if api_key is None or shows(token, api_key) else api_key,
        )
    source = Source.NONE
    if authorization is not None and (token := _bearer(authorization)) is not None:
        source = Source.BEARER
    elif api_key is not None:
        token, source = api_key, Source.API_KEY
    if verifies_tokens:
        return Credentials(token=token, source=source)
    return Credentials(token=token, source=source, own_authorization=authorization, own_api_key=api_key)


def decide(credentials: Credentials, policy: str, key: Secret | None, key_style: KeyStyle) -> Credential:
    """
    Whose key the provider is shown, and how.

    A client's own headers cross as they were sent, both if it brought both: which of them its provider prefers is
    between the two. That a client brought its own is never concluded from which header held the token.

    :param policy: one of `aibridge.providers.settings.CREDENTIALS`.
    :param key: the configured one, if there is one.
    :param key_style: how the provider expects to be shown a key.
    :raises CredentialMissing: a key is needed, and by `policy` there is none to show.
    """
    if key_style is KeyStyle.NONE:
        return _NO_KEY
    authorization, api_key = credentials.own_authorization, credentials.own_api_key
    if policy != "central" and (authorization is not None or api_key is not None):
        return _own(authorization, api_key, key_style)
    if policy == "client":
        raise CredentialMissing("This provider is used with a key of your own, and the request brought none.")
    if key is None:
        if policy == "central":
            raise CredentialMissing("No key is configured for this provider.")
        raise CredentialMissing
    return central(key, key_style)


def _only(name: bytes, headers_named: Callable[[bytes], Sequence[bytes]]) -> bytes | None:
    """
    The trimmed value of a field; None if it is empty.
    """
    values = headers_named(name)
    if len(values) == 1:
        return values[0].strip(_OWS) or None
    distinct = {value.strip(_OWS) for value in values} - {b""}
    if len(distinct) > 1:
        raise _ambiguous(name)
    return distinct.pop() if distinct else None


def _ambiguous(name: bytes) -> BadRequest:
    # Guessing is what lets a client be one person to the bridge and another to what stands before or behind it.
    return BadRequest(f"The header {name.decode('ascii')} was sent more than once, with different values.")


def _bearer(authorization: bytes) -> bytes | None:
    words = authorization.split()
    if len(words) == 2 and words[0].lower() == b"bearer":
        return words[1]
    return None


def _shows(token: bytes, value: bytes) -> bool:
    """
    Whether a credential contains the token, within Basic credentials too (a base URL such as
    ``https://user:TOKEN@host`` makes some clients send them).
    """
    if carries(token, value):
        return True
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return False
    try:
        return token in binascii.a2b_base64(encoded.strip(_OWS))
    except binascii.Error:
        return False


def _is(token: bytes, value: bytes) -> bool:
    """
    Whether a credential is nothing but the token. Where tokens are not verified they may be a word or two long, and
    to be contained in a key says nothing.
    """
    return token in (value, _bearer(value))


# As many as there are likely to be configured keys; those of an old configuration leave as others come.
@lru_cache(256)
def central(key: Secret, key_style: KeyStyle) -> Credential:
    """
    How a provider is shown a configured key.
    """
    text = key.reveal().encode()
    pair = (b"X-Api-Key", text) if key_style is KeyStyle.API_KEY else (b"Authorization", b"Bearer " + text)
    return Credential(CredentialKind.CENTRAL, (pair,), key.hint())


def _own(authorization: bytes | None, api_key: bytes | None, key_style: KeyStyle) -> Credential:
    pairs: list[Pair] = []
    if authorization is not None:
        pairs.append((b"Authorization", authorization))
    if api_key is not None:
        pairs.append((b"X-Api-Key", api_key))
    shown = api_key
    if authorization is not None and (api_key is None or key_style is KeyStyle.BEARER):
        scheme, _, parameters = authorization.partition(b" ")
        shown = parameters.strip(_OWS) or scheme
    return Credential(CredentialKind.CLIENT, pairs, Secret((shown or b"").decode("ascii", "replace")).hint())
