"""Reading the funnel of the last sessions: the chain's gates, and what this node has kept."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts import NOT_ALLOTTED, Market, PastClaim, Payer, draw_session, read_claims, read_payers
from relay_mining import Address, Clock, Hash32, RosterEntry, SessionKey
from supplier.mining.books import Books
from supplier.mining.store import SessionRecord
from supplier.operation.funnel import (
    SessionFunnel,
    Standing,
    estimate_membership,
    rank,
    weight_share,
)


@dataclass(slots=True)
class Served:
    """What this node has kept of one session number of one service, in units."""

    sessions: int = 0
    relays: int = 0
    served: int = 0
    receipted: int = 0
    payable: int = 0


@dataclass(frozen=True, slots=True)
class Explained:
    """The funnel of one service, the newest session first."""

    service: Hash32
    name: str
    standing: Standing
    sessions: tuple[SessionFunnel, ...] = field(default=())


def gather_served(
    records: Sequence[SessionRecord], books: Books
) -> dict[tuple[Hash32, int], Served]:
    """What was served, by service and session number, closed sessions and open ones."""
    found: dict[tuple[Hash32, int], Served] = defaultdict(Served)

    def add(
        service: Hash32, number: int, relays: int, served: int, receipted: int, payable: int
    ) -> None:
        row = found[service, number]
        row.sessions += bool(relays or receipted)
        row.relays += relays
        row.served += served
        row.receipted += receipted
        row.payable += payable

    for each in records:
        add(
            bytes.fromhex(each.service), each.number, each.relays, each.served, each.receipted,
            each.payable,
        )  # fmt: skip
    for book in books.sessions.values():
        totals = book.totals
        add(
            book.key.service, book.key.number, totals.relays, totals.served, totals.receipted,
            totals.payable,
        )  # fmt: skip
    return found


class Explainer:
    """Reads one supplier's funnel as of the head; every method may raise ChainError."""

    def __init__(
        self, market: Market, supplier: Address, served: dict[tuple[Hash32, int], Served]
    ) -> None:
        self._market = market
        self._supplier = supplier
        self._served = served

    async def explain(self, service: Hash32, last: int) -> Explained:
        """The funnel of a service over the running session and the `last - 1` before it."""
        head = (await self._market.chain.head()).number
        clock = await self._market.sessions.clock()
        current = clock.session_at(head)
        first = max(1, current - last + 1)
        payers = await read_payers(self._market.chain, self._market.book, service)
        claims = await self._claims(clock, service, first, head)
        rows = [
            await self._session(service, current - age, age, payers, claims)
            for age in range(current - first + 1)
        ]
        found = await self._market.registry.service(service)
        standing = await self._standing(service, clock.epoch_of(current) + 1)
        return Explained(service, found.name, standing, tuple(rows))

    async def _claims(
        self, clock: Clock, service: Hash32, first: int, head: int
    ) -> dict[int, list[PastClaim]]:
        found: dict[int, list[PastClaim]] = defaultdict(list)
        opens = clock.claim_window(first).opens
        if opens > head:
            return found
        for past in await read_claims(self._market.chain, self._market.book, opens, head):
            session = past.claim.session
            if past.claim.supplier == self._supplier and session.service == service:
                found[session.number].append(past)
        return found

    async def _session(
        self, service: Hash32, number: int, age: int, payers: Sequence[Payer],
        claims: dict[int, list[PastClaim]],
    ) -> SessionFunnel:  # fmt: skip
        sessions = self._market.sessions
        epoch = (await sessions.clock()).epoch_of(number)
        roster = await sessions.roster(service, epoch)
        keys = [SessionKey(each.application, each.gateway, service, number) for each in payers]
        delegated = [key for key in keys if await self._has_cap(key)]
        drawn = await self._drawn(roster, delegated, number, epoch)
        own = claims.get(number, [])
        served = self._served.get((service, number), Served())
        return SessionFunnel(
            number=number,
            age=age,
            is_in_roster=any(each.supplier == self._supplier for each in roster),
            delegated=len(delegated),
            drawn=drawn,
            opened=served.sessions,
            relays=served.relays,
            served=served.served,
            receipted=served.receipted,
            payable=served.payable,
            claimed=sum(each.claim.value for each in own),
            proved=sum(each.claim.value for each in own if each.end is not None),
            paid=sum(each.paid for each in own),
        )

    async def _drawn(
        self, roster: Sequence[RosterEntry], keys: Sequence[SessionKey], number: int, epoch: int
    ) -> int | None:
        """In how many of the sessions this supplier is a member; None where no seed is kept."""
        if not roster or not keys:
            return 0
        seed = await self._market.sessions.seed(number - 1)
        if seed is None:
            return None
        members = (await self._market.parameters.values(epoch)).members
        is_allotted = await self._market.sessions.allotment(keys[0]) != NOT_ALLOTTED
        drawn = (
            draw_session(roster, seed, key.id, members, is_allotted=is_allotted) for key in keys
        )
        return sum(
            any(roster[each.index].supplier == self._supplier for each in shares.members)
            for shares in drawn
        )

    async def _has_cap(self, key: SessionKey) -> bool:
        found = await self._market.escrow.delegation(
            key.application, key.gateway, key.service, key.number
        )
        return found.cap > 0

    async def _standing(self, service: Hash32, epoch: int) -> Standing:
        registry, supplier = self._market.registry, self._supplier
        params = await self._market.parameters.values(epoch)
        candidates = await registry.candidates(service)
        listings = {each.supplier: each for each in await registry.suppliers(service)}
        is_registered = await registry.is_supplier(supplier)
        account = await registry.supplier(supplier) if is_registered else None
        return Standing(
            unit_price=listings[supplier].unit_price if supplier in listings else 0,
            rank=rank(candidates, supplier),
            rivals=len(candidates),
            weight_share=weight_share(candidates, supplier),
            member_share=estimate_membership(candidates, supplier, params.members),
            is_registered=is_registered,
            is_staked=account is not None and account.stake - account.unstaking >= params.min_stake,
            is_listed=supplier in listings,
        )
