"""
The address of a forward proxy, as people write it: ``http://user:password@host:port``. Pure.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

import attrs

from aibridge.secret import Secret

_PORTS: Final = {"http": 80, "https": 443}
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z._-]*)|[0-9A-Fa-f:.]{2,45}")
_VISIBLE = re.compile(r"[!-~]+")


@attrs.frozen(kw_only=True)
class ProxyURL:
    """
    Where a proxy is, and what it is shown.

    :ivar secure: it speaks TLS itself.
    :ivar host: a name, or an address without brackets.
    :ivar authorization: the value of ``Proxy-Authorization``, or None.
    :ivar ca_file: PEM file of further authorities to trust for it, or empty.
    """

    secure: bool
    host: str
    port: int
    authorization: Secret | None = None
    ca_file: str = ""

    @property
    def label(self) -> str:
        """
        The address without credentials, for logs.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


def read_proxy_url(text: str, ca_file: str = "") -> ProxyURL:
    """
    Read a URL. Its user name, or its password, may be all that there is before the ``@``.

    :raises ValueError: it is none. What it says does not contain the text.
    """
    try:
        parts = urlsplit(text) if _VISIBLE.fullmatch(text) else urlsplit("")
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        host, port = "", None
    if not _HOST.fullmatch(host) or parts.scheme not in _PORTS or port == 0:
        raise ValueError("not the URL of a proxy: http://HOST:PORT or https://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("a proxy's URL has no path")
    return ProxyURL(
        secure=parts.scheme == "https",
        host=host,
        port=port or _PORTS[parts.scheme],
        authorization=_basic(parts.netloc.rpartition("@")[0]),
        ca_file=ca_file,
    )


def _basic(user_info: str) -> Secret | None:
    if not user_info:
        return None
    name, _, password = user_info.partition(":")
    shown = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return Secret(f"Basic {b64encode(shown).decode()}")
