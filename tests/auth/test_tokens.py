"""
Tokens: their text, what is kept of them, and who one belongs to.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.auth.tokens import (
    RANDOM_BYTES,
    Entry,
    Token,
    TokenTable,
    is_hash,
    is_id,
    looks_like_token,
)
from aibridge.errors import Unauthenticated
from aibridge.model import Class

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AT = NOW.timestamp()

tokens = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES).map(Token.from_random)


def entry_of(token: Token, **values: Any) -> Entry:
    """
    What is kept of a token.
    """
    return Entry(**{"id": token.id, "name": "laptop", "hash": token.hashed(), "created": NOW, **values})


def shown(token: Token) -> bytes:
    """
    A token as it is on the wire.
    """
    return token.reveal().encode()


class TestToken:
    """
    A token's text.
    """

    @given(tokens)
    def test_reading_what_was_written(self, token: Token) -> None:
        """
        `Token.parse` reads what `Token.reveal` wrote.
        """
        assert Token.parse(token.reveal()) == token

    @given(tokens)
    def test_its_form(self, token: Token) -> None:
        """
        A word of 60 characters that need no quoting in a header, a URL or a shell.
        """
        text = token.reveal()
        assert len(text) == 60
        assert text.startswith(f"aib_{token.id}_")
        assert text.replace("_", "").replace("-", "").isalnum()
        assert text.isascii()
        assert is_id(token.id)
        assert looks_like_token(text)

    @given(tokens)
    def test_its_secret_has_no_text(self, token: Token) -> None:
        """
        No representation of a token shows its secret, nor does what is kept of it.
        """
        secret = token.secret.reveal()
        for text in (repr(token), str(token), f"{token}", token.hashed(), repr(entry_of(token))):
            assert secret not in text

    @given(tokens)
    def test_what_is_kept(self, token: Token) -> None:
        """
        The SHA-256 of the secret's text, which the representation of an entry does not show either.
        """
        hashed = token.hashed()
        assert hashed == "sha256:" + sha256(token.secret.reveal().encode()).hexdigest()
        assert is_hash(hashed)
        entry = entry_of(token, previous_hash=hashed)
        assert hashed not in repr(entry)

    @given(tokens)
    def test_a_new_secret_for_an_old_id(self, token: Token) -> None:
        """
        Rotation keeps the id.
        """
        new = Token.from_random(bytes(RANDOM_BYTES), id=token.id)
        assert new.id == token.id
        assert new.secret.reveal() == "A" * 43

    def test_different_bytes_make_different_tokens(self) -> None:
        """
        Each of the random bytes that make the secret counts, and those of the id do but for four bits.
        """
        made = {Token.from_random(bytes(at) + b"\x01" + bytes(RANDOM_BYTES - at - 1)).reveal() for at in range(40)}
        assert len(made) == 40

    @pytest.mark.parametrize("length", [0, 39, 41])
    def test_too_little_chance(self, length: int) -> None:
        """
        It is an error to bring another number of random bytes.
        """
        with pytest.raises(ValueError, match="40 random bytes"):
            Token.from_random(bytes(length))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "aib_",
            "aib_0123456789ab_",
            "aib_0123456789ab_" + "x" * 42,
            "aib_0123456789ab_" + "x" * 44,
            "aib_0123456789ab-" + "x" * 43,
            "aib_0123456789aB_" + "x" * 43,
            "aib_0123456789al_" + "x" * 43,
            "AIB_0123456789ab_" + "x" * 43,
            "aib_0123456789ab_" + "x" * 42 + "=",
            "aib_0123456789ab_" + "x" * 43 + "\n",
            " aib_0123456789ab_" + "x" * 43,
            "sk-ant-0123456789",
        ],
    )
    def test_what_is_no_token(self, text: str) -> None:
        """
        Anything else is refused, without being repeated.
        """
        with pytest.raises(ValueError, match="not a token") as caught:
            Token.parse(text)
        assert "xxxx" not in str(caught.value)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """
        A text is a token exactly if it is what that token would be written as.
        """
        try:
            token = Token.parse(text)
        except ValueError:
            return
        assert token.reveal() == text


TOKEN = Token.from_random(bytes(range(40)))
OTHER = Token.from_random(bytes(range(40, 80)))


class TestTokenTable:
    """
    Who a token belongs to.
    """

    def test_a_good_one(self) -> None:
        """
        It belongs to the principal that its entry describes.
        """
        entry = entry_of(TOKEN, class_=Class.BATCH, rate_limit=2.5, rate_burst=7, max_in_flight=4)
        principal = TokenTable([entry, entry_of(OTHER, name="other")]).verify(shown(TOKEN), AT)
        assert (principal.id, principal.name, principal.class_) == (TOKEN.id, "laptop", Class.BATCH)
        assert (principal.rate_limit, principal.rate_burst, principal.max_in_flight) == (2.5, 7, 4)

    def test_by_name(self) -> None:
        """
        A principal is found by its name or its id, without its token, whether or not that is good.
        """
        table = TokenTable([entry_of(TOKEN, disabled=True), entry_of(OTHER, name="other")])
        for name in ("laptop", TOKEN.id):
            found = table.named(name)
            assert found is not None
            assert (found.id, found.name) == (TOKEN.id, "laptop")
        for name in ("", "lap", TOKEN.reveal(), f"aib_{TOKEN.id}"):
            assert table.named(name) is None

    @given(st.binary(max_size=80) | tokens.map(shown))
    def test_a_random_one(self, token: bytes) -> None:
        """
        It never passes.
        """
        with pytest.raises(Unauthenticated):
            TokenTable([entry_of(TOKEN)]).verify(token, AT)

    @given(st.integers(0, 59), st.integers(1, 255))
    def test_one_character_off(self, at: int, difference: int) -> None:
        """
        Nor does one that differs anywhere.
        """
        wrong = bytearray(shown(TOKEN))
        wrong[at] ^= difference
        with pytest.raises(Unauthenticated):
            TokenTable([entry_of(TOKEN)]).verify(bytes(wrong), AT)

    @pytest.mark.parametrize(
        "token",
        [
            b"",
            shown(TOKEN)[:-1],
            shown(TOKEN) + b"x",
            b" " + shown(TOKEN),
            shown(TOKEN)[:17] + shown(OTHER)[17:],
            b"\x00" * 60,
        ],
    )
    def test_nearly_good_ones(self, token: bytes) -> None:
        """
        A part, more than the whole, or the secret of another id is not known.
        """
        with pytest.raises(Unauthenticated, match="not known"):
            TokenTable([entry_of(TOKEN), entry_of(OTHER, name="other")]).verify(token, AT)

    def test_no_tokens(self) -> None:
        """
        An empty table knows nobody.
        """
        assert len(TokenTable([])) == 0
        with pytest.raises(Unauthenticated, match="not known"):
            TokenTable([]).verify(shown(TOKEN), AT)

    def test_expiry(self) -> None:
        """
        It is good up to the moment of its expiry, and not at it.
        """
        table = TokenTable([entry_of(TOKEN, expires=NOW)])
        assert table.verify(shown(TOKEN), AT - 0.001).id == TOKEN.id
        for late in (AT, AT + 1e9):
            with pytest.raises(Unauthenticated, match="has expired"):
                table.verify(shown(TOKEN), late)

    def test_disabled(self) -> None:
        """
        One that was disabled is not good, and its owner is told.
        """
        with pytest.raises(Unauthenticated, match="has been disabled"):
            TokenTable([entry_of(TOKEN, disabled=True)]).verify(shown(TOKEN), AT)

    @pytest.mark.parametrize("values", [{"disabled": True}, {"expires": NOW - timedelta(days=1)}])
    def test_nobody_else_is_told(self, values: dict[str, Any]) -> None:
        """
        Who does not have the secret learns nothing of the token's state.
        """
        wrong = Token.from_random(bytes(RANDOM_BYTES), id=TOKEN.id)
        with pytest.raises(Unauthenticated, match="not known"):
            TokenTable([entry_of(TOKEN, **values)]).verify(shown(wrong), AT)

    def test_a_previous_secret(self) -> None:
        """
        It is good as long as it was left to be, and no longer than the token itself; the new one is at all times.
        """
        new = Token.from_random(bytes(RANDOM_BYTES), id=TOKEN.id)
        entry = entry_of(new, previous_hash=TOKEN.hashed(), previous_expires=NOW)
        table = TokenTable([entry])
        assert table.verify(shown(TOKEN), AT - 1) is table.verify(shown(new), AT - 1)
        with pytest.raises(Unauthenticated, match="has expired"):
            table.verify(shown(TOKEN), AT)
        assert table.verify(shown(new), AT).id == TOKEN.id
        short = TokenTable([attrs.evolve(entry, expires=NOW - timedelta(hours=1))])
        with pytest.raises(Unauthenticated, match="has expired"):
            short.verify(shown(TOKEN), AT - 1)

    @given(tokens)
    def test_errors_show_nothing(self, token: Token) -> None:
        """
        No refusal repeats what was shown.
        """
        with pytest.raises(Unauthenticated) as caught:
            TokenTable([entry_of(token, disabled=True)]).verify(shown(token), AT)
        assert token.secret.reveal() not in f"{caught.value!r} {caught.value.detail}"


def test_whether_an_entry_has_expired() -> None:
    """
    An entry without an expiry never has.
    """
    assert not entry_of(TOKEN).has_expired(AT)
    assert entry_of(TOKEN, expires=NOW).has_expired(AT)
    assert not entry_of(TOKEN, expires=NOW).has_expired(AT - 1)
