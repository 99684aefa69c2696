"""
What a request says about itself, read from a copy of its body.
"""

from __future__ import annotations

import json

import attrs

MOST_READ = 262144
"""Bodies larger than this are relayed unread: reading one of 32 MB would stop every other stream for its time."""

MOST_NAME = 256
"""What is longer is no model's name; it would be copied into the log."""


@attrs.frozen
class Facts:
    """
    :ivar model: as the client named it, or empty.
    :ivar stream: it asked for server-sent events.
    """

    model: str = ""
    stream: bool = False


UNREAD = Facts()


def read(body: bytes) -> Facts:
    """
    The facts of a JSON request in any of the dialects; what cannot be read is not there, and no error.
    """
    if len(body) > MOST_READ:
        return UNREAD
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return UNREAD
    if not isinstance(request, dict):
        return UNREAD
    model = request.get("model")
    if not isinstance(model, str) or len(model) > MOST_NAME:
        model = ""
    return Facts(model, request.get("stream") is True)
