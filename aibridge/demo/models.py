"""
The list of models, in either vendor's form (https://platform.openai.com/docs/api-reference/models,
https://docs.anthropic.com/en/api/models-list); each entry also has its sentence.
"""

from __future__ import annotations

from aibridge.demo.faults import SCRIPTS, Script, script_of
from aibridge.demo.vendors import Json, Refused, Vendor

CREATED = 1793491200
CREATED_AT = "2026-11-01T00:00:00Z"


def listing(vendor: Vendor) -> Json:
    """
    Every model.
    """
    data = [_entry(vendor, script.name, script) for script in SCRIPTS]
    if vendor is Vendor.OPENAI:
        return {"object": "list", "data": data}
    return {"data": data, "has_more": False, "first_id": SCRIPTS[0].name, "last_id": SCRIPTS[-1].name}


def one(vendor: Vendor, name: str) -> Json:
    """
    The model of that name.

    :raises Refused: there is none.
    """
    script = script_of(name)
    if script is None:
        raise unknown(name)
    return _entry(vendor, name, script)


def unknown(name: str) -> Refused:
    """
    The refusal of a model that does not exist.
    """
    return Refused(404, f"The model '{name[:100]}' does not exist.", "model", "model_not_found")


def _entry(vendor: Vendor, name: str, script: Script) -> Json:
    if vendor is Vendor.OPENAI:
        return {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": "demo",
            "description": script.sentence,
        }
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": CREATED_AT,
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "description": script.sentence,
    }
