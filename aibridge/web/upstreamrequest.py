"""
What one exchange asks of its provider.
"""

from __future__ import annotations

from typing import Any

Pair = tuple[bytes, bytes]


class UpstreamRequest:
    """
    A request as it goes to a provider, but for the key, which is chosen when it goes.

    :ivar method: the HTTP method.
    :ivar url: absolute, as it goes onto the wire.
    :ivar pairs: the fields to be sent, without those that show a key.
    :ivar shown: the fields that show the client's own key, or None where a configured one is used, if there is one.
    :ivar body: bytes, a producer, or None; only bytes and None can be sent twice.
    :ivar model: as the client named it, or empty; providers limit each model by itself.
    :ivar principal: the id of whose request it is.
    :ivar party: who that is where things are shared out, see `aibridge.model.Principal`.
    :ivar input_tokens: that it has, as estimated.
    :ivar output_tokens: that it may be answered with, as estimated.
    :ivar key_id: of the configured key that alone may be used, see `aibridge.admission.keypool.Key`; empty is any.
    :ivar route: its label, where vendors limit a route apart from what is asked of the model elsewhere (counting
        tokens, listing models, and whatever names no model); empty where the model's limits are the request's.
    """

    __slots__ = (
        "body",
        "input_tokens",
        "key_id",
        "method",
        "model",
        "output_tokens",
        "pairs",
        "party",
        "principal",
        "route",
        "shown",
        "url",
    )

    def __init__(
        self,
        method: bytes,
        url: bytes,
        pairs: list[Pair],
        shown: list[Pair] | None = None,
        body: Any = None,
        *,
        model: str = "",
        principal: str = "",
        party: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
        key_id: str = "",
        route: str = "",
    ) -> None:
        self.method = method
        self.url = url
        self.pairs = pairs
        self.shown = shown
        self.body = body
        self.model = model
        self.principal = principal
        self.party = party
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.key_id = key_id
        self.route = route

    @property
    def is_repeatable(self) -> bool:
        """
        Whether its body is there as a whole, to be sent again.
        """
        return self.body is None or isinstance(self.body, bytes)
