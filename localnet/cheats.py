"""`make demo-cheats`: every adversary let loose in one market, and what each of them came to.

python -m localnet.cheats                       run all and show the table
python -m localnet.cheats --only inventor,parrot
python -m localnet.cheats --json                the same, and one JSON object on the last line
python -m localnet.cheats --page docs/cheats.md  write the table as a page, too
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from adversaries import leaver
from adversaries.cheat import Finding, Line
from adversaries.scene import Scene
from adversaries.zoo import SCRIPTS, SUPPLIERS
from contracts import Event, Market
from localnet.accounts import gateway_owner, supplier_operator
from localnet.chain import test_account
from localnet.cheat_evidence import (
    Answers,
    ChainRecord,
    add_doubts,
    read_answers,
    read_honest_units,
    read_refusals,
)
from localnet.cheat_rows import (
    Prices,
    Row,
    answer_row,
    claim_row,
    client_row,
    finding_row,
    show_rows,
    write_page,
)
from localnet.demo import Demo
from localnet.load import Tally
from localnet.market import LocalMarket, MarketPlan
from localnet.nodes import SupplierNode
from localnet.provision import DEFAULT_TERMS, MODEL, TOKEN
from localnet.up import end
from node.append_log import AppendLog

EVERYBODY = (*SUPPLIERS, *SCRIPTS)
HONEST_SUPPLIERS = 2
TWICE = ("splitter",)
"""Run as two suppliers, as if of one owner."""
RECEIPT_DUE = "SUPPLIER_CREDIT__RECEIPT_DUE_S"
RECEIPT_DUE_S = 8
"""Overdue within a session, as it is where sessions are hours and not twelve seconds."""
AUDIT_SHARE = "GATEWAY_RELAYS__AUDIT_SHARE"
AUDITED = 0.25
"""Of repeatable answers; a market that runs for hours gets by with less."""
FREE_ACCOUNTS = (*range(4, 10), *range(54, 64))
"""Of anvil's published ones, those that no honest node uses."""
CAP_PER_MEMBER = 2 * TOKEN
"""As in `make demo`: the threshold is near the size of a relay."""


class CheatZoo(Demo):
    """One run under load, with everybody's claims followed to their end."""

    def __init__(self, market: LocalMarket, console: Console, scripts: Iterable[str] = ()) -> None:
        super().__init__(market, console)
        self.record = ChainRecord()
        self.scripts = tuple(scripts)
        self._key = market.run_gateway("keys", "create", "an adversary's")
        self._playing: dict[str, asyncio.Task[list[Finding]]] = {}

    async def run(self) -> dict[str, Any]:
        """Play the scripts beside the load, and sum everything up."""
        scene = self._scene()
        async with asyncio.TaskGroup() as tasks:
            self._playing = {name: tasks.create_task(_play(name, scene)) for name in self.scripts}
            return await super().run()

    def _scene(self) -> Scene:
        market = self.market
        return Scene(
            rpc=market.chain.url,
            book=market.book,
            service=market.service,
            model=MODEL,
            payer=gateway_owner().raw,
            suppliers=tuple(each.supplier for each in market.suppliers if not each.cheat),
            operator_key=bytes.fromhex(supplier_operator(0).key[2:]),
            base_url=market.base_url,
            api_key=self._key["key"],
            keys=tuple(bytes.fromhex(test_account(each).key[2:]) for each in FREE_ACCOUNTS),
        )

    def _show(self, events: Iterable[Event]) -> None:
        batch = list(events)
        self.record.fold(batch)
        super()._show(batch)

    async def _settle(self, chain: Market, last: int) -> None:
        await super()._settle(chain, last)
        await asyncio.gather(*self._playing.values())
        if self.ledger.open:  # of the scripts' own sessions
            served = (each.session.number for each in self.ledger.open.values())
            await super()._settle(chain, max(served))

    async def _sum_up(self, chain: Market, tally: Tally) -> dict[str, Any]:
        prices = await self._prices(chain)
        conservation = await self._conservation(chain)
        answers = await self._usage()
        rows = self._supplier_rows(answers, prices)
        for name, task in self._playing.items():
            rows += [finding_row(name, each) for each in task.result()]
        if "leaver" in self.scripts:
            rows.append(client_row("leaver", leaver.CHEAT, answers[self._key["id"]], prices))
        honest = [self._row(each) for each in self.market.suppliers if not each.cheat]
        return {
            "requests": tally.requests,
            "outcomes": dict(tally.outcomes),
            "cheats": rows,
            "honest_paid": [each.paid for each in honest],
            "honest_slashed": sum(each.slashed for each in honest),
            "conserved": conservation.holds,
        }

    def _applications(self) -> list[bytes]:
        return [*super()._applications(), *(test_account(each).raw for each in FREE_ACCOUNTS)]

    async def _prices(self, chain: Market) -> Prices:
        clock = await chain.sessions.clock()
        height = (await chain.chain.head()).number
        values = await chain.parameters.values(clock.epoch_of(clock.session_at(height)))
        return Prices(self.market.plan.terms.unit_price, values.margin_bps)

    async def _usage(self) -> dict[str, Answers]:
        """What the gateway wrote down; it is stopped, so that its log can be read."""
        self.market.gateway.stop()
        async with AppendLog(self.market.gateway_config.parent / "gateway" / "usage") as usage:
            answers = read_answers(usage.replay())
        add_doubts(answers, self.market.gateway.log)
        return answers

    def _supplier_rows(self, answers: dict[str, Answers], prices: Prices) -> list[Row]:
        rows = []
        for supplier in self.market.suppliers:
            if supplier.cheat:
                seen = answers["0x" + supplier.supplier.hex()]
                cheat = SUPPLIERS[supplier.cheat]
                log = supplier.node.log
                rows.append(
                    claim_row(
                        supplier.cheat, cheat, self.record.of(supplier.supplier),
                        read_refusals(log), self._payable(supplier), prices,
                    )
                    if cheat.line is Line.CHALLENGE
                    else answer_row(
                        supplier.cheat, cheat, seen, read_honest_units(log), prices, AUDITED
                    )
                )  # fmt: skip
        return rows

    def _payable(self, supplier: SupplierNode) -> dict[str, int]:
        status = self.market.supplier_status(supplier)
        return {each["session"]: each["payable"] for each in status["sessions"]}


async def _play(name: str, scene: Scene) -> list[Finding]:
    return await SCRIPTS[name](scene)


def main(argv: list[str] | None = None) -> int:
    """Run the cheats; 0 if each was caught as promised, the honest paid and the money adds up."""
    parser = argparse.ArgumentParser(prog="make demo-cheats", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--only", default=",".join(EVERYBODY), help="names, joined by commas")
    parser.add_argument("--page", type=Path, help="write the table to this file as Markdown")
    options = parser.parse_args(argv)
    names = options.only.split(",")
    if unknown := set(names) - set(EVERYBODY):
        parser.error(f"no such cheat: {', '.join(sorted(unknown))}")
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    cheats = tuple(name for name in names if name in SUPPLIERS for _ in range(1 + (name in TWICE)))
    scripts = [name for name in names if name in SCRIPTS]
    os.environ[RECEIPT_DUE] = str(RECEIPT_DUE_S)
    os.environ[AUDIT_SHARE] = str(AUDITED)
    plan = MarketPlan(
        suppliers=HONEST_SUPPLIERS,
        cheats=cheats,
        terms=replace(DEFAULT_TERMS, cap=CAP_PER_MEMBER * (HONEST_SUPPLIERS + len(cheats))),
    )
    with LocalMarket.start(plan, console.print) as market:
        result = asyncio.run(CheatZoo(market, console, scripts).run())
    rows: list[Row] = result["cheats"]
    console.print(show_rows(rows, TOKEN))
    if options.page:
        options.page.write_text(write_page(rows, TOKEN))
    if options.json:
        result["cheats"] = [row.as_json() for row in rows]
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
    return 0 if _verdict(result, rows, console) else 1


def _verdict(result: dict[str, Any], rows: list[Row], console: Console) -> bool:
    checks = {
        "every cheat went as the page promises": all(row.is_as_promised for row in rows),
        "every honest supplier was paid": all(paid > 0 for paid in result["honest_paid"]),
        "no honest supplier was slashed": result["honest_slashed"] == 0,
        "the money adds up": result["conserved"],
    }
    for what, holds in checks.items():
        console.print(f"{'[green]yes[/]' if holds else '[red]NO [/]'}  {what}")
    return all(checks.values())


if __name__ == "__main__":
    sys.exit(main())
