"""
From the tables of a TOML document to settings, with everything that is wrong in them.

cattrs walks the tables and gathers what it meets; each option is accepted by its declaration alone. What was refused
is then replaced with its default, so that the rest can still be looked at: a missing key file is to be reported
together with the misspelt option above it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from operator import eq
from typing import Any

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from aibridge.daemon.problems import Fault, KeyPath, Unacceptable, dotted, shown
from aibridge.daemon.schema import BRIDGE, Schema
from aibridge.daemon.settings import Leaf, in_file, leaves
from aibridge.daemon.values import NUMBERS, TEXTS, accept

Document = dict[str, Any]

REFUSED = object()
"""What stands in a document where something was that is not allowed."""

UNKNOWN = "an unknown key"
MISSING = "nothing"

_NOTHING: dict[Any, Any] = {bool: False, int: 0, float: 0.0, str: "", TEXTS: (), NUMBERS: ()}
"""What stands for an option that has no default, type by type."""


def decode(document: Document, schema: Schema = BRIDGE) -> tuple[Any, list[Fault]]:
    """
    Read a document. It is changed: what was refused is taken out or becomes `REFUSED`.

    :param schema: what may stand in it.
    :return: settings in which what was refused has its default (or nothing of its type, where there is none), and a
        fault for each thing that was.
    """
    try:
        return _converter(schema).structure(document, schema.settings), []
    except ClassValidationError as error:
        faults = list(_faults(error, (), schema))
    for fault in faults:
        _mend(document, fault)
    settings, further = decode(document, schema)
    return settings, faults + further


# -- what cattrs is told -----------------------------------------------------------------------------------------


def _of_option(leaf: Leaf) -> Any:
    fallback = _NOTHING[leaf.type] if leaf.default is attrs.NOTHING else leaf.default

    def structure(value: object, _: Any) -> Any:
        return fallback if value is REFUSED else accept(value, leaf.type, leaf.declared)

    return override(rename=leaf.name, struct_hook=structure)


def _of_table(cls: type[attrs.AttrsInstance], converter: Converter) -> Callable[[Any, Any], Any]:
    overrides: dict[str, Any] = {leaf.attribute: _of_option(leaf) for leaf in leaves(cls)}
    required = [leaf.name for leaf in leaves(cls) if leaf.default is attrs.NOTHING]
    structure = make_dict_structure_fn(cls, converter, **overrides)

    def checked(value: Any, type_: Any) -> Any:
        if value is REFUSED:
            value = dict.fromkeys(required, REFUSED)
        if not isinstance(value, dict):
            raise Unacceptable(shown(value), "a table")
        return structure(value, type_)

    return checked


def _of_tables(name: str, type_: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    structure = converter.get_structure_hook(type_)

    def checked(value: Any, type_: Any) -> Any:
        if value is REFUSED:
            return ()
        if not isinstance(value, list):
            raise Unacceptable(shown(value), f"tables, each headed [[{name}]]")
        return structure(value, type_)

    return checked


@lru_cache
def _converter(schema: Schema) -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for cls in (*schema.sections.values(), *schema.repeated.values()):
        converter.register_structure_hook(cls, _of_table(cls, converter))
    for name, cls in schema.repeated.items():
        type_: Any = tuple[cls, ...]  # type: ignore[valid-type]  # a type made of a value
        converter.register_structure_hook_func(partial(eq, type_), _of_tables(name, type_, converter))
    return converter


# -- what cattrs tells -------------------------------------------------------------------------------------------


def _faults(error: Exception, path: KeyPath, schema: Schema) -> Iterator[Fault]:
    match error:
        case ClassValidationError():
            named, others = error.group_exceptions()
            for inner, note in named:
                yield from _faults(inner, (*path, in_file(note.name)), schema)
            for inner in others:
                yield from _faults(inner, path, schema)
        case IterableValidationError():
            for inner, item in error.group_exceptions()[0]:
                yield from _faults(inner, (*path, item.index), schema)
        case ForbiddenExtraKeysError():
            for key in sorted(error.extra_fields):
                yield _unknown(key, path, schema)
        case Unacceptable():
            yield error.at(path)
        case KeyError():
            (leaf,) = (leaf for leaf in leaves(schema.table(str(path[0]))) if leaf.name == path[-1])
            yield Fault(path=path, found=MISSING, allowed=_required(leaf))
        case _:
            raise error


def _required(leaf: Leaf) -> str:
    try:
        accept(REFUSED, leaf.type, leaf.declared)
    except Unacceptable as refusal:
        return f"{refusal.allowed}; it is required"
    raise AssertionError(leaf.name)


def _known(path: KeyPath, schema: Schema) -> list[str]:
    if not path:
        return [*schema.sections, *schema.repeated]
    return sorted(leaf.name for leaf in leaves(schema.table(str(path[0]))))


def _unknown(key: str, path: KeyPath, schema: Schema) -> Fault:
    known = _known(path, schema)
    meant = ""
    words = key.lower().replace("-", "_")
    sections = {name: section for section in schema.sections for name in _known((section,), schema)}
    if near := difflib.get_close_matches(words, known, n=1):
        meant = dotted((*path, near[0]))
    elif near := difflib.get_close_matches(words, sections, n=1, cutoff=0.8):
        meant = f"{sections[near[0]]}.{near[0]}"
    if meant:
        return Fault(path=(*path, key), found=UNKNOWN, allowed="", hint=f"did you mean {meant}?")
    return Fault(path=(*path, key), found=UNKNOWN, allowed="one of " + ", ".join(known))


def _mend(document: Document, fault: Fault) -> None:
    *above, last = fault.path
    place: Any = document
    for part in above:
        place = place[part]
    if fault.found == UNKNOWN:
        del place[last]
    else:
        place[last] = REFUSED
