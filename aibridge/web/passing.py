"""
A body that crosses as it comes, looked at on its way: what model it names, and whether it may name stored objects.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.web.iweb import IBodyProducer
from zope.interface import classImplements

from aibridge.dialects.facts import name_of
from aibridge.dialects.references import Sought

if TYPE_CHECKING:
    from twisted.internet.interfaces import IConsumer

    from aibridge.log import Completion
    from aibridge.web.claims import Claims
    from aibridge.web.request import Request

MOST_LOOKED_AT: Final = 16384
"""Bytes in which the model of a form is looked for; the vendors' SDKs put fields before files."""

_MODEL: Final = re.compile(
    rb'content-disposition:[^\r\n]{0,64};[ \t]*name="?model"?[ \t]*\r\n'
    rb"(?:[^\r\n]{1,256}\r\n){0,4}\r\n([^\r\n]{1,256})\r\n",
    re.IGNORECASE,
)


class Passing:
    """
    Passes a body on, and looks at each piece.

    :param body: an `IBodyProducer`.
    :param completion: whose model is set once it is known.
    :param watch: is given each piece, if there is one.
    """

    def __init__(self, body: Any, completion: Completion, watch: Sought | None) -> None:
        self.length: Any = len(body) if isinstance(body, bytes) else body.length
        self._body = body
        self._completion = completion
        self._watch = watch
        self._begin = bytearray()
        self._looks = True
        self._consumer: Any = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Pass it on.
        """
        self._consumer = consumer
        producing: Deferred[None] = self._body.startProducing(self)
        return producing

    def pauseProducing(self) -> None:
        """
        Wait.
        """
        self._body.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        self._body.resumeProducing()

    def stopProducing(self) -> None:
        """
        Nobody wants the rest.
        """
        self._body.stopProducing()

    def write(self, data: bytes) -> None:
        """
        The next bytes.
        """
        self.look(data)
        self._consumer.write(data)

    def look(self, data: bytes) -> None:
        """
        Look at the next bytes, wherever they go.
        """
        if self._watch is not None:
            self._watch.feed(data)
        if not self._looks:
            return
        begin = self._begin
        begin += data[: MOST_LOOKED_AT - len(begin)]
        found = _MODEL.search(begin)
        if found is not None:
            self._completion.model = name_of(found[1].decode("utf-8", "replace"))
        if found is not None or len(begin) >= MOST_LOOKED_AT:
            self._looks = False
            begin.clear()


def passing(body: Any, request: Request, completion: Completion, claims: Claims | None) -> Any:
    """
    A body that is not held, as it is sent on.

    :param body: an `IBodyProducer`, or all of it, or None.
    :param claims: what it has to do with stored objects, if that is the bridge's affair.
    """
    if body is None:
        return None
    made = Passing(body, completion, None if claims is None else claims.watch_body(request))
    if isinstance(body, bytes):
        made.look(body)
        return body
    return made


classImplements(Passing, IBodyProducer)
