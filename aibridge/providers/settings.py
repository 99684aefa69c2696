"""
What can be configured about one provider: who it is, whose key it is shown, how it is reached.
"""

from __future__ import annotations

import attrs

from aibridge.options import OPTIONAL_PATH, OPTIONAL_URL, PROXY_URL, option

NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
TYPES = ("openai", "anthropic", "copilot", "openai-compatible", "demo")
CREDENTIALS = ("client-or-central", "central", "client")
KEY_ORDERS = ("first", "round-robin")
OWN = "own"
ANYONE = "anyone"
STORED_OBJECTS = (OWN, ANYONE)
ADD = "add"
INCLUDE_USAGE = ("keep", ADD)


@attrs.frozen(kw_only=True)
class TransportSettings:
    """
    How a provider is reached. Every wait has its own end, and each end its own error.
    """

    max_connections: int = option(
        1024,
        why="Most connections open to the provider at once; a request beyond it waits, because an overflowing pool "
        "takes the file descriptors of everyone else.",
        least=1,
        most=65536,
    )
    pool_timeout: float = option(
        10.0,
        why="How long a request waits for one of them before it is answered 504.",
        least=0.001,
        most=600,
        unit="s",
    )
    max_idle_connections: int = option(
        64, why="Connections kept open for the next request, most recently used first.", least=0, most=65536
    )
    idle_timeout: float = option(
        55.0,
        why="How long an unused connection is kept; shorter than the 60 s after which most providers and load "
        "balancers close theirs, so that none is closed under a request.",
        least=0,
        most=3600,
        unit="s",
    )
    max_connection_age: float = option(
        3600.0,
        why="How old a connection may grow before it is not used again, so that a provider's DNS changes are followed.",
        least=1,
        most=86400,
        unit="s",
    )
    connect_timeout: float = option(
        10.0,
        why="Time for resolving, connecting and the TLS handshake together.",
        least=0.001,
        most=600,
        unit="s",
    )
    first_byte_timeout: float = option(
        600.0,
        why="Time from the request's last byte to the response head; the SDKs themselves wait 600 s, and a model may "
        "think that long.",
        least=0.001,
        most=86400,
        unit="s",
    )
    silence_timeout: float = option(
        600.0,
        why="Longest pause within a response; a long thought is silent, a dead connection too.",
        least=0.001,
        most=86400,
        unit="s",
    )
    total_timeout: float = option(
        0.0,
        why="Longest life of one upstream call, whatever its progress; 0 means no limit, since answers are long.",
        least=0,
        most=604800,
        unit="s",
    )
    max_response_head: int = option(
        65536,
        why="Largest response head that is accepted, 1xx heads included.",
        least=1024,
        most=1048576,
        unit="bytes",
    )
    ca_file: str = option(
        "",
        why="PEM file of further certificate authorities to trust for this provider; the system's own stay trusted, "
        "and no option turns verification off.",
        **OPTIONAL_PATH,
    )


@attrs.frozen(kw_only=True)
class ProviderSettings(TransportSettings):
    """
    ``[[provider]]``: a vendor account that requests can go to; repeat the table for each.
    """

    name: str = option(
        why="First segment of the provider's paths; lower-case letters, digits and single hyphens, unique.",
        matches=NAME,
        form="lower-case letters and digits, in parts joined by single hyphens",
        example="openai",
    )
    type: str = option(why="Which routes it has and which dialects it speaks.", choices=TYPES, example="openai")
    base_url: str = option(
        "",
        why="Where its API is; empty means the type's own default, and openai-compatible has none.",
        **OPTIONAL_URL,
    )
    key: str = option(
        "",
        why="Reference to the provider key: file:PATH, env:NAME or credential:NAME; empty means that clients bring "
        "their own.",
        secret=True,
    )
    keys: tuple[str, ...] = option(
        (),
        why="References to further keys of the same account or of others, after key if that is set; a request that the "
        "provider refuses for its key or a limit is sent with one other, and the key cools down if that one is served.",
        most=16,
        secret=True,
    )
    key_order: str = option(
        "first",
        why="Which of several keys is used: the first that does not cool down, since prompt caches are an account's "
        "own, or each in turn.",
        choices=KEY_ORDERS,
    )
    credentials: str = option(
        "client-or-central",
        why="Whose key the provider is shown: the client's own when it brought one and else the configured one, "
        "always the configured one, or always the client's.",
        choices=CREDENTIALS,
    )
    headers: tuple[str, ...] = option(
        (),
        why="Header fields that go to the provider with the configured key, such as OpenAI-Organization: org-…; a "
        "client's own of these names, and any that choose an organization, a project or a workspace, go only with a "
        "client's own key, since a provider refuses the key for what does not belong to it.",
        most=16,
        form='fields, as "Name: value"',
    )
    proxy: str = option(
        "",
        why="Proxy through which the provider is reached, where the network has no other way out. Its URL if it asks "
        "for no password, else a reference to a URL with one: file:PATH, env:NAME or credential:NAME.",
        **PROXY_URL,
    )
    proxy_ca_file: str = option(
        "",
        why="PEM file of further certificate authorities to trust for an https:// proxy.",
        **OPTIONAL_PATH,
    )
    max_concurrency: int = option(
        0,
        why="Most exchanges in flight with this provider, besides admission.max_concurrency; one more waits, or is "
        "answered 503. 0 means no limit of its own.",
        least=0,
        most=1000000,
    )
    heed_limits: bool = option(
        True,
        why="Whether a key slows down by what the provider says is left of its limits (retry-after, x-ratelimit-*, "
        "anthropic-ratelimit-*), so that a thousand agents do not hammer one that said wait.",
    )
    include_usage: str = option(
        "keep",
        why="Whether streams of chat completions tell their usage only where the client asks for it, or always: then "
        "stream_options.include_usage is added to requests without it, and the chunk that comes for it is taken out "
        "again, for which the provider is asked not to encode its answer. Where no usage is told, it is estimated from "
        "the texts that were seen.",
        choices=INCLUDE_USAGE,
    )
    allow: tuple[str, ...] = option(
        (),
        why="What clients may ask with a configured key although it administers or deletes, or is on no list: methods "
        "and paths such as DELETE /models/*, where * is one segment, and at the end everything below. Nothing, since "
        "such a key may do more than a client ought to.",
        matches=r"(GET|POST|PUT|PATCH|DELETE) (/[A-Za-z0-9_.~-]+|/\*)+",
        form="methods and paths",
        most=64,
    )
    stored_objects: str = option(
        OWN,
        why="Whose stored responses, conversations, files, batches and the like a client may name with a configured "
        "key: those that it made through the bridge, or anyone's; since all clients share that key, their provider "
        "cannot tell them apart.",
        choices=STORED_OBJECTS,
    )
    retries: int = option(
        0,
        why="How often a request is sent again that the provider did not act on, before the first byte of an answer; "
        "never more than a tenth of what lately succeeded, and three. 0, since the SDKs retry by themselves.",
        least=0,
        most=5,
    )

    @property
    def references(self) -> tuple[str, ...]:
        """
        The references to its keys, in the order of their use.
        """
        return (self.key, *self.keys) if self.key else self.keys
