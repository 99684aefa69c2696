"""
The vendors' own SDKs on their defaults, through two seconds in which there is too much: no error reaches their callers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from answers import CHAT_BODY, compact, message
from daemons import Daemon, Deployment
from held import KEYS, Asking, Holder, said, table
from wires import Provider, whole

OVERLOAD_S = 2.0

Ask = Callable[[], Awaitable[Any]]


def reply(request: bytes) -> bytes:
    """
    The answer of a dialect.
    """
    return whole(compact(message() if b"/messages" in request.split(b"\r\n")[0] else CHAT_BODY))


@pytest.fixture
def provider() -> Iterator[Provider]:
    """
    Answers both dialects at once.
    """

    def serve(provider: Provider, stream: Any) -> None:
        while request := provider.take(stream):
            stream.sendall(reply(request))

    made = Provider(serve)
    yield made
    made.close()


def callers(daemon: Daemon, tokens: list[str], count: int) -> list[Ask]:
    """
    So many calls, half of them of each SDK, each with the next token, on clients that are left as they are.
    """

    def gpt(token: str) -> Ask:
        async def ask() -> None:
            async with openai.AsyncOpenAI(base_url=f"{daemon.url}/up/v1", api_key=token) as client:
                answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
                assert answer.choices

        return ask

    def claude(token: str) -> Ask:
        async def ask() -> None:
            async with anthropic.AsyncAnthropic(base_url=f"{daemon.url}/claude", api_key=token) as client:
                answer = await client.messages.create(
                    model="m", max_tokens=10, messages=[{"role": "user", "content": "x"}]
                )
                assert answer.id

        return ask

    return [(gpt, claude)[number % 2](tokens[number % len(tokens)]) for number in range(count)]


def outcomes(asks: list[Ask]) -> Counter[str]:
    """
    How calls end that are made all at once.
    """

    async def each(ask: Ask) -> str:
        try:
            await ask()
        except (openai.OpenAIError, anthropic.AnthropicError) as error:
            return repr(error)
        return "answered"

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(each, asks))

    return Counter(asyncio.run(all_of_them()))


def start(deployment: Deployment, provider: Provider, more: str) -> Daemon:
    """
    A daemon with that provider, as one of each dialect.
    """
    deployment.configure(table(provider) + table(provider, "", "claude", "anthropic") + more)
    return deployment.start(environ=KEYS)


QUEUE = "queue_size = 4\nqueue_timeout = 1\n"


class TestGate:
    """
    All permits are out.
    """

    @pytest.mark.parametrize(
        ("permits", "queue"),
        [
            pytest.param(2, "", id="refuses-2"),
            pytest.param(20, QUEUE, id="queue-20"),
            pytest.param(20, "", id="refuses-20", marks=pytest.mark.slow),
            pytest.param(2, QUEUE, id="queue-2", marks=pytest.mark.slow),
        ],
    )
    def test_full_for_two_seconds(self, deployment: Deployment, permits: int, queue: str) -> None:
        """
        Twice as many callers as there are permits come while all of them are out.
        """
        tokens = [deployment.token(name) for name in ("ada", "bob", "eve")]
        holder = Holder()
        daemon = start(deployment, holder, f"[admission]\nmax_concurrency = {permits}\n{queue}")
        running = [Asking(daemon.url, said(tokens[0])) for _ in range(permits)]
        turns = [holder.next() for _ in running]
        served = threading.Event()

        def serve() -> None:
            served.wait(OVERLOAD_S)
            for turn in turns:
                turn.answer()
            while not served.is_set():
                turn = holder.next()
                turn.answer(reply(turn.request))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert outcomes(callers(daemon, tokens, 2 * permits)) == {"answered": 2 * permits}
        assert daemon.metric("aibridge_refusals_total") > 0
        served.set()
        for asking in running:
            assert asking.answer().status == 200
        last = Asking(daemon.url, said(tokens[0]))
        assert last.answer().status == 200
        thread.join(60)
        holder.close()

    @pytest.mark.slow
    def test_twice_the_load_for_two_seconds(self, deployment: Deployment) -> None:
        """
        Two permits of a tenth of a second serve twenty in a second, and forty come; four places in the queue for each
        permit are enough.
        """
        token = deployment.token("ada")

        def serve(provider: Provider, stream: Any) -> None:
            while request := provider.take(stream):
                threading.Event().wait(0.1)
                stream.sendall(reply(request))

        provider = Provider(serve)
        daemon = start(deployment, provider, "[admission]\nmax_concurrency = 2\nqueue_size = 8\n")
        asks = callers(daemon, [token], 80)

        def later(ask: Ask, seconds: float) -> Ask:
            async def wait() -> None:
                await asyncio.sleep(seconds)
                await ask()

            return wait

        spread = [later(ask, number * OVERLOAD_S / len(asks)) for number, ask in enumerate(asks)]
        assert outcomes(spread) == {"answered": len(asks)}
        assert daemon.metric("aibridge_refusals_total") > 0
        provider.close()


class TestBuckets:
    """
    A bucket is full.
    """

    def test_of_each(self, deployment: Deployment, provider: Provider) -> None:
        """
        It takes two seconds until there is room for one more request of a principal.
        """
        tokens = [deployment.token(name) for name in ("ada", "bob", "eve", "dan")]
        daemon = start(deployment, provider, "[admission]\nrate_limit = 0.5\nrate_burst = 1\n")
        assert outcomes(callers(daemon, tokens, 4)) == {"answered": 4}
        assert outcomes(callers(daemon, tokens, 4)) == {"answered": 4}
        assert daemon.metric("aibridge_refusals_total") == 4

    @pytest.mark.parametrize("scope", ["principal", "global"])
    def test_of_many_at_once(self, deployment: Deployment, provider: Provider, scope: str) -> None:
        """
        Twenty callers at once share a bucket into which ten fit, and five a second: the last of them has to wait for
        two seconds.
        """
        tokens = [deployment.token(name) for name in ("ada", "bob")][: 1 if scope == "principal" else 2]
        limit = f'[[limit]]\nscope = "{scope}"\nunit = "requests/s"\nlimit = 5\nburst = 10\n'
        daemon = start(deployment, provider, limit)
        assert outcomes(callers(daemon, tokens, 20)) == {"answered": 20}
        assert daemon.metric("aibridge_refusals_total") >= 10

    def test_of_tokens(self, deployment: Deployment, provider: Provider) -> None:
        """
        So it is with tokens.
        """
        token = deployment.token("ada")
        limit = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 345000\nburst = 23060\n'
        daemon = start(deployment, provider, f"{limit}[admission]\ntoken_default_output = 2290\n")
        assert outcomes(callers(daemon, [token], 20)[::2]) == {"answered": 10}
        assert outcomes(callers(daemon, [token], 20)[::2]) == {"answered": 10}
        assert daemon.metric("aibridge_refusals_total") >= 1


class TestProvider:
    """
    A provider says "wait".
    """

    @pytest.mark.parametrize("service_s", [pytest.param(0.0, marks=pytest.mark.slow), 1.5])
    def test_a_second_and_another(self, deployment: Deployment, service_s: float) -> None:
        """
        It refuses everybody, and whoever asks again after the second that it told, and then takes everybody, be it fast
        or slow. What it says is heeded, and those that are kept from it are told to come one after the other.
        """
        token = deployment.token("ada")
        began, over = threading.Event(), threading.Event()
        count = 16
        refused: list[bytes] = []

        def serve(provider: Provider, stream: Any) -> None:
            while request := provider.take(stream):
                if over.is_set():
                    threading.Event().wait(service_s)
                    stream.sendall(reply(request))
                    continue
                refused.append(request)
                began.set()
                stream.sendall(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}")

        def end() -> None:
            began.wait(60)
            # After the second of three times, and well before the third.
            over.wait(1.5)
            over.set()

        provider = Provider(serve)
        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        daemon = start(deployment, provider, "")
        assert outcomes(callers(daemon, [token], count)) == {"answered": count}
        assert daemon.metric("aibridge_refusals_total") > 0
        assert len(refused) <= count + 2
        thread.join(60)
        provider.close()
