"""Each alert fires for real: two markets are broken in each of the ways they are for.

Blocks take a second instead of twelve, so the rules wait a tenth of their time here; that they
wait as long as they say is tested by `promtool` (`rules_test.yml`).
"""

import os
import signal
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import yaml

from localnet import LocalMarket, MarketPlan, Terms
from localnet.accounts import supplier_operator
from localnet.errors import NotReadyError
from localnet.injector import engines_of
from localnet.nodes import OK, SupplierNode, has_lines, status_of
from localnet.processes import wait_until
from localnet.provision import run_supplier
from tests.compose.traffic import Traffic
from tests.prometheus import CONFIG, Prometheus, scraping

HASTE = 10
ALERTS = {
    rule["alert"]
    for group in yaml.safe_load((CONFIG / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
}

LOSING = MarketPlan(
    suppliers=3,
    cheats=("inventor", "overclaimer"),
    terms=Terms(session_blocks=60, claim_delay=12),
)
"""Sessions whose receipts are kept for longer than it takes to be told that nobody takes them."""
PENNILESS, LEAVER, DEAF = range(LOSING.suppliers)
RECEIPTS_WAIT_S = 5
AT_ONCE = {"NodeDown", "OperatorGasLow", "ReceiptsWaiting", "Overclaimed"}
BY_SESSIONS = {
    "SettlementFailing", "WindowClosing", "LeftOut", "StakeBound", "ReceiptsLost", "ClaimVoided",
}  # fmt: skip

FAILING = MarketPlan(suppliers=2, dialling=1, terms=Terms(session_blocks=72, cap=40_000))
"""A cap that half a session's requests spend."""
RATE = 8.0
CLOCK_OFFSET_S = 60
DISK = 'mount -t tmpfs -o size=64m none "$0" && exec "$@"'
ASIDE = ("unshare", "--map-root-user", "--mount", "sh", "-c", DISK)
FROM_THE_START = {"DiskFilling", "ClockOff", "CapSpent"}
BY_FAULTS = {"EngineDown", "TriesFailing", "EscrowLow", "ChainStalled", "KeysStale", "NoLines"}


def test_each_alert_is_fired_by_one_of_the_markets() -> None:
    assert AT_ONCE | BY_SESSIONS | FROM_THE_START | BY_FAULTS == ALERTS


@pytest.mark.long
@pytest.mark.anvil
@pytest.mark.timeout(900)
def test_alerts_of_a_market_that_loses_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_RELAYS__RECEIPTS_FLUSH_S", str(RECEIPTS_WAIT_S))
    with ExitStack() as stack:
        market = stack.enter_context(LocalMarket.start(LOSING))
        unstake(market.suppliers[LEAVER])  # before the next roster is due, in half a session
        market.chain.call("anvil_setBalance", supplier_operator(PENNILESS).address, "0x1")
        prometheus = stack.enter_context(scraping(market, tmp_path, HASTE))
        stack.enter_context(Traffic(market.base_url, market.api_key))
        leave_receipts_undelivered(market.suppliers[DEAF], prometheus)
        wait_fired(prometheus, AT_ONCE)
        market.gateway.kill()  # with what it receipted in the last seconds
        wait_fired(prometheus, BY_SESSIONS)


@pytest.mark.long
@pytest.mark.anvil
@pytest.mark.timeout(900)
def test_alerts_of_a_market_that_fails(tmp_path: Path) -> None:
    with ExitStack() as stack:
        market = stack.enter_context(LocalMarket.start(FAILING))
        cripple(market.suppliers[0])
        prometheus = stack.enter_context(scraping(market, tmp_path, HASTE))
        stack.enter_context(Traffic(market.base_url, market.api_key, RATE))
        wait_fired(prometheus, FROM_THE_START)
        assert not prometheus.fired() & BY_FAULTS
        with closing(sqlite3.connect(market.folder / "gateway" / "keys.db")) as tables:
            tables.execute("BEGIN EXCLUSIVE")
            signal_engines(market.suppliers, signal.SIGSTOP)
            wait_fired(prometheus, {"EngineDown", "TriesFailing"})
            signal_engines(market.suppliers, signal.SIGCONT)
            drain_escrow(market)
            wait_fired(prometheus, {"EscrowLow"})
            os.killpg(market.chain.node.process.pid, signal.SIGSTOP)
            wait_fired(prometheus, {"ChainStalled", "KeysStale"})
            os.killpg(market.chain.node.process.pid, signal.SIGCONT)
        market.gateway.kill()
        wait_fired(prometheus, {"NoLines"})


def wait_fired(prometheus: Prometheus, alerts: Iterable[str], within_s: float = 300.0) -> None:
    """Return when each of them fires or has fired."""
    missing: set[str] = set()

    def have_fired() -> bool:
        missing.clear()
        missing.update(set(alerts) - prometheus.fired())
        return not missing

    try:
        wait_until(have_fired, "an alert does not fire", within_s, 1.0)
    finally:
        assert not missing


def restart(supplier: SupplierNode) -> None:
    """Start a node that has ended, and wait until it serves."""
    supplier.node.start_again()
    health = f"{supplier.url}/lode/v1/health"
    supplier.node.wait_ready(lambda: status_of(health) == OK, 120.0)


def cripple(supplier: SupplierNode) -> None:
    """Give a supplier that dials, and has served nothing yet, a small disk and a wrong clock."""
    node = supplier.node
    node.stop()
    node.argv = (*ASIDE, str(supplier.config.parent / "supplier-data"), *node.argv)
    node.environment = {"SUPPLIER_CLOCK_OFFSET_S": str(CLOCK_OFFSET_S)}
    restart(supplier)
    wait_until(lambda: has_lines(supplier.url), "no gateway has a line of it")


def unstake(supplier: SupplierNode) -> None:
    """Ask back all stake that backs nothing; it backs claims of this epoch still."""
    run_supplier(supplier.config, "unstake", str(run_supplier(supplier.config, "funds")["free"]))


def leave_receipts_undelivered(supplier: SupplierNode, prometheus: Prometheus) -> None:
    """Kill a supplier before it has taken the receipts for what it served."""
    place = f'{{stage="served",instance="{supplier.page_url.removeprefix("http://")}"}}'
    served = f"supplier_funnel_units_total{place} > 0"
    for _ in range(5):
        wait_until(lambda: bool(prometheus.query(served)), "it serves nothing", 60.0)
        supplier.node.kill()
        try:
            wait_until(
                lambda: bool(prometheus.query("gateway_receipts_overdue_seconds > 0")), "none",
                2.0 * RECEIPTS_WAIT_S,
            )  # fmt: skip
        except NotReadyError:
            restart(supplier)
        else:
            return
    raise AssertionError("it has always taken all receipts")


def signal_engines(suppliers: Iterable[SupplierNode], number: signal.Signals) -> None:
    """Send a signal to every engine."""
    for supplier in suppliers:
        for engine in engines_of(supplier.node.process.pid):
            os.kill(engine, number)


def drain_escrow(market: LocalMarket) -> None:
    """Ask all back but what the next session needs to be valid."""
    funds = market.run_gateway("funds")
    market.run_gateway("withdraw", str(funds["escrow"] - funds["escrow_needed"]))
