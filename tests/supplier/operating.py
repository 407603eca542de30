"""A supplier's command line on a real chain, with receipts on its disk and claims in the market."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from localnet.processes import ROOT
from relay_mining import Claim
from supplier.cli import cli as app
from supplier.config_file import set_value
from supplier.mining.facts import SessionFacts
from supplier.mining.receipt_log import ReceiptLog
from supplier.mining.records import Opened, Receipted, Record
from tests.clis import CommandLine, MarketOnChain
from tests.contracts.world import (
    FEE_BPS,
    GATEWAY_SIGNER,
    OPERATOR,
    OWNER,
    PARAMS,
    SERVED,
    SERVICE,
    SERVICE_ID,
    SUPPLIER,
    Served,
    World,
    claim,
    serve,
)

MODEL = ROOT / "models" / "demo"


@dataclass
class Operating:
    """The supplier of `tests.contracts.world`, in a directory with its settings."""

    cli: CommandLine
    market: MarketOnChain
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "supplier.toml"

    def act(self, work: Callable[[World], Awaitable[None]]) -> None:
        """Do something on the chain."""

        async def run() -> None:
            world = await World.open(self.market.anvil, self.market.book)
            try:
                await work(world)
            finally:
                await world.market.close()

        anyio.run(run)

    def log(self, records: Iterable[Record]) -> None:
        """Put records where `serve` would."""

        async def run() -> None:
            log = ReceiptLog(self.folder / "supplier-data" / "receipts")
            await log.enter(SERVED)
            await log.append(records)
            await log.close()

        anyio.run(run)

    def serve_session(self, relays: int = 40) -> None:
        """Session 2 was served: its receipts are on the disk."""
        records: list[Record] = []

        async def work(world: World) -> None:
            world.go_to(SERVED, 1)
            served = serve(world.domain, world.key(), relays=relays)
            records.extend(await records_of(world, served))

        self.act(work)
        self.log(records)

    def claim_session(self) -> Claim:
        """Session 2 was served and is claimed, in the first block that takes it."""
        records: list[Record] = []
        claims: list[Claim] = []

        async def work(world: World) -> None:
            world.go_to(SERVED, 1)
            served = serve(world.domain, world.key())
            records.extend(await records_of(world, served))
            world.go_to(SERVED + 1)
            claims.append(await claim(world, served))

        self.act(work)
        self.log(records)
        return claims[0]


async def records_of(world: World, served: Served, number: int = SERVED) -> list[Record]:
    """What the receipt log holds of a served session."""
    state = await world.state(number)
    member = state.member(SUPPLIER)
    assert member is not None
    facts = SessionFacts(
        terms=state.terms(member), gateway_signer=GATEWAY_SIGNER.address, weights=SERVICE.weights,
        spec_hash=SERVICE.spec_hash, fee_bps=FEE_BPS, source_bps=SERVICE.source_bps,
        protocol_bps=PARAMS.protocol_bps, seat=member, margin_bps=PARAMS.margin_bps,
        bond_ratio_max=PARAMS.bond_ratio_max, members=PARAMS.members,
        delegation_fee=PARAMS.delegation_fee,
    )  # fmt: skip
    return [Opened(facts, served.salt), *map(Receipted.of, served.mined.values())]


@contextmanager
def operating(market: MarketOnChain, folder: Path) -> Iterator[Operating]:
    """The world's supplier, its settings written by `init`, on a chain put back afterwards."""
    with market.working_in(folder):
        cli = CommandLine(app, {"SUPPLIER_CHAIN__POLL_S": "0.01"})
        cli.run(
            "init", "--rpc", market.anvil.url, "--address-book", market.book, "--model", MODEL,
            "--owner-key", OWNER.hex(), "--operator-key", OPERATOR.hex(), "--confirmations", 0,
            "--port", 0,
        )  # fmt: skip
        set_value(folder / "supplier.toml", "supplier_id", "0x" + SUPPLIER.hex())
        set_value(folder / "supplier.toml", "services", ["0x" + SERVICE_ID.hex()])
        yield Operating(cli, market, folder)
