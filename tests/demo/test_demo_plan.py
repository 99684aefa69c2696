"""
Whole answers, faults included.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.demo.chat import CHAT
from aibridge.demo.completions import COMPLETIONS
from aibridge.demo.embeddings import EMBEDDINGS
from aibridge.demo.faults import SCRIPTS
from aibridge.demo.messages import COUNT_TOKENS, MESSAGES
from aibridge.demo.plan import CHUNK, EVENTS_BEFORE_FAULT, Ending, Plan, page, plan, refusal
from aibridge.demo.responses import COMPACT, COUNT_INPUT, RESPONSES
from aibridge.demo.text import Form
from aibridge.demo.vendors import DONE, Json, Refused, Stamp, Vendor

STAMP = Stamp(1, 1793491200)
STREAMED = [CHAT, COMPLETIONS, RESPONSES, MESSAGES]
FORMS = [*STREAMED, COUNT_INPUT, COMPACT, COUNT_TOKENS, EMBEDDINGS]
NAMES = [script.name for script in SCRIPTS if script.name not in ("demo-long", "demo-big")]
FIELDS = ["model", "messages", "input", "prompt", "stream", "tools", "tool_choice", "max_tokens", "system", "n"]
FIELDS += ["response_format", "text", "thinking", "instructions", "metadata", "temperature", "stream_options", "other"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None, categories=None)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["type", "role", "content", "text", "name"]), inner, max_size=4)
    ),
    max_leaves=15,
)


def asking(model: str = "demo", form: Form = CHAT, **fields: Any) -> bytes:
    """
    The body of a request that every form understands.
    """
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi", **fields}
    return json.dumps(body).encode()


def planned(form: Form, model: str, *, stream: bool, headers: Any = ()) -> tuple[Plan, list[bytes]]:
    """
    The plan for a model, and its chunks.
    """
    found = plan(form, asking(model, stream=stream), headers, STAMP, 0.5)
    return found, list(found.chunks)


def length_of(found: Plan) -> int | None:
    """
    The declared length.
    """
    declared = dict(found.headers).get(b"Content-Length")
    return None if declared is None else int(declared)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.spoken)
def test_an_answer_in_one_piece(form: Form) -> None:
    """
    What is no stream has its length declared, and comes at once.
    """
    found, chunks = planned(form, "demo", stream=form.events is None)
    assert (found.status, found.ending, found.delay_s, found.interval_s) == (200, Ending.FINISHES, 0, 0)
    assert dict(found.headers)[b"Content-Type"] == b"application/json"
    body = b"".join(chunks)
    assert length_of(found) == len(body)
    assert json.loads(body)


@pytest.mark.parametrize("form", STREAMED, ids=lambda form: form.spoken)
def test_a_stream(form: Form) -> None:
    """
    A stream has no length, and one event at a time at the usual pace.
    """
    found, chunks = planned(form, "demo", stream=True)
    assert (found.status, found.ending, found.delay_s, found.interval_s) == (200, Ending.FINISHES, 0, 0.5)
    assert dict(found.headers)[b"Content-Type"] == b"text/event-stream; charset=utf-8"
    assert length_of(found) is None
    assert all(chunk.endswith(b"\n\n") and chunk.count(b"\n\n") == 1 for chunk in chunks)
    assert len(chunks) > EVENTS_BEFORE_FAULT + 2


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.spoken)
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 529])
def test_refusing_models(form: Form, status: int) -> None:
    """
    A refusing model answers with its status, in the vendor's form, whether or not a stream was asked for.
    """
    for stream in (False, True):
        found, chunks = planned(form, f"demo-{status}", stream=stream)
        error = json.loads(b"".join(chunks))
        assert (found.status, found.ending) == (status, Ending.FINISHES)
        assert "message" in error["error"]
        assert (error.get("type") == "error") == (form.vendor is Vendor.ANTHROPIC)
        assert (b"Retry-After" in dict(found.headers)) == (status in (429, 503, 529))


def test_429_has_nothing_left() -> None:
    """
    The simulated limit of a rate-limited answer is used up.
    """
    found, _ = planned(CHAT, "demo-429", stream=False)
    assert dict(found.headers)[b"x-ratelimit-remaining-requests"] == b"0"


@pytest.mark.parametrize(("status", "repeat"), [(400, b"false"), (401, b"false"), (500, b"true"), (529, b"true")])
def test_anthropic_says_whether_to_try_again(status: int, repeat: bytes) -> None:
    """
    The one vendor's refusals say whether another attempt is worth it.
    """
    fields = dict(refusal(Vendor.ANTHROPIC, STAMP, Refused(status)).headers)
    assert fields[b"x-should-retry"] == repeat
    assert b"x-should-retry" not in dict(refusal(Vendor.OPENAI, STAMP, Refused(status)).headers)


def test_flaky_models_answer_in_the_end() -> None:
    """
    A flaky model fails until the client has tried often enough, by the client's own count.
    """

    def status(model: str, *headers: tuple[bytes, bytes]) -> int | None:
        return planned(CHAT, model, stream=False, headers=headers)[0].status

    assert status("demo-flaky") == 503
    assert status("demo-flaky", (b"X-Stainless-Retry-Count", b"1")) == 503
    assert status("demo-flaky", (b"x-stainless-retry-count", b"2")) == 200
    assert status("demo-flaky-1", (b"x-stainless-retry-count", b"1")) == 200
    assert status("demo-flaky", (b"x-stainless-retry-count", b"99999999999")) == 503


@pytest.mark.parametrize(
    ("model", "ending", "begins"),
    [("demo-never", Ending.HOLDS, b""), ("demo-resets", Ending.RESETS, b""), ("demo-garbage", Ending.CLOSES, b"220 ")],
)
def test_models_without_a_head(model: str, ending: Ending, begins: bytes) -> None:
    """
    Some models give no HTTP answer at all.
    """
    found, chunks = planned(CHAT, model, stream=True)
    assert (found.status, found.ending) == (None, ending)
    assert b"".join(chunks).startswith(begins)
    assert not b"".join(chunks).startswith(b"HTTP")


@pytest.mark.parametrize("form", STREAMED, ids=lambda form: form.spoken)
def test_streams_that_fail(form: Form) -> None:
    """
    A failing stream begins as an ordinary one does, and never has its last event.
    """
    _, ordinary = planned(form, "demo", stream=True)

    silent, chunks = planned(form, "demo-silent", stream=True)
    assert (silent.ending, len(chunks)) == (Ending.HOLDS, 1)

    dying, chunks = planned(form, "demo-dies", stream=True)
    assert (dying.ending, len(chunks)) == (Ending.RESETS, EVENTS_BEFORE_FAULT)

    truncated, chunks = planned(form, "demo-truncates", stream=True)
    assert (truncated.ending, len(chunks)) == (Ending.CLOSES, EVENTS_BEFORE_FAULT + 1)
    assert not chunks[-1].endswith(b"\n")
    assert (length_of(truncated) or 0) > sum(map(len, chunks))

    failing, chunks = planned(form, "demo-error-event", stream=True)
    assert (failing.ending, len(chunks)) == (Ending.FINISHES, EVENTS_BEFORE_FAULT + 1)
    assert b"error" in chunks[-1]
    assert ordinary[-1] not in chunks


def test_the_error_event_is_numbered_after_the_others() -> None:
    """
    Where events are numbered, the error's number follows.
    """
    _, chunks = planned(RESPONSES, "demo-error-event", stream=True)
    assert b'"sequence_number":%d' % (len(chunks) - 1) in chunks[-1]


def test_a_stream_too_short_to_have_a_middle() -> None:
    """
    A dying stream holds back its last event, however few it has.
    """
    found = plan(CHAT, asking("demo-dies", stream=True, max_tokens=1), [], STAMP)
    chunks = list(found.chunks)
    assert 1 <= len(chunks) < EVENTS_BEFORE_FAULT
    assert DONE not in chunks


@pytest.mark.parametrize("form", STREAMED, ids=lambda form: form.spoken)
def test_bodies_that_fail(form: Form) -> None:
    """
    A failing answer in one piece declares a length that it does not reach, or is refused.
    """
    for model, ending in (
        ("demo-silent", Ending.HOLDS),
        ("demo-dies", Ending.RESETS),
        ("demo-truncates", Ending.CLOSES),
    ):
        found, chunks = planned(form, model, stream=False)
        assert (found.status, found.ending) == (200, ending)
        assert 0 < sum(map(len, chunks)) < (length_of(found) or 0)
    assert planned(form, "demo-error-event", stream=False)[0].status == 500


@pytest.mark.parametrize("form", STREAMED, ids=lambda form: form.spoken)
def test_a_slow_model_is_slow_both_ways(form: Form) -> None:
    """
    The slow model waits before its first byte, and between the events of a stream.
    """
    assert planned(form, "demo-slow", stream=False)[0].delay_s == 3
    streamed, _ = planned(form, "demo-slow", stream=True)
    assert (streamed.delay_s, streamed.interval_s) == (3, 0.25)


@pytest.mark.parametrize("form", STREAMED, ids=lambda form: form.spoken)
def test_a_long_stream_has_an_event_for_each_piece(form: Form) -> None:
    """
    The size of the long model is the number of its pieces.
    """
    _, short = planned(form, "demo-long-10", stream=True)
    _, long = planned(form, "demo-long-5010", stream=True)
    assert len(long) - len(short) == 5000


def test_a_big_body_comes_in_slices() -> None:
    """
    A large body is cut into slices that can be sent one by one, and is whole.
    """
    found, chunks = planned(MESSAGES, "demo-big-200000", stream=False)
    assert max(map(len, chunks)) == CHUNK
    assert length_of(found) == sum(map(len, chunks)) > 200_000


def test_an_unknown_model() -> None:
    """
    A model that does not exist is refused with 404.
    """
    found, chunks = planned(CHAT, "demo-4z9", stream=False)
    assert (found.status, json.loads(chunks[0])["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.spoken)
def test_bad_json(form: Form) -> None:
    """
    What is no JSON is refused with 400, in the vendor's form.
    """
    found = plan(form, b"{]}", [], STAMP)
    told = json.loads(b"".join(found.chunks))
    assert found.status == 400
    assert told["error"]["type"] == "invalid_request_error"


def test_a_page() -> None:
    """
    A page is an ordinary answer.
    """
    found = page(Vendor.OPENAI, STAMP, {"object": "list"})
    assert (found.status, list(found.chunks)) == (200, [b'{"object":"list"}'])


@given(
    st.sampled_from(FORMS),
    st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=8),
    st.sampled_from([*NAMES, "gpt-5", None]),
    st.booleans(),
)
def test_any_object_is_answered(form: Form, body: Json, model: str | None, is_valid: bool) -> None:
    """
    Whatever object is sent, and whoever is to answer it, there is an answer, and it can be sent to its end.
    """
    if model is not None:
        body["model"] = model
    if is_valid:
        body.update(messages=[{"role": "user", "content": body.get("text")}], input="hi", prompt="hi")
    found = plan(form, json.dumps(body).encode(), [(b"X-Api-Key", b"\xff")], STAMP)
    chunks = list(found.chunks)
    allowed = {None, 200, 400, 404, *(script.status for script in SCRIPTS), 503 if model == "demo-flaky" else 200}
    assert found.status in allowed
    if found.status == 200 and found.ending is Ending.FINISHES and length_of(found) is not None:
        assert isinstance(json.loads(b"".join(chunks)), dict)


def test_the_same_request_has_the_same_answer() -> None:
    """
    Nothing but the request, its number and the time decides an answer.
    """
    first, second = (plan(RESPONSES, asking(stream=True), [], STAMP) for _ in range(2))
    assert list(first.chunks) == list(second.chunks)
    assert attrs.evolve(first, chunks=iter(())).headers == second.headers
