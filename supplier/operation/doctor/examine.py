"""Looking at every precondition of serving and being paid, one finding each."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from contracts import (
    HISTORY,
    BlockTime,
    Chain,
    ChainError,
    Market,
    SupplierAccount,
    name_endpoint,
    read_block_time,
)
from node.errors import NodeError, OperatorError
from node.http import ClientPool
from node.keystore import KeystoreError
from node.settings import parse_hex
from relay_mining import Address, Clock, Params
from supplier.keys import load_operator
from supplier.mining.store import read_records
from supplier.operation.doctor.answer_checks import check_answers
from supplier.operation.doctor.chain_checks import (
    ServiceView,
    judge_gas,
    judge_operator,
    judge_service,
    judge_stake,
    judge_url,
)
from supplier.operation.doctor.engine_checks import check_engine, check_spec, check_tokenizer
from supplier.operation.doctor.finding import Finding, Verdict, failed, ok, skipped
from supplier.operation.doctor.host_checks import check_disk, check_files, check_port, judge_clock
from supplier.operation.doctor.reach_checks import (
    check_address,
    check_reach,
    judge_lines,
    judge_reaches,
    judge_visits,
)
from supplier.operation.doctor.settings_checks import check_settings
from supplier.operation.live import read_live
from supplier.operation.outside import Outside, find_gateways, gateway_pool
from supplier.owner import read_funds
from supplier.server.services import compute_spec
from supplier.settings import Settings

PEERS_ASKED = 5
VISITS = 20


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every finding, in the order in which they are best mended."""
    for finding in check_settings(settings):
        yield finding
    live = await read_live(settings.server)
    for finding in await asyncio.to_thread(check_disk, settings.data_dir):
        yield finding
    yield check_port(settings.server, live is not None)
    yield check_files(settings.server.relays_open_max)
    async for finding in _examine_endpoints(settings):
        yield finding
    try:
        market = await Market.open(settings.chain)
    except (ChainError, OperatorError, OSError) as error:
        yield failed("contracts", str(error), "mend chain.rpc_urls or chain.address_book")
        yield skipped("the rest", "it needs the chain")
        return
    async with market, ClientPool() as pool:
        try:
            async for finding in _Examination(settings, market, pool, live).findings():
                yield finding
        except ChainError as error:
            yield failed("chain", str(error), "ask again, or use another endpoint")


async def _examine_endpoints(settings: Settings) -> AsyncIterator[Finding]:
    """Each endpoint by itself: a dead second one is noticed when the first one dies."""
    try:
        book = json.loads(settings.chain.address_book.read_text())
        chain_id = int(book["chainId"])
    except (OSError, ValueError, KeyError):
        return  # the address book has its own finding
    for url in settings.chain.urls():
        name = f"endpoint {name_endpoint(url)}"
        try:
            async with await Chain.connect(
                [url], chain_id, timeout_s=settings.chain.timeout_s
            ) as chain:
                head = await chain.head()
        except ChainError as error:
            yield failed(name, str(error), "mend chain.rpc_urls")
        else:
            yield ok(name, f"chain {chain_id} at block {head.number}")


@dataclass(frozen=True, slots=True)
class _Examination:
    """The findings that need the chain."""

    settings: Settings
    market: Market
    pool: ClientPool
    live: dict[str, Any] | None

    async def findings(self) -> AsyncIterator[Finding]:
        """Clock and history first, then who we are, then what we serve."""
        chain = self.market.chain
        clock, pace = await self.market.sessions.clock(), await read_block_time(chain)
        current = clock.session_at(pace.head)
        yield ok("contracts", f"all there; session {current} runs")
        yield judge_clock(self.settings.now(), pace.timestamp, pace.block_s)
        yield await self._history(clock, current)
        for engine in self.settings.all_engines:
            yield check_tokenizer(engine)
        if not self.settings.supplier_id:
            yield failed("supplier", "not registered", "supplier stake AMOUNT")
            return
        supplier = self.settings.supplier()
        if not await self.market.registry.is_supplier(supplier):
            yield failed(
                "supplier", f"0x{supplier.hex()} is unknown here",
                "mend supplier_id, or chain.address_book",
            )  # fmt: skip
            return
        account = await self.market.registry.supplier(supplier)
        params = await self.market.parameters.values(clock.epoch_of(current) + 1)
        async for finding in self._account(supplier, account, params, current):
            yield finding
        async for finding in self._services(supplier, params, clock, pace):
            yield finding
        for finding in await self._reach(supplier, current):
            yield finding

    async def _history(self, clock: Clock, current: int) -> Finding:
        name = "block hashes (EIP-2935)"
        if not await self.market.chain.code(HISTORY):
            return failed(name, "the contract is not there", "use a chain with EIP-2935")
        if current and await self.market.sessions.seed(current - 1) is None:
            return failed(
                name, f"the seed of session {current - 1} cannot be read",
                "use an endpoint that executes the history contract",
            )  # fmt: skip
        return ok(name, "seeds can be read")

    async def _account(
        self, supplier: Address, account: SupplierAccount, params: Params, current: int
    ) -> AsyncIterator[Finding]:
        try:
            key = load_operator(self.settings.keys, self.market.book.chain_id)
        except (KeystoreError, OperatorError) as error:
            yield failed("operator key", str(error), "mend [keys], or run `supplier rotate-key`")
        else:
            upcoming = await self.market.registry.operator(supplier, current + 1)
            yield judge_operator(account, key.address, upcoming)
        fees = await self.market.chain.fees()
        claim = self.settings.settlement.gas_units_per_claim * (fees.base + fees.tip)
        funds, _ = await read_funds(self.market, supplier)
        yield judge_gas(funds.operator_gas, claim, funds.operator)
        for finding in judge_stake(account, params):
            yield finding
        yield judge_url(account, self.settings.public_url)

    async def _services(
        self, supplier: Address, params: Params, clock: Clock, pace: BlockTime
    ) -> AsyncIterator[Finding]:
        specs = []
        for engine in self.settings.all_engines:
            try:
                specs.append(compute_spec(engine))
            except OperatorError as error:
                yield failed("model", str(error), "set engine.model to a model's directory")
                return
            found = await check_engine(self.pool, engine, specs[-1], self.live)
            yield found
            if found.verdict is Verdict.OK and engine.url is not None:
                yield await check_answers(self.pool, engine, specs[-1])
        if not self.settings.services:
            yield failed("services", "none is served", "supplier list SERVICE --price PRICE")
        epoch = clock.epoch_of(clock.session_at(pace.head))
        for text in self.settings.services:
            try:
                view = await self._view(text, epoch)
            except NodeError as error:
                yield failed(f"service {text}", str(error), "mend `services`")
                continue
            except ChainError as error:
                yield failed(f"service {text}", str(error), "name a listed service")
                continue
            peers = await self._peers(view, supplier)
            service = parse_hex("services", text, 32)
            yield await check_spec(self.pool, specs, service, view.service.spec_hash, peers)
            yield judge_service(view, supplier, params, epoch)

    async def _view(self, text: str, epoch: int) -> ServiceView:
        service, market = parse_hex("services", text, 32), self.market
        return ServiceView(
            text=text,
            service=await market.registry.service(service),
            listings=await market.registry.suppliers(service),
            candidates=await market.registry.candidates(service),
            roster=await market.sessions.roster(service, epoch),
            upcoming=await market.sessions.roster(service, epoch + 1),
        )

    async def _peers(self, view: ServiceView, supplier: Address) -> list[str]:
        others = [each.supplier for each in view.listings if each.supplier != supplier]
        accounts = await self.market.registry.accounts(tuple(others[:PEERS_ASKED]))
        urls = [each.url.rstrip("/") for each in accounts.values()]
        return [each for each in urls if each.startswith("http")]

    async def _reach(self, supplier: Address, current: int) -> list[Finding]:
        settings = self.settings
        visits = [(e.number, e.relays) for e in read_records(settings, VISITS)]
        if settings.dials_out:
            return [*judge_lines(self.live), judge_visits(visits, current)]
        is_serving = self.live is not None
        places = await find_gateways(self.market, settings) if is_serving else ()
        async with gateway_pool(settings, self.market.book.chain_id) as pool:
            reaches = await Outside(pool, places, supplier).reaches()
        return [
            await asyncio.to_thread(check_address, settings.public_url, self.market.book.chain_id),
            await check_reach(self.pool, settings.public_url, supplier, is_serving),
            *judge_reaches(reaches, is_serving),
            judge_visits(visits, current),
        ]
