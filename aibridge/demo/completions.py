"""
OpenAI's legacy completions (https://platform.openai.com/docs/api-reference/completions): a prompt goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from aibridge.demo.ask import Ask, input_tokens, model_of, most_tokens
from aibridge.demo.text import Form, Reply
from aibridge.demo.vendors import DONE, Json, Refused, Stamp, Vendor, data_event, error_body


def read(request: Json) -> Ask:
    """
    What a request asks for; of several prompts, only the first is answered.

    :raises Refused: it lacks a model, or has a limit that is none.
    """
    prompt = request.get("prompt")
    if isinstance(prompt, list) and prompt:
        prompt = prompt[0]
    options = request.get("stream_options")
    return Ask(
        model=model_of(request),
        stream=request.get("stream") is True,
        prompt=prompt if isinstance(prompt, str) else "",
        input_tokens=input_tokens(request, "prompt"),
        most_tokens=most_tokens(request, "max_tokens"),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def answer(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    A ``text_completion``.
    """
    choice = {"index": 0, "text": reply.text, "logprobs": None, "finish_reason": _finish(reply)}
    return {**_common(ask, stamp), "choices": [choice], "usage": _usage(ask, reply)}


def events(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
    """
    The same in pieces, and ``[DONE]``.
    """
    common = _common(ask, stamp)
    if ask.include_usage:
        common["usage"] = None

    def chunk(text: str, finish: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        return data_event({**common, "choices": [choice]})

    for piece in reply.pieces():
        yield chunk(piece)
    yield chunk("", _finish(reply))
    if ask.include_usage:
        yield data_event({**common, "choices": [], "usage": _usage(ask, reply)})
    yield DONE


def error_event(stamp: Stamp, sent: int) -> bytes:
    """
    An error within the stream: a chunk that has nothing else.
    """
    return data_event(error_body(Vendor.OPENAI, stamp, Refused(500)))


def _finish(reply: Reply) -> str:
    return "length" if reply.is_cut else "stop"


def _common(ask: Ask, stamp: Stamp) -> Json:
    return {
        "id": stamp.id("cmpl-"),
        "object": "text_completion",
        "created": stamp.created,
        "model": ask.model,
        "system_fingerprint": "fp_demo",
    }


def _usage(ask: Ask, reply: Reply) -> Json:
    output = reply.output_tokens
    return {
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": output,
        "total_tokens": ask.input_tokens + output,
    }


COMPLETIONS = Form(
    spoken="OpenAI's legacy completions",
    vendor=Vendor.OPENAI,
    read=read,
    answer=answer,
    events=events,
    error_event=error_event,
)
