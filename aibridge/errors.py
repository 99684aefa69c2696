"""
Everything that can go wrong with an exchange, with the blame in the type.

An error says what happened (`kind`, one closed word for metrics and logs), who refused (`reason`, the word in
``X-AI-Bridge-Reason``) and a sentence that may be shown to the client. It never carries a prompt, a key or a token.
`aibridge.web.faults` turns it into a status and a body; nothing else does.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """
    An exchange could not be served as asked.

    :ivar reason: who refused, as the client is told.
    :ivar kind: what happened, as metrics and logs are told; unique per class.
    """

    reason: ClassVar[str]
    kind: ClassVar[str]

    @property
    def detail(self) -> str:
        """
        The sentence for the client; free of secrets and of upstream addresses.
        """
        return str(self)


# -- theirs ------------------------------------------------------------------------------------------------------


class ClientError(BridgeError):
    """
    The client asked for something that is not well formed, not known, or not its own.
    """


class BadRequest(ClientError):
    """
    The request cannot be understood, whatever the route.
    """

    reason = "request"
    kind = "bad_request"


class RouteUnknown(ClientError):
    """
    No provider has this path, or this method on it. Nothing went upstream.
    """

    reason = "route"
    kind = "route_unknown"


class NotAllowed(ClientError):
    """
    It administers, deletes or lists what is not the client's, with the configured key. Nothing went upstream.
    """

    reason = "route"
    kind = "not_allowed"


class ObjectUnknown(ClientError):
    """
    It names a stored object that its principal did not make, as far as is known; or there is no such object.

    :param detail: in the words of the provider for one that it does not have.
    :ivar param: which part of the request names it, as the dialect calls it, or empty.
    :ivar code: the dialect's own word for it, or empty where it has none.
    """

    reason = "object"
    kind = "object_unknown"

    def __init__(self, detail: str = "", param: str = "", code: str = "") -> None:
        super().__init__(detail)
        self.param = param
        self.code = code


class ObjectsApart(ClientError):
    """
    It names stored objects of which no single configured key can reach all.
    """

    reason = "object"
    kind = "objects_apart"


class UpgradeRefused(ClientError):
    """
    The client asked for another protocol on this connection; it may go on in HTTP/1.1.
    """

    reason = "upgrade"
    kind = "upgrade_refused"


class Misdirected(ClientError):
    """
    The request is for another host than the one that its connection was opened to.
    """

    reason = "request"
    kind = "misdirected"


class Unauthenticated(ClientError):
    """
    No token was shown, or not one that is known and valid now.
    """

    reason = "auth"
    kind = "unauthenticated"


class CredentialMissing(ClientError):
    """
    The token is good, but there is neither a provider key of the client's nor one in the configuration.
    """

    reason = "credential"
    kind = "credential_missing"


class BodyTooLarge(ClientError):
    """
    The body is declared, or turned out, to be larger than the bridge accepts.
    """

    reason = "body"
    kind = "body_too_large"


class BodyUnreadable(ClientError):
    """
    The body may name stored objects, and cannot be read to see whose they are.
    """

    reason = "body"
    kind = "body_unreadable"


class BodyTooSlow(ClientError):
    """
    The body was not complete when its deadline passed.
    """

    reason = "body"
    kind = "body_too_slow"


class ClientLeft(ClientError):
    """
    The client went away before the exchange ended. It is told nothing; the log is.
    """

    reason = "client"
    kind = "client_left"


# -- ours --------------------------------------------------------------------------------------------------------


class GatewayError(BridgeError):
    """
    The bridge itself will not, or cannot, take this exchange now.

    :ivar retry_after_s: seconds after which it is worth asking again, or None where that is not known.
    :ivar policy: which of several limits stood in the way, one word out of a closed set, or empty.
    """

    def __init__(self, detail: str = "", retry_after_s: float | None = None, policy: str = "") -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.policy = policy


class AtCapacity(GatewayError):
    """
    The gate has no permit left.
    """

    reason = "gate"
    kind = "at_capacity"


class BodiesFull(GatewayError):
    """
    There is no memory left for another request body, or none of that which one principal may have.
    """

    reason = "body"
    kind = "bodies_full"


class RateLimited(GatewayError):
    """
    A leaky bucket is full.

    :ivar policy: the name of the policy whose bucket it is, or empty where that is not told.
    """

    reason = "rate"
    kind = "rate_limited"


class BreakerOpen(GatewayError):
    """
    The provider has failed too often lately with this model, and is left alone.
    """

    reason = "breaker"
    kind = "breaker_open"


class KeysResting(GatewayError):
    """
    The provider has told each of its keys to wait.
    """

    reason = "keys"
    kind = "keys_resting"


class KeysRefused(GatewayError):
    """
    The provider has refused each of its keys.
    """

    reason = "keys"
    kind = "keys_refused"


class ProviderWait(GatewayError):
    """
    The provider has said how much it still takes, and that is used up for now.
    """

    reason = "provider"
    kind = "provider_wait"


class TooManyFailures(GatewayError):
    """
    This address has shown too many bad tokens lately.
    """

    reason = "auth"
    kind = "too_many_failures"


class Draining(GatewayError):
    """
    The daemon is going down and takes no new exchanges.
    """

    reason = "drain"
    kind = "draining"


class IdentityUnavailable(GatewayError):
    """
    Who the client is could not be found out, through no fault of the client's.
    """

    reason = "auth"
    kind = "identity_unavailable"


class BridgeAway(GatewayError):
    """
    The proxy could not get an answer from the bridge.
    """

    reason = "bridge"
    kind = "bridge_away"


class BridgeLate(GatewayError):
    """
    The proxy waited too long for the bridge.
    """

    reason = "bridge"
    kind = "bridge_late"


class InternalError(GatewayError):
    """
    A defect of the bridge; the log has the traceback, the client a request id.
    """

    reason = "internal"
    kind = "internal"


# -- the provider's ----------------------------------------------------------------------------------------------


class UpstreamError(BridgeError):
    """
    The provider, or the way to it, failed.
    """

    reason = "upstream"


class ResolveFailed(UpstreamError):
    """
    The provider's host name has no address, or none was found in time.
    """

    kind = "resolve"


class ConnectFailed(UpstreamError):
    """
    No connection could be made: refused, unreachable.
    """

    kind = "connect"


class ConnectTimeout(UpstreamError):
    """
    No connection was made in time, TLS handshake included.
    """

    kind = "connect_timeout"


class TLSFailed(UpstreamError):
    """
    The provider's certificate is not one to trust for its name, or the handshake failed.
    """

    kind = "tls"


class PoolTimeout(UpstreamError):
    """
    Every connection that may be open to this provider was busy until the deadline.
    """

    kind = "pool_timeout"


class FirstByteTimeout(UpstreamError):
    """
    The request was sent, and no complete response head came in time.
    """

    kind = "first_byte_timeout"


class SilenceTimeout(UpstreamError):
    """
    The response began, and then nothing more came for too long.
    """

    kind = "silence_timeout"


class TotalTimeout(UpstreamError):
    """
    The response was still going on when the exchange's whole time was up.
    """

    kind = "total_timeout"


class UpstreamReset(UpstreamError):
    """
    The connection ended before a complete response head.
    """

    kind = "reset"


class UpstreamTruncated(UpstreamError):
    """
    The connection ended within a response body that was to go on.
    """

    kind = "truncated"


class UpstreamViolation(UpstreamError):
    """
    What came back is not well-formed HTTP/1.1, or is larger than any response head may be.
    """

    kind = "protocol"
