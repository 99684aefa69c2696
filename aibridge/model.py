"""
The values that travel between the floors. All frozen, none with behaviour beyond its own reading.
"""

from __future__ import annotations

import enum

import attrs


class Dialect(enum.Enum):
    """
    A wire format: how requests, answers, events and errors look on a route.
    """

    __hash__ = object.__hash__  # the one of Enum is a call of Python's for each look-up

    CHAT = "chat"
    """OpenAI chat completions."""
    RESPONSES = "responses"
    """OpenAI responses."""
    MESSAGES = "messages"
    """Anthropic messages."""
    PLAIN = "plain"
    """None of them: the bridge's own pages and unknown places."""


class Class(enum.Enum):
    """
    How much a principal's requests matter when not all can be served.
    """

    __hash__ = object.__hash__

    INTERACTIVE = "interactive"
    DEFAULT = "default"
    BATCH = "batch"


def _own_id(principal: Principal) -> str:
    return principal.id


@attrs.frozen(kw_only=True)
class Principal:
    """
    Who a verified token belongs to, or whom a request is counted for when no token is asked for.

    :ivar id: stable and unique; the key of buckets and records. Never a token's text.
    :ivar name: for people: logs, metrics.
    :ivar rate_limit: requests per second for this principal, or None for the configured one.
    :ivar rate_burst: size of its bucket, or None for the configured one.
    :ivar max_in_flight: most exchanges it may have in flight, 0 for no limit, or None for the configured one.
    :ivar origin: where whoever it is comes from, if he could as well have another id with each request, since nobody
        verifies his token: what there is for all newcomers is shared between origins first. Empty where ids are
        given, and so are not without end.
    :ivar party: who it is where things are shared out between principals: its id, or one that it has in common with
        others of its origin.
    """

    id: str
    name: str
    class_: Class = Class.DEFAULT
    rate_limit: float | None = None
    rate_burst: float | None = None
    max_in_flight: int | None = None
    origin: str = attrs.field(default="", eq=False)
    party: str = attrs.field(default=attrs.Factory(_own_id, takes_self=True), eq=False)


class CredentialKind(enum.Enum):
    """
    Whose key the provider was shown.
    """

    CENTRAL = "central"
    """The configured one."""
    CLIENT = "client"
    """The client's own (bring your own key)."""
    NONE = "none"
    """No key: the provider asks for none."""


class Stored(enum.Enum):
    """
    What a provider keeps for whoever made it, and gives to whoever knows its id and shows the same account's key.
    """

    __hash__ = object.__hash__

    RESPONSE = "response"
    CONVERSATION = "conversation"
    ITEM = "item"
    CHAT_COMPLETION = "chat_completion"
    AUDIO = "audio"
    FILE = "file"
    UPLOAD = "upload"
    BATCH = "batch"
    CONTAINER = "container"
    VECTOR_STORE = "vector_store"
    MESSAGE_BATCH = "message_batch"
