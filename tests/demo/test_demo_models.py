"""
The list of models, as the official SDKs understand it.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from aibridge.demo.faults import SCRIPTS
from aibridge.demo.models import CREATED, CREATED_AT, listing, one
from aibridge.demo.vendors import Refused, Vendor

NAMES = [script.name for script in SCRIPTS]


def test_openai_lists_every_model() -> None:
    """
    The list has all models in OpenAI's form, each with its sentence.
    """
    found = listing(Vendor.OPENAI)
    assert found["object"] == "list"
    assert [Model.model_validate(entry).id for entry in found["data"]] == NAMES
    assert [entry["description"] for entry in found["data"]] == [script.sentence for script in SCRIPTS]


def test_anthropic_lists_every_model() -> None:
    """
    The list has all models in Anthropic's form, and is its only page.
    """
    found = listing(Vendor.ANTHROPIC)
    assert [ModelInfo.model_validate(entry).id for entry in found["data"]] == NAMES
    assert (found["has_more"], found["first_id"], found["last_id"]) == (False, NAMES[0], NAMES[-1])


@pytest.mark.parametrize("vendor", Vendor)
def test_one_model(vendor: Vendor) -> None:
    """
    A model is found under the name that it was asked for by, a size included.
    """
    assert one(vendor, "demo-long-7")["id"] == "demo-long-7"


@pytest.mark.parametrize("vendor", Vendor)
def test_an_unknown_model(vendor: Vendor) -> None:
    """
    A model that does not exist is refused with 404; a long name is not repeated whole.
    """
    with pytest.raises(Refused) as caught:
        one(vendor, "demo-" + "x" * 5000)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert len(caught.value.message) < 200


def test_both_forms_state_one_time() -> None:
    """
    Seconds and date are the same moment.
    """
    assert datetime.fromisoformat(CREATED_AT).timestamp() == CREATED
