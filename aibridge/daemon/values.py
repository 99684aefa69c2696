"""
One value against one declaration: what is accepted, how text becomes a value, and what is allowed, in words.

Nothing is coerced but a whole number where a number is asked for: a bool is no int, and a text no number, unless it
comes from the environment or the command line, where there is nothing but text. There a time may be written with its
unit as well, as Go writes it.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any, Final

from aibridge.daemon.problems import NOT_SHOWN, Unacceptable, shown
from aibridge.options import ABSOLUTE_PATH, Declaration

TEXTS = tuple[str, ...]
NUMBERS = tuple[int, ...]

REFERENCE = re.compile(
    rf"(?P<file>file):(?P<path>{ABSOLUTE_PATH['matches']})|(?P<env>env):(?P<variable>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<credential>credential):(?P<id>(?!\.\.?\Z)[A-Za-z0-9_.-]+)"
)
_REFERENCES = "file:/PATH, env:NAME or credential:NAME"
REFERENCE_FORM = f"a reference: {_REFERENCES}"

_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_MICROSECOND = Fraction(1, 10**6)
_UNITS: Final = {
    "ns": Fraction(1, 10**9),
    "us": _MICROSECOND,
    "µs": _MICROSECOND,
    "μs": _MICROSECOND,
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"[+-]?(?:{_PART.pattern})+")
_LONGEST = 64
_BOOLS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def accept(value: object, type_: Any, declared: Declaration) -> Any:
    """
    A value as the settings hold it.

    :param type_: of the option: bool, int, float, str, or a tuple of str or of int.
    :raises Unacceptable: the declaration does not allow it.
    """
    if type_ is bool and isinstance(value, bool):
        return value
    if type_ is int or type_ is float:
        return _number(value, type_, declared)
    if type_ is str and isinstance(value, str) and _is_in(value, declared):
        return value
    if type_ in (TEXTS, NUMBERS) and isinstance(value, list | tuple):
        return _items(value, type_, declared)
    raise _refusal(value, type_, declared)


def parse(text: str, type_: Any, declared: Declaration) -> Any:
    """
    A value as the environment and the command line have it: text. A list is separated by white space, and a time may
    have units, as in ``1m30s``.

    :raises Unacceptable: it is no text of a value that is allowed.
    """
    value: object = text
    bare = text.strip()
    if type_ is bool:
        value = _BOOLS.get(bare.lower(), text)
    elif type_ is int and _WHOLE.fullmatch(bare) and len(bare) < 32:
        value = int(bare)
    elif type_ is float and _NUMBER.fullmatch(bare):
        value = float(bare)
    elif type_ is float and declared.unit == "s":
        value = _seconds(bare, text)
    elif type_ == TEXTS:
        value = text.split()
    elif type_ == NUMBERS:
        value = [int(item) if _WHOLE.fullmatch(item) and len(item) < 32 else item for item in text.split()]
    try:
        return accept(value, type_, declared)
    except Unacceptable as refusal:
        if declared.unit != "s":
            raise
        raise Unacceptable(refusal.found, refusal.allowed, "written as 90, 90s or 1m30s") from None


def allowed(type_: Any, declared: Declaration) -> str:
    """
    What an option may be, in words.
    """
    if type_ is bool:
        return "true or false"
    if type_ is int or type_ is float:
        words = "a whole number" if type_ is int else "a number"
        return " ".join(filter(None, (words, _range(declared), declared.unit)))
    if type_ in (TEXTS, NUMBERS):
        texts = f"references ({_REFERENCES})" if declared.secret else "texts"
        form = declared.form or (texts if type_ == TEXTS else "whole numbers")
        least = f", at least {number(declared.least)}" if declared.least else ""
        most = f", at most {number(declared.most)}" if declared.most is not None else ""
        return f"a list of {form}{least}{most}"
    if declared.secret:
        bare = f"{declared.form}, or " if declared.matches else ""
        return f"{bare}{REFERENCE_FORM}, or empty"
    if declared.choices:
        words = "one of " + ", ".join(f'"{choice}"' for choice in declared.choices if choice)
        return f"{words}, or empty" if "" in declared.choices else words
    return declared.form or (f"a text that matches {declared.matches}" if declared.matches else "a text")


def number(value: float) -> str:
    """
    A number without a fraction that it does not need.
    """
    return str(int(value)) if value == int(value) else f"{value:.9f}".rstrip("0")


def _number(value: object, type_: Any, declared: Declaration) -> float:
    kinds = (int, float) if type_ is float else (int,)
    if (
        isinstance(value, bool)
        or not isinstance(value, kinds)
        or (isinstance(value, float) and not math.isfinite(value))
        or (declared.least is not None and value < declared.least)
        or (declared.most is not None and value > declared.most)
    ):
        raise _refusal(value, type_, declared)
    try:
        accepted: float = type_(value)
    except OverflowError:
        raise _refusal(value, type_, declared) from None
    return accepted


def _items(value: list[object] | tuple[object, ...], type_: Any, declared: Declaration) -> tuple[object, ...]:
    kind = str if type_ == TEXTS else int
    for item in value:
        if not isinstance(item, kind) or isinstance(item, bool):
            words = NOT_SHOWN if declared.secret and isinstance(item, int | float) else shown(item)
            raise Unacceptable(f"{words} in the list", allowed(type_, declared))
    if declared.secret and not all(REFERENCE.fullmatch(str(item)) for item in value):
        raise Unacceptable(f"{NOT_SHOWN}, in the list", allowed(type_, declared))
    if declared.matches and not declared.secret:
        for item in value:
            if re.fullmatch(declared.matches, str(item)) is None:
                raise Unacceptable(f"{shown(item)} in the list", allowed(type_, declared))
    if declared.least is not None and len(value) < declared.least:
        raise _refusal(value, type_, declared)
    if declared.most is not None and len(value) > declared.most:
        raise Unacceptable(f"a list of {len(value)}", f"at most {number(declared.most)}")
    return tuple(value)


def _is_in(value: str, declared: Declaration) -> bool:
    if declared.secret and (not value or REFERENCE.fullmatch(value)):
        return True
    if declared.secret and not declared.matches:
        return False
    if declared.choices:
        return value in declared.choices
    return not declared.matches or re.fullmatch(declared.matches, value) is not None


def _seconds(bare: str, text: str) -> object:
    """
    A duration as Go writes it (https://pkg.go.dev/time#ParseDuration), in seconds; or the text, if it is none.
    """
    if len(bare) > _LONGEST or _DURATION.fullmatch(bare) is None:
        return text
    seconds = sum((Fraction(count.rstrip(".")) * _UNITS[unit] for count, unit in _PART.findall(bare)), Fraction(0))
    return float(-seconds if bare.startswith("-") else seconds)


def _range(declared: Declaration) -> str:
    least, most = declared.least, declared.most
    if least is not None and most is not None:
        return f"from {number(least)} to {number(most)}"
    if least is not None:
        return f"of at least {number(least)}"
    return f"of at most {number(most)}" if most is not None else ""


def _refusal(value: object, type_: Any, declared: Declaration) -> Unacceptable:
    found = shown(value)
    if declared.secret and isinstance(value, str | int | float):
        found = NOT_SHOWN
    is_time = declared.unit == "s" and isinstance(value, str)
    return Unacceptable(found, allowed(type_, declared), "times are numbers of seconds here" if is_time else "")
