"""The control plane: every endpoint, who may, and errors in the shape of the data plane's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KEY_PREFIX, KeyStore
from gateway.access.database import Database
from gateway.control import BODY_BYTES_MAX, create_control
from gateway.metrics import Metrics
from gateway.settings import ControlSettings, Settings
from node.errors import SettingsError
from tests.factories import APPLICATION

pytestmark = pytest.mark.anyio

TOKEN = "0123456789abcdef0123456789abcdef"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
STATUS: dict[str, object] = {"session": 7, "suppliers": {}}


class Control:
    """The application, its keys, and a client of it."""

    def __init__(self, folder: Path, token: str | None = TOKEN) -> None:
        self.tables = Database(folder / "keys.db")
        self.keys = KeyStore(self.tables)
        self.accounts = Accounts()
        registry = CollectorRegistry()
        Metrics(registry).watch("gateway_session", "The session", lambda: 7)
        app = create_control(
            self.keys, self.accounts, APPLICATION, registry, lambda: STATUS, list, token
        )  # fmt: skip
        transport = httpx.ASGITransport(app=app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://control")

    async def create(self, **fields: Any) -> dict[str, Any]:
        answer = await self.client.post("/admin/keys", json=fields, headers=ADMIN)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def close(self) -> None:
        await self.client.aclose()
        self.tables.close()


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    control = Control(tmp_path)
    yield control
    await control.close()


def assert_error(answer: httpx.Response, status: int, code: str, param: str | None = None) -> None:
    """An error as the data plane's: exactly OpenAI's four members."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]


async def test_health_and_metrics_are_open(control: Control) -> None:
    health = await control.client.get("/healthz")
    metrics = await control.client.get("/metrics")

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "gateway_session 7.0" in metrics.text


async def test_no_page_is_served_that_asks_another_host(control: Control) -> None:
    for page in ("/docs", "/redoc"):
        assert (await control.client.get(page)).status_code == 404


async def test_the_api_document_describes_every_endpoint(control: Control) -> None:
    paths = (await control.client.get("/openapi.json")).json()["paths"]
    assert {(path, verb) for path, verbs in paths.items() for verb in verbs} == {
        ("/healthz", "get"),
        ("/metrics", "get"),
        ("/v1/usage", "get"),
        ("/v1/suppliers", "get"),
        ("/admin/keys", "get"),
        ("/admin/keys", "post"),
        ("/admin/keys/{key_id}", "delete"),
        ("/admin/keys/{key_id}", "patch"),
        ("/admin/projects", "get"),
        ("/admin/projects", "post"),
        ("/admin/projects/{project_id}", "delete"),
        ("/admin/projects/{project_id}", "patch"),
    }
    for described in paths["/admin/keys"].values():
        assert "422" not in described["responses"]
        answer = described["responses"]["4XX"]["content"]["application/json"]
        assert answer["schema"]["$ref"].endswith("/ErrorAnswer")


async def test_usage_is_what_the_node_says(control: Control) -> None:
    answer = await control.client.get("/v1/usage", headers=ADMIN)
    assert (answer.status_code, answer.json()) == (200, STATUS)


async def test_a_key_works_at_once_is_shown_once_and_ends_when_it_is_revoked(
    control: Control,
) -> None:
    created = await control.create(name="web shop", in_flight_max=3)
    key = created.pop("key")
    account = control.accounts.find(key.encode())

    assert key.startswith(KEY_PREFIX)
    assert account is not None
    assert (account.application, account.in_flight_max) == (APPLICATION, 3)
    listed = await control.client.get("/admin/keys", headers=ADMIN)
    assert listed.json() == [created]
    assert key not in listed.text
    assert created["revoked_at"] is None

    revoked = await control.client.delete(f"/admin/keys/{created['id']}", headers=ADMIN)
    assert revoked.json()["revoked_at"] >= created["created_at"]
    assert control.accounts.find(key.encode()) is None
    again = await control.client.delete(f"/admin/keys/{created['id']}", headers=ADMIN)
    assert again.json() == revoked.json()
    assert (await control.client.get("/admin/keys", headers=ADMIN)).json() == [revoked.json()]


async def test_revoking_one_key_leaves_the_others_and_their_counts(control: Control) -> None:
    first, second = await control.create(name="first"), await control.create(name="second")
    kept = control.accounts.find(second["key"].encode())
    assert kept is not None
    kept.in_flight = 2

    await control.client.delete(f"/admin/keys/{first['id']}", headers=ADMIN)

    found = control.accounts.find(second["key"].encode())
    assert found is kept
    assert found.in_flight == 2


async def test_a_key_may_be_for_another_application(control: Control) -> None:
    other = "0x" + "ab" * 20
    created = await control.create(name="their shop", application=other)
    account = control.accounts.find(created["key"].encode())
    assert account is not None
    assert account.application.hex() == "ab" * 20


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": 7}, "name"),
        ({"name": "x", "in_flight_max": 0}, "in_flight_max"),
        ({"name": "x", "in_flight_max": 65537}, "in_flight_max"),
        ({"name": "x", "application": "0x12"}, "application"),
        ({"name": "x", "application": "zz" * 20}, "application"),
        ({"name": "x", "application": "ab" * 20}, "application"),
        ({"name": "x", "daily_budget": False}, "daily_budget"),
        ({"name": "x", "daily_budget": "7"}, "daily_budget"),
        ({"name": "x", "daily_budget": 9 * 10**18 + 1}, "daily_budget"),
        ([], None),
    ],
)
async def test_a_bad_field_is_named_and_makes_no_key(
    control: Control, body: Any, param: str | None
) -> None:
    answer = await control.client.post("/admin/keys", json=body, headers=ADMIN)
    assert_error(answer, 400, "invalid_value", param)
    assert control.keys.list() == []


async def test_a_body_that_is_no_json_or_too_large_is_refused(control: Control) -> None:
    junk = await control.client.post("/admin/keys", content=b"{", headers=ADMIN)
    assert_error(junk, 400, "invalid_value")
    binary = await control.client.post(
        "/admin/keys", content=b'"\xff"', headers=ADMIN | {"content-type": "application/json"}
    )
    assert_error(binary, 400, "invalid_json")
    large = await control.client.post("/admin/keys", content=b" " * (BODY_BYTES_MAX + 1))
    assert_error(large, 413, "body_too_large")

    async def endless() -> AsyncIterator[bytes]:
        yield b" "

    assert_error(await control.client.post("/admin/keys", content=endless()), 413, "body_too_large")


async def test_what_a_key_may_spend_is_set_and_changed(control: Control) -> None:
    limits = {"requests_per_minute": 5, "daily_budget": 0, "models": ["tiny"]}
    made = await control.create(name="web shop", **limits)
    assert {name: made[name] for name in limits} == limits
    path = f"/admin/keys/{made['id']}"
    account = control.accounts.find(made["key"].encode())
    assert account is not None
    assert account.limiter is not None

    answer = await control.client.patch(path, json={"requests_per_minute": 7.0}, headers=ADMIN)
    assert answer.json() == {**{k: made[k] for k in answer.json()}, "requests_per_minute": 7}
    assert account.limiter.limits.requests_per_minute == 7
    lift = {"requests_per_minute": None, "daily_budget": None}
    await control.client.patch(path, json=lift, headers=ADMIN)
    assert account.limiter is None

    for wrong in ({"rpm": 7}, {"in_flight_max": None}, {"tokens_per_minute": 0}):
        answer = await control.client.patch(path, json=wrong, headers=ADMIN)
        assert_error(answer, 400, "invalid_value", next(iter(wrong)))
    none = await control.client.patch("/admin/keys/key_none", json={}, headers=ADMIN)
    assert_error(none, 404, "key_not_found")


async def test_what_is_not_there_says_so(control: Control) -> None:
    missing = await control.client.delete("/admin/keys/key_none", headers=ADMIN)
    assert_error(missing, 404, "key_not_found")
    assert "gateway keys list" in missing.text
    assert_error(await control.client.get("/nothing"), 404, "unknown_url")
    wrong = await control.client.put("/admin/keys")
    assert_error(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, POST"


async def test_a_project_holds_its_keys_until_it_is_archived(control: Control) -> None:
    made = await control.client.post(
        "/admin/projects", json={"name": "research", "daily_budget": 5}, headers=ADMIN
    )
    project = made.json()
    path = f"/admin/projects/{project['id']}"
    assert (made.status_code, project["archived_at"]) == (201, None)
    key = await control.create(name="web shop", project=project["id"])
    account = control.accounts.find(key["key"].encode())
    assert account is not None
    assert (key["project"], account.limiter) == (project["id"], None)
    (limiter,) = account.limiters
    assert limiter.limits.daily_budget == 5

    changed = await control.client.patch(
        path, json={"daily_budget": None, "models": ["tiny"]}, headers=ADMIN
    )
    assert changed.json() == {**project, "daily_budget": None, "models": ["tiny"]}
    assert (account.limiters, account.models) == ((), {"tiny"})
    for wrong in ({"in_flight_max": 3}, {"daily_budget": -1}):
        answer = await control.client.patch(path, json=wrong, headers=ADMIN)
        assert_error(answer, 400, "invalid_value", next(iter(wrong)))

    archived = await control.client.delete(path, headers=ADMIN)
    assert archived.json()["archived_at"] >= project["created_at"]
    assert control.accounts.find(key["key"].encode()) is None
    for method, body in (("PATCH", {}), ("DELETE", None)):
        again = await control.client.request(method, path, json=body, headers=ADMIN)
        assert_error(again, 404, "project_not_found")
    late = await control.client.post(
        "/admin/keys", json={"name": "x", "project": project["id"]}, headers=ADMIN
    )
    assert_error(late, 404, "project_not_found")
    listed = (await control.client.get("/admin/projects", headers=ADMIN)).json()
    assert listed == [archived.json()]


async def test_a_revoked_key_is_changed_no_more(control: Control) -> None:
    path = f"/admin/keys/{(await control.create(name='web shop'))['id']}"
    await control.client.delete(path, headers=ADMIN)

    answer = await control.client.patch(path, json={"in_flight_max": 2}, headers=ADMIN)

    assert_error(answer, 404, "key_not_found")
    assert "revoked" in answer.text


CLOSED = [("GET", "/v1/usage"), ("GET", "/admin/keys"), ("POST", "/admin/keys")]
CLOSED += [("GET", "/admin/projects"), ("PATCH", "/admin/projects/proj_1")]
CLOSED += [("DELETE", "/admin/keys/key_1"), ("PATCH", "/admin/keys/key_1")]


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}"]
)
async def test_only_the_admin_token_opens_what_is_closed(
    control: Control, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await control.client.request(method, path, headers=headers, json={"name": "x"})
    assert_error(answer, 401, "invalid_api_key")
    assert control.keys.list() == []


@pytest.mark.parametrize("given", ["", "None", TOKEN])
async def test_without_an_admin_token_nothing_opens(tmp_path: Path, given: str) -> None:
    control = Control(tmp_path, token=None)
    for method, path in CLOSED:
        answer = await control.client.request(
            method, path, headers={"authorization": f"Bearer {given}"}, json={"name": "x"}
        )
        assert_error(answer, 401, "invalid_api_key")
    await control.close()


@pytest.mark.parametrize("token", ["", "hunter2", "x" * 64, "1234567" * 9, TOKEN[:23]])
def test_a_weak_admin_token_is_refused_at_start(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CONTROL__ADMIN_TOKEN", token)
    with pytest.raises(SettingsError, match=r"control\.admin_token: .* `openssl rand") as error:
        Settings.load(None)
    assert not token or token not in str(error.value)


def test_a_strong_admin_token_is_taken() -> None:
    assert ControlSettings.model_validate({"admin_token": TOKEN[:24]}).admin_token is not None
