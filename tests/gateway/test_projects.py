"""Projects: what the keys of one may do and spend together, over restarts too."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KeyTerms
from gateway.access.terms import Terms
from gateway.cli import app
from tests.clis import CommandLine
from tests.factories import APPLICATION, WEIGHTS
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
COST = WEIGHTS.units(8, 0, 12) * 1000
"""Of one honest answer to `HI`, in millionths of a token base unit."""


async def ask(gateway: Gateway, key: str, **options: Any) -> Any:
    async with gateway.client(key) as client:
        return await client.chat.completions.create(
            model=MODEL, messages=HI, **{"max_tokens": 50, **options}
        )


def make_keys(gateway: Gateway, count: int, terms: Terms, own: KeyTerms | None = None) -> list[str]:
    """Keys of a new project."""
    project = gateway.keys.projects.create("research", terms)
    keys = [gateway.keys.create("k", APPLICATION, own, project.id)[0] for _ in range(count)]
    gateway.accounts.load(gateway.keys.list(), gateway.keys.projects.list())
    return keys


async def test_keys_share_their_projects_budget_and_never_overspend_it(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        keys = make_keys(gateway, 3, Terms(daily_budget=20))
        (project,) = gateway.keys.projects.list()

        async def try_one(key: str) -> bool:
            try:
                await ask(gateway, key)
            except openai.RateLimitError as error:
                assert error.code == "insufficient_quota"
                assert "the project's daily budget" in error.message
                return False
            return True

        answered = True
        while answered:
            answered = any(await asyncio.gather(*(try_one(each) for each in keys * 4)))
        spent = gateway.accounts.project_spending()[project.id]
        each = [gateway.ledger.spending[row.id].today for row in gateway.keys.list()]
        assert sum(bool(one) for one in each) > 1
        assert spent["today"] == -(-sum(each) // 10**6) <= 20
        assert spent["reserved"] == 0
        assert (await ask(gateway, gateway.key)).choices  # a key of no project

    async with a_gateway(tmp_path, FakeSupplier("one")) as again:
        accounts: Accounts = again.accounts
        accounts.load(again.keys.list(), again.keys.projects.list())
        assert accounts.project_spending()[project.id]["today"] == spent["today"]
        with pytest.raises(openai.RateLimitError):
            await ask(again, keys[0])


async def test_the_narrower_of_key_and_project_decides(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        one, other = make_keys(
            gateway, 2, Terms(requests_per_minute=3), KeyTerms(requests_per_minute=2)
        )
        await ask(gateway, one)
        await ask(gateway, one)
        with pytest.raises(openai.RateLimitError, match="the key's requests per minute are 2"):
            await ask(gateway, one)
        await ask(gateway, other)
        with pytest.raises(openai.RateLimitError, match=r"the project's .* are 3") as caught:
            await ask(gateway, other)
        headers = caught.value.response.headers
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert headers["x-ratelimit-limit-requests"] == "3"


async def test_what_a_request_did_not_use_is_given_back_to_both(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        (key,) = make_keys(
            gateway, 1, Terms(tokens_per_minute=1000), KeyTerms(tokens_per_minute=2000)
        )
        await ask(gateway, key)
        await gateway.settled()
        account = gateway.accounts.find(key.encode())
        assert account is not None
        for limiter, limit in zip(account.limiters, (2000, 1000), strict=True):
            assert limiter.tokens is not None
            assert limit - 21 <= limiter.tokens.remaining() <= limit


async def test_a_key_may_use_what_its_project_allows_too(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        (key,) = make_keys(gateway, 1, Terms(models=["other"]), KeyTerms(models=["other", MODEL]))
        with pytest.raises(openai.PermissionDeniedError):
            await ask(gateway, key)


async def test_a_key_whose_project_is_not_known_yet_waits_for_it(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        project = gateway.keys.projects.create("research", Terms(daily_budget=0))
        key, _ = gateway.keys.create("k", APPLICATION, None, project.id)
        gateway.accounts.load(gateway.keys.list())
        with pytest.raises(openai.AuthenticationError):
            await ask(gateway, key)
        gateway.accounts.load(gateway.keys.list(), gateway.keys.projects.list())
        with pytest.raises(openai.RateLimitError):
            await ask(gateway, key)


def test_the_command_line_keeps_projects(tmp_path: Path) -> None:
    environment = {
        "GATEWAY_DATA_DIR": str(tmp_path),
        "GATEWAY_APPLICATION": "0x" + APPLICATION.hex(),
    }
    cli = CommandLine(app, environment)
    made = cli.run("projects", "create", "research", "--daily-budget", 5, "--models", "tiny")
    key = cli.run("keys", "create", "k", "--project", made["id"])
    assert key["project"] == made["id"]
    changed = cli.run("projects", "update", made["id"], "--daily-budget", 0, "--rpm", 7)
    assert (changed["daily_budget"], changed["requests_per_minute"]) == (None, 7)
    used = cli.run("usage")
    assert [each["id"] for each in used["projects"]] == [made["id"]]
    assert (used["projects"][0]["requests"], used["models"]) == (0, [])
    assert cli.run("projects", "archive", made["id"])["archived_at"]
    listed = cli.run("projects", "list")["projects"]
    assert [(each["id"], each["models"]) for each in listed] == [(made["id"], ["tiny"])]
    refused = cli.refuse("keys", "create", "k", "--project", made["id"])
    assert refused.startswith("project_not_found: ")
    assert [each["action"] for each in cli.run("audit")["actions"]] == [
        "archive project", "change project", "create key", "create project",
    ]  # fmt: skip
