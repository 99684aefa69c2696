"""
OpenAI, and whatever else speaks its API (https://platform.openai.com/docs/api-reference).
"""

from __future__ import annotations

from typing import Final

import attrs

from aibridge.model import Dialect, Stored
from aibridge.providers.access import EVERY, Form, Rule, bridged, counted, free, refused
from aibridge.providers.types import KeyStyle, ProviderType

_MODELS: Final = (
    bridged("/chat/completions", Dialect.CHAT, makes=Stored.CHAT_COMPLETION),
    bridged("/responses", Dialect.RESPONSES, makes=Stored.RESPONSE),
    # An answer of it is a response in all but that it is not kept.
    counted("/responses/compact", dialect=Dialect.RESPONSES),
    free("POST", "/responses/input_tokens", dialect=Dialect.RESPONSES, form=Form.HELD),
    counted("/completions"),
    counted("/embeddings", most_output=0),
    free("POST", "/moderations"),
    counted("/images/generations", reads=Dialect.RESPONSES),
    counted("/images/edits", form=Form.EITHER, reads=Dialect.RESPONSES),
    counted("/images/variations", form=Form.STREAM, reads=Dialect.RESPONSES),
    counted("/audio/speech", reads=Dialect.RESPONSES),
    counted("/audio/transcriptions", form=Form.STREAM, reads=Dialect.RESPONSES),
    counted("/audio/translations", form=Form.STREAM, reads=Dialect.RESPONSES),
    free("GET", "/models"),
    free("GET", "/models/*"),
)

_STORED: Final = (
    # What is made in the background is asked for here, and has its items only then.
    free("GET", "/responses/{response}", dialect=Dialect.RESPONSES, makes=Stored.RESPONSE),
    free("DELETE", "/responses/{response}", dialect=Dialect.RESPONSES),
    free("POST", "/responses/{response}/cancel", dialect=Dialect.RESPONSES, makes=Stored.RESPONSE),
    free("GET", "/responses/{response}/input_items", dialect=Dialect.RESPONSES, makes=Stored.ITEM),
    free("POST", "/conversations", dialect=Dialect.RESPONSES, form=Form.HELD, makes=Stored.CONVERSATION),
    free("GET POST", "/conversations/{conversation}", form=Form.HELD),
    free("DELETE", "/conversations/{conversation}"),
    free(
        "GET POST",
        "/conversations/{conversation}/items",
        dialect=Dialect.RESPONSES,
        form=Form.HELD,
        makes=Stored.ITEM,
    ),
    free("GET DELETE", "/conversations/{conversation}/items/{any}"),
    free("GET", "/chat/completions", lists=True),
    free("GET POST", "/chat/completions/{chat_completion}", form=Form.HELD),
    free("DELETE", "/chat/completions/{chat_completion}"),
    free("GET", "/chat/completions/{chat_completion}/messages"),
)

_FILES: Final = (
    free("POST", "/files", makes=Stored.FILE),
    free("GET", "/files", lists=True),
    free("GET", "/files/{file}"),
    free("DELETE", "/files/{file}"),
    free("GET", "/files/{file}/content"),
    free("POST", "/uploads", form=Form.HELD, makes=Stored.UPLOAD),
    free("POST", "/uploads/{upload}/parts"),
    free("POST", "/uploads/{upload}/complete", form=Form.HELD, makes=Stored.FILE),
    free("POST", "/uploads/{upload}/cancel"),
    counted("/batches", makes=Stored.BATCH),
    free("GET", "/batches", lists=True),
    free("GET", "/batches/{batch}", makes=Stored.FILE),
    free("POST", "/batches/{batch}/cancel", makes=Stored.FILE),
)

_TOOLS: Final = (
    free("POST", "/containers", form=Form.HELD, makes=Stored.CONTAINER),
    free("GET", "/containers", lists=True),
    free("GET", "/containers/{container}"),
    free("DELETE", "/containers/{container}"),
    # Its body may be a form that names a file as well as one that has it in it.
    free("POST", "/containers/{container}/files", form=Form.HELD),
    free("GET", "/containers/{container}/files"),
    free("GET DELETE", "/containers/{container}/files/{any}"),
    free("GET", "/containers/{container}/files/{any}/content"),
    free("POST", "/vector_stores", form=Form.HELD, makes=Stored.VECTOR_STORE),
    free("GET", "/vector_stores", lists=True),
    free("GET POST", "/vector_stores/{vector_store}", form=Form.HELD),
    free("DELETE", "/vector_stores/{vector_store}"),
    counted("/vector_stores/{vector_store}/search"),
    free("GET POST", "/vector_stores/{vector_store}/files", form=Form.HELD),
    free("GET POST", "/vector_stores/{vector_store}/files/{file}", form=Form.HELD),
    free("DELETE", "/vector_stores/{vector_store}/files/{file}"),
    free("GET", "/vector_stores/{vector_store}/files/{file}/content"),
    free("POST", "/vector_stores/{vector_store}/file_batches", form=Form.HELD),
    free("GET", "/vector_stores/{vector_store}/file_batches/{any}"),
    free("POST", "/vector_stores/{vector_store}/file_batches/{any}/cancel"),
    free("GET", "/vector_stores/{vector_store}/file_batches/{any}/files"),
)

_REFUSED: Final = tuple(
    refused(methods, path, why)
    for methods, path, why in (
        ("DELETE", "/models/*", "deletion of models"),
        (EVERY, "/organization/*", "administration"),
        (EVERY, "/projects/*", "administration"),
        (EVERY, "/fine_tuning/*", "training of models"),
        (EVERY, "/evals", "evaluation of models"),
        (EVERY, "/evals/*", "evaluation of models"),
        (EVERY, "/assistants", "administration of assistants"),
        (EVERY, "/assistants/*", "administration of assistants"),
        (EVERY, "/threads", "use of assistants"),
        (EVERY, "/threads/*", "use of assistants"),
        (EVERY, "/skills", "administration of skills"),
        (EVERY, "/skills/*", "administration of skills"),
        (EVERY, "/videos", "making of videos"),
        (EVERY, "/videos/*", "making of videos"),
        (EVERY, "/realtime/*", "sessions that cannot be counted"),
        (EVERY, "/chatkit/*", "sessions that cannot be counted"),
    )
)

RULES: Final[tuple[Rule, ...]] = (*_MODELS, *_STORED, *_FILES, *_TOOLS, *_REFUSED)

OPENAI = ProviderType(
    name="openai",
    prefix="/v1",
    base_url="https://api.openai.com/v1/",
    key_style=KeyStyle.BEARER,
    dialect=Dialect.CHAT,
    rules=RULES,
)

COMPATIBLE = attrs.evolve(OPENAI, name="openai-compatible", base_url="")
