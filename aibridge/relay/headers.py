"""
Which header fields cross the bridge, each way. Pure, and the only place that says so.

What is not named here crosses, as it was sent, in its order. Lists of what may cross would break the next client that
adds a field of its own, which each of them does; what must not cross is known, because it belongs to a connection,
to a hop, or to the bridge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

Pair = tuple[bytes, bytes]

_PERCENT: Final = ord("%")

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""They speak of one connection (RFC 9110, 7.6.1), and so do not outlive it."""

FRAMING = frozenset((b"content-length", b"expect", b"host"))
"""Each side's wire writes its own."""

CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"cookie", b"cookie2"))
"""What remains of these is decided by `aibridge.auth.credentials`, and set anew."""

TRACES = frozenset((b"forwarded", b"x-real-ip"))
"""Who asked is the bridge's knowledge; some providers' signatures break on it as well."""

BILLING = frozenset(
    (
        # OpenAI's SDKs send them when OPENAI_ORG_ID or OPENAI_PROJECT_ID is set
        # (https://platform.openai.com/docs/api-reference/authentication).
        b"openai-organization",
        b"openai-project",
        # Anthropic, of keys that several workspaces share.
        b"anthropic-organization-id",
        b"anthropic-workspace-id",
        # Of whom a session of ChatGPT's is, as Codex sends it.
        b"chatgpt-account-id",
        # Google (https://cloud.google.com/apis/docs/system-parameters), Amazon Bedrock, Databricks.
        b"x-goog-user-project",
        b"x-amzn-bedrock-projectidentifier",
        b"x-amzn-bedrock-project-identifier",
        b"x-databricks-org-id",
    )
)
"""Whom the provider charges, and as a part of which organization; with the configured key that is not the client's to
choose. A provider that knows them refuses what does not belong to its key, as if the key were wrong."""

STEERING = frozenset(
    (
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-override-url",
        b"x-rewrite-url",
    )
)
"""They make some servers take a request for one by another method, or on another path, than the one that was allowed
(https://cloud.google.com/apis/docs/system-parameters, and what frameworks and reverse proxies understand)."""

_REQUEST = HOP_BY_HOP | FRAMING | CREDENTIALS | TRACES
_REQUEST_FAMILIES = (b"x-forwarded-", b"x-coder-", b"coder-", b"x-ai-bridge-")

_RESPONSE = HOP_BY_HOP | frozenset(
    (
        b"alt-svc",  # it would send the client past the bridge
        b"content-length",
        b"date",  # the bridge says its own, once
        b"set-cookie",
        b"set-cookie2",
        b"strict-transport-security",  # it speaks for another host
    )
)
_RESPONSE_FAMILIES = (b"x-ai-bridge-",)

_LONGEST_KEPT = 64


class Rule(dict[bytes, bool]):
    """
    Whether a field stays behind, by its name in any spelling. Answers are remembered.

    Clients spell their names alike, so nearly every question is one look into a dictionary. It holds at most `size`
    spellings, none of them long, as they are the client's to choose.

    :param names: in lower case.
    :param families: beginnings of names, in lower case.
    """

    def __init__(self, names: frozenset[bytes], families: tuple[bytes, ...], size: int = 2048) -> None:
        super().__init__()
        self._names = names
        self._families = families
        self._size = size

    def __missing__(self, name: bytes) -> bool:
        lower = name.lower().replace(b"_", b"-")
        answer = lower in self._names or lower.startswith(self._families)
        if len(self) < self._size and len(name) <= _LONGEST_KEPT:
            self[name] = answer
        return answer


_stays_here = Rule(_REQUEST, _REQUEST_FAMILIES)
_stays_there = Rule(_RESPONSE, _RESPONSE_FAMILIES)
_is_not_the_clients = Rule(BILLING | STEERING, ())


def to_provider(
    pairs: Iterable[Pair],
    connection: Sequence[bytes],
    credentials: Iterable[Pair],
    *,
    client_pays: bool,
    withheld: bytes | None = None,
) -> list[Pair]:
    """
    The fields of the request that goes to the provider.

    :param pairs: as the client sent them.
    :param connection: the values of its ``Connection`` fields; what they list goes no further.
    :param credentials: the fields that show the provider its key, and what is configured to go with that; none of the
        client's goes by the name of one of them.
    :param client_pays: the key is the client's own.
    :param withheld: the bridge token, which crosses in no field whatever its name.
    """
    crossing = [pair for pair in pairs if not _stays_here[pair[0]]]
    if not client_pays:
        crossing = [pair for pair in crossing if not _is_not_the_clients[pair[0]]]
    crossing = _without_listed(crossing, connection)
    if withheld and carries(withheld, b"\n".join([text for pair in crossing for text in pair])):
        crossing = [pair for pair in crossing if not carries(withheld, b"\n".join(pair))]
    own = list(credentials)
    if own:
        names = {name.lower() for name, _ in own}
        crossing = [pair for pair in crossing if pair[0].lower().replace(b"_", b"-") not in names]
        crossing.extend(own)
    return crossing


def to_client(pairs: Iterable[Pair], connection: Sequence[bytes] = ()) -> list[Pair]:
    """
    The fields of the answer that goes to the client; its framing and date are not among them.

    :param pairs: as the provider sent them.
    :param connection: the values of its ``Connection`` fields.
    """
    return _without_listed([pair for pair in pairs if not _stays_there[pair[0]]], connection)


_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[!-~]([ -~]*[!-~])?")


def configured(text: str) -> Pair:
    """
    A field that is configured to go with a provider's key, written as ``Name: value``.

    :raises ValueError: it is none, or one that is not to be configured, as it belongs to a connection or to a hop, or
        shows a key.
    """
    name, colon, value = (part.strip() for part in text.encode("utf-8", "surrogateescape").partition(b":"))
    if not colon or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise ValueError("no field")
    if _stays_here[name]:
        raise ValueError("not a field that can be configured")
    return name, value


def carries(token: bytes, value: bytes) -> bool:
    """
    Whether a header value or a URI contains the token, as it is or with its characters percent-encoded.

    This is against mistakes (a base URL with the token in its query, a client that repeats it in a header of its
    own); somebody who wants to give a token of theirs away cannot be kept from it.
    """
    if len(value) < len(token):
        return False
    # Not `in`, which costs an exception each time it is given bytes.
    return value.find(token) >= 0 or (value.find(_PERCENT) >= 0 and unquote_to_bytes(value).find(token) >= 0)


def connection_values(pairs: Iterable[Pair]) -> list[bytes]:
    """
    The values of the ``Connection`` fields among `pairs`.
    """
    return [value for name, value in pairs if len(name) == 10 and name.lower() == b"connection"]


def content_of(pairs: list[Pair]) -> tuple[bytes, bytes]:
    """
    The type and the encoding of a body; empty where they are not told.
    """
    content_type = encoding = b""
    for name, value in pairs:
        size = len(name)
        if size == 12 and name.lower() == b"content-type":
            content_type = value
        elif size == 16 and name.lower() == b"content-encoding" and value.lower() != b"identity":
            # Of several fields each is an encoding more (RFC 9110, 5.3).
            encoding = encoding + b", " + value if encoding else value
    return content_type, encoding


def declared_length(pairs: list[Pair]) -> int | None:
    """
    What ``Content-Length`` says, or None.
    """
    for name, value in pairs:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return None


_ORDINARY = frozenset((b"keep-alive", b"close", b"Keep-Alive", b"Close"))


def _without_listed(pairs: list[Pair], connection: Sequence[bytes]) -> list[Pair]:
    if not connection or all(value in _ORDINARY for value in connection):
        return pairs
    listed = {name.strip().lower() for value in connection for name in value.split(b",")}
    return [pair for pair in pairs if pair[0].lower() not in listed]
