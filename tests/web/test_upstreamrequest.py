"""
What an exchange asks of its provider.
"""

from __future__ import annotations

from typing import Any

import pytest

from aibridge.web.upstreamrequest import UpstreamRequest


@pytest.mark.parametrize(("body", "again"), [(None, True), (b"", True), (b"{}", True), (object(), False)])
def test_what_can_be_sent_again(body: Any, again: bool) -> None:
    """
    A body that is there, or none.
    """
    assert UpstreamRequest(b"POST", b"http://p/", [], None, body).is_repeatable is again


def test_nothing_is_assumed() -> None:
    """
    Any key may be used, and nothing is known of the request, unless it is said.
    """
    request = UpstreamRequest(b"GET", b"http://p/", [(b"A", b"1")])
    assert (request.shown, request.body, request.model, request.principal) == (None, None, "", "")
    assert (request.input_tokens, request.output_tokens, request.key_id, request.route) == (0, 0, "", "")
