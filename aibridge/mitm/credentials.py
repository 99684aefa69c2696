"""
What a client shows to a forward proxy: Basic credentials, whose password is the token. Pure.

The user name is free: a URL such as ``http://ada:TOKEN@proxy:8888`` has to have one for some clients.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

from aibridge.errors import BadRequest

PROXY_AUTHORIZATION: Final = b"proxy-authorization"
CHALLENGE: Final = b'Basic realm="AI Bridge Proxy"'

_LONGEST: Final = 8192


def token_in(values: Sequence[bytes]) -> bytes | None:
    """
    The token in the values of ``Proxy-Authorization``, or None if there is none that could be read.

    :raises BadRequest: there are several, and nothing says which of them counts.
    """
    distinct = set(values)
    if len(distinct) > 1:
        raise BadRequest("The header proxy-authorization was sent more than once, with different values.")
    words = distinct.pop().split() if distinct else []
    if len(words) != 2 or words[0].lower() != b"basic" or len(words[1]) > _LONGEST or len(words[1]) % 4:
        return None
    try:
        shown = binascii.a2b_base64(words[1], strict_mode=True)
    except binascii.Error:
        return None
    return shown.partition(b":")[2] or None
