"""
What is said of an object that is not there.
"""

from __future__ import annotations

import pytest

from aibridge.model import Dialect, Stored
from aibridge.providers.missing import unknown


@pytest.mark.parametrize("kind", Stored)
@pytest.mark.parametrize("dialect", Dialect)
def test_there_are_words_for_each(kind: Stored, dialect: Dialect) -> None:
    """
    In each dialect, with the id.
    """
    assert "id_1" in unknown(kind, "id_1", "", dialect).detail


def test_a_previous_response() -> None:
    """
    Has a code of its own, by which clients know to begin anew.
    """
    error = unknown(Stored.RESPONSE, "resp_1", "previous_response_id", Dialect.RESPONSES)
    assert error.detail == "Previous response with id 'resp_1' not found."
    assert (error.param, error.code) == ("previous_response_id", "previous_response_not_found")


@pytest.mark.parametrize(
    ("kind", "param", "words", "named"),
    [
        (Stored.RESPONSE, "", "Response with id 'x_1' not found.", ""),
        (Stored.FILE, "", "No such File object: x_1", "id"),
        (Stored.FILE, "file_id", "No such File object: x_1", "file_id"),
        (Stored.BATCH, "", "No batch found with id 'x_1'.", ""),
        (Stored.CONVERSATION, "conversation", "Conversation with id 'x_1' not found.", "conversation"),
    ],
)
def test_openai(kind: Stored, param: str, words: str, named: str) -> None:
    """
    The part of the request is named where it is one of the body, or where OpenAI does.
    """
    error = unknown(kind, "x_1", param, Dialect.CHAT)
    assert (error.detail, error.param, error.code) == (words, named, "")


@pytest.mark.parametrize("id", ["<script>", "a b", "x" * 65, "\n", ""])
def test_what_is_no_id_is_not_said_again(id: str) -> None:
    """
    It is the client's text, and may be anything.
    """
    detail = unknown(Stored.FILE, id, "", Dialect.CHAT).detail
    assert detail == "No such File object: …"
