"""
Runs twistd with a bridge that has counted for thousands of principals already.
"""

from __future__ import annotations

import os
import runpy
import sys

from prometheus_client import CollectorRegistry

from aibridge.daemon import tap
from aibridge.metrics import Metrics

PRINCIPALS = int(os.environ["PRINCIPALS"])
MODELS = ("gpt-5.4", "gpt-5.4-mini", "claude-sonnet-4-5")
CLIENTS = ("Codex", "Claude Code")
TYPES = ("input", "output", "cache_read_input_tokens")


def crowded(registry: CollectorRegistry) -> Metrics:
    """
    Metrics with so many series.
    """
    metrics = Metrics(registry)
    for number in range(PRINCIPALS):
        for model in MODELS:
            for client in CLIENTS:
                who = f"principal-{number:06}", client
                metrics._interceptions.add(("demo", model, "completed", "/v1/chat/completions", "POST", *who))
                for kind in TYPES:
                    metrics._tokens.add(("demo", model, kind, *who), number)
    return metrics


setattr(tap, "Metrics", crowded)  # noqa: B010  # to a type checker it is not there
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
