"""`supplier doctor`: whatever is broken is named, and its remedy mends it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts import Listing
from node.http import ClientPool, Request, Response, serve
from relay_mining import RosterEntry
from supplier.config_file import set_value
from supplier.engines.spec import encode_service_spec, hash_service_spec
from supplier.operation.doctor.chain_checks import ServiceView, judge_gas, judge_service
from supplier.operation.doctor.engine_checks import check_engine, check_spec, judge_live
from supplier.operation.doctor.finding import Verdict
from supplier.operation.doctor.host_checks import (
    DISK_FREE_LOW,
    DISK_FREE_MIN,
    SYNC_S_MAX,
    SYNC_S_SLOW,
    check_port,
    judge_clock,
    judge_kind,
    judge_space,
    judge_sync,
)
from supplier.operation.doctor.reach_checks import check_address, check_reach
from supplier.operation.doctor.settings_checks import check_settings
from supplier.server.services import compute_spec
from supplier.settings import EngineSettings, ServerSettings, Settings
from tests.contracts.world import OPERATOR, OTHER, PRICE, SERVICE, SERVICE_ID, SUPPLIER, address
from tests.factories import PARAMS
from tests.factories import SUPPLIER as SOMEBODY
from tests.supplier.operating import MODEL, Operating

OK, SKIPPED, WARNING, FAILED = Verdict.OK, Verdict.SKIPPED, Verdict.WARNING, Verdict.FAILED


def findings(operator: Operating, status: int = 1) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in operator.cli.run("doctor", status=status)["findings"]}


@pytest.mark.anvil
def test_a_registered_supplier_is_looked_at_from_disk_to_url(operator: Operating) -> None:
    found = findings(operator)

    good = {name for name, each in found.items() if each["verdict"] == OK}
    assert {
        "disk space", "disk sync", "port", "open files", "contracts", "block hashes (EIP-2935)",
        "tokenizer", "operator key", "operator gas", "stake", "engine", "listing of a model",
    } <= good  # fmt: skip
    assert found["listing of a model"]["says"].startswith(f"asks {PRICE}, rank 1 of 2 by price")
    for name in ("reachability", "from outside", "visits"):
        assert found[name]["verdict"] == SKIPPED
    assert all(each["remedy"] for each in found.values() if each["verdict"] in (WARNING, FAILED))


@pytest.mark.anvil
def test_the_remedies_of_url_and_listing_mend_them(operator: Operating) -> None:
    found = findings(operator)
    assert found["registered URL"]["verdict"] == FAILED
    operator.cli.run(*found["registered URL"]["remedy"].partition(",")[0].split()[1:])
    assert findings(operator)["registered URL"]["verdict"] == OK

    async def unlist(world: Any) -> None:
        call = world.market.registry.remove_listing(SUPPLIER, SERVICE_ID)
        await world.send(OPERATOR, call)

    operator.act(unlist)
    found = findings(operator)
    assert found["listing of a model"]["says"] == "this supplier posts no ask for it"
    remedy = found["listing of a model"]["remedy"].replace("PRICE", "5")
    operator.cli.run(*remedy.split()[1:])
    assert findings(operator)["listing of a model"]["verdict"] == OK


def wrong_key(operator: Operating) -> None:
    text = operator.config.read_text()
    operator.config.write_text(text.replace(OPERATOR.hex(), OTHER.hex()))


def spend_gas(operator: Operating) -> None:
    address_hex = "0x" + address(OPERATOR).hex()
    operator.market.anvil.rpc("anvil_setBalance", address_hex, "0x0")


def second_endpoint(operator: Operating) -> None:
    text = operator.config.read_text()
    url = operator.market.anvil.url
    operator.config.write_text(
        text.replace(f'rpc_urls = ["{url}"]', f'rpc_urls = ["{url}", "http://127.0.0.1:1"]')
    )


@pytest.mark.anvil
@pytest.mark.parametrize(
    ("harm", "name", "verdict", "says"),
    [
        (wrong_key, "operator key", FAILED, "on record is"),
        (spend_gas, "operator gas", FAILED, "enough for about 0 claims"),
        (second_endpoint, "endpoint http://127.0.0.1:1", FAILED, ""),
        (lambda o: o.cli.run("unstake", 49_500_000), "stake", FAILED, "a listing needs 1000000"),
        (lambda o: o.cli.run("unstake", 1), "unstaking", WARNING, "leaves in session"),
        (lambda o: o.cli.run("update", "--bond-cap", 0), "bond cap", FAILED, "no claim"),
        (lambda o: set_value(o.config, "services", []), "services", FAILED, "none is served"),
        (
            lambda o: set_value(o.config, "services", ["0x" + "11" * 32]),
            f"service 0x{'11' * 32}", FAILED, "list the service first",
        ),
        (
            lambda o: set_value(o.config, "supplier_id", "0x" + "22" * 20),
            "supplier", FAILED, "unknown here",
        ),
        (lambda o: set_value(o.config, "supplier_id", ""), "supplier", FAILED, "not registered"),
        (lambda o: Path(o.folder / "supplier-data").write_text(""), "disk", FAILED, "exists"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_broken_is_named(
    operator: Operating, harm: Callable[[Operating], object], name: str, verdict: str, says: str
) -> None:
    harm(operator)

    found = findings(operator)[name]

    assert found["verdict"] == verdict
    assert says in found["says"]
    assert found["remedy"]


@pytest.mark.anvil
def test_without_a_chain_the_machine_is_still_looked_at(operator: Operating) -> None:
    text = operator.config.read_text()
    operator.config.write_text(text.replace(operator.market.anvil.url, "http://127.0.0.1:1"))

    found = findings(operator)

    assert found["disk space"]["verdict"] == OK
    assert found["contracts"]["verdict"] == FAILED
    assert found["the rest"]["verdict"] == SKIPPED


@pytest.mark.anvil
def test_settings_are_checked_without_chain_or_engine(operator: Operating) -> None:
    assert operator.cli.run("config", "check")["ok"]
    set_value(operator.config, "public_url", "gpu.example.com")
    assert operator.cli.run("config", "check", status=1)["failed_count"] == 1
    operator.config.write_text(operator.config.read_text() + "\n[server.tsl]\nkey = 1\n")
    assert "server.tsl: no such setting" in operator.cli.refuse("config", "check")


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"public_url": ""}, "public_url", FAILED),
        ({"public_url": "ftp://a"}, "public_url", FAILED),
        ({"public_url": "http://a/?b"}, "public_url", FAILED),
        ({"public_url": "https://a"}, "server.tls", WARNING),
        ({"engine": {"count_prompts": False}}, "engine.count_prompts", WARNING),
        ({"engine": {"connections_max": 255}}, "engine.connections_max", WARNING),
        ({"engine": {"url": "http://8.8.8.8:8000"}}, "engine.url", WARNING),
        (
            {"engines": [{"name": "a", "kind": "vllm"}, {"name": "b", "kind": "vllm"}]},
            "engines.port",
            FAILED,
        ),
        ({"settlement": {"bond_percent": 2001}}, "settlement.bond_percent", WARNING),
        ({"credit": {"receipt_due_s": 4.9}}, "credit.receipt_due_s", WARNING),
        ({"server": {"metrics_port": 8800}}, "server.metrics_port", FAILED),
        ({"keys": {}}, "keys.operator", FAILED),
    ],
)
def test_settings_that_cannot_work(change: dict[str, Any], name: str, verdict: Verdict) -> None:
    good: dict[str, Any] = {
        "public_url": "http://a",
        "chain": {"address_book": __file__},
        "keys": {"operator_key": "0x01"},
        "settlement": {"token_per_native": 1.0},
    }
    assert [each.verdict for each in check_settings(Settings(**good))] == [OK]

    harmed = {
        name: {**good.get(name, {}), **value} if value and isinstance(value, dict) else value
        for name, value in change.items()
    }
    (found,) = check_settings(Settings(**{**good, **harmed}))

    assert (found.name, found.verdict) == (name, verdict)
    assert found.remedy


@pytest.mark.parametrize(
    ("ahead", "block_s", "verdict"),
    [(0, 1, OK), (-15, 1, OK), (-15.1, 1, FAILED), (120, 1, OK), (120.1, 1, WARNING),
     (240, 12, OK), (240.1, 12, WARNING)],
)  # fmt: skip
def test_clocks_that_differ(ahead: float, block_s: float, verdict: Verdict) -> None:
    assert judge_clock(1_000_000 + ahead, 1_000_000, block_s).verdict == verdict


def test_edges_of_disk_and_gas() -> None:
    sizes = (DISK_FREE_MIN - 1, DISK_FREE_MIN, DISK_FREE_LOW - 1, DISK_FREE_LOW)
    assert [judge_space(size).verdict for size in sizes] == [FAILED, WARNING, WARNING, OK]
    times = (SYNC_S_SLOW, SYNC_S_SLOW * 1.01, SYNC_S_MAX, SYNC_S_MAX * 1.01)
    assert [judge_sync(each).verdict for each in times] == [OK, WARNING, WARNING, FAILED]
    assert [each.verdict for each in judge_kind("tmpfs")] == [WARNING]
    assert list(judge_kind("ext4")) == []
    gas = [judge_gas(balance, 10, SOMEBODY).verdict for balance in (9, 10, 199, 200)]
    assert gas == [FAILED, WARNING, WARNING, OK]
    assert judge_gas(0, 0, SOMEBODY).verdict == FAILED


@pytest.mark.parametrize(
    ("active", "is_candidate", "verdict", "says"),
    [(3, True, OK, "rank 2 of 2"), (2, True, WARNING, "next roster leaves it out"),
     (1, False, FAILED, "idle for 9 epochs"), (3, False, FAILED, "too little stake")],
)  # fmt: skip
def test_a_listing_that_goes_idle(
    active: int, is_candidate: bool, verdict: Verdict, says: str
) -> None:
    """In epoch 9, for the roster of epoch 10, idle epochs are 8."""
    cheap = RosterEntry(b"\x01" * 20, PRICE - 1, 1)
    ours = (RosterEntry(SOMEBODY, PRICE, 1),) if is_candidate else ()
    view = ServiceView("0x", SERVICE, [Listing(SOMEBODY, PRICE, active)], (cheap, *ours), (), ())

    found = judge_service(view, SOMEBODY, PARAMS, epoch=9)

    assert found.verdict == verdict
    assert says in found.says
    other = replace(view, service=replace(SERVICE, market=b"\x07" * 20))
    assert judge_service(other, SOMEBODY, PARAMS, epoch=9).verdict == SKIPPED


def test_a_port_that_somebody_has() -> None:
    async def look() -> tuple[Verdict, Verdict]:
        async def nothing(request: Request) -> Response:
            return Response(200)

        server = await serve(nothing)
        settings = ServerSettings(port=server.port)
        taken, ours = check_port(settings, False), check_port(settings, True)
        await server.close(0)
        return taken.verdict, ours.verdict

    assert asyncio.run(look()) == (FAILED, OK)


@pytest.mark.parametrize(
    ("page", "verdict"),
    [
        ({"supplier": "0x" + SOMEBODY.hex()}, OK),
        ({"supplier": "0x" + "00" * 20}, FAILED),
        ({"supplier": [[]]}, FAILED),
        ({}, FAILED),
        ([], FAILED),
    ],
)
@pytest.mark.anyio
async def test_who_answers_at_the_advertised_url(page: Any, verdict: Verdict) -> None:
    async def answer(request: Request) -> Response:
        return Response(200, orjson.dumps(page))

    server = await serve(answer)
    url = f"http://127.0.0.1:{server.port}"
    async with ClientPool() as pool:
        assert (await check_reach(pool, url + "/", SOMEBODY, True)).verdict == verdict
        await server.close(0)
        assert (await check_reach(pool, url, SOMEBODY, True)).verdict == FAILED
        assert (await check_reach(pool, url, SOMEBODY, False)).verdict == SKIPPED


@pytest.mark.parametrize(
    ("url", "chain_id", "verdict"),
    [("http://127.0.0.1:1", 31337, OK), ("http://127.0.0.1:1", 1, FAILED),
     ("https://10.0.0.7", 1, FAILED), ("https://[::1]", 1, FAILED), ("https://8.8.8.8", 1, OK),
     ("http://8.8.8.8", 1, WARNING), ("https://no.invalid", 1, FAILED)],
)  # fmt: skip
def test_addresses_that_gateways_do_not_open(url: str, chain_id: int, verdict: Verdict) -> None:
    assert check_address(url, chain_id).verdict == verdict


@pytest.mark.anyio
async def test_another_supplier_shows_which_digest_differs() -> None:
    settings = EngineSettings(model=str(MODEL))
    listed = compute_spec(settings)
    ours = replace(listed, tokenizer_sha256="00" * 32, context_length=7)
    lie = replace(listed, name="lie")

    async def answer(request: Request) -> Response:
        return Response(
            200, encode_service_spec(lie if request.path.startswith(b"/liar") else listed)
        )

    server = await serve(answer)
    good = f"http://127.0.0.1:{server.port}"
    async with ClientPool() as pool:
        digest = hash_service_spec(listed)
        found = await check_spec(pool, [ours], SERVICE_ID, digest, [good + "/liar", good])
        alone = await check_spec(pool, [ours], SERVICE_ID, digest, [good + "/liar"])
        same = await check_spec(pool, [ours, listed], SERVICE_ID, digest, [])
    await server.close(0)

    assert found.verdict == alone.verdict == FAILED
    assert "tokenizer_sha256" in found.says
    assert "context_length is 7 here" in found.says
    assert "weights_sha256" not in found.says
    assert "no other supplier" in alone.says
    assert same.verdict == OK


@pytest.mark.anyio
async def test_engines_that_are_not_there() -> None:
    spec = compute_spec(EngineSettings(model=str(MODEL)))
    async with ClientPool() as pool:

        async def look(**settings: Any) -> tuple[Verdict, str]:
            found = await check_engine(pool, EngineSettings(**settings), spec, None)
            return found.verdict, found.says

        assert (await look())[0] == OK
        assert (await look(kind="vllm", program="no-such-program"))[0] == FAILED
        assert "does not answer" in (await look(url="http://127.0.0.1:1"))[1]
        server = await serve(models_of("another"))
        url = f"http://127.0.0.1:{server.port}/v1"
        assert "serves another" in (await look(url=url))[1]
        taken = {"kind": "vllm", "program": "python3", "port": server.port}
        assert "is taken" in (await look(**taken))[1]
        await server.close(0)
    assert judge_live("engine", {"up": False, "restarts": 0}).verdict == FAILED
    busy = {"up": True, "restarts": 0, "kv_cache_used": 0.95, "waiting": 1}
    assert judge_live("engine", busy).verdict == WARNING
    assert judge_live("engine", {**busy, "waiting": 0}).verdict == OK
    assert judge_live("engine two", None).verdict == WARNING


def models_of(name: str) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        return Response(200, json.dumps({"data": [{"id": name}]}).encode())

    return handle
