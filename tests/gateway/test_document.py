"""The OpenAPI document says what the code does: paths, and each parameter's values both ways."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError, validators

from gateway.api.body import RequestLimits
from gateway.api.checks import Check
from gateway.api.document import write_document
from gateway.api.messages import check_messages
from gateway.api.parameters import CHAT, COMPLETION, EMBEDDING
from gateway.api.schemas import MESSAGES
from gateway.edge.requests import PLAN
from gateway.errors import RequestError
from tests.fuzz import documents, questions
from tests.fuzz.mutants import STEP, STEPS_MAX, edit
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway

LIMITS = RequestLimits()
SAMPLES = (documents.CHAT, documents.COMPLETION, documents.EMBEDDING, questions.PLAN)
TABLES: tuple[Mapping[str, Check], ...] = (CHAT, COMPLETION, EMBEDDING, PLAN)


def match_whole(
    validator: Any, pattern: str, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    """ECMA's `$`, which no line break follows."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


Strict = validators.extend(
    Draft202012Validator,
    {"pattern": match_whole},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: type(value) is int
    ),
)
"""JSON Schema, but that 1.0 is no integer: here its bytes are read otherwise than those of 1."""


def are_messages(value: Any) -> bool:
    """Whether the form is right; that arguments are JSON no schema says."""
    try:
        check_messages(value, LIMITS.messages_max)
    except RequestError as error:
        return str(error.param).endswith(".arguments")
    return True


@given(st.sampled_from(SAMPLES), st.binary(max_size=STEP * STEPS_MAX))
def test_a_schema_allows_what_the_code_does(sample: bytes, program: bytes) -> None:
    try:
        members = orjson.loads(edit(sample, SAMPLES, program))
    except orjson.JSONDecodeError:
        return
    for name, value in members.items() if isinstance(members, dict) else ():
        for table in TABLES:
            check = table.get(name)
            if check is None or value is None:
                continue
            is_allowed = are_messages(value) if name == "messages" else check.is_allowed(value)
            assert Strict(check.schema).is_valid(value) == is_allowed, (name, value)


def test_every_parameter_has_a_schema_and_every_sample_is_allowed() -> None:
    for table, sample in zip(TABLES, SAMPLES, strict=True):
        assert all(each.schema for each in table.values())
        assert all(
            Strict(table[name].schema).is_valid(value)
            for name, value in orjson.loads(sample).items()
            if name in table
        )
    assert Strict(MESSAGES).is_valid(orjson.loads(documents.CHAT)["messages"])


@pytest.mark.anyio
async def test_every_path_is_described_and_every_described_path_is_there(tmp_path: Path) -> None:
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        httpx.AsyncClient(base_url=gateway.url) as client,
    ):
        found = await client.get("/openapi.json")
        assert found.content == write_document(LIMITS)
        paths = found.json()["paths"]
        served = {each.decode() for each in (*gateway.plane._routes, *gateway.plane._folders)}
        described = {each.partition("{")[0] for each in paths}
        later = {"/v1/files", "/v1/files/", "/v1/batches", "/v1/batches/", "/v1/reach/"}
        assert served <= described
        assert {each for each in described - served if "/market/" not in each} <= later
        for path, methods in paths.items():
            if path.partition("{")[0] not in served:
                continue
            refused = await client.request("TRACE", path.replace("{", "").replace("}", ""))
            assert refused.status_code == 405
            assert refused.headers["allow"].lower().split(", ") == [*methods]
