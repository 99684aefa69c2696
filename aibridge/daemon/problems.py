"""
What can be wrong with a configuration, said so that somebody can mend it and nobody can read a secret from it.
"""

from __future__ import annotations

import datetime
import enum
import json
import re
from collections.abc import Iterable
from typing import Final

import attrs

KeyPath = tuple[str | int, ...]
"""Where an option is: ``("provider", 1, "base_url")``."""

NOT_SHOWN: Final = "a text that is not shown, since it may be a secret"

_MOST_SHOWN = 100
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
# What vendors begin their keys with, and any unbroken run of 16 that mixes digits and lower-case letters.
_LIKE_A_KEY = re.compile(
    r"(?<![A-Za-z0-9])(sk|rk|pk|gsk|xai|ghp|gho|ghu|ghs|github_pat|glpat|hf|aib)[-_]|AIza|eyJ"
    r"|(?=[A-Za-z]*[0-9])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{16,}"
)


class Kind(enum.Enum):
    """
    Where a value can come from; a later one goes before an earlier one.
    """

    DEFAULT = "default"
    EMBEDDED = "embedded default"
    FILE = "file"
    ENVIRONMENT = "environment"
    OPTION = "option"


@attrs.frozen
class Origin:
    """
    Where one value comes from.

    :ivar name: the file, the variable or the option; empty for defaults.
    """

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        match self.kind:
            case Kind.FILE:
                return self.name
            case Kind.ENVIRONMENT | Kind.OPTION:
                return f"{self.kind.value} {self.name}"
            case _:
                return str(self.kind.value)


class Severity(enum.Enum):
    """
    Whether the daemon may run with it.
    """

    ERROR = "error"
    WARNING = "warning"


@attrs.frozen(kw_only=True)
class Fault:
    """
    Something wrong, before it is known where the value came from.

    :ivar path: of the option, or of what has no name in the settings, as far as it can be named.
    :ivar found: what is there, in words and free of secrets.
    :ivar allowed: what could be there instead, or empty if `hint` says enough.
    :ivar hint: how to mend it, where that can be said.
    """

    path: KeyPath
    found: str
    allowed: str
    hint: str = ""
    severity: Severity = Severity.ERROR


@attrs.frozen(kw_only=True)
class Problem:
    """
    One thing wrong with a configuration; its text is one line, and free of secrets.

    :ivar key: dotted, as in ``provider[1].base_url``; empty if it is not about one key.
    :ivar whose: the table that `key` is about by its name, where there are several: ``provider corp``.
    """

    origin: Origin
    key: str
    found: str
    allowed: str
    hint: str = ""
    whose: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        whose = f" ({self.whose})" if self.whose else ""
        place = f"{self.key}{whose}: " if self.key else ""
        allowed = f"allowed: {self.allowed}" if self.allowed else ""
        return one_line(
            f"{self.origin}: {place}" + "; ".join(filter(None, (f"found {self.found}", allowed, self.hint)))
        )


class ConfigErrors(Exception):
    """
    The configuration cannot be used.

    :ivar problems: every error in it.
    :ivar warnings: what else is odd about it.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Unacceptable(Exception):
    """
    A value is not what an option allows.
    """

    def __init__(self, found: str, allowed: str, hint: str = "") -> None:
        super().__init__(found, allowed, hint)
        self.found = found
        self.allowed = allowed
        self.hint = hint

    def at(self, path: KeyPath) -> Fault:
        """
        The fault that this is at a place.
        """
        return Fault(path=path, found=self.found, allowed=self.allowed, hint=self.hint)


def dotted(path: KeyPath) -> str:
    """
    A path as people write it: ``provider[1].base_url``.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = _BARE_KEY.fullmatch(part) and not is_like_a_key(part)
            text += ("." if text else "") + (part if bare else quoted(part))
    return text


def one_line(text: str) -> str:
    """
    A text with everything that is not printable (line ends, terminal escapes, broken encodings) written out.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_like_a_key(text: str) -> bool:
    """
    Whether a key of some vendor's may stand in a text. Some keys look like nothing; what may hold one is never shown.
    """
    return _LIKE_A_KEY.search(text) is not None


def quoted(text: str) -> str:
    """
    A text in quotes and of bearable length, or the words that it is not shown when it looks like a key.
    """
    if is_like_a_key(text):
        return NOT_SHOWN
    text = _USER_INFO.sub("<secret>@", text)
    if len(text) > _MOST_SHOWN:
        text = text[:_MOST_SHOWN] + "…"
    return json.dumps(text, ensure_ascii=False)


def shown(value: object) -> str:
    """
    A value of a TOML file in words.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 64:
            return "a whole number of more than 64 bits"
        case int() | float():
            return f"the number {value}"
        case str():
            words = quoted(value)
            return words if words is NOT_SHOWN else f"the text {words}"
        case list() | tuple():
            return "an empty list" if not value else "a list"
        case dict():
            return "a table"
        case datetime.date() | datetime.time():
            return "a date or a time"
        case _:
            return f"a {type(value).__name__}"
