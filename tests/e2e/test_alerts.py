"""Each alert fires for real: a market is broken in each of the ways they are for."""

import os
import signal
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from localnet import LocalMarket, MarketPlan, Terms
from localnet.accounts import supplier_operator
from localnet.errors import NotReadyError
from localnet.injector import engines_of
from localnet.nodes import OK, SupplierNode, status_of
from localnet.processes import wait_until
from localnet.provision import run_supplier
from tests.compose.traffic import Traffic
from tests.prometheus import CONFIG, Prometheus, scraping

pytestmark = [pytest.mark.long, pytest.mark.anvil, pytest.mark.timeout(1800)]

PLAN = MarketPlan(
    suppliers=4,
    dialling=1,
    cheats=("inventor", "overclaimer"),
    terms=Terms(session_blocks=72, claim_delay=6),
)
"""Sessions that a receipt is kept in for longer than it takes to be told that nobody takes it."""
CRAMPED, PENNILESS, LEAVER, DEAF = range(PLAN.suppliers)
"""The first dials its gateways, and has a small disk."""
RATE = 6.0
DISK = 'mount -t tmpfs -o size=64m none "$0" && exec "$@"'
ASIDE = ("unshare", "--map-root-user", "--mount", "sh", "-c", DISK)
ALERTS = {
    rule["alert"]
    for group in yaml.safe_load((CONFIG / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
}


def test_each_alert_fires_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        market = stack.enter_context(LocalMarket.start(PLAN))
        cramp(market.suppliers[CRAMPED])
        prometheus = stack.enter_context(scraping(market, tmp_path))
        stack.enter_context(Traffic(market.base_url, market.api_key, RATE))
        market.chain.call("anvil_setBalance", supplier_operator(PENNILESS).address, "0x1")
        unstake(market.suppliers[LEAVER])
        leave_receipts_undelivered(market, prometheus)
        wait_fired(prometheus, "ReceiptsWaiting", "NodeDown", "DiskFilling", "OperatorGasLow")
        restart(market.suppliers[DEAF])
        signal_engines(market.suppliers, signal.SIGSTOP)
        wait_fired(prometheus, "EngineDown", "TriesFailing")
        signal_engines(market.suppliers, signal.SIGCONT)
        wait_fired(prometheus, "Overclaimed", "ClaimVoided", "SettlementFailing", "WindowClosing")
        drain_escrow(market)
        wait_fired(prometheus, "EscrowLow")
        bind_stake(market.suppliers[DEAF], prometheus)
        os.kill(market.chain.node.process.pid, signal.SIGSTOP)
        wait_fired(prometheus, "StakeBound", "ChainStalled")
        os.kill(market.chain.node.process.pid, signal.SIGCONT)
        market.gateway.kill()
        wait_fired(prometheus, "NoLines", "ReceiptsLost")
        wait_fired(prometheus, *ALERTS, within_s=900.0)


def wait_fired(prometheus: Prometheus, *alerts: str, within_s: float = 480.0) -> None:
    """Return when each of them fires or has fired."""
    missing: set[str] = set()

    def have_fired() -> bool:
        missing.clear()
        missing.update(set(alerts) - prometheus.fired())
        return not missing

    try:
        wait_until(have_fired, "an alert does not fire", within_s, 2.0)
    finally:
        assert not missing


def restart(supplier: SupplierNode) -> None:
    """Start a node that has ended, and wait until it serves."""
    supplier.node.start_again()
    health = f"{supplier.url}/lode/v1/health"
    supplier.node.wait_ready(lambda: status_of(health) == OK, 120.0)


def cramp(supplier: SupplierNode) -> None:
    """Give a supplier that has served nothing yet a disk of 64 MiB."""
    node = supplier.node
    node.stop()
    node.argv = (*ASIDE, str(supplier.config.parent / "supplier-data"), *node.argv)
    restart(supplier)


def unstake(supplier: SupplierNode) -> None:
    """Ask back all stake that backs nothing."""
    run_supplier(supplier.config, "unstake", str(run_supplier(supplier.config, "funds")["free"]))


def leave_receipts_undelivered(market: LocalMarket, prometheus: Prometheus) -> None:
    """Kill a supplier early in a session, before it has taken the receipts for what it served."""
    deaf, number = market.suppliers[DEAF], market.run_gateway("status")["session"]
    wait_until(lambda: market.run_gateway("status")["session"] > number, "no session", 120.0, 1.0)
    for _ in range(10):
        deaf.node.kill()
        try:
            wait_until(
                lambda: bool(prometheus.query("gateway_receipts_overdue_seconds > 3")), "none", 8.0
            )
        except NotReadyError:
            restart(deaf)
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


def bind_stake(supplier: SupplierNode, prometheus: Prometheus) -> None:
    """Ask back what does not back a claim, while some does."""
    place = f'{{instance="{supplier.page_url.removeprefix("http://")}",place="bonds"}}'
    bonds = f"supplier_funds_token_base_units{place} > 0"
    wait_until(lambda: bool(prometheus.query(bonds)), "it has no claims", 240.0, 1.0)
    unstake(supplier)
    wait_until(
        lambda: bool(prometheus.query('ALERTS{alertname="StakeBound"}')), "it has stake left", 60.0
    )
