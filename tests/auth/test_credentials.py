"""
Which header is the token, what a client brought beside it, and what a provider is shown.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.auth.credentials import (
    NO_CREDENTIALS,
    Credentials,
    Source,
    decide,
    read,
)
from aibridge.errors import BadRequest, CredentialMissing
from aibridge.model import CredentialKind
from aibridge.providers.settings import CREDENTIALS
from aibridge.providers.types import KeyStyle
from aibridge.relay.headers import carries
from aibridge.secret import Secret

TOKEN = b"aib_0123456789ab_" + b"x" * 43
KEY = Secret("sk-central-0123456789")

Headers = Sequence[tuple[str, bytes]]


def shown(headers: Headers, verifies_tokens: bool = True) -> Credentials:
    """
    What is read from these fields.
    """
    named: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        named.setdefault(name.lower().encode(), []).append(value)
    return read(
        lambda name: named[name][0] if name in named else None, lambda name: named.get(name, []), verifies_tokens
    )


@pytest.mark.parametrize(
    ("headers", "token", "source"),
    [
        pytest.param([], None, Source.NONE, id="none"),
        pytest.param([("X-Coder-Token", b"")], None, Source.NONE, id="coder header empty"),
        pytest.param([("X-Coder-Token", b"coder")], b"coder", Source.CODER, id="coder header"),
        pytest.param(
            [("X-Coder-Token", b"coder"), ("Authorization", b"Bearer bearer")],
            b"coder",
            Source.CODER,
            id="coder header before bearer",
        ),
        pytest.param(
            [("X-Coder-Token", b"coder"), ("X-Api-Key", b"key")],
            b"coder",
            Source.CODER,
            id="coder header before api key",
        ),
        pytest.param([("Authorization", b"invalid")], None, Source.NONE, id="bearer invalid"),
        pytest.param([("Authorization", b"Bearer ")], None, Source.NONE, id="bearer empty"),
        pytest.param([("Authorization", b"Bearer bearer")], b"bearer", Source.BEARER, id="bearer"),
        pytest.param([("Authorization", b"BeArEr bearer")], b"bearer", Source.BEARER, id="bearer in mixed case"),
        pytest.param(
            [("Authorization", b"Bearer bearer"), ("X-Api-Key", b"key")],
            b"bearer",
            Source.BEARER,
            id="bearer before api key",
        ),
        pytest.param([("X-Api-Key", b"")], None, Source.NONE, id="api key empty"),
        pytest.param([("X-Api-Key", b"key")], b"key", Source.API_KEY, id="api key"),
    ],
)
def test_the_order_in_which_headers_count(headers: Headers, token: bytes | None, source: Source) -> None:
    """
    The Coder header, else a bearer, else an API key; what is empty or no bearer counts as absent.
    """
    credentials = shown(headers)
    assert (credentials.token, credentials.source) == (token, source)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([("X-Coder-AI-Governance-Token", b"alias")], b"alias"),
        ([("X-Coder-Token", b""), ("X-Coder-AI-Governance-Token", b"alias")], b"alias"),
        ([("X-Coder-Token", b"same"), ("X-Coder-AI-Governance-Token", b"same")], b"same"),
        ([("X-Coder-Token", b" \tpadded\t ")], b"padded"),
        ([("Authorization", b"\t bearer   padded ")], b"padded"),
        ([("X-Api-Key", b"  padded ")], b"padded"),
        ([("Authorization", b"Bearer one two"), ("X-Api-Key", b"key")], b"key"),
        ([("Authorization", b"Basic dXNlcjpwYXNz"), ("X-Api-Key", b"key")], b"key"),
        ([("Authorization", b""), ("X-Api-Key", b"key")], b"key"),
        ([("Authorization", b"Bearer same"), ("Authorization", b"Bearer same")], b"same"),
        ([("Authorization", b""), ("Authorization", b"Bearer only")], b"only"),
        ([("Coder-Session-Token", b"session")], None),
        ([("Cookie", b"coder_session_token=session")], None),
    ],
)
def test_how_values_are_read(headers: Headers, token: bytes | None) -> None:
    """
    Values are trimmed, an Authorization of other than two words is passed over, and no other header holds a token.
    """
    assert shown(headers).token == token


@pytest.mark.parametrize("verifies_tokens", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        [("X-Coder-Token", b"one"), ("X-Coder-Token", b"two")],
        [("X-Coder-Token", b"one"), ("X-Coder-AI-Governance-Token", b"two")],
        [("Authorization", b"Bearer one"), ("Authorization", b"Bearer two")],
        [("Authorization", b"Bearer one"), ("Authorization", b"Basic two")],
        [("X-Api-Key", b"one"), ("X-Api-Key", b"two")],
        [("Authorization", b"Bearer one"), ("X-Api-Key", b"one"), ("X-Api-Key", b"two")],
        [("X-Coder-Token", b"one"), ("Authorization", b"Bearer one"), ("Authorization", b"Bearer two")],
    ],
)
def test_several_values_are_refused(headers: Headers, verifies_tokens: bool) -> None:
    """
    A header that says two things is refused rather than guessed at, without repeating either.
    """
    with pytest.raises(BadRequest) as caught:
        shown(headers, verifies_tokens)
    assert "one" not in caught.value.detail.replace("more than once", "")
    assert "two" not in caught.value.detail


class TestWhatWasBrought:
    """
    The provider key of a client's own.
    """

    def test_both_headers_beside_the_coder_header(self) -> None:
        """
        They are kept as they were sent.
        """
        credentials = shown([("X-Coder-Token", TOKEN), ("Authorization", b"bearer  sk"), ("X-Api-Key", b"sk-ant")])
        assert (credentials.own_authorization, credentials.own_api_key) == (b"bearer  sk", b"sk-ant")

    @pytest.mark.parametrize("name", ["Authorization", "X-Api-Key"])
    @pytest.mark.parametrize(
        "value",
        [
            b"Bearer " + TOKEN,
            TOKEN,
            b"Token token=" + TOKEN + b", more=1",
            b"Basic " + base64.b64encode(b"user:" + TOKEN),
            b"basic  " + base64.b64encode(TOKEN + b":"),
            b"Bearer " + TOKEN.replace(b"_", b"%5F"),
        ],
    )
    def test_never_the_bridge_token(self, name: str, value: bytes) -> None:
        """
        A header that contains the token is not the client's own key, whatever is around it.
        """
        credentials = shown([("X-Coder-Token", TOKEN), (name, value)])
        assert credentials.token == TOKEN
        assert (credentials.own_authorization, credentials.own_api_key) == (None, None)

    @pytest.mark.parametrize("value", [b"Basic !!!", b"Basic a", b"Basic", b"Basic dXNlcjpwYXNz"])
    def test_basic_credentials_that_are_something_else(self, value: bytes) -> None:
        """
        Other Basic credentials cross, well formed or not: they are not the bridge's to judge.
        """
        assert shown([("X-Coder-Token", TOKEN), ("Authorization", value)]).own_authorization == value

    @pytest.mark.parametrize(
        "headers",
        [
            [("Authorization", b"Bearer " + TOKEN), ("X-Api-Key", b"sk-own")],
            [("Authorization", b"Bearer " + TOKEN), ("X-Api-Key", TOKEN)],
            [("X-Api-Key", TOKEN)],
            [("X-Api-Key", TOKEN), ("Authorization", b"Basic c2s=")],
        ],
    )
    def test_nothing_without_the_coder_header(self, headers: Headers) -> None:
        """
        Where the token stands in place of a provider key, nothing of either header crosses.
        """
        credentials = shown(headers)
        assert credentials.token == TOKEN
        assert (credentials.own_authorization, credentials.own_api_key) == (None, None)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["X-Coder-Token", "X-Coder-AI-Governance-Token", "Authorization", "X-Api-Key"]),
                st.sampled_from([b"", b"sk-own", TOKEN, b"Bearer " + TOKEN, b"Bearer sk", b"a " + TOKEN + b" b"]),
            ),
            max_size=6,
        ),
        st.sampled_from(CREDENTIALS),
        st.sampled_from(list(KeyStyle)),
    )
    def test_the_token_is_in_nothing_that_crosses(self, headers: Headers, policy: str, style: KeyStyle) -> None:
        """
        Whatever is shown where, the token is in no header that the provider gets, nor in any text.
        """
        try:
            credentials = shown(headers)
            credential = decide(credentials, policy, KEY, style)
        except (BadRequest, CredentialMissing) as error:
            assert TOKEN.decode() not in f"{error!r} {error}"
            return
        if credentials.token == TOKEN:
            assert not any(TOKEN in value for _, value in credential.pairs)
        for text in (repr(credentials), repr(credential), credential.hint):
            assert TOKEN.decode() not in text
            assert KEY.reveal() not in text


class TestWhereTokensAreNotVerified:
    """
    A client that shows its provider key alone.
    """

    @pytest.mark.parametrize(
        ("headers", "token", "authorization", "api_key"),
        [
            ([("Authorization", b"Bearer sk")], b"sk", b"Bearer sk", None),
            ([("X-Api-Key", b"sk-ant")], b"sk-ant", None, b"sk-ant"),
            ([("Authorization", b"Bearer sk"), ("X-Api-Key", b"sk-ant")], b"sk", b"Bearer sk", b"sk-ant"),
            ([("Authorization", b"Basic c2s=")], None, b"Basic c2s=", None),
            ([("X-Coder-Token", b"me"), ("Authorization", b"Bearer sk-me")], b"me", b"Bearer sk-me", None),
            ([("X-Coder-Token", b"me"), ("Authorization", b"Bearer me")], b"me", None, None),
            ([("X-Coder-Token", b"me"), ("X-Api-Key", b"me")], b"me", None, None),
            ([], None, None, None),
        ],
    )
    def test_it_is_its_own(
        self, headers: Headers, token: bytes | None, authorization: bytes | None, api_key: bytes | None
    ) -> None:
        """
        The key is both what tells the client from others and what crosses.
        """
        credentials = shown(headers, verifies_tokens=False)
        assert credentials.token == token
        assert (credentials.own_authorization, credentials.own_api_key) == (authorization, api_key)


OWN_BEARER = Credentials(token=TOKEN, source=Source.CODER, own_authorization=b"Bearer sk-own-0123456789-0123")
OWN_API_KEY = Credentials(token=TOKEN, source=Source.CODER, own_api_key=b"sk-ant-own-01234")
OWN_BOTH = Credentials(
    token=TOKEN,
    source=Source.CODER,
    own_authorization=b"Bearer sk-own-0123456789-0123",
    own_api_key=b"sk-ant-own-01234",
)


class TestDecide:
    """
    Whose key a provider is shown.
    """

    @pytest.mark.parametrize("policy", ["central", "client-or-central"])
    @pytest.mark.parametrize(
        ("style", "pair"),
        [
            (KeyStyle.BEARER, (b"Authorization", b"Bearer sk-central-0123456789")),
            (KeyStyle.API_KEY, (b"X-Api-Key", b"sk-central-0123456789")),
        ],
    )
    def test_the_configured_key(self, policy: str, style: KeyStyle, pair: tuple[bytes, bytes]) -> None:
        """
        It is set the way its provider expects it.
        """
        credential = decide(NO_CREDENTIALS, policy, KEY, style)
        assert (credential.kind, credential.word) == (CredentialKind.CENTRAL, "central")
        assert (credential.pairs, credential.hint) == ((pair,), "sk-c...6789")
        assert not credential.is_clients

    @pytest.mark.parametrize("policy", ["client", "client-or-central"])
    @pytest.mark.parametrize("style", [KeyStyle.BEARER, KeyStyle.API_KEY])
    def test_the_clients_own_goes_first(self, policy: str, style: KeyStyle) -> None:
        """
        Where the client's own may be used it is, as sent, even beside a configured one.
        """
        credential = decide(OWN_BOTH, policy, KEY, style)
        assert credential.is_clients
        assert list(credential.pairs) == [
            (b"Authorization", b"Bearer sk-own-0123456789-0123"),
            (b"X-Api-Key", b"sk-ant-own-01234"),
        ]

    @pytest.mark.parametrize(
        ("credentials", "style", "hint"),
        [
            (OWN_BEARER, KeyStyle.BEARER, "sk-o...0123"),
            (OWN_BEARER, KeyStyle.API_KEY, "sk-o...0123"),
            (OWN_API_KEY, KeyStyle.BEARER, "sk...34"),
            (OWN_API_KEY, KeyStyle.API_KEY, "sk...34"),
            (OWN_BOTH, KeyStyle.BEARER, "sk-o...0123"),
            (OWN_BOTH, KeyStyle.API_KEY, "sk...34"),
            (Credentials(own_authorization=b"opaque-0123456789-0123456"), KeyStyle.BEARER, "opaq...3456"),
            (Credentials(own_authorization=b"Bearer \xff\xfe\xfd\xfc\xfb"), KeyStyle.BEARER, "�...�"),
            (Credentials(own_authorization=b"Bearer abc"), KeyStyle.BEARER, "..."),
        ],
    )
    def test_the_hint_is_of_the_key_that_counts(self, credentials: Credentials, style: KeyStyle, hint: str) -> None:
        """
        The hint masks the key itself, without the scheme, and of two keys the one this provider reads.
        """
        assert decide(credentials, "client", None, style).hint == hint

    @pytest.mark.parametrize("style", [KeyStyle.BEARER, KeyStyle.API_KEY])
    def test_central_ignores_what_was_brought(self, style: KeyStyle) -> None:
        """
        With ``central`` the client's own headers do not cross.
        """
        credential = decide(OWN_BOTH, "central", KEY, style)
        assert credential.kind is CredentialKind.CENTRAL
        assert not any(b"own" in value for _, value in credential.pairs)

    @pytest.mark.parametrize(
        ("credentials", "policy", "key"),
        [
            (NO_CREDENTIALS, "client-or-central", None),
            (NO_CREDENTIALS, "client", KEY),
            (NO_CREDENTIALS, "client", None),
            (NO_CREDENTIALS, "central", None),
            (OWN_BOTH, "central", None),
        ],
    )
    @pytest.mark.parametrize("style", [KeyStyle.BEARER, KeyStyle.API_KEY])
    def test_no_key_at_all(self, credentials: Credentials, policy: str, key: Secret | None, style: KeyStyle) -> None:
        """
        Where a key is needed and none may be shown, the request is refused.
        """
        with pytest.raises(CredentialMissing):
            decide(credentials, policy, key, style)

    @pytest.mark.parametrize("policy", CREDENTIALS)
    @pytest.mark.parametrize("credentials", [NO_CREDENTIALS, OWN_BOTH])
    def test_a_provider_that_asks_for_none(self, policy: str, credentials: Credentials) -> None:
        """
        It gets none, whatever there is.
        """
        credential = decide(credentials, policy, KEY, KeyStyle.NONE)
        assert (credential.kind, list(credential.pairs), credential.hint) == (CredentialKind.NONE, [], "")


class TestCarries:
    """
    Whether something contains the token.
    """

    @pytest.mark.parametrize(
        "value", [TOKEN, b"a" + TOKEN + b"b", b"/v1/models?key=" + TOKEN, TOKEN.replace(b"x", b"%78"), b"%%" + TOKEN]
    )
    def test_it_does(self, value: bytes) -> None:
        """
        As it is, or percent-encoded.
        """
        assert carries(TOKEN, value)

    @pytest.mark.parametrize("value", [b"", TOKEN[:-1], TOKEN[1:], b"/v1/models?after=%20x", TOKEN.upper()])
    def test_it_does_not(self, value: bytes) -> None:
        """
        A part of it is not it.
        """
        assert not carries(TOKEN, value)

    @given(st.binary(max_size=20), st.binary(max_size=20), st.sets(st.integers(0, len(TOKEN) - 1)))
    def test_whichever_characters_are_encoded(self, before: bytes, after: bytes, encoded: set[int]) -> None:
        """
        It makes no difference which of its characters are percent-encoded.
        """
        text = b"".join(b"%%%02x" % byte if at in encoded else bytes([byte]) for at, byte in enumerate(TOKEN))
        assert carries(TOKEN, before.replace(b"%", b"") + text + after)
