"""
The seams: what the floors promise each other where there is more than one way to keep the promise.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from aibridge.model import Principal


class IIdentity(Interface):
    """
    Says who a token belongs to.
    """

    verifies_tokens = Attribute(
        "bool: tokens are the bridge's own, to be verified and never to cross; False where a client shows its "
        "provider key alone and is let through with it."
    )

    def identify(token: bytes | None, client_host: str, now: float) -> Principal | Deferred[Principal]:
        """
        Find the principal.

        :param token: what the client showed, or None.
        :param client_host: the client's address as text, without port.
        :param now: monotonic seconds.
        :return: a `Principal`, or a Deferred of one where it has to be asked for.
        :raises aibridge.errors.Unauthenticated: there is no such token, or not any more.
        :raises aibridge.errors.TooManyFailures: this address may not try again yet.
        :raises aibridge.errors.IdentityUnavailable: it could not be found out.
        """

    def principal_named(name: str) -> Principal | None:
        """
        Find a principal for those who run the daemon.

        :param name: its name, or its id.
        :return: None if there is none that is known without asking anybody.
        """

    def start() -> object:
        """
        Begin to follow changes (a file, a clock); returns None or a Deferred.
        """

    def stop() -> object:
        """
        Give up what `start` took; returns None or a Deferred.
        """


class IPairsAgent(Interface):
    """
    An `IAgent` that also takes and gives header fields as pairs of bytes, in order, as they are on the wire.
    """

    def ask(receiver: object, method: bytes, uri: bytes, pairs: object, body: object) -> object:
        """
        Issue a request.

        :param receiver: told by ``answered(response)``, of an `IResponse` that has a `pairs` attribute too, or by
            ``failed(failure)``; one of them, once, and perhaps before this returns.
        :param method: as on the wire.
        :param uri: absolute and already encoded.
        :param pairs: list of (name, value), Host and framing excluded.
        :param body: None, bytes, or an `IBodyProducer`.
        :return: what has a method ``cancel``, which ends the upstream call, in whatever phase, and tells nobody.
        """
