"""
What can be configured about whether a request may go now: the gate and the buckets.
"""

from __future__ import annotations

import attrs

from aibridge.options import option


@attrs.frozen(kw_only=True)
class AdmissionSettings:
    """
    ``[admission]``: how much is let in at once, and how fast for each principal.
    """

    max_concurrency: int = option(
        0,
        why="Most exchanges in flight at once, streams included; one more is answered 503. 0 means no limit, as only "
        "the operator knows what the providers and this machine bear.",
        least=0,
        most=1000000,
        env=("AIBRIDGE_MAX_CONCURRENCY", "CODER_AIBRIDGE_MAX_CONCURRENCY"),
        flag="max-concurrency",
    )
    rate_limit: float = option(
        0.0,
        why="Requests each principal may make per second on average, fractions such as 0.5 included; one more is "
        "answered 429. 0 means no limit.",
        least=0,
        most=1000000,
        unit="requests/s",
        env=("AIBRIDGE_RATE_LIMIT", "CODER_AIBRIDGE_RATE_LIMIT"),
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
        why="Whether passthrough requests, such as listing models, count towards the rate; clients make many of them "
        "that cost next to nothing.",
    )
    max_retry_after: float = option(
        45.0,
        why="Longest wait that a refused client is told; some SDKs ignore more than 60 s, others sleep for whatever "
        "they are told, days included.",
        least=1,
        most=3600,
        unit="s",
    )
    max_principals: int = option(
        100000,
        why="Principals with a bucket of their own, about 200 bytes each; only empty buckets are forgotten, and while "
        "all are in use, newcomers share what room there is.",
        least=1,
        most=10000000,
        restart=True,
    )

    @property
    def burst(self) -> float:
        """
        What a bucket holds: `rate_burst`, or what stands for it where it is 0; always one request.
        """
        return max(1.0, self.rate_burst or self.rate_limit)
