"""The chain as one supplier sees it: its head, and the facts of the sessions it may serve."""

import asyncio
import time
from collections.abc import AsyncIterator

from contracts import (
    ChainError,
    ContractError,
    Market,
    Pace,
    Service,
    SkewWatch,
    read_block_time,
)
from relay_mining import Address, Clock, Hash32, SessionKey
from supplier.errors import ChainUnavailableError, NotMemberError, WrongSessionError
from supplier.mining.facts import SessionFacts

REFRESH_S_MIN = 0.05
GRACE_BLOCKS = 2
"""A gateway that sees a session's end so much later is still served; receipts have longer."""


class ChainView:
    """Follows the head and reads sessions; `start` before use."""

    def __init__(
        self, market: Market, supplier: Address, confirmations: int, poll_s: float,
        skew: SkewWatch | None = None,
    ) -> None:  # fmt: skip
        self.market = market
        self.supplier = supplier
        self.head = 0
        self.clock: Clock
        self.skew = skew or SkewWatch()
        self._confirmations = confirmations
        self._poll_s = poll_s
        self._services: dict[Hash32, Service] = {}
        self._seen_at = 0.0
        """When the look began that `head` is from."""
        self._looking: asyncio.Task[None] | None = None
        self._pace = Pace()
        self._paced = -1
        """The session whose pace is measured."""

    async def start(self) -> None:
        """Read the clock and the head; raises ChainError."""
        self.clock = await self.market.sessions.clock()
        await self.refresh()

    @property
    def current(self) -> int:
        """The running session."""
        return self.clock.session_at(self.head)

    @property
    def final(self) -> int:
        """The newest block held final."""
        return max(0, self.head - self._confirmations)

    async def refresh(self) -> None:
        """Look at the head now; an earlier look that ends later changes nothing."""
        began = time.monotonic()
        head = await self.market.chain.head()
        if began >= self._seen_at:
            self.skew.see(head)
            self.head, self._seen_at = head.number, began
            self._pace.see(head.number, began)

    async def heads(self) -> AsyncIterator[int]:
        """Each new head's number, the newest only; a chain that does not answer is waited for."""
        seen = -1
        while True:
            try:
                await self.refresh()
                await self._measure()
            except ChainError:
                await asyncio.sleep(self._poll_s)
                continue
            if self.head != seen:
                seen = self.head
                yield seen
            await asyncio.sleep(self._poll_s)

    async def _measure(self) -> None:
        """Measure the pace of blocks anew in each session; raises ChainError."""
        if self.current != self._paced:
            block_s = (await read_block_time(self.market.chain)).block_s
            self._pace.begin(block_s)
            self._paced = self.current

    async def is_current(self, number: int) -> bool:
        """Whether session `number` is running; where it may just be, as of after this question.

        Raises ChainUnavailableError where the chain is not seen and the session over by its pace:
        receipts for it may come too late to be claimed, and nobody would be told.
        """
        asked = time.monotonic()
        while number == self.current + 1 and self._seen_at < asked:
            try:
                await self._look_again()
            except ChainError as error:
                raise ChainUnavailableError("the chain does not answer") from error
        if number == self.current and self._is_over_unseen(number):
            raise ChainUnavailableError("the session is over by its pace, the chain is not seen")
        return number == self.current

    def _is_over_unseen(self, number: int) -> bool:
        """Whether no gateway may be served in a session any more, by the pace of blocks."""
        end = self.clock.start(number + 1) + GRACE_BLOCKS
        return self._pace.is_past(end, time.monotonic())

    async def _look_again(self) -> None:
        """Look at the head, with whoever else waits for that; looks begin some time apart."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_in_turn())
        await asyncio.shield(self._looking)

    async def _look_in_turn(self) -> None:
        await asyncio.sleep(self._seen_at + REFRESH_S_MIN - time.monotonic())
        await self.refresh()

    def has_just_ended(self, number: int) -> bool:
        """Whether session `number` is over for so short that a gateway may not have seen it."""
        is_last = number == self.current - 1
        end = self.clock.start(self.current) + GRACE_BLOCKS
        return is_last and self.head < end and not self._is_over_unseen(number)

    async def service(self, service: Hash32) -> Service:
        """A listed service; immutable, so read once."""
        found = self._services.get(service)
        if found is None:
            found = self._services[service] = await self.market.registry.service(service)
        return found

    async def session_facts(self, key: SessionKey, block: int | None = None) -> SessionFacts:
        """The facts of a session as of `block`, the head by default; see `MarketView`."""
        try:
            state = await self.market.sessions.session(key, block or self.head)
            service = await self.service(key.service)
        except ContractError as error:
            raise WrongSessionError(f"the chain knows no such session: {error}") from error
        except ChainError as error:
            raise ChainUnavailableError("the chain does not answer") from error
        if not state.is_valid or state.gateway_signer is None:
            raise WrongSessionError("the session is not valid on chain")
        member = state.member(self.supplier)
        if member is None:
            raise NotMemberError("this supplier was not drawn for the session")
        return SessionFacts(
            terms=state.terms(member),
            gateway_signer=state.gateway_signer,
            weights=service.weights,
            spec_hash=service.spec_hash,
            fee_bps=state.fee_bps,
            source_bps=service.source_bps,
            protocol_bps=state.params.protocol_bps,
            seat=member,
            margin_bps=state.params.margin_bps,
            bond_ratio_max=state.params.bond_ratio_max,
            members=state.params.members,
            delegation_fee=state.params.delegation_fee,
        )
