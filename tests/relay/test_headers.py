"""
Which header fields cross, each way.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.relay.headers import (
    BILLING,
    STEERING,
    Pair,
    Rule,
    configured,
    connection_values,
    content_of,
    declared_length,
    to_client,
    to_provider,
)

TOKEN = b"aib_k3y_0123456789abcdefghij"
KEY = (b"X-Api-Key", b"sk-configured")

STAYS_HERE = [
    # of one connection
    b"Connection",
    b"HTTP2-Settings",
    b"Keep-Alive",
    b"Proxy-Authenticate",
    b"Proxy-Authentication-Info",
    b"Proxy-Authorization",
    b"Proxy-Connection",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
    b"Upgrade",
    # of each side's wire
    b"Content-Length",
    b"Expect",
    b"Host",
    # what somebody showed the bridge
    b"Authorization",
    b"X-Api-Key",
    b"Cookie",
    b"Cookie2",
    b"X-Coder-Token",
    b"X-Coder-AI-Governance-Token",
    b"X-Coder-AI-Governance-Request-Id",
    b"X-Coder-Agent-Firewall-Session-Id",
    b"X-Coder-Chat-Id",
    b"Coder-Session-Token",
    # who asked, from where
    b"Forwarded",
    b"X-Forwarded-For",
    b"X-Forwarded-Host",
    b"X-Forwarded-Port",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Anything",
    b"X-Real-IP",
    # the bridge's own
    b"X-AI-Bridge-Actor-ID",
    b"X-AI-Bridge-Actor-Metadata-Username",
    b"X-AI-Bridge-Request-Id",
]

GOES_UP = [
    b"Accept",
    b"Accept-Encoding",
    b"Content-Encoding",
    b"Content-Type",
    b"User-Agent",
    b"Anthropic-Beta",
    b"Anthropic-Version",
    b"Anthropic-Dangerous-Direct-Browser-Access",
    b"OpenAI-Beta",
    b"Idempotency-Key",
    b"X-Claude-Code-Session-Id",
    b"X-App",
    b"X-Stainless-Retry-Count",
    b"X-Stainless-Lang",
    b"session_id",
    b"session-id",
    b"thread-id",
    b"originator",
    b"x-codex-turn-metadata",
    b"x-interaction-id",
    b"Editor-Version",
    b"Copilot-Integration-Id",
    b"traceparent",
    b"X-Unheard-Of",
    b"X-Coder",
    b"Forwarded-To",
    b"Authorizations",
]

STAYS_THERE = [
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Authenticate",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
    b"Upgrade",
    b"Content-Length",
    b"Date",
    b"Set-Cookie",
    b"Set-Cookie2",
    b"Strict-Transport-Security",
    b"Alt-Svc",
    b"X-AI-Bridge-Reason",
    b"X-AI-Bridge-Request-Id",
]

COMES_DOWN = [
    b"Content-Type",
    b"Content-Encoding",
    b"Retry-After",
    b"retry-after-ms",
    b"x-should-retry",
    b"request-id",
    b"x-request-id",
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-tokens",
    b"anthropic-ratelimit-requests-reset",
    b"anthropic-organization-id",
    b"openai-processing-ms",
    b"openai-version",
    b"Cache-Control",
    b"ETag",
    b"Location",
    b"Server",
    b"Vary",
    b"WWW-Authenticate",
    b"X-Unheard-Of",
]


def spellings(name: bytes) -> list[bytes]:
    """
    A name as clients may write it, and as some servers would read it.
    """
    found = [name, name.lower(), name.upper(), name.swapcase()]
    return [*found, *(each.replace(b"-", b"_") for each in found)]


def up(pairs: list[Pair], **changes: bool | bytes | None) -> list[Pair]:
    """
    What crosses to a provider that takes no key.
    """
    told: dict[str, bool | bytes | None] = {"client_pays": False, "withheld": None, **changes}
    return to_provider(pairs, connection_values(pairs), (), **told)  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize("name", STAYS_HERE)
def test_stays_here(name: bytes) -> None:
    """
    It does not go to the provider, however it is spelt, underscores included, which many servers read as hyphens.
    """
    for spelling in spellings(name):
        assert up([(spelling, b"x"), (b"Accept", b"*/*")]) == [(b"Accept", b"*/*")]


@pytest.mark.parametrize("name", GOES_UP)
def test_goes_up(name: bytes) -> None:
    """
    It does, spelt as it was.
    """
    for spelling in spellings(name):
        assert up([(spelling, b"x")]) == [(spelling, b"x")]


@pytest.mark.parametrize("name", STAYS_THERE)
def test_stays_there(name: bytes) -> None:
    """
    It does not come to the client.
    """
    for spelling in spellings(name):
        assert to_client([(spelling, b"x"), (b"request-id", b"1")]) == [(b"request-id", b"1")]


@pytest.mark.parametrize("name", COMES_DOWN)
def test_comes_down(name: bytes) -> None:
    """
    It does, spelt as it was.
    """
    for spelling in spellings(name):
        assert to_client([(spelling, b"x")]) == [(spelling, b"x")]


def test_order_and_repetition_are_kept() -> None:
    """
    What crosses, crosses as it was sent: order, repetition, spelling, empty values, odd bytes.
    """
    pairs = [
        (b"anthropic-beta", b"a,b"),
        (b"X-One", b""),
        (b"Host", b"bridge"),
        (b"Anthropic-Beta", b"c"),
        (b"X-Two", b"\xff\t \x80"),
        (b"X-One", b"again"),
    ]
    assert up(pairs) == [pair for pair in pairs if pair[0] != b"Host"]
    assert to_client(pairs) == pairs


def test_credentials_come_last_as_given() -> None:
    """
    What the client showed is out; what is to be shown is in, once.
    """
    pairs = [(b"Authorization", b"Bearer theirs"), (b"X-Api-Key", b"theirs"), (b"Accept", b"*/*")]
    assert to_provider(pairs, (), [KEY], client_pays=False) == [(b"Accept", b"*/*"), KEY]
    assert to_provider(pairs, (), iter([KEY]), client_pays=False) == [(b"Accept", b"*/*"), KEY]


@pytest.mark.parametrize("name", sorted(BILLING | STEERING))
def test_what_is_not_the_clients_with_our_key(name: bytes) -> None:
    """
    Whom the provider charges, and as a part of what, is chosen by whoever pays; and what was allowed is what is asked.
    """
    for spelling in spellings(name):
        pairs = [(spelling, b"org-1"), (b"Accept", b"*/*")]
        assert up(pairs, client_pays=False) == [(b"Accept", b"*/*")]
        assert up(pairs, client_pays=True) == pairs


def test_what_the_sdks_send() -> None:
    """
    Those of OpenAI's name an organization and a project as soon as their environment does.
    """
    assert {b"openai-organization", b"openai-project", b"anthropic-workspace-id", b"x-goog-user-project"} <= BILLING


def test_what_is_configured_stands_for_the_clients() -> None:
    """
    A field that goes with our key is there once, as configured.
    """
    pairs = [(b"X-TENANT", b"theirs"), (b"x_tenant", b"theirs"), (b"X-Tenant-2", b"theirs")]
    own = [KEY, (b"X-Tenant", b"ours")]
    assert to_provider(pairs, (), own, client_pays=False) == [(b"X-Tenant-2", b"theirs"), *own]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("OpenAI-Organization: org-1", (b"OpenAI-Organization", b"org-1")),
        ("anthropic-workspace-id:wrkspc_1", (b"anthropic-workspace-id", b"wrkspc_1")),
        (" X-A :  b: c d  ", (b"X-A", b"b: c d")),
    ],
)
def test_configured(text: str, pair: Pair) -> None:
    """
    A name, a colon, a value.
    """
    assert configured(text) == pair


@pytest.mark.parametrize(
    "text",
    [
        *("", "X-A", "X-A:", ": b", "X A: b", "X-A: b\r\nX-B: c", "X-A: ü", "X-A: \udcff", "Host: h"),
        *("authorization: b", "X-Api-Key: b", "X_API_KEY: b", "Connection: close", "Content-Length: 1"),
        "X-Forwarded-For: b",
    ],
)
def test_not_to_be_configured(text: str) -> None:
    """
    What is no field, and what belongs to a connection, a hop or a key.
    """
    with pytest.raises(ValueError, match="field"):
        configured(text)


def test_token_does_not_cross_in_any_field() -> None:
    """
    Whatever the field is called, and whatever stands around the token in it, also in its name.
    """
    pairs = [
        (b"X-Custom", TOKEN),
        (b"X-Log", b"used token=" + TOKEN + b"; ok"),
        (b"Referer", b"http://bridge/?key=" + TOKEN),
        (TOKEN, b"x"),
        (b"x-" + TOKEN, b""),
        (b"Accept", b"*/*"),
    ]
    assert up(pairs, withheld=TOKEN) == [(b"Accept", b"*/*")]
    assert up(pairs, withheld=None) == pairs
    assert up(pairs, withheld=b"") == pairs


def test_a_part_of_the_token_is_no_token() -> None:
    """
    Nor is one that differs in case.
    """
    pairs = [(b"X-A", TOKEN[:-1]), (b"X-B", TOKEN.upper())]
    assert up(pairs, withheld=TOKEN) == pairs


@pytest.mark.parametrize(
    "connection",
    [
        [b"X-Mine"],
        [b"x-mine"],
        [b"keep-alive, X-MINE"],
        [b"X-Other ,\tx-mine , close"],
        [b"keep-alive", b"x-mine"],
        [b",,x-mine,"],
    ],
)
def test_listed_in_connection(connection: list[bytes]) -> None:
    """
    A field that the sender lists in ``Connection`` goes no further (RFC 9110, 7.6.1), either way.
    """
    pairs = [(b"X-Mine", b"1"), (b"X-Mine-Too", b"2"), (b"x-mine", b"3")]
    assert to_provider(pairs, connection, (), client_pays=True) == [(b"X-Mine-Too", b"2")]
    assert to_client(pairs, connection) == [(b"X-Mine-Too", b"2")]


@pytest.mark.parametrize("value", [b"keep-alive", b"close", b"Keep-Alive", b"Close", b"CLOSE", b"", b", ,", b'"'])
def test_ordinary_connection(value: bytes) -> None:
    """
    What lists nothing takes nothing away.
    """
    pairs = [(b"X-Mine", b"1"), (b"Accept", b"*/*")]
    assert to_provider(pairs, [value], (), client_pays=True) == pairs
    assert to_client(pairs, [value]) == pairs


def test_a_client_cannot_list_our_key_away() -> None:
    """
    The list is of its own fields, not of those that the bridge adds.
    """
    pairs = [(b"Connection", b"x-api-key, authorization")]
    assert to_provider(pairs, connection_values(pairs), [KEY], client_pays=False) == [KEY]


def test_connection_values() -> None:
    """
    All of them, in any spelling, and no others'.
    """
    pairs = [(b"Connection", b"a"), (b"CONNECTION", b"b"), (b"Proxy-Connection", b"c"), (b"connectio_", b"d")]
    assert connection_values(pairs) == [b"a", b"b"]


def test_inputs_are_not_changed() -> None:
    """
    They are the request's and the response's.
    """
    pairs = [(b"Host", b"h"), (b"X-Mine", b"1"), (b"Accept", b"*/*")]
    connection, credentials = [b"x-mine"], [KEY]
    kept = (list(pairs), list(connection), list(credentials))
    crossing = to_provider(pairs, connection, credentials, client_pays=False, withheld=TOKEN)
    crossing.append((b"X-Later", b"1"))
    coming = to_client(pairs, connection)
    coming.append((b"X-Later", b"1"))
    assert (pairs, connection, credentials) == kept


names = st.sampled_from([*STAYS_HERE, *GOES_UP, *STAYS_THERE, *COMES_DOWN]) | st.binary(min_size=1, max_size=12)
fields = st.lists(st.tuples(names.flatmap(lambda name: st.sampled_from(spellings(name))), st.binary(max_size=8)))


@given(fields)
def test_what_crosses_was_sent(pairs: list[Pair]) -> None:
    """
    Nothing is made up, nothing changes its place, and what crossed once crosses again.
    """
    for crossing in (up(pairs), to_client(pairs, connection_values(pairs))):
        rest = iter(pairs)
        assert all(pair in rest for pair in crossing)
    assert up(up(pairs)) == up(pairs)
    assert to_client(to_client(pairs)) == to_client(pairs)


@given(fields, st.binary(max_size=4), st.binary(max_size=4), names)
def test_no_field_holds_the_token(pairs: list[Pair], before: bytes, after: bytes, name: bytes) -> None:
    """
    A token anywhere in what the client sends is nowhere in what the provider gets.
    """
    sent = [*pairs, (name, before + TOKEN + after)]
    assert not any(TOKEN in part for pair in up(sent, withheld=TOKEN) for part in pair)


def test_memory_is_bounded() -> None:
    """
    Made-up names are judged like others, remembered up to a number and up to a length.
    """
    asked = Rule(frozenset((b"x-a",)), (b"x-b-",), size=3)
    for number in range(100):
        assert asked[b"X-B-%d" % number]
        assert not asked[b"X-C-%d" % number]
    assert len(asked) == 3
    fresh = Rule(frozenset(), (b"x-b-",))
    assert fresh[b"X-B-" + b"b" * 60000]
    assert not fresh[b"y" * 60000]
    assert len(fresh) == 0


def test_memory_gives_the_same_answer() -> None:
    """
    Asked again, whether it was remembered or not.
    """
    asked = Rule(frozenset((b"x-a",)), (), size=1)
    for _ in range(2):
        assert [asked[name] for name in (b"X-A", b"x_a", b"x-b", b"X-a")] == [True, True, False, True]


def test_what_an_answer_says_of_its_body() -> None:
    """
    Its type and its encoding, where it is encoded at all, and how long it is, in whatever case the names are.
    """
    pairs = [(b"CONTENT-TYPE", b"text/event-stream"), (b"content-encoding", b"Identity"), (b"Content-Length", b"12")]
    assert content_of(pairs) == (b"text/event-stream", b"")
    assert content_of([*pairs, (b"Content-Encoding", b"gzip")]) == (b"text/event-stream", b"gzip")
    several = [(b"Content-Encoding", value) for value in (b"gzip", b"identity", b"zstd")]
    assert content_of(several) == (b"", b"gzip, zstd")
    assert content_of([]) == (b"", b"")
    assert declared_length(pairs) == 12
    assert declared_length([(b"Content-Length", b"twelve")]) is None
    assert declared_length([]) is None
