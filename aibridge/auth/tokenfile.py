"""
The text of ``tokens.toml``: read strictly, and changed without touching what a change is not about. Pure.

The file is people's as much as the command's: an entry that a command does not change stays letter for letter as it
is, with the comments above and within it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import attrs

from aibridge.auth.tokens import HASH_FORM, ID_FORM, Entry, is_hash, is_id, looks_like_token
from aibridge.model import Class

HEAD: Final = """\
# Who may use the bridge: one [[token]] for each token, which is kept as a hash and cannot be read from here.
# Made and changed by `aibridge token`; the daemon notices a change within seconds. It may be edited by hand as well:
# a command keeps all comments but those within the entry that it changes.
"""

MOST_NAME: Final = 64
NAME_FORM: Final = f"1 to {MOST_NAME} printable characters, no blanks at its ends, and nothing that looks like a token"
MOST_RATE: Final = 1e6
MOST_IN_FLIGHT: Final = 1000000

_HEADER: Final = re.compile(r"[ \t]*\[\[[ \t]*token[ \t]*\]\][ \t]*(#.*)?")
_SHOWABLE_KEY: Final = re.compile(r"[a-z_]{1,32}")
_POSITION: Final = re.compile(r"\(at [^()]*\)\Z")
_SAYS_NOTHING_ELSE: Final = re.compile(r"[A-Za-z ,'=/\\]*")

_REQUIRED: Final = ("id", "name", "hash", "created")


class TokensUnusable(ValueError):
    """
    The tokens cannot be read, or are not what they have to be. Its text shows nothing of what was found in their
    place, since that may be a token.

    :ivar problems: all of them, one line each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class TokenAbsent(LookupError):
    """
    No token, or more than one, is meant by what was given.
    """


@attrs.frozen
class TokenFile:
    """
    Entries, and the text that says them.

    :ivar entries: in the order of the file.
    """

    entries: tuple[Entry, ...]
    _blocks: tuple[str, ...] = attrs.field(repr=False)
    _gaps: tuple[str, ...] = attrs.field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> TokenFile:
        """
        Read a file.

        :raises TokensUnusable: with every problem in it.
        """
        entries = read_entries(text)
        gaps, blocks = _split(text)
        if not _is_faithful(gaps, blocks, entries):
            # Written in some other way that TOML allows; from here on it is written in this one.
            blocks = [_render(entry) for entry in entries]
            gaps = [""] * (len(blocks) + 1)
        if not any(map(str.strip, gaps)):
            gaps[0] = HEAD
        return cls(entries, tuple(blocks), tuple(gaps))

    def text(self) -> str:
        """
        The whole file; `from_text` of it gives the same entries.
        """
        return _join(part for pair in zip(self._gaps, (*self._blocks, ""), strict=True) for part in pair)

    def find(self, wanted: str) -> Entry:
        """
        The entry of this name or id.

        :raises TokenAbsent: there is none, or the name of one is the id of another.
        """
        found = [entry for entry in self.entries if wanted in (entry.name, entry.id)]
        if len(found) == 1:
            return found[0]
        if found:
            raise TokenAbsent("that is the name of one token and the id of another")
        if looks_like_token(wanted):
            raise TokenAbsent(f"that is a token; name it by its id, the {ID_FORM.split()[0]} characters after aib_")
        raise TokenAbsent(f"there is no token with the name or id {wanted!r}")

    def adding(self, entry: Entry) -> TokenFile:
        """
        The same with one more entry, at the end.

        :raises TokensUnusable: its name or id is taken.
        """
        added = TokenFile((*self.entries, entry), (*self._blocks, _render(entry)), (*self._gaps, ""))
        if clashes := list(_clashes(added.entries)):
            raise TokensUnusable([clash for _, clash in clashes])
        return added

    def replacing(self, entry: Entry) -> TokenFile:
        """
        The same with `entry` in the place of the one with its id; comments above it stay.
        """
        at = self._index(entry.id)
        above = "".join(_comments_above(self._blocks[at]))
        return attrs.evolve(
            self, entries=_with(self.entries, at, entry), blocks=_with(self._blocks, at, above + _render(entry))
        )

    def without(self, id: str) -> TokenFile:
        """
        The same without the entry of this id, and without the comments directly above it.
        """
        at = self._index(id)
        return attrs.evolve(
            self,
            entries=self.entries[:at] + self.entries[at + 1 :],
            blocks=self._blocks[:at] + self._blocks[at + 1 :],
            gaps=(*self._gaps[:at], _join(self._gaps[at : at + 2]), *self._gaps[at + 2 :]),
        )

    def _index(self, id: str) -> int:
        return [entry.id for entry in self.entries].index(id)


# -- reading -----------------------------------------------------------------------------------------------------


def name_is_allowed(name: str) -> bool:
    """
    Whether a token may be called so.
    """
    return 0 < len(name) <= MOST_NAME and name.isprintable() and name == name.strip() and not looks_like_token(name)


def read_entries(text: str) -> tuple[Entry, ...]:
    """
    The entries of a file, for those who do not want to change it.

    :raises TokensUnusable: with every problem in it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TokensUnusable([_syntax(str(error))]) from None
    problems = [f"{_key(key)} is not known here; only [[token]] is" for key in document if key != "token"]
    tables = document.get("token", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise TokensUnusable([*problems, "token has to be written as [[token]] tables"])
    lines = _header_lines(text)
    read: list[tuple[str, Entry]] = []
    for index, table in enumerate(tables):
        place = _place(table, index, lines if len(lines) == len(tables) else None)
        found = list(_problems(table))
        problems.extend(f"{place}: {problem}" for problem in found)
        if not found:
            read.append((place, _entry(table)))
    entries = tuple(entry for _, entry in read)
    problems.extend(f"{read[index][0]}: {clash}" for index, clash in _clashes(entries))
    if problems:
        raise TokensUnusable(problems)
    return entries


def _syntax(message: str) -> str:
    position = _POSITION.search(message)
    said = message[: position.start()].strip() if position else ""
    # The parser's words may quote the text, in which a token may stand by mistake.
    words = f": {said}" if said and _SAYS_NOTHING_ELSE.fullmatch(said) else ""
    return f"not valid TOML{words} {position[0] if position else ''}".rstrip()


def _place(table: Mapping[str, Any], index: int, lines: list[int] | None) -> str:
    name = table.get("name")
    place = f"token {index + 1}" if lines is None else f"line {lines[index]}"
    return f'{place} (token "{name}")' if isinstance(name, str) and name_is_allowed(name) else place


def _key(key: str) -> str:
    return f"the key {key}" if _SHOWABLE_KEY.fullmatch(key) else "a key"


def _problems(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        known = _KNOWN.get(key)
        if known is None:
            yield f"{_key(key)} is not known in a [[token]]; known are " + ", ".join(_KNOWN)
        elif not known[0](value):
            yield f"{key} has to be {known[1]}"
    for key in _REQUIRED:
        if key not in table:
            yield f"{key} is missing"
    if ("previous_hash" in table) != ("previous_expires" in table):
        yield "previous_hash and previous_expires belong together"


def _clashes(entries: tuple[Entry, ...]) -> Iterator[tuple[int, str]]:
    ids: set[str] = set()
    names: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.id in ids:
            yield index, f'the id "{entry.id}" is taken by another token'
        if entry.name in names:
            yield index, f'the name "{entry.name}" is taken by another token'
        ids.add(entry.id)
        names.add(entry.name)


def _is_number(least: float) -> Any:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= MOST_RATE


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_IN_FLIGHT


def _is_time(value: object) -> bool:
    if not isinstance(value, datetime):
        return isinstance(value, date)
    try:
        value.astimezone(UTC)
    except OverflowError:
        return False
    return value.tzinfo is not None


def _is_text(check: Any) -> Any:
    return lambda value: isinstance(value, str) and check(value)


_TIME_FORM: Final = "a date, or a date and time with its zone, such as 2027-01-31T00:00:00Z"
_CLASSES: Final = tuple(class_.value for class_ in Class)

_KNOWN: Final[dict[str, tuple[Any, str]]] = {
    "id": (_is_text(is_id), ID_FORM),
    "name": (_is_text(name_is_allowed), NAME_FORM),
    "hash": (_is_text(is_hash), HASH_FORM),
    "created": (_is_time, _TIME_FORM),
    "class": (_is_text(_CLASSES.__contains__), "one of " + ", ".join(_CLASSES)),
    "rate_limit": (_is_number(0), f"a number of requests per second from 0 to {MOST_RATE:.0f}"),
    "rate_burst": (_is_number(1), f"a number of requests from 1 to {MOST_RATE:.0f}"),
    "max_in_flight": (_is_count, f"a whole number of exchanges from 0 to {MOST_IN_FLIGHT}"),
    "expires": (_is_time, _TIME_FORM),
    "disabled": (lambda value: isinstance(value, bool), "true or false"),
    "previous_hash": (_is_text(is_hash), HASH_FORM),
    "previous_expires": (_is_time, _TIME_FORM),
}
"""Key → whether a value is allowed, and what is, in words."""


def _entry(table: Mapping[str, Any]) -> Entry:
    values: dict[str, Any] = {key: _utc(value) if isinstance(value, date) else value for key, value in table.items()}
    values["class_"] = Class(values.pop("class", Class.DEFAULT.value))
    return Entry(**values)


def _utc(value: date) -> datetime:
    # A date alone is its first moment in UTC.
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


# -- writing -----------------------------------------------------------------------------------------------------


def _lines(text: str) -> list[str]:
    # Not `splitlines`, which knows line ends that TOML does not.
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _is_header(line: str) -> bool:
    return _HEADER.fullmatch(line.rstrip("\r\n")) is not None


def _split(text: str) -> tuple[list[str], list[str]]:
    """
    The entries, each with the comments that stand directly above and below it; and what is before, between and after
    them.
    """
    gaps: list[list[str]] = [[]]
    blocks: list[list[str]] = []
    is_in_gap = True
    for line in _lines(text):
        if _is_header(line):
            source = gaps[-1] if is_in_gap else blocks[-1]
            above = _trailing_comments(source)
            del source[len(source) - len(above) :]
            if not is_in_gap:
                gaps.append([])
            blocks.append([*above, line])
            is_in_gap = False
        elif not is_in_gap and not line.strip():
            gaps.append([line])
            is_in_gap = True
        elif is_in_gap and blocks and line.strip() and not line.lstrip().startswith("#"):
            # A blank line within an entry.
            blocks[-1].extend([*gaps.pop(), line])
            is_in_gap = False
        else:
            (gaps if is_in_gap else blocks)[-1].append(line)
    if not is_in_gap:
        gaps.append([])
    return ["".join(gap) for gap in gaps], ["".join(block) for block in blocks]


def _trailing_comments(lines: list[str]) -> list[str]:
    count = 0
    while count < len(lines) and lines[-1 - count].lstrip().startswith("#"):
        count += 1
    return lines[len(lines) - count :]


def _join(parts: Iterable[str]) -> str:
    stripped = [part.strip("\r\n") for part in parts]
    text = "\n\n".join(part for part in stripped if part)
    return f"{text}\n" if text else ""


def _comments_above(block: str) -> list[str]:
    lines = _lines(block)
    header = next(index for index, line in enumerate(lines) if _is_header(line))
    return lines[:header]


def _is_faithful(gaps: list[str], blocks: list[str], entries: tuple[Entry, ...]) -> bool:
    """
    Whether the parts, each by itself, say what the whole says.
    """
    try:
        return not any(map(tomllib.loads, gaps)) and [read_entries(block) for block in blocks] == [
            (e,) for e in entries
        ]
    except ValueError:
        return False


def _header_lines(text: str) -> list[int]:
    return [number for number, line in enumerate(_lines(text), 1) if _is_header(line)]


_UNSAID: Final[dict[str, object]] = {"class": Class.DEFAULT, "disabled": False}
"""What goes without saying; of all other keys, None."""


def _render(entry: Entry) -> str:
    lines = ["[[token]]"]
    for key in _KNOWN:
        value = getattr(entry, "class_" if key == "class" else key)
        if value is not _UNSAID.get(key):
            lines.append(f"{key} = {_value(value)}")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        case Class():
            return f'"{value.value}"'
        case str():
            # Names are printable, so that these are the only characters with a meaning in a TOML basic string.
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case _:
            return repr(value)


def _with(items: tuple[Any, ...], at: int, item: Any) -> tuple[Any, ...]:
    return (*items[:at], item, *items[at + 1 :])
