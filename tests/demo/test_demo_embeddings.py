"""
OpenAI embeddings, as the official SDK understands them.
"""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from aibridge.demo.embeddings import MOST_INPUTS, USUAL_DIMENSIONS, answer, read, vector
from aibridge.demo.text import Reply
from aibridge.demo.vendors import Json, Refused, Stamp

STAMP = Stamp(1, 1793491200)


def embed(**fields: Any) -> Json:
    """
    The answer to a request.
    """
    return answer(read({"model": "demo", **fields}), Reply(), STAMP)


@pytest.mark.parametrize(("input_", "count"), [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)])
def test_each_input_has_its_embedding(input_: object, count: int) -> None:
    """
    Texts and tokens, one or several, are embedded in order.
    """
    found = CreateEmbeddingResponse.model_validate(embed(input=input_))
    assert [entry.index for entry in found.data] == list(range(count))
    assert all(len(entry.embedding) == USUAL_DIMENSIONS for entry in found.data)
    assert found.usage.prompt_tokens == found.usage.total_tokens > 0


def test_base64_has_the_same_numbers() -> None:
    """
    The packed form is that of little-endian 32-bit floats.
    """
    plain = embed(input="a", dimensions=8)["data"][0]["embedding"]
    packed = embed(input="a", dimensions=8, encoding_format="base64")["data"][0]["embedding"]
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(plain)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": []},
        {"input": 3},
        {"input": {}},
        {"input": ["a", 3]},
        {"input": [[]]},
        {"input": ["a"] * (MOST_INPUTS + 1)},
        {"input": "a", "dimensions": 0},
        {"input": "a", "dimensions": 1025},
        {"input": "a", "dimensions": True},
        {"input": "a", "encoding_format": "gif"},
        {"input": "a", "encoding_format": []},
    ],
)
def test_refusals(fields: Json) -> None:
    """
    What is missing, wrong or too much is refused.
    """
    with pytest.raises(Refused):
        embed(**fields)


@given(st.text(), st.integers(1, 64))
def test_a_vector_has_length_one(text: str, dimensions: int) -> None:
    """
    Whatever the text, its vector has length 1, and is the same each time.
    """
    found = vector(text, dimensions)
    assert math.hypot(*found) == pytest.approx(1, abs=1e-6)
    assert found == vector(text, dimensions)
