"""The market end to end, on real parts: from stock clients to money on the chain."""

import asyncio
import subprocess
from pathlib import Path

import httpx
import openai
import orjson
import pytest
from rich.console import Console

from localnet import LocalMarket
from localnet.demo import Demo
from localnet.processes import ROOT, module, run_json, wait_until
from localnet.provision import MODEL, run_supplier
from tests.nodes import market

__all__ = ["market"]

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.xdist_group("market")]


def test_the_stock_node_client_works(market: LocalMarket) -> None:
    script = ROOT / "tests" / "e2e" / "openai_client.mjs"
    argv = ["node", str(script), market.base_url, market.api_key, MODEL]

    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    answer = orjson.loads(done.stdout)

    assert "Tokyo" in answer["plain"]
    assert answer["streamed"] == answer["plain"]
    assert answer["tokens"] > 0
    assert answer["read"] == 2
    assert answer["refused"]["status"] == 404
    assert MODEL in answer["models"]


def test_an_unknown_key_is_refused(market: LocalMarket) -> None:
    answer = httpx.post(
        f"{market.base_url}/chat/completions",
        headers={"authorization": "Bearer lode_sk_nobody"},
        json={"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}]},
    )

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_what_is_served_is_receipted_claimed_and_paid(market: LocalMarket) -> None:
    result = asyncio.run(Demo(market, Console(quiet=True)).run())

    honest = [each for each in result["suppliers"] if each["name"].startswith("supplier")]
    assert all(each["paid"] > 0 and each["slashed"] == 0 for each in honest)
    assert result["conserved"]
    assert result["slashed"] > 0
    assert len(result["sessions"]) >= 3
    assert all(each["receipted"] == each["served"] for each in honest)
    assert result["outcomes"].keys() == {"plain", "streamed", "abandoned"}


def test_the_gateways_books_agree_with_the_chain(market: LocalMarket, tmp_path: Path) -> None:
    answer = httpx.post(
        f"{market.base_url}/chat/completions",
        headers={"authorization": f"Bearer {market.api_key}"},
        json={"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}]},
        timeout=30,
    )
    request = answer.headers["x-request-id"]
    wait_until(
        lambda: market.run_gateway("status")["requests"]["in_flight"] == 0, "nothing is in flight"
    )

    counts = market.run_gateway("usage")["requests"]
    assert counts["requests"] == sum(counts.values()) - counts["requests"]
    assert market.run_gateway("explain", request)["disposition"] == "paid"
    bill = tmp_path / "bill.json"
    bill.write_bytes(orjson.dumps(market.run_gateway("receipts", "export", request)))
    verify = module("gateway", "receipts", "verify", str(bill), "--json")
    assert run_json(verify)["units"] > 0
    found = market.run_gateway("reconcile")
    invents = {f"0x{each.supplier.hex()}" for each in market.suppliers if each.name == "inventor"}
    flagged = [each for each in found["sessions"] if each["finding"].startswith("claimed")]
    assert {each["supplier"] for each in flagged} <= invents
    assert any(each["finding"] == "agrees" for each in found["sessions"])
    assert len(market.run_gateway("suppliers", "list")["suppliers"]) == len(market.suppliers)


def test_a_batch_and_a_response_are_served_by_real_suppliers(market: LocalMarket) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}
    lines = [
        orjson.dumps(
            {"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": body}
        )
        for i in range(5)
    ]
    with openai.OpenAI(base_url=market.base_url, api_key=market.api_key) as client:
        file = client.files.create(file=("in.jsonl", b"\n".join(lines)), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        wait_until(
            lambda: client.batches.retrieve(batch.id).status == "completed", "the batch is done"
        )
        done = client.batches.retrieve(batch.id)
        assert done.output_file_id is not None
        output = client.files.content(done.output_file_id).text.splitlines()
        assert [orjson.loads(each)["custom_id"] for each in output] == list("01234")
        answer = client.responses.create(model=MODEL, input="Hello!", max_output_tokens=8)
        assert answer.output_text


def test_a_supplier_without_an_open_port_serves_like_the_others(market: LocalMarket) -> None:
    dials, listens = market.suppliers[:2]
    seen = {each["supplier"]: each for each in market.run_gateway("suppliers", "list")["suppliers"]}
    inside, outside = (seen["0x" + each.supplier.hex()] for each in (dials, listens))
    assert inside["lines"] >= 4
    assert outside["lines"] == 0
    assert inside["answers"] > 0
    assert inside["faults"] == 0

    found = {each["name"]: each for each in run_supplier(dials.config, "doctor")["findings"]}
    assert found["registered URL"]["says"] == "dial:"
    assert found[f"gateway {market.base_url}"]["verdict"] == "ok"
