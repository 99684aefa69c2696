"""
The paths of the simulated provider, as `twisted.web` resources.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aibridge.demo import models
from aibridge.demo.chat import CHAT
from aibridge.demo.completions import COMPLETIONS
from aibridge.demo.delivery import Stage
from aibridge.demo.embeddings import EMBEDDINGS
from aibridge.demo.messages import COUNT_TOKENS, MESSAGES
from aibridge.demo.plan import Plan, page, plan, refusal
from aibridge.demo.responses import COMPACT, COUNT_INPUT, RESPONSES
from aibridge.demo.text import Form
from aibridge.demo.vendors import Refused, Stamp, Vendor

FORMS: dict[bytes, Form] = {
    b"/v1/chat/completions": CHAT,
    b"/v1/completions": COMPLETIONS,
    b"/v1/embeddings": EMBEDDINGS,
    b"/v1/messages": MESSAGES,
    b"/v1/messages/count_tokens": COUNT_TOKENS,
    b"/v1/responses": RESPONSES,
    b"/v1/responses/compact": COMPACT,
    b"/v1/responses/input_tokens": COUNT_INPUT,
}
"""What is asked by POST."""

_MODELS = b"/v1/models"
_RESPONSES = b"/v1/responses/"
_EVENT_LOGGING = b"/api/event_logging"


def demo_resource(clock: IReactorTime, wall_clock: Callable[[], float], *, interval: float = 0.02) -> Resource:
    """
    The simulated provider, to be the root of a site.

    :param clock: paces the streams.
    :param wall_clock: gives Unix seconds, for the times that answers state.
    :param interval: seconds between two events of a stream; 0 sends them as fast as the client takes them.
    """
    return DemoResource(Stage(clock), wall_clock, interval)


class DemoResource(Resource):
    """
    All of the provider's paths.
    """

    isLeaf = True

    def __init__(self, stage: Stage, wall_clock: Callable[[], float], interval_s: float) -> None:
        super().__init__()
        self.stage = stage
        self._wall_clock = wall_clock
        self._interval_s = interval_s
        self._numbers = count(1)

    def render(self, request: Any) -> int:
        """
        Answer, whatever was asked.
        """
        stamp = Stamp(next(self._numbers), int(self._wall_clock()))
        self.stage.deliver(request, self._plan(request, stamp))
        return NOT_DONE_YET

    def _plan(self, request: IRequest, stamp: Stamp) -> Plan:
        form = FORMS.get(request.path)
        if form is None:
            vendor = _vendor_of(request)
            try:
                return self._elsewhere(request, vendor, stamp)
            except Refused as refused:
                return refusal(vendor, stamp, refused)
        if request.method != b"POST":
            return _with_allow(refusal(form.vendor, stamp, Refused(405)), b"POST")
        headers = list(request.requestHeaders.getAllRawHeaders())
        pairs = [(name, value) for name, values in headers for value in values]
        return plan(form, request.content.read(), pairs, stamp, self._interval_s)

    def _elsewhere(self, request: IRequest, vendor: Vendor, stamp: Stamp) -> Plan:
        """
        The pages that ask nothing of a model.

        :raises Refused: there is nothing.
        """
        path = request.path
        if path == _EVENT_LOGGING or path.startswith(_EVENT_LOGGING + b"/"):
            return page(vendor, stamp, {})
        if path.startswith(_RESPONSES):
            name = _text(path[len(_RESPONSES) :].partition(b"/")[0])
            raise Refused(404, f"Response with id '{name[:100]}' not found: the demo stores nothing.", "id")
        if path != _MODELS and not path.startswith(_MODELS + b"/"):
            raise Refused(404)
        if request.method not in (b"GET", b"HEAD"):
            return _with_allow(refusal(vendor, stamp, Refused(405)), b"GET, HEAD")
        name = _text(path[len(_MODELS) + 1 :])
        return page(vendor, stamp, models.one(vendor, name) if name else models.listing(vendor))


def _vendor_of(request: IRequest) -> Vendor:
    """
    Whose form the answer has on paths that both vendors have, or neither.
    """
    is_anthropic = request.requestHeaders.hasHeader(b"anthropic-version") or request.path.startswith(b"/api/")
    return Vendor.ANTHROPIC if is_anthropic else Vendor.OPENAI


def _text(segment: bytes) -> str:
    return unquote_to_bytes(segment).decode("utf-8", "replace")


def _with_allow(refused: Plan, methods: bytes) -> Plan:
    refused.headers.append((b"Allow", methods))
    return refused
