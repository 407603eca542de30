"""What the chain says of a book's rounds: orders, prices, rosters, charges, claims."""

from collections.abc import Sequence

from contracts import Market, PastClaim, read_claims, read_past_round
from contracts.events import decode_log, read_logs
from localnet.lies.gains import Round, Use
from relay_mining import Address, Hash32


async def read_rounds(
    market: Market, services: Sequence[Hash32], epochs: Sequence[int]
) -> dict[Hash32, list[Round]]:
    """The rounds of each service that filled some epochs, with everything paid for them."""
    head = (await market.chain.head()).number
    claims = await read_claims(market.chain, market.book, 0, head)
    settled = await _read_settled(market, head)
    return {
        service: [
            await _read_round(market, service, epoch, claims, settled.get((service, epoch), {}))
            for epoch in epochs
        ]
        for service in services
    }


async def _read_round(
    market: Market,
    service: Hash32,
    epoch: int,
    claims: Sequence[PastClaim],
    charges: dict[Address, int],
) -> Round:
    past, clock = await read_past_round(market, service, epoch), await market.sessions.clock()
    return Round(
        epoch=epoch,
        price=past.price,
        fee_bps=past.fee_bps,
        seed=past.seed or b"",
        is_cleared=past.is_cleared,
        book=past.book,
        roster=await market.sessions.roster(service, epoch),
        charges=charges,
        uses=tuple(
            Use(
                each.claim.session.application,
                each.claim.supplier,
                each.claim.root.sum,
                each.claim.value,
            )
            for each in claims
            if each.claim.session.service == service
            and clock.epoch_of(each.claim.session.number) == epoch
            and each.paid
        ),
    )


async def _read_settled(market: Market, head: int) -> dict[tuple[Hash32, int], dict[Address, int]]:
    """Of every round the charges of its settled bids."""
    auction = market.auction
    topics = [auction.abi.event("SettleBid").signature_hash]
    logs = await read_logs(
        market.chain, [auction.address], market.book.deployment_block, head, topics
    )
    found: dict[tuple[Hash32, int], dict[Address, int]] = {}
    for log in logs:
        event = decode_log("auction", auction.abi, log)
        if event is not None:
            bids = found.setdefault((event.values["service"], event.values["epoch"]), {})
            bids[event.values["application"]] = event.values["charge"]
    return found
