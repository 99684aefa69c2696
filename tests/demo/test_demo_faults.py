"""
The table of models.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.demo.faults import PLAIN, SCRIPTS, Conduct, Script, script_of
from aibridge.demo.vendors import STATUSES


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_model_is_found_and_says_what_it_does(script: Script) -> None:
    """
    A model is found by its name, and has one sentence.
    """
    assert script_of(script.name) is script
    assert script.sentence.endswith(".")
    assert script.name == "demo" or script.name.startswith("demo-")


def test_names_are_unique() -> None:
    """
    No two models have one name.
    """
    assert len({script.name for script in SCRIPTS}) == len(SCRIPTS)


def test_every_conduct_has_a_model() -> None:
    """
    Whatever can go wrong can be asked for.
    """
    assert {script.conduct for script in SCRIPTS} == set(Conduct)


def test_refusals_have_a_status_that_can_be_told() -> None:
    """
    A refusing model's status is one that the vendors have words for.
    """
    refusing = [script for script in SCRIPTS if script.conduct is Conduct.REFUSES]
    assert all(script.status in STATUSES and script.name == f"demo-{script.status}" for script in refusing)


@pytest.mark.parametrize(
    ("model", "size"),
    [("demo-long-10000", 10000), ("demo-long-1", 1), ("demo-big-200000", 200000), ("demo-flaky-3", 3)],
)
def test_a_size_may_follow_the_name(model: str, size: int) -> None:
    """
    The number at the end of a model's name is its size.
    """
    script = script_of(model)
    assert script is not None
    assert script.size == size


@pytest.mark.parametrize(
    "model",
    [
        "demo-",
        "demo-4290",
        "demo-silent-3",
        "demo-long-",
        "demo-long-0",
        "demo-long--1",
        "demo-long-1000001",
        "demo-long-²",
        "demo-big-9999999999999999999999",
        "demo-flaky-101",
    ],
)
def test_a_slip_is_no_model(model: str) -> None:
    """
    What begins as a model of the demo does and is none is not taken for an ordinary one.
    """
    assert script_of(model) is None


@pytest.mark.parametrize("model", ["gpt-5", "claude-opus-5", "", "demonstration"])
def test_the_names_of_real_models_are_answered(model: str) -> None:
    """
    Any other name is answered as the ordinary model is.
    """
    assert script_of(model) is PLAIN


@given(st.from_regex(r"demo-(long|big|flaky|429)(-.{0,12})?"))
def test_sizes_are_bounded(model: str) -> None:
    """
    Whatever is asked for, no size is larger than its model allows.
    """
    script = script_of(model)
    assert script is None or not script.most or 1 <= script.size <= script.most
