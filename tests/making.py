"""
Values that many tests need, each whole and harmless unless a test changes a part of it.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from aibridge.admission.keypool import Key, KeyPool, Wanted
from aibridge.admission.verdict import judge
from aibridge.dialects.errorbody import NOTHING
from aibridge.dialects.limits import UNKNOWN, Limits
from aibridge.errors import BridgeError
from aibridge.log import FIELDS, Completion
from aibridge.options import declaration
from aibridge.providers.provider import Provider
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret


def completion(**changes: Any) -> Completion:
    """
    A streamed answer from a provider, whole.
    """
    told: dict[str, Any] = {
        "at": 1795478400.25,
        "request_id": "00ff00ff00ff00ff00ff00ff",
        "client": "192.0.2.7",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "cause": "completed",
        "principal": "ada",
        "provider": "openai",
        "model": "gpt-5.4",
        "stream": True,
        "credential": "central",
        "hint": "sk-a...wxyz",
        "key": 2,
        "attempts": 1,
        "upstream_status": 200,
        "bytes_in": 512,
        "bytes_out": 2048,
        "tokens_in": 120,
        "tokens_out": 480,
        "usage": "provider",
        "queued_s": 0.25,
        "first_byte_s": 0.75,
        "added_s": 0.000125,
        "duration_s": 3.5,
    }
    told |= changes
    made = Completion(*(told.pop(name) for name in ("request_id", "client", "method")))
    for name, value in told.items():
        assert name in FIELDS
        setattr(made, name, value)
    return made


def provider(
    type_: str, name: str = "", base_url: str = "", key: str | None = None, demo_url: str = "", **options: Any
) -> Provider:
    """
    A provider of a type, named after it unless told otherwise.
    """
    settings = ProviderSettings(name=name or type_, type=type_, base_url=base_url, **options)
    return Provider.from_settings(settings, None if key is None else Secret(key), demo_url)


def cool_down(pool: KeyPool, key: Key, status: int, wait_s: float | None, now: float, model: str = "m") -> None:
    """
    A key is found wanting: answered so, for a model, what another would serve.
    """
    choice = pool.choose(Wanted(("", model), only=key.id), now, heeds=False)
    verdict = judge(status, Limits(retry_after_s=wait_s), NOTHING)
    pool.heard(choice, UNKNOWN, verdict, status, now)
    pool.confirmed(choice, verdict, status, now)


def concrete_errors() -> list[type[BridgeError]]:
    """
    Every class of the error tree that has no subclass, and so is what is raised.
    """
    found: list[type[BridgeError]] = []
    todo: list[type[BridgeError]] = [BridgeError]
    while todo:
        below = todo.pop().__subclasses__()
        for class_ in below:
            if not class_.__module__.startswith("aibridge."):
                continue
            (todo if class_.__subclasses__() else found).append(class_)
    return sorted(found, key=lambda class_: class_.__name__)


def faulty_declarations(settings: type[attrs.AttrsInstance]) -> list[str]:
    """
    What is wrong with the declarations of a settings class, one sentence each.
    """
    faults = []
    for field in attrs.fields(settings):
        declared = declaration(field)
        default = field.default
        if not re.fullmatch(r"[A-Z0-9].*\.", declared.why, re.DOTALL):
            faults.append(f"{field.name}: the reason is not a sentence")
        if default is attrs.NOTHING:
            continue
        if isinstance(default, int | float) and not isinstance(default, bool):
            if declared.least is None or declared.most is None:
                faults.append(f"{field.name}: a number without a range")
            elif not declared.least <= default <= declared.most:
                faults.append(f"{field.name}: the default is out of its range")
        if declared.choices and default not in declared.choices:
            faults.append(f"{field.name}: the default is not among the choices")
        if declared.matches:
            if not declared.form:
                faults.append(f"{field.name}: a pattern that is not told in words")
            if not all(re.fullmatch(declared.matches, str(item)) for item in _each(default)):
                faults.append(f"{field.name}: the default does not match")
    return faults


def _each(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)
