"""
Limits of tokens for clients that allow a hundred times what they use, in a real process.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from aibridge.admission.reservation import MOST_OUTPUT
from answers import compact, message
from daemons import Daemon, Deployment
from held import KEYS, Asking, Holder, ask, table
from wires import post, whole

MESSAGES = "/claude/v1/messages"
AGENT = (("User-Agent", "claude-cli/2.1.330 (external, cli)"), ("anthropic-version", "2023-06-01"))
TOKENS = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\n'
OVERSHOOT = 16


def agent(token: str, model: str = "claude-opus-5", **more: object) -> bytes:
    """
    A request as Claude Code makes it: it allows what its model can write at most.
    """
    turn = {"role": "user", "content": "Where is the test for this?"}
    body = {"model": model, "max_tokens": 128000, "stream": False, "messages": [turn], **more}
    return post(MESSAGES, token, body, AGENT)


def answer(input: int = 40, output: int = 500) -> bytes:
    """
    An answer that has used so much.
    """
    return whole(compact(message(stop_reason="end_turn", usage={"input_tokens": input, "output_tokens": output})))


def start(deployment: Deployment, holder: Holder, more: str) -> Daemon:
    """
    A daemon with that provider as one of Anthropic's.
    """
    deployment.configure(table(holder, "", "claude", "anthropic") + more)
    return deployment.start(environ=KEYS)


def bucket(daemon: Daemon, principal: str = "ada") -> float:
    """
    How many tokens are in a principal's bucket.
    """
    told: Any = json.loads(daemon.page(f"/limits?principal={principal}"))
    (limit,) = [each for each in told["limits"] if each["unit"] == "tokens/min"]
    return float(limit["buckets"][0]["level"])


def teach(daemon: Daemon, holder: Holder, request: bytes, count: int, used: bytes) -> None:
    """
    So many requests one after the other that use that.
    """
    for _ in range(count):
        asking = Asking(daemon.url, request)
        holder.next().answer(used)
        assert asking.answer().status == 200


@pytest.mark.parametrize("limit", [400000, 80000])
def test_eight_agents_at_once(deployment: Deployment, holder: Holder, limit: int) -> None:
    """
    All pass, of a daemon that has just been started and knows nothing, although each allows a third of what there is
    in a minute, or more than all; and so again, and once more.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, f"{TOKENS}limit = {limit}\n")
    for _ in range(3):
        running = [Asking(daemon.url, agent(token)) for _ in range(8)]
        for _ in range(8):
            holder.next().answer(answer())
        assert [asking.answer().status for asking in running] == [200] * 8
    assert daemon.metric("aibridge_refusals_total") == 0


def test_what_is_expected_is_what_was_used(deployment: Deployment, holder: Holder) -> None:
    """
    After a while a request is taken for what such requests use, which outlives a reload; another principal's is not.
    """
    ada, bob = deployment.token("ada"), deployment.token("bob")
    daemon = start(deployment, holder, f"{TOKENS}limit = 1\nburst = 400000\n")
    size = len(agent(ada).partition(b"\r\n\r\n")[2])
    teach(daemon, holder, agent(ada), 60, answer(size // 2, 100))
    daemon.reload()
    before = bucket(daemon)
    running = Asking(daemon.url, agent(ada))
    turn = holder.next()
    taken = bucket(daemon) - before
    part = (128000 - 100) / OVERSHOOT
    assert size // 2 + 100 + part - 60 < taken < size // 2 + 100 + part + 60
    turn.answer(answer())
    assert running.answer().status == 200
    running = Asking(daemon.url, agent(bob))
    turn = holder.next()
    assert bucket(daemon, "bob") == pytest.approx(size / 4 + 1024 + (128000 - 1024) / OVERSHOOT, abs=2)
    turn.answer(answer())
    assert running.answer().status == 200


def test_errors_and_probes_teach_nothing(deployment: Deployment, holder: Holder) -> None:
    """
    Neither what the provider refuses, nor a request that allowed a single token, says that answers are short.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, f"{TOKENS}limit = 1\nburst = 400000\n")
    error = compact({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}})
    refusal = b"HTTP/1.1 400 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(error), error)
    for _ in range(5):
        asking = Asking(daemon.url, agent(token))
        holder.next().answer(refusal)
        assert asking.answer().status == 400
    teach(daemon, holder, agent(token, max_tokens=1), 5, answer(40, 1))
    before = bucket(daemon)
    running = Asking(daemon.url, agent(token))
    holder.next()
    assert bucket(daemon) - before > 1024 + (128000 - 1024) / OVERSHOOT
    running.leave()


def test_giants_of_one_who_was_answered_shortly(deployment: Deployment, holder: Holder) -> None:
    """
    Whoever has taught small answers, and then asks for as much as a model can write, many times at once, is so far
    beyond his limit as is configured and no farther; then he waits, and nobody else does.
    """
    ada, bob = deployment.token("ada"), deployment.token("bob")
    burst = 200000
    daemon = start(deployment, holder, f"{TOKENS}limit = 1\nburst = {burst}\n")
    teach(daemon, holder, agent(ada), 40, answer(10, 10))
    crowd = [Asking(daemon.url, agent(ada)) for _ in range(60)]
    # Each reserves a sixteenth of what it allows; none is answered before all have been decided on.
    passed = 24
    daemon.until("aibridge_refusals_total", len(crowd) - passed)
    for _ in range(passed):
        holder.next().answer(answer(10, 128000))
    statuses = [asking.answer().status for asking in crowd]
    assert (statuses.count(200), statuses.count(429)) == (passed, len(crowd) - passed)
    level = bucket(daemon)
    assert burst < level <= OVERSHOOT * max(burst, MOST_OUTPUT)
    assert ask(daemon.url, agent(ada, max_tokens=1)).status == 429
    running = Asking(daemon.url, agent(bob))
    holder.next().answer(answer())
    assert running.answer().status == 200
