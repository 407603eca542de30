"""The OpenAPI document of the clients' listener, made of the rules that requests are held to."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from gateway.api.batch_requests import NAME_CHARS_MAX
from gateway.api.body import RequestLimits
from gateway.api.checks import Check
from gateway.api.parameters import CHAT, COMPLETION, EMBEDDING, UNSUPPORTED
from gateway.api.responses import RESPONSE
from gateway.api.schemas import (
    METADATA,
    NULL,
    OBJECT,
    TEXT,
    Schema,
    exactly,
    list_of,
    matching,
    nullable,
)
from gateway.edge.requests import PLAN, PLAN_MORE
from pricing import QUANTITY_MAX

JSON, EVENTS, BYTES = "application/json", "text/event-stream", "application/octet-stream"
READING = (401, 404, 405, 500, 503)
WRITING = (*READING, 400, 413)
KEEPING = (*WRITING, 422, 429)
RELAYING = (*WRITING, 402, 403, 422, 429, 502, 504)
"""What an endpoint may say besides its answer; why, the error's code says."""
REASONS = {
    400: "The request is at fault", 401: "No key, or one that is not valid", 402: "Not covered",
    403: "The key may not", 404: "Not there", 405: "Another method", 413: "Too large",
    422: "The idempotency key is another request's",
    429: "Later, or less", 500: "The gateway failed", 502: "Every supplier asked has failed",
    503: "Not now: nobody can be asked, or the tables not read",
    504: "The suppliers were silent for too long",
}  # fmt: skip
ERROR = exactly(
    {
        "error": exactly(
            {
                "message": TEXT, "type": TEXT, "param": nullable(TEXT), "code": nullable(TEXT),
            }
        )
    }
)  # fmt: skip
LISTED = {
    "type": "object", "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": list_of(OBJECT)},
}  # fmt: skip
Json = dict[str, Any]
ONCE: Json = {
    "name": "Idempotency-Key", "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}  # fmt: skip
CAP: Json = {"name": "lode-price-max", "in": "header", "schema": {"type": "integer", "minimum": 0}}


def body_of(checks: Mapping[str, Check], needed: Iterable[str]) -> Schema:
    """The object that a table of parameters allows; all but those needed may be null."""
    required = list(needed)
    properties = {
        name: {**(each.schema if name in required else nullable(each.schema)),
               "description": each.rule}
        for name, each in checks.items()
    }  # fmt: skip
    return {
        "type": "object", "properties": {**dict.fromkeys(UNSUPPORTED, NULL), **properties},
        "required": required, "additionalProperties": False,
    }  # fmt: skip


def write_document(limits: RequestLimits) -> bytes:
    """The document as JSON."""
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Lode gateway",
                "version": "1",
                "description": "OpenAI's API over a market of suppliers. A body has at most "
                f"{limits.body_bytes_max} bytes in {limits.depth_max} levels; a request asks for "
                f"at most {limits.choices_max} answers. Rules over several parameters at once, "
                "which no schema says, are refused with a 400 that names the parameter.",
            },
            "security": [{"key": []}],
            "components": {
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
                "schemas": {"Error": ERROR},
            },
            "paths": {**_relayed(), **_shown(), **_kept(), **_edge(), **_open()},
        }
    )


def _relayed() -> Json:
    """What suppliers answer: their bytes, whose form is the engine's."""
    chat = body_of(CHAT, ("model", "messages"))
    completion = body_of(COMPLETION, ("model", "prompt"))
    embedding = body_of(EMBEDDING, ("model", "input"))
    return {
        "/v1/chat/completions": {"post": _ask("A chat completion", chat, JSON, EVENTS)},
        "/v1/completions": {"post": _ask("A completion of a prompt", completion, JSON, EVENTS)},
        "/v1/embeddings": {"post": _ask("Vectors of texts", embedding, JSON)},
        "/v1/responses": {"post": _ask("A response", RESPONSE, JSON, EVENTS)},
    }


def _shown() -> Json:
    price = _query("price", {"type": "integer", "minimum": 1, "maximum": (1 << 64) - 1}, True)
    quantity = _query("quantity", {"type": "integer", "minimum": 1, "maximum": QUANTITY_MAX})
    epochs = _query("epochs", {"type": "integer", "minimum": 1, "maximum": 64})
    service, market = _path("service"), "/v1/market/services"
    asking = (*READING, 400)
    return {
        "/v1/models": {"get": _show("The models of the key", LISTED)},
        "/v1/models/{model}": {"get": _show("A model", OBJECT, (*READING, 403), _path("model"))},
        "/v1/requests/{id}": {
            "get": _show("A request of the key's own", OBJECT, READING, _path("id"))
        },
        market: {"get": _show("Every service of the market", OBJECT)},
        market + "/{service}": {
            "get": _show("A service, its book and prices", OBJECT, asking, service)
        },
        market + "/{service}/bids": {
            "get": _show(
                "What a bid would have paid", LISTED, asking, service, price, quantity, epochs
            )
        },
        market + "/{service}/rounds": {
            "get": _show("Rounds of a service's auction", LISTED, asking, service, epochs)
        },
    }


def _kept() -> Json:
    """Files and batches."""
    form = {
        "type": "object", "required": ["file", "purpose"],
        "properties": {
            "file": {"type": "string", "format": "binary"}, "purpose": {"const": "batch"},
        },
    }  # fmt: skip
    batch = {
        "type": "object", "required": ["input_file_id", "endpoint", "completion_window"],
        "properties": {
            "input_file_id": TEXT,
            "endpoint": {"enum": ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]},
            "completion_window": {"const": "24h"},
            "metadata": nullable({**METADATA, "propertyNames": {"maxLength": NAME_CHARS_MAX}}),
        },
    }  # fmt: skip
    upload = {"multipart/form-data": {"schema": form}}
    file, one = _path("file"), _path("batch")
    return {
        "/v1/files": {
            "get": _show("The files of the key", LISTED),
            "post": _send("Upload a file", upload, KEEPING, ONCE),
        },
        "/v1/files/{file}": {
            "get": _show("A file", OBJECT, READING, file),
            "delete": _show("Delete a file", OBJECT, READING, file),
        },
        "/v1/files/{file}/content": {
            "get": _answers("What a file holds", READING, {BYTES: {}}, file)
        },
        "/v1/batches": {
            "get": _show("The batches of the key", LISTED),
            "post": _send("Begin a batch", {JSON: {"schema": batch}}, KEEPING, ONCE, CAP),
        },
        "/v1/batches/{batch}": {"get": _show("A batch", OBJECT, READING, one)},
        "/v1/batches/{batch}/cancel": {"post": _show("Cancel a batch", OBJECT, WRITING, one)},
    }


def _edge() -> Json:
    plan = exactly(
        {name: each.schema for name, each in PLAN.items()},
        {name: each.schema for name, each in PLAN_MORE.items()},
    )
    tail = exactly(
        {
            "plan": TEXT, "model": TEXT, "dtype": TEXT, "activation": TEXT,
            "exit": {"type": "integer", "minimum": 0, "maximum": 255},
            "cut": {"type": "integer", "minimum": 0, "maximum": 255},
            "shape": list_of({"type": "integer"}),
        }
    )  # fmt: skip
    return {
        "/v1/edge/plan": {"post": _ask("Where to cut a network for a task", plan, JSON)},
        "/v1/edge/infer": {"post": _ask("The tail of a planned inference", tail, JSON)},
    }


def _open() -> Json:
    """What needs no key."""
    supplier = _path("supplier", matching("0x[0-9a-fA-F]{40}"))
    pages = {
        "/v1/suppliers/{supplier}": _show(
            "Where a supplier stands with this gateway", OBJECT, (400, 405), supplier
        ),
        "/v1/reach/{supplier}": _show(
            "Whether this gateway reaches a supplier", OBJECT, (400, 405, 429), supplier
        ),
        "/healthz": _show("The process is up", OBJECT, (405,)),
        "/readyz": _show("A session can be served", OBJECT, (405,)),
        "/openapi.json": _show("This document", OBJECT, (405,)),
    }
    pages["/readyz"]["responses"]["503"] = pages["/readyz"]["responses"]["200"]
    return {path: {"get": each | {"security": []}} for path, each in pages.items()}


def _ask(summary: str, body: Schema, *kinds: str) -> Json:
    """A request that is relayed, and may be made idempotent and capped in its price."""
    shapes = {kind: {"schema": OBJECT} if kind == JSON else {} for kind in kinds}
    found = _answers(summary, RELAYING, shapes)
    return found | {
        "parameters": [ONCE, CAP], "requestBody": _body({JSON: {"schema": body}}),
    }  # fmt: skip


def _send(summary: str, content: Json, errors: Iterable[int], *parameters: Json) -> Json:
    return _show(summary, OBJECT, errors, *parameters) | {"requestBody": _body(content)}


def _body(content: Json) -> Json:
    return {"required": True, "content": content}


def _show(summary: str, schema: Schema, errors: Iterable[int] = READING, *parameters: Json) -> Json:
    return _answers(summary, errors, {JSON: {"schema": schema}}, *parameters)


def _answers(summary: str, errors: Iterable[int], content: Json, *parameters: Json) -> Json:
    refusal = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {str(e): {"description": REASONS[e], "content": refusal} for e in sorted(errors)}
    found: Json = {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, **refusals},
    }
    return found | {"parameters": list(parameters)} if parameters else found


def _path(name: str, schema: Schema = TEXT) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: Schema, is_needed: bool = False) -> Json:
    return {"name": name, "in": "query", "required": is_needed, "schema": schema}
