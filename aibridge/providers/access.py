"""
What may be asked of a provider, and what it means: one rule for each method and path, in one table for each type.

A configured key is allowed more than a client ought to be: it can delete models, read everybody's files, see what the
account costs. So what is in no table reaches no provider, by any method, whoever asks; and what administers or deletes
is in the table only to say why it is refused. A client with a key of its own may do with that what its provider lets
it do, on every path that is in the table.

A path is written as ``/responses/{response}/input_items``: what stands in braces is an id, and says of what kind of
stored object, so that the same line says whose it has to be (see `aibridge.providers.objects`). ``{any}`` is any one
segment, and a last ``*`` is whatever is below.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from aibridge.model import Dialect, Stored

SEGMENT: Final = re.compile(rb"(?:[A-Za-z0-9_:.@~+=,-]|%3[Aa]|%40)+")
"""
What an id can be. Vendors' ids need no escapes; a colon (``ft:gpt-4.1:org::id``) and an at sign are escaped by some
clients all the same. Nothing that a server might take for a separator, or for the end of the path, is in it.
"""

ANY: Final = "any"
BELOW: Final = "*"


class Treatment(enum.Enum):
    """
    What becomes of a request.
    """

    __hash__ = object.__hash__

    BRIDGED = "bridged"
    """It is one of the three dialects: understood, counted, limited and recorded."""
    COUNTED = "counted"
    """It spends: its request and its tokens are counted, limited and recorded all the same."""
    FREE = "free"
    """It costs nothing worth counting: it counts as a request only with ``admission.count_passthrough``."""
    REFUSED = "refused"
    """It administers or deletes: not with a configured key, unless the configuration allows it."""


class Form(enum.Enum):
    """
    How the body of a request crosses.
    """

    __hash__ = object.__hash__

    HELD = "held"
    """It is JSON, up to ``http.max_body``: held as a whole, and a copy of it read."""
    STREAM = "stream"
    """As it comes, up to ``http.max_upload``, and not held: files, pictures, sound."""
    EITHER = "either"
    """Held where its content type is JSON, else as a stream."""


_KINDS: Final = {kind.value: kind for kind in Stored}


@attrs.frozen(kw_only=True)
class Rule:
    """
    One line of a table.

    :ivar methods: as on the wire; GET stands for HEAD too.
    :ivar path: below the type's prefix; see the module.
    :ivar dialect: how its errors look, and what its answers are read as where they are; None is the type's own.
    :ivar form: how its body crosses.
    :ivar makes: the kind of object that its answer is, or carries.
    :ivar deletes: what its path names is gone afterwards.
    :ivar lists: its answer shows everybody's objects, whoever asks.
    :ivar reads: whose answers tell a usage as its own do, where that is another dialect.
    :ivar most_output: tokens of output that its answers have at most where a request names no maximum, or None if
        nobody knows.
    :ivar why: of a refused one: what it is, in a word or two.
    """

    methods: tuple[str, ...]
    path: str
    treatment: Treatment
    dialect: Dialect | None = None
    form: Form = Form.STREAM
    makes: Stored | None = None
    deletes: bool = False
    lists: bool = False
    reads: Dialect | None = None
    most_output: int | None = None
    why: str = ""

    @property
    def segments(self) -> tuple[str, ...]:
        """
        The parts of its path.
        """
        return tuple(self.path[1:].split("/"))

    @property
    def uses(self) -> tuple[tuple[int, Stored], ...]:
        """
        The ids in its path that are somebody's: which segment, and of what kind.
        """
        named = ((at, _braced(segment)) for at, segment in enumerate(self.segments))
        return tuple((at, _KINDS[name]) for at, name in named if name in _KINDS)

    @property
    def label(self) -> str:
        """
        Its path without what a client chooses, for metrics and logs.
        """
        return "/" + "/".join(BELOW if _braced(segment) else segment for segment in self.segments)


def bridged(path: str, dialect: Dialect, makes: Stored | None = None) -> Rule:
    """
    A rule for one of the three dialects.
    """
    return Rule(
        methods=("POST",),
        path=path,
        treatment=Treatment.BRIDGED,
        dialect=dialect,
        form=Form.HELD,
        makes=makes,
    )


def counted(
    path: str,
    *,
    dialect: Dialect | None = None,
    form: Form = Form.HELD,
    makes: Stored | None = None,
    reads: Dialect | None = None,
    most_output: int | None = None,
) -> Rule:
    """
    A rule for what else spends.
    """
    return Rule(
        methods=("POST",),
        path=path,
        treatment=Treatment.COUNTED,
        dialect=dialect,
        form=form,
        makes=makes,
        reads=reads,
        most_output=most_output,
    )


def free(
    methods: str,
    path: str,
    *,
    dialect: Dialect | None = None,
    form: Form = Form.STREAM,
    makes: Stored | None = None,
    lists: bool = False,
) -> Rule:
    """
    A rule for what costs nothing. What is deleted has been made by whoever deletes it.
    """
    return Rule(
        methods=tuple(methods.split()),
        path=path,
        treatment=Treatment.FREE,
        dialect=dialect,
        form=form,
        makes=makes,
        lists=lists,
        # What hangs on another object is not gone from where it hangs only; it is not forgotten.
        deletes=methods == "DELETE" and path.count("{") == 1 and path.endswith("}"),
    )


def refused(methods: str, path: str, why: str) -> Rule:
    """
    A rule for what is not for clients.
    """
    return Rule(methods=tuple(methods.split()), path=path, treatment=Treatment.REFUSED, why=why)


EVERY: Final = "GET POST PUT PATCH DELETE"


def allowed(text: str, prefix: str) -> Rule:
    """
    What one entry of a provider's ``allow`` lets through, such as ``DELETE /models/*``.

    :param text: a method and a path, with ``*`` for one segment, and at the end for whatever is below.
    :param prefix: of the provider's type; the path may have it or not.
    """
    method, _, path = text.partition(" ")
    if prefix and path.startswith(prefix + "/"):
        path = path[len(prefix) :]
    *before, last = path[1:].split("/")
    parts = ["{any}" if part == BELOW else part for part in before] + [last]
    return Rule(methods=(method,), path="/" + "/".join(parts), treatment=Treatment.FREE, form=Form.STREAM)


def below(rules: Iterable[Rule], prefix: str) -> Iterator[Rule]:
    """
    The same rules for a type whose paths have the prefix of another in them.
    """
    for rule in rules:
        yield attrs.evolve(rule, path=prefix + rule.path)


def matches(rule: tuple[bytes, ...], path: list[bytes]) -> bool:
    """
    Whether the segments of a path, as sent, are those of a rule: an empty one stands for an id.
    """
    if len(rule) != len(path):
        return False
    for wanted, segment in zip(rule, path, strict=True):
        if wanted:
            if wanted != segment:
                return False
        elif SEGMENT.fullmatch(segment) is None:
            return False
    return True


def _braced(segment: str) -> str:
    return segment[1:-1] if segment.startswith("{") else ""
