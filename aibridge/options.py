"""
How one option of the configuration is declared: once, with its default, its range and the reason for both.

A settings class is a frozen attrs class whose fields are made by `option`, and lives beside what it configures.
`aibridge.daemon.config` reads the declarations to check a file, `aibridge.daemon.reference` to document it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

METADATA = "aibridge"

# Forms that several options share; a daemon has no directory of its own to start a path from.
_PATH = r"/[^\x00-\x1f\x7f]*"
_URL = r"(?=[!-~]+\Z)https?://[^/?#@]+(/[^?#]*)?"
_PROXY_URL = r"((?=[!-~]+\Z)https?://[^/?#@]+/?)?"
_URL_FORM = "a URL that begins with http:// or https://, without user name, query and fragment"

ABSOLUTE_PATH: Final[dict[str, Any]] = {"matches": _PATH, "form": "an absolute path"}
OPTIONAL_PATH: Final[dict[str, Any]] = {"matches": f"({_PATH})?", "form": "an absolute path, or empty"}
OPTIONAL_URL: Final[dict[str, Any]] = {"matches": f"({_URL})?", "form": f"{_URL_FORM}, or empty"}
PROXY_URL: Final[dict[str, Any]] = {
    "matches": _PROXY_URL,
    "secret": True,
    "form": "http://HOST:PORT or https://HOST:PORT",
}
"""A proxy may ask for a password, and its URL is where that is written."""


@attrs.frozen(kw_only=True)
class Declaration:
    """
    What is known of an option beside its name, type and default.

    :ivar why: one sentence: what it does and why the default is what it is.
    :ivar least: smallest value allowed, or None; of a list, its fewest items.
    :ivar most: largest value allowed, or None; of a list, its most items.
    :ivar unit: of a number: ``s``, ``bytes``, ``requests/s`` …
    :ivar choices: the closed set of values, or empty.
    :ivar matches: regular expression that a text must match as a whole, or empty.
    :ivar form: the same in words, for people.
    :ivar env: environment variables that set it, first one wins.
    :ivar flag: command-line option that sets it, without dashes, or empty.
    :ivar restart: a change takes effect only at a restart.
    :ivar secret: the text, or each of a list, is a reference to a secret: ``file:``, ``env:`` or ``credential:``. One
        that `matches` has no secret in it, and may stand for itself.
    :ivar example: of a required option, what the installed file shows in place of a default.
    """

    why: str
    least: float | None = None
    most: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    matches: str = ""
    form: str = ""
    env: tuple[str, ...] = ()
    flag: str = ""
    restart: bool = False
    secret: bool = False
    example: Any = None


def option(default: Any = attrs.NOTHING, *, factory: Callable[[], Any] | None = None, **declared: Any) -> Any:
    """
    An attrs field with a `Declaration`; without `default` and `factory` the option is required.
    """
    metadata = {METADATA: Declaration(**declared)}
    if factory is not None:
        return attrs.field(factory=factory, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def declaration(field: attrs.Attribute[Any]) -> Declaration:
    """
    The declaration of a settings class's field.

    :raises KeyError: the field was not made by `option`.
    """
    found: Declaration = field.metadata[METADATA]
    return found
