"""
The error tree: blame in the type, one word for each kind, and a sentence that may be shown.
"""

from __future__ import annotations

import re

import pytest

from aibridge import errors
from making import concrete_errors

REASONS = {
    "auth",
    "body",
    "breaker",
    "bridge",
    "client",
    "credential",
    "drain",
    "gate",
    "internal",
    "keys",
    "object",
    "provider",
    "rate",
    "request",
    "route",
    "upgrade",
    "upstream",
}


def test_tree_is_closed() -> None:
    """
    Every class that can be raised blames the client, the bridge or the provider, and no two of them.
    """
    sides = (errors.ClientError, errors.GatewayError, errors.UpstreamError)
    for class_ in concrete_errors():
        assert sum(issubclass(class_, side) for side in sides) == 1, class_


def test_concrete_errors_are_all_there() -> None:
    """
    The walk that other tests rely on finds them: 13 of the client's, 13 of ours, 11 of the provider's.
    """
    found = concrete_errors()
    assert len(found) == len(set(found)) == 37
    assert errors.UpstreamError not in found


def test_kinds_are_unique_words() -> None:
    """
    A kind is a label of metrics: lower case, one for each class.
    """
    kinds = [class_.kind for class_ in concrete_errors()]
    assert len(set(kinds)) == len(kinds)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", kind) for kind in kinds)


def test_reasons_are_a_closed_set() -> None:
    """
    A reason says who refused; several kinds may share one.
    """
    assert {class_.reason for class_ in concrete_errors()} == REASONS


def test_every_class_says_what_it_is() -> None:
    """
    Each has a docstring of its own.
    """
    for class_ in concrete_errors():
        assert class_.__doc__, class_


@pytest.mark.parametrize("class_", concrete_errors())
def test_detail_is_what_was_said(class_: type[errors.BridgeError]) -> None:
    """
    The detail is the sentence it was raised with, and empty without one: raising the bare class does.
    """
    assert class_().detail == ""
    assert class_("Something failed.").detail == "Something failed."
    with pytest.raises(class_) as caught:
        raise class_
    assert caught.value.detail == ""


def test_retry_is_unknown_unless_told() -> None:
    """
    Errors of the bridge's own may say when to ask again.
    """
    assert errors.AtCapacity().retry_after_s is None
    assert errors.AtCapacity(retry_after_s=1.5).retry_after_s == 1.5
    told = errors.RateLimited("Too fast.", 0.25)
    assert (told.detail, told.retry_after_s) == ("Too fast.", 0.25)


def test_retry_is_not_part_of_the_detail() -> None:
    """
    The sentence is free of it, as it has a header of its own.
    """
    assert errors.RateLimited(retry_after_s=3.0).detail == ""


def test_a_limit_may_name_its_policy() -> None:
    """
    Which is no part of the sentence, and empty where nobody said.
    """
    assert errors.RateLimited("Too fast.", 0.25).policy == ""
    told = errors.RateLimited(retry_after_s=0.25, policy="per-principal")
    assert (told.detail, told.retry_after_s, told.policy) == ("", 0.25, "per-principal")
