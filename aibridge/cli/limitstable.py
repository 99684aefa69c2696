"""
A report of the limits, as people read it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from aibridge.admission.report import TOKEN
from aibridge.cli.terminal import table
from aibridge.daemon.values import number

Told = dict[str, Any]

NOTHING: Final = "-"
NO_KEY: Final[dict[str, Any]] = {"key": NOTHING, "state": NOTHING, "rests_s": 0, "models": []}
NO_MODEL: Final[dict[str, Any]] = {"route": "", "model": ""}


def lines(told: Told, address: str) -> Iterator[str]:
    """
    The lines of a report.

    :param told: see `aibridge.admission.report.report`.
    :param address: of the daemon that told it; empty for limits that are only configured, of which no level is shown.
    """
    is_live = bool(address)
    if is_live:
        yield f"In force, as the daemon at {address} tells."
    else:
        yield "As configured; nothing is known of a running daemon."
    if told["principal"] is not None:
        yield f"For {told['principal']['name']}, of the class {told['principal']['class']}."
    yield ""
    yield from _gate(told["gate"], is_live)
    yield ""
    yield from _limits(told["limits"], is_live)
    if is_live and told["limits"]:
        memory = told["memory"]
        yield f"Buckets take {memory['used']} of {memory['limit']} bytes: {_origin(memory)}."
    yield from _expected(told["expected"])
    yield ""
    yield from _breakers(told["breakers"], is_live)
    yield from _providers(told["providers"])


# -- the gate ----------------------------------------------------------------------------------------------------


def _gate(gate: Told, is_live: bool) -> Iterator[str]:
    head = ["EXCHANGES IN FLIGHT", "LIMIT", "IN USE", "LEFT", "KEPT FOR INTERACTIVE", "FROM"]
    rows = [
        [
            row["what"],
            _or(row["limit"], "none"),
            _or(row["in_use"]),
            _or(row["remaining"]),
            _or(row["kept_for_interactive"] or None),
            _origin(row),
        ]
        for row in gate["limits"]
    ]
    yield from _columns([head, *rows], () if is_live else ("IN USE", "LEFT"))
    queue = gate["queue"]
    if queue["limit"] is None:
        yield f"Nobody waits: a full gate refuses at once. {_origin(queue)}."
    else:
        waiting = ", ".join(f"{count} {name}" for name, count in queue["waiting_by_class"].items() if count)
        now = f" Now: {waiting or 'nobody'}." if is_live else ""
        yield f"Up to {queue['limit']} wait, each for {number(queue['timeout_s'])} s at most: {_origin(queue)}.{now}"
    if gate["shadow"]:
        refused = ", ".join(f"{count} ({why})" for why, count in gate["would_have_refused"].items())
        said = f"; it would have refused {refused or 'nobody'}" if is_live else ""
        yield f"The gate is in shadow and lets everybody through{said}."


# -- the buckets -------------------------------------------------------------------------------------------------


def _limits(limits: list[Told], is_live: bool) -> Iterator[str]:
    if not limits:
        yield "Neither requests nor tokens are limited."
        return
    head = ["REQUESTS AND TOKENS", "FOR", "LIMIT", "AT ONCE", "LEVEL", "LEFT", "EMPTY IN", "REFUSED", "FROM"]
    rows = [row for told in limits for row in _rows(told)]
    yield from _columns([head, *rows], () if is_live else ("LEVEL", "LEFT", "EMPTY IN", "REFUSED"))


def _rows(told: Told) -> Iterator[list[str]]:
    name = f"{told['policy']} (shadow)" if told["shadow"] else told["policy"]
    origin = TOKEN if told["own"] else _origin(told)
    refused = str(told["refused"])
    if not told["buckets"]:
        # Of each principal there is one, and none was asked for; or its token lifts the limit.
        limit = ["none", NOTHING] if told["own"] else [f"{number(told['limit'])} {told['unit']}", number(told["burst"])]
        yield [name, _whom(told), *limit, NOTHING, NOTHING, NOTHING, refused, origin]
    for bucket in told["buckets"]:
        whom = f"{_whom(told)}, here {bucket['provider']}" if bucket["provider"] else _whom(told)
        yield [
            name,
            whom,
            f"{number(bucket['limit'])} {told['unit']}",
            number(bucket["burst"]),
            number(bucket["level"]),
            str(bucket["remaining"]),
            f"{number(bucket['empty_in_s'])} s",
            refused,
            origin,
        ]


def _whom(told: Told) -> str:
    whom = {
        "principal": "each principal",
        "principal-provider": "each principal and provider",
        "class": "the class",
        "global": "all",
    }[told["scope"]]
    if told["class"]:
        whom = f"{whom} {told['class']}" if told["scope"] == "class" else f"{whom} of {told['class']}"
    return f"{whom} at {told['provider']}" if told["provider"] else whom


def _expected(expected: list[Told]) -> Iterator[str]:
    if expected:
        yield ""
        head = ["AN ANSWER OF", "TO", "IS TAKEN FOR"]
        rows = [[each["model"], _or(each["client"], "others"), f"{each['output_tokens']} tokens"] for each in expected]
        yield from table([head, *rows])


# -- breakers and keys -------------------------------------------------------------------------------------------


def _breakers(breakers: Told | None, is_live: bool) -> Iterator[str]:
    if breakers is None:
        yield "There are no circuit breakers."
        return
    failures = breakers["failure_threshold"]
    counted = "1 failure" if failures == 1 else f"{failures} failures in a row"
    within = f" within {number(breakers['interval_s'])} s" if breakers["interval_s"] and failures > 1 else ""
    yield (
        f"A breaker opens after {counted}{within}, for {number(breakers['timeout_s'])} s; then "
        f"{breakers['max_requests']} have to succeed: {_origin(breakers)}."
    )
    if breakers["shadow"]:
        said = f"; they would have refused {breakers['would_have_refused'] or 'nobody'}" if is_live else ""
        yield f"Breakers are in shadow and refuse nothing{said}."
    if breakers["failing"]:
        yield f"Closed, with failures to remember: {breakers['failing']}."
    if breakers["open"]:
        head = ["BREAKER", "ENDPOINT", "MODEL", "STATE", "FOR", "TRIED AGAIN IN"]
        rows = [
            [
                *(each[name] for name in ("provider", "endpoint", "model", "state")),
                _kept_out(each["principals"]),
                f"{number(each['retry_in_s'])} s",
            ]
            for each in breakers["open"]
        ]
        yield from table([head, *rows])


def _kept_out(principals: int) -> str:
    return "all" if not principals else "1 principal" if principals == 1 else f"{principals} principals"


def _providers(providers: list[Told]) -> Iterator[str]:
    head = ["KEYS", "ORDER", "KEY", "STATE", "MODEL", "COOLS DOWN", "THE PROVIDER SAID", "RETRIES LEFT"]
    rows = [
        [
            provider["provider"],
            _or(provider["key_order"]),
            str(key["key"]),
            key["state"],
            _model(key, model),
            _seconds(max(key["rests_s"], model.get("wait_s", 0))),
            _said(model),
            NOTHING if provider["retries_left"] is None else str(math.floor(provider["retries_left"] + 1e-9)),
        ]
        for provider in providers
        # One without keys may have retries all the same.
        for key in provider["keys"] or ([NO_KEY] if provider["retries_left"] is not None else [])
        for model in key["models"] or [NO_MODEL]
    ]
    if rows:
        yield ""
        yield from table([head, *rows])


def _model(key: Told, model: Told) -> str:
    """
    What the provider has spoken of: a model, a route that it limits by itself, or all there is under the key.
    """
    if key["rests_s"] and model is NO_MODEL:
        return "all"
    return model["model"] or model["route"] or NOTHING


def _seconds(seconds: float) -> str:
    return f"{number(seconds)} s" if seconds else NOTHING


def _said(model: Told) -> str:
    said = [
        f"{number(left)} {name.removesuffix('_left').replace('_', ' ')} left"
        for name, left in model.items()
        if name.endswith("_left")
    ]
    return ", ".join(said) or NOTHING


# -- words -------------------------------------------------------------------------------------------------------


def _columns(rows: list[list[str]], without: tuple[str, ...]) -> Iterator[str]:
    kept = [at for at, name in enumerate(rows[0]) if name not in without]
    return table([[row[at] for at in kept] for row in rows])


def _origin(told: Told) -> str:
    option, source = told["option"], told["source"]
    return option if option == source or not source else f"{option} ({source})"


def _or(value: object, otherwise: str = NOTHING) -> str:
    return otherwise if value is None else str(value)
