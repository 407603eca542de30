"""A gateway's signing key is changed under load, beside real suppliers: nobody notices."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import openai
import pytest

from localnet import LocalMarket, MarketPlan, Terms
from localnet.accounts import gateway_signer
from localnet.market import OK, status_of
from localnet.processes import wait_until
from localnet.provision import TOKEN
from node.keystore import create_keystore
from tests.e2e.accounts import ask, ledger, started

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]

BLOCKS = 40
"""Of a session; a block takes a second."""
ETHER = 10**18


@dataclass
class Asking:
    """A client that asks one request after another until it is told to end."""

    client: openai.OpenAI
    answered: int = 0
    failed: str = ""
    is_over: bool = False

    def work(self) -> None:
        while not self.is_over and not self.failed:
            try:
                ask(self.client)
                self.answered += 1
            except openai.APIError as error:
                self.failed = str(error)


@pytest.fixture
def market() -> Iterator[LocalMarket]:
    """One whose gateway has its signing key in a keystore: no other is rotated."""
    terms = Terms(cap=80 * TOKEN, session_blocks=BLOCKS)
    with LocalMarket.start(MarketPlan(suppliers=2, terms=terms)) as running:
        assert running.gateway is not None
        running.gateway.stop()
        (running.folder / "password").write_text("correct horse")
        secret = bytes.fromhex(gateway_signer(0).key[2:])
        create_keystore(running.folder / "signing.json", "correct horse", secret)
        config = running.gateway_config
        config.write_text(
            config.read_text().replace(
                f'signing_key = "{gateway_signer(0).key}"',
                'signing_keystore = "signing.json"\nsigning_password_file = "password"',
            )
        )
        # the owner gives a new key as much gas as the old one has, which here is a fortune
        running.chain.call("anvil_setBalance", gateway_signer(0).address, hex(ETHER))
        running.gateway.start_again()
        running.gateway.wait_ready(lambda: status_of(ready(running)) == OK)
        yield running


def ready(market: LocalMarket) -> str:
    return market.base_url.removesuffix("/v1") + "/readyz"


def session_of(market: LocalMarket) -> int:
    return int(httpx.get(ready(market)).json()["session"])


def test_no_request_is_lost_while_the_signing_key_changes(market: LocalMarket) -> None:
    assert market.gateway is not None
    with (
        openai.OpenAI(base_url=market.base_url, api_key=market.api_key, max_retries=0) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        before, asking = ledger(market), Asking(client)
        load = threading.Thread(target=asking.work)
        load.start()
        try:
            rotating = pool.submit(market.run_gateway, "rotate-key", "--wait-s", "180")
            wait_until(
                lambda: "next_signing_keystore" in market.gateway_config.read_text(),
                "no key is made", 60.0,
            )  # fmt: skip
            market.gateway.process.send_signal(signal.SIGHUP)
            found = rotating.result(200)
            changed, answered = found["session"], asking.answered
            assert answered > 0
            wait_until(lambda: session_of(market) > changed, "no session passes", 2.0 * BLOCKS)
        finally:
            asking.is_over = True
            load.join()

        assert asking.failed == ""
        assert asking.answered > answered
        came = started(before, ledger(market))
        assert came == {"requests": asking.answered, "paid": asking.answered}
        status = market.run_gateway("status")
        assert found["signing"] in status["signing_keys"]
        assert status["receipts_refused"] == 0
        suppliers = status["suppliers"].values()
        assert all(each["units_served"] == each["units_receipted"] for each in suppliers)
