"""
The vendors' own SDKs, through a real process, against the simulated provider.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from daemons import Daemon, Deployment

HELLO = "Hello, bridge"
TOOL: Any = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def gpt(demo: Daemon) -> Iterator[openai.OpenAI]:
    """
    The OpenAI SDK, pointed at the bridge.
    """
    with openai.OpenAI(base_url=f"{demo.url}/demo/v1", api_key=demo.token) as client:
        yield client


@pytest.fixture
def claude(demo: Daemon) -> Iterator[anthropic.Anthropic]:
    """
    The Anthropic SDK, pointed at the bridge.
    """
    with anthropic.Anthropic(base_url=f"{demo.url}/demo", api_key=demo.token) as client:
        yield client


def asked() -> Any:
    """
    One message from a user.
    """
    return [{"role": "user", "content": HELLO}]


class TestOpenAI:
    """
    Chat completions and responses.
    """

    def test_chat(self, gpt: Any) -> None:
        """
        A blocking completion arrives with its text and usage.
        """
        answer = gpt.chat.completions.create(model="demo", messages=asked())
        assert HELLO in (answer.choices[0].message.content or "")
        assert answer.usage is not None and answer.usage.total_tokens > 0

    def test_chat_stream(self, gpt: Any) -> None:
        """
        A streamed completion arrives in pieces that make the same text.
        """
        whole = gpt.chat.completions.create(model="demo", messages=asked()).choices[0].message.content
        pieces = []
        for chunk in gpt.chat.completions.create(
            model="demo", messages=asked(), stream=True, stream_options={"include_usage": True}
        ):
            pieces += [choice.delta.content or "" for choice in chunk.choices]
        assert len(pieces) > 2
        assert "".join(pieces) == whole
        assert chunk.usage is not None and chunk.usage.completion_tokens > 0

    def test_chat_tool(self, gpt: Any) -> None:
        """
        A tool call arrives, blocking and streamed.
        """
        tools = [{"type": "function", "function": TOOL}]
        answer = gpt.chat.completions.create(model="demo-tool", messages=asked(), tools=tools)
        calls = answer.choices[0].message.tool_calls
        assert calls is not None and calls[0].function.name == "get_weather"
        names = [
            call.function.name
            for chunk in gpt.chat.completions.create(model="demo-tool", messages=asked(), tools=tools, stream=True)
            for choice in chunk.choices
            for call in choice.delta.tool_calls or []
            if call.function is not None and call.function.name
        ]
        assert names == ["get_weather"]

    def test_responses(self, gpt: Any) -> None:
        """
        A blocking response arrives with its text.
        """
        assert HELLO in gpt.responses.create(model="demo", input=HELLO).output_text

    def test_responses_stream(self, gpt: Any) -> None:
        """
        A streamed response ends with `response.completed`.
        """
        types = [event.type for event in gpt.responses.create(model="demo", input=HELLO, stream=True)]
        assert types[0] == "response.created"
        assert types[-1] == "response.completed"
        assert "response.output_text.delta" in types

    def test_models(self, gpt: Any) -> None:
        """
        A passthrough route passes.
        """
        assert "demo" in [model.id for model in gpt.models.list()]

    def test_bad_token(self, demo: Daemon) -> None:
        """
        A bad token is an authentication error, at once.
        """
        with (
            openai.OpenAI(base_url=f"{demo.url}/demo/v1", api_key="aib_wrong_token") as client,
            pytest.raises(openai.AuthenticationError, match="Incorrect API key provided") as caught,
        ):
            client.chat.completions.create(model="demo", messages=asked())
        assert caught.value.code == "invalid_api_key"
        assert caught.value.response.headers["x-ai-bridge-reason"] == "auth"

    def test_unknown_route(self, gpt: Any) -> None:
        """
        A route that is unknown is not found, one that shows what others have is not permitted; both say who refused.
        """
        for error, ask in (
            (openai.NotFoundError, lambda: gpt.get("/nowhere", cast_to=object)),
            (openai.PermissionDeniedError, gpt.files.list),
        ):
            with pytest.raises(error) as caught:
                ask()
            assert caught.value.response.headers["x-ai-bridge-reason"] == "route"

    def test_provider_error(self, gpt: Any) -> None:
        """
        A provider's own error crosses as it is: no reason of ours.
        """
        with pytest.raises(openai.RateLimitError) as caught:
            gpt.with_options(max_retries=0).chat.completions.create(model="demo-429", messages=asked())
        assert "x-ai-bridge-reason" not in caught.value.response.headers
        assert "retry-after" in caught.value.response.headers

    def test_stream_dies(self, gpt: Any) -> None:
        """
        A provider that dies within a stream is an error to the caller, never an end.
        """
        with pytest.raises((openai.APIError, openai.APIConnectionError)):
            for _ in gpt.chat.completions.create(model="demo-dies", messages=asked(), stream=True):
                pass

    def test_cancel(self, gpt: Any, demo: Daemon) -> None:
        """
        A caller who stops reading in mid-stream leaves nothing behind.
        """
        stream = gpt.chat.completions.create(model="demo-long-100000", messages=asked(), stream=True)
        next(iter(stream))
        stream.close()
        eventually_idle(demo)


class TestAnthropic:
    """
    Messages.
    """

    def test_message(self, claude: Any) -> None:
        """
        A blocking message arrives with its text and usage.
        """
        answer = claude.messages.create(model="demo", max_tokens=100, messages=asked())
        assert HELLO in answer.content[0].text
        assert answer.usage.output_tokens > 0

    def test_stream(self, claude: Any) -> None:
        """
        A streamed message arrives in pieces, with its final message.
        """
        with claude.messages.stream(model="demo", max_tokens=100, messages=asked()) as stream:
            pieces = list(stream.text_stream)
            final = stream.get_final_message()
        assert len(pieces) > 2
        assert "".join(pieces) == final.content[0].text

    def test_tool(self, claude: Any) -> None:
        """
        A tool call arrives, blocking and streamed.
        """
        tools = [{"name": "get_weather", "description": "Weather.", "input_schema": TOOL["parameters"]}]
        answer = claude.messages.create(model="demo-tool", max_tokens=100, messages=asked(), tools=tools)
        assert [block.name for block in answer.content if block.type == "tool_use"] == ["get_weather"]
        with claude.messages.stream(model="demo-tool", max_tokens=100, messages=asked(), tools=tools) as stream:
            final = stream.get_final_message()
        assert final.stop_reason == "tool_use"

    def test_count_tokens(self, claude: Any) -> None:
        """
        A passthrough route passes.
        """
        assert claude.messages.count_tokens(model="demo", messages=asked()).input_tokens > 0

    def test_bad_token(self, demo: Daemon) -> None:
        """
        A bad token is an authentication error, at once.
        """
        with (
            anthropic.Anthropic(base_url=f"{demo.url}/demo", api_key="wrong") as client,
            pytest.raises(anthropic.AuthenticationError) as caught,
        ):
            client.messages.create(model="demo", max_tokens=10, messages=asked())
        assert caught.value.response.json()["error"]["type"] == "authentication_error"
        assert caught.value.response.headers["x-should-retry"] == "false"

    def test_overloaded(self, claude: Any) -> None:
        """
        The provider's 529 crosses as it is.
        """
        with pytest.raises(anthropic.APIStatusError) as caught:
            claude.with_options(max_retries=0).messages.create(model="demo-529", max_tokens=10, messages=asked())
        assert caught.value.status_code == 529

    def test_stream_dies(self, claude: Any) -> None:
        """
        A provider that dies within a stream is an error to the caller, never an end.
        """
        with (
            pytest.raises(anthropic.APIError),
            claude.messages.stream(model="demo-dies", max_tokens=100, messages=asked()) as stream,
        ):
            stream.get_final_message()

    def test_cancel(self, claude: Any, demo: Daemon) -> None:
        """
        A caller who stops reading in mid-stream leaves nothing behind.
        """
        with claude.messages.stream(model="demo-long-100000", max_tokens=100, messages=asked()) as stream:
            next(iter(stream.text_stream))
        eventually_idle(demo)


class TestRetries:
    """
    The SDKs' own retries, on their defaults, against refusals of ours.
    """

    def test_rate_limit(self, deployment: Deployment) -> None:
        """
        A caller over its rate waits as long as it is told, and gets through.
        """
        token = deployment.token("hasty")
        deployment.configure('[admission]\nrate_limit = 2\n[[provider]]\nname = "demo"\ntype = "demo"\n')
        daemon = deployment.start()
        with openai.OpenAI(base_url=f"{daemon.url}/demo/v1", api_key=token) as client:
            for _ in range(4):
                assert client.chat.completions.create(model="demo", messages=asked()).choices
        with anthropic.Anthropic(base_url=f"{daemon.url}/demo", api_key=token) as client:
            for _ in range(3):
                assert client.messages.create(model="demo", max_tokens=50, messages=asked()).content
        labels = 'class="default",kind="rate_limited",policy="per-principal",reason="rate"'
        assert daemon.metric(f"aibridge_refusals_total{{{labels}}}") >= 1

    def test_capacity(self, deployment: Deployment) -> None:
        """
        A caller who meets a full gate comes back, and gets through once there is room.
        """
        token = deployment.token("patient")
        deployment.configure('[admission]\nmax_concurrency = 1\n[[provider]]\nname = "demo"\ntype = "demo"\n')
        daemon = deployment.start()
        with openai.OpenAI(base_url=f"{daemon.url}/demo/v1", api_key=token) as client:
            stream: Any = client.chat.completions.create(model="demo-long-40", messages=asked(), stream=True)
            next(iter(stream))
            assert client.chat.completions.create(model="demo", messages=asked()).choices
            stream.close()
        labels = 'class="default",kind="at_capacity",policy="daemon",reason="gate"'
        assert daemon.metric(f"aibridge_refusals_total{{{labels}}}") >= 1


def eventually_idle(daemon: Daemon) -> None:
    """
    Wait until no permit is out.
    """
    for _ in range(2000):
        if daemon.metric("aibridge_permits_in_use") == 0:
            return
    raise AssertionError("permits are still in use")
