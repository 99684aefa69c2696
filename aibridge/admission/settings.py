"""
What can be configured about whether a request may go now: the gate, the buckets and the breakers.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from aibridge.admission.policy import LEAST, MOST, NAME, Scope, Unit
from aibridge.model import Class
from aibridge.options import option

_OPTIONAL_NAME: Final[dict[str, Any]] = {
    "matches": f"({NAME})?",
    "form": "lower-case letters and digits, in parts joined by single hyphens, or empty",
}


@attrs.frozen(kw_only=True)
class AdmissionSettings:
    """
    ``[admission]``: how much is let in at once, who waits for it, and how fast each principal may go.
    """

    max_concurrency: int = option(
        0,
        why="Most exchanges in flight at once, streams included; one more waits, or is answered 503. 0 means no limit, "
        "as only the operator knows what the providers and this machine bear.",
        least=0,
        most=1000000,
        env=("AIBRIDGE_MAX_CONCURRENCY", "CODER_AIBRIDGE_MAX_CONCURRENCY", "CODER_AI_GATEWAY_MAX_CONCURRENCY"),
        flag="max-concurrency",
    )
    max_in_flight: int = option(
        0,
        why="Most of them that one principal has, unless its token says otherwise. 0 means no limit, as one person's "
        "agents may well be twenty.",
        least=0,
        most=1000000,
        env=("AIBRIDGE_MAX_IN_FLIGHT",),
    )
    queue_size: int = option(
        0,
        why="Most requests that wait for a turn, over all principals and fairly between them; one more is answered "
        "503. 0 means that nobody waits and a full gate refuses at once, so that clients are told instead of left "
        "hanging until somebody decides how long.",
        least=0,
        most=1000000,
        env=("AIBRIDGE_QUEUE_SIZE",),
    )
    queue_timeout: float = option(
        10.0,
        why="How long one of them waits before it is answered 503; no SDK gives up sooner.",
        least=0.001,
        most=600,
        unit="s",
        env=("AIBRIDGE_QUEUE_TIMEOUT",),
    )
    interactive_share: float = option(
        0.0,
        why="Part of each limit of exchanges in flight that is kept for the class interactive, rounded down; others "
        "have it only as far as the queue is long enough to wait for its return. 0 keeps nothing.",
        least=0,
        most=1,
        env=("AIBRIDGE_INTERACTIVE_SHARE",),
    )
    interactive_weight: float = option(
        4.0,
        why="How much of what there is a waiting principal of the class interactive gets, compared with the others; "
        "people wait for its answers.",
        least=0.01,
        most=1000,
    )
    default_weight: float = option(2.0, why="The same for the class default.", least=0.01, most=1000)
    batch_weight: float = option(
        1.0,
        why="The same for the class batch, which nobody waits for.",
        least=0.01,
        most=1000,
    )
    gate_shadow: bool = option(
        False,
        why="Let everybody through at once, and only count who would have waited or been refused, to try out the "
        "limits above.",
    )
    rate_limit: float = option(
        0.0,
        why="Requests each principal may make per second on average, fractions such as 0.5 included; one more is "
        "answered 429. 0 means no limit. It is short for a first [[limit]] named per-principal.",
        least=0,
        most=1000000,
        unit="requests/s",
        env=("AIBRIDGE_RATE_LIMIT", "CODER_AIBRIDGE_RATE_LIMIT", "CODER_AI_GATEWAY_RATE_LIMIT"),
        flag="rate-limit",
    )
    rate_burst: float = option(
        0.0,
        why="Requests a principal may make at once before the rate is enforced; 0 means as many as rate_limit, but at "
        "least 1.",
        least=0,
        most=1000000,
        unit="requests",
        env=("AIBRIDGE_RATE_BURST",),
    )
    count_passthrough: bool = option(
        False,
        why="Whether passthrough requests, such as listing models, count towards limits of requests; clients make "
        "many of them that cost next to nothing.",
    )
    token_default_output: int = option(
        1024,
        why="Tokens of output that a request is taken for until its answer has ended, where limits count tokens and "
        "nothing is known yet of what its principal's requests to its model use; never more than it allows. Most "
        "answers are shorter.",
        least=0,
        most=10000000,
        unit="tokens",
    )
    token_overshoot: float = option(
        16.0,
        why="How many times over a limit of tokens may be used at once, at most, by requests that use more than such "
        "requests did before, up to all that they allow; it is a debt that is waited for. 1 reserves all that a "
        "request allows, which is a hundred times what some clients use.",
        least=1,
        most=1000,
    )
    max_retry_after: int = option(
        45,
        why="Longest wait that a refused client is told, in whole seconds as Retry-After has it; some SDKs ignore more "
        "than 60 s, others sleep for whatever they are told, days included.",
        least=1,
        most=3600,
        unit="s",
    )
    bucket_memory: int = option(
        67108864,
        why="Most memory for the buckets of principals, each about 250 bytes for each limit that counts it; only "
        "empty buckets are forgotten, and while all are in use, newcomers share what room there is. Where no tokens "
        "are verified, one address may take no more of it than it leaves free.",
        least=1048576,
        most=17179869184,
        unit="bytes",
    )

    @property
    def burst(self) -> float:
        """
        What a bucket holds: `rate_burst`, or what stands for it where it is 0; always one request.
        """
        return max(1.0, self.rate_burst or self.rate_limit)


@attrs.frozen(kw_only=True)
class BreakerSettings:
    """
    ``[breaker]``: when a model of a provider that fails again and again is left alone for a while.
    """

    enabled: bool = option(
        False,
        why="Whether requests are kept from it at all; off, until somebody has seen in shadow what would be.",
        env=(
            "AIBRIDGE_CIRCUIT_BREAKER_ENABLED",
            "CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED",
            "CODER_AI_GATEWAY_CIRCUIT_BREAKER_ENABLED",
        ),
    )
    failure_threshold: int = option(
        5,
        why="Failures in a row that open a breaker: no connection, no answer in time, 503, 504, and Anthropic's 529.",
        least=1,
        most=10000,
        unit="failures",
        env=(
            "AIBRIDGE_CIRCUIT_BREAKER_FAILURE_THRESHOLD",
            "CODER_AIBRIDGE_CIRCUIT_BREAKER_FAILURE_THRESHOLD",
            "CODER_AI_GATEWAY_CIRCUIT_BREAKER_FAILURE_THRESHOLD",
        ),
    )
    interval: float = option(
        10.0,
        why="Time within which they have to fall, so that five in a day are no outage; 0 means any time.",
        least=0,
        most=86400,
        unit="s",
        env=(
            "AIBRIDGE_CIRCUIT_BREAKER_INTERVAL",
            "CODER_AIBRIDGE_CIRCUIT_BREAKER_INTERVAL",
            "CODER_AI_GATEWAY_CIRCUIT_BREAKER_INTERVAL",
        ),
    )
    timeout: float = option(
        30.0,
        why="How long a breaker stays open before a few requests try again; a provider that restarts is back by then.",
        least=0.1,
        most=3600,
        unit="s",
        env=(
            "AIBRIDGE_CIRCUIT_BREAKER_TIMEOUT",
            "CODER_AIBRIDGE_CIRCUIT_BREAKER_TIMEOUT",
            "CODER_AI_GATEWAY_CIRCUIT_BREAKER_TIMEOUT",
        ),
    )
    max_requests: int = option(
        3,
        why="How many try then; all have to succeed before everybody may go again.",
        least=1,
        most=1000,
        unit="requests",
        env=(
            "AIBRIDGE_CIRCUIT_BREAKER_MAX_REQUESTS",
            "CODER_AIBRIDGE_CIRCUIT_BREAKER_MAX_REQUESTS",
            "CODER_AI_GATEWAY_CIRCUIT_BREAKER_MAX_REQUESTS",
        ),
    )
    shadow: bool = option(
        False,
        why="Let breakers open and close and count what they would have refused, and refuse nothing.",
    )
    max_models: int = option(
        1000,
        why="Breakers there are at most, about 2 KB each; models are what clients say they are. Beyond it, while all "
        "are open, further models share one.",
        least=1,
        most=100000,
        restart=True,
    )


@attrs.frozen(kw_only=True)
class LimitSettings:
    """
    ``[[limit]]``: how many requests or tokens may go in what time, and who shares them; repeat the table for each. A
    request has to fit into all that apply to it, and one that is refused is counted by none.
    """

    scope: str = option(
        why="Whom it counts together: each principal by itself, each principal at each provider, all principals of a "
        "class, or everybody.",
        choices=tuple(scope.value for scope in Scope),
        example=Scope.PRINCIPAL.value,
    )
    unit: str = option(
        why="What it counts, and in what time; tokens are input and output together.",
        choices=tuple(unit.value for unit in Unit),
        example=Unit.TOKENS_PER_MINUTE.value,
    )
    limit: float = option(why="How many on average.", least=LEAST, most=MOST, example=200000)
    burst: float = option(
        0.0,
        why="How many at once; 0 means as many as limit, but at least 1, so that a limit per minute may be used up in "
        "a second.",
        least=0,
        most=MOST,
    )
    class_: str = option(
        "",
        why="Count only principals of this class; empty means all. With the scope class, empty means each class by "
        "itself.",
        choices=("", *(class_.value for class_ in Class)),
    )
    provider: str = option(
        "",
        why="Count only requests to the provider of this name; empty means all.",
        **_OPTIONAL_NAME,
    )
    name: str = option(
        "",
        why="What refusals, headers, logs and metrics call it; empty means the name that follows from the rest, such "
        "as per-principal-tokens.",
        **_OPTIONAL_NAME,
    )
    shadow: bool = option(False, why="Count what it would have refused, and refuse nothing.")
