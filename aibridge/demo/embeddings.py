"""
OpenAI embeddings (https://platform.openai.com/docs/api-reference/embeddings): a direction for each text, from its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct

from aibridge.demo.ask import Ask, input_tokens, model_of
from aibridge.demo.text import Form, Reply
from aibridge.demo.vendors import Json, Refused, Stamp, Vendor

MOST_INPUTS = 128
MOST_DIMENSIONS = 1024
USUAL_DIMENSIONS = 256


def read(request: Json) -> Ask:
    """
    What a request asks for.

    :raises Refused: it lacks a model or an input, or wants more than is done here.
    """
    model = model_of(request)
    inputs = _inputs(request)
    _dimensions(request)
    if request.get("encoding_format", "float") not in ("float", "base64"):
        raise Refused(400, "Invalid value for 'encoding_format'.", "encoding_format", "invalid_value")
    numbers = sum(len(entry) for entry in inputs if isinstance(entry, list))
    return Ask(model=model, input_tokens=input_tokens(request, "input") + numbers, request=request)


def answer(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    A list of ``embedding``, one for each input, as numbers or as base64 of little-endian 32-bit floats.
    """
    dimensions = _dimensions(ask.request)
    is_packed = ask.request.get("encoding_format") == "base64"
    data = []
    for index, entry in enumerate(_inputs(ask.request)):
        direction = vector(entry if isinstance(entry, str) else json.dumps(entry), dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *direction)).decode() if is_packed else direction
        data.append({"object": "embedding", "index": index, "embedding": packed})
    usage = {"prompt_tokens": ask.input_tokens, "total_tokens": ask.input_tokens}
    return {"object": "list", "data": data, "model": ask.model, "usage": usage}


def vector(text: str, dimensions: int) -> list[float]:
    """
    A vector of length 1: the same for the same text, and about square to that of any other.
    """
    digest = hashlib.shake_256(text.encode("utf-8", "replace")).digest(dimensions)
    spread = [byte - 127.5 for byte in digest]
    length = math.sqrt(sum(value * value for value in spread))
    return [round(value / length, 8) for value in spread]


def _inputs(request: Json) -> list[object]:
    """
    What is to be embedded: each a text or a list of tokens.
    """
    found = request.get("input")
    if found is None:
        raise Refused(400, "Missing required parameter: 'input'.", "input", "missing_required_parameter")
    inputs = [found] if isinstance(found, str) or _are_tokens(found) else found
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MOST_INPUTS:
        raise Refused(400, f"Invalid value for 'input': expected 1 to {MOST_INPUTS} texts.", "input", "invalid_value")
    if not all(isinstance(entry, str) or _are_tokens(entry) for entry in inputs):
        raise Refused(400, "Invalid value for 'input': expected texts or tokens.", "input", "invalid_type")
    return inputs


def _are_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


def _dimensions(request: Json) -> int:
    found = request.get("dimensions")
    if found is None:
        return USUAL_DIMENSIONS
    if type(found) is not int or not 1 <= found <= MOST_DIMENSIONS:
        raise Refused(400, f"Invalid value for 'dimensions': 1 to {MOST_DIMENSIONS}.", "dimensions", "invalid_value")
    return found


EMBEDDINGS = Form(spoken="OpenAI embeddings", vendor=Vendor.OPENAI, read=read, answer=answer)
