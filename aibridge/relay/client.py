"""
The client that exchanges call: treq's, with what alters bytes or leaks between callers taken out.
"""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from aibridge.interfaces import IPairsAgent
from aibridge.relay.call import Cancellable, Later, Receiver
from aibridge.relay.response import Pair, headers_of


class RelayClient(HTTPClient):
    """
    A treq client for a relay. What goes in goes out, and what comes back is what came.

    It keeps no cookies, follows no redirects, asks for no encoding and decodes none, adds no header, never repeats a
    request, and never reads a body by itself. Its time-outs are its agent's. The verbs (`get`, `post` …) are treq's.

    :param agent: a `RelayAgent`, or anything that stands in for treq's agent.
    """

    def __init__(self, agent: IAgent) -> None:
        # Not treq's: it would make a cookie jar.
        self._agent = agent
        self._ask: Any = agent.ask if IPairsAgent.providedBy(agent) else None

    def request(  # type: ignore[override]  # what is left out is what a relay must not do
        self,
        method: bytes | str,
        url: bytes | str,
        *,
        headers: Headers | list[Pair] | None = None,
        data: bytes | IBodyProducer | None = None,
        unbuffered: bool = True,
        _stacklevel: int = 2,
    ) -> Deferred[IResponse]:
        """
        Make a request.

        :param url: absolute and already encoded; it is sent as it is.
        :param headers: all there are, Host and framing excepted.
        :param data: the body.
        :param unbuffered: for callers written for treq; bodies are never buffered.
        :return: the response as soon as its head is there. Cancelling it ends the upstream call.
        :raises ValueError: a buffered body was asked for.
        """
        if not unbuffered:
            raise ValueError("The relay does not buffer bodies.")
        if isinstance(method, str):
            method = method.encode("ascii")
        if isinstance(url, str):
            url = url.encode("ascii")
        if self._ask is not None:
            later = Later()
            pairs = pairs_of(headers) if isinstance(headers, Headers) else headers or []
            later.call = self._ask(later, method, url, pairs, data)
            return later.deferred
        if not isinstance(headers, Headers):
            headers = headers_of(headers or ())
        body = BytesProducer(data) if isinstance(data, bytes) else data
        return self._agent.request(method, url, headers, body)

    def ask(self, receiver: Receiver, method: bytes, url: bytes, pairs: list[Pair], body: Any) -> Cancellable:
        """
        Make a request, and be told without a Deferred, which costs a tenth of all that a relayed request does.

        :param receiver: told once, perhaps before this returns.
        :param body: bytes, an `IBodyProducer`, or None.
        :raises ValueError: the request cannot be written.
        """
        if self._ask is not None:
            asked: Cancellable = self._ask(receiver, method, url, pairs, body)
            return asked
        waiting: Any = self.request(method, url, headers=pairs, data=body)
        waiting.addCallbacks(receiver.answered, receiver.failed)
        return waiting  # type: ignore[no-any-return]  # a Deferred can be cancelled, which is all that is asked of it


@implementer(IBodyProducer)
class BytesProducer:
    """
    A body that is there, for agents that know no other way to take one.
    """

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write all of it.
        """
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """
        Nothing: all has been written.
        """

    def resumeProducing(self) -> None:
        """
        Nothing: all has been written.
        """

    def stopProducing(self) -> None:
        """
        Nothing: all has been written.
        """


def pairs_of(headers: Headers) -> list[Pair]:
    """
    `Headers` as pairs.
    """
    return [(name, value) for name, values in headers.getAllRawHeaders() for value in values]


def response_pairs(response: IResponse) -> list[Pair]:
    """
    The fields of a response: as they came where its agent knows that, else as its `Headers` have them.
    """
    pairs: list[Pair] | None = getattr(response, "pairs", None)
    return pairs_of(response.headers) if pairs is None else pairs
