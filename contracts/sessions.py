"""The clock, one seed a session, the rosters, who is drawn, and what a session is worth."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from contracts.addressbook import AddressBook
from contracts.chain import Call, Chain
from contracts.client import ContractClient
from contracts.escrow import Escrow
from contracts.parameters import Parameters
from contracts.registry import Registry
from relay_mining import (
    AMOUNT_MAX,
    Address,
    Clock,
    DrawnMember,
    Hash32,
    Params,
    RosterEntry,
    SessionKey,
    SessionTerms,
    Shares,
    compute_terms,
    draw_members,
    draw_shares,
    share_evenly,
)

NO_SEED = bytes(32)
NOT_ALLOTTED = AMOUNT_MAX
"""The allotment in sessions of posted asks."""


@dataclass(frozen=True, slots=True)
class RosterHead:
    """Size and total weight of a roster, and the epoch it was set for."""

    count: int
    total_weight: int
    built_epoch: int


@dataclass(frozen=True, slots=True)
class SessionState:
    """Everything a node needs to know of a session, as of one block."""

    key: SessionKey
    block: int
    """The block this was read at."""
    is_valid: bool
    """Whether it may be served: open, unpaused, with a roster and covered funds. Known for the
    running session and the one before; false for all others."""
    cap: int
    """What counts of the delegation's cap in the session, in token base units, covered or not."""
    fee_bps: int
    """The gateway's share."""
    params: Params
    roster: tuple[RosterEntry, ...]
    seed: Hash32 | None
    """The seed that draws the members, that of the session before; None while it is unknown."""
    shares: Shares
    """Who was drawn, and for which part of the cap; nobody without seed or roster."""
    gateway_signer: Address | None
    """The address the gateway signs with in the session; None where there is none."""

    @property
    def members(self) -> tuple[DrawnMember, ...]:
        """Who serves, in the order of their draws, or of an allotted roster."""
        return self.shares.members

    def member(self, supplier: Address) -> DrawnMember | None:
        """How a supplier was drawn; None where it is no member."""
        for each in self.members:
            if self.roster[each.index].supplier == supplier:
                return each
        return None

    def terms(self, member: DrawnMember) -> SessionTerms:
        """What the session is worth to a member."""
        price = self.roster[member.index].unit_price
        slice_amount = self.shares.slice(self.cap, member)
        return compute_terms(self.key, slice_amount, 1, price, self.params.target_leaves)


class Sessions(ContractClient):
    """The contract `Sessions`, and the state of a session from all the contracts."""

    CONTRACT = "Sessions"

    def __init__(self, chain: Chain, book: AddressBook) -> None:
        super().__init__(chain, book.sessions)
        self._registry = Registry(chain, book.registry, book.deployment_block)
        self._escrow = Escrow(chain, book.escrow)
        self._parameters = Parameters(chain, book.parameters)
        self._clock: Clock | None = None

    async def clock(self) -> Clock:
        """The session clock of the deployment; read once, as it never changes."""
        if self._clock is None:
            self._clock = Clock(*await self._read_one("clock", block=None))
        return self._clock

    async def seed(self, number: int, *, block: int | None = None) -> Hash32 | None:
        """A session's seed, kept or still in the chain's history; None while it cannot be known,
        and once it is lost."""
        found = cast(Hash32, await self._read_one("seedOf", number, block=block))
        return None if found == NO_SEED else found

    async def roster(
        self, service: Hash32, epoch: int, *, block: int | None = None
    ) -> tuple[RosterEntry, ...]:
        """The roster in force in an epoch, as set so far."""
        found = await self._read_one("rosterOf", service, epoch, block=block)
        return tuple(RosterEntry(*each) for each in found)

    async def roster_head(
        self, service: Hash32, epoch: int, *, block: int | None = None
    ) -> RosterHead:
        """Size, weight and origin of the roster in force in an epoch, as set so far."""
        return RosterHead(*await self._read("rosterHeadOf", service, epoch, block=block))

    async def is_valid(self, key: SessionKey, *, block: int | None = None) -> bool:
        """Whether a session may be served; known for the running one and the one before."""
        return cast(bool, await self._read_one("isValid", encode_key(key), block=block))

    async def verify_member(
        self,
        key: SessionKey,
        supplier: Address,
        member: DrawnMember,
        *,
        block: int | None = None,
    ) -> int:
        """A member's unit price (ContractError with the reason if it is none)."""
        arguments = (encode_key(key), supplier, member.index, member.draw, member.earlier)
        return cast(int, await self._read_one("verifyMember", *arguments, block=block))

    async def terms(
        self,
        key: SessionKey,
        supplier: Address,
        member: DrawnMember,
        *,
        block: int | None = None,
    ) -> SessionTerms:
        """The contract's word on what a session is worth to a member; ContractError with the
        reason where it is not valid or the supplier no member."""
        arguments = (encode_key(key), supplier, member.index, member.draw, member.earlier)
        found = await self._read_one("termsOf", *arguments, block=block)
        slice_amount, price, tau = found[:3]
        slice_units = compute_terms(key, slice_amount, 1, price, 1).slice_units
        return SessionTerms(key, price, slice_amount, tau, slice_units)

    async def session(self, key: SessionKey, block: int | None = None) -> SessionState:
        """Everything about a session as of one block, the members drawn here from the roster."""
        if block is None:
            block = (await self.chain.head()).number
        clock = await self.clock()
        epoch = clock.epoch_of(key.number)
        (params, is_valid, delegation, roster, seed, signer), allotted = await asyncio.gather(
            asyncio.gather(
                self._parameters.values(epoch, block=block),
                self.is_valid(key, block=block),
                self._escrow.delegation(
                    key.application, key.gateway, key.service, key.number, block=block
                ),
                self.roster(key.service, epoch, block=block),
                self._membership_seed(key.number, block),
                self._registry.gateway_key(key.gateway, key.number, block=block),
            ),
            self.allotment(key, block=block),
        )
        shares = share_evenly((), params.members)
        if seed is not None and roster:
            is_allotted = allotted != NOT_ALLOTTED
            shares = draw_session(roster, seed, key.id, params.members, is_allotted=is_allotted)
        return SessionState(
            key=key,
            block=block,
            is_valid=is_valid,
            cap=min(delegation.cap, allotted),
            fee_bps=delegation.fee_bps,
            params=params,
            roster=roster,
            seed=seed,
            shares=shares,
            gateway_signer=signer,
        )

    async def _membership_seed(self, number: int, block: int) -> Hash32 | None:
        return None if number == 0 else await self.seed(number - 1, block=block)

    def write_seed(self, number: int) -> Call:
        """Keep a session's seed for good; anyone sends it, within the chain's history."""
        return self._call("writeSeed", number)

    def build_roster(self, service: Hash32) -> Call:
        """Build the next epoch's roster from the posted asks; anyone sends it, in time."""
        return self._call("buildRoster", service)

    async def allotment(self, key: SessionKey, *, block: int | None = None) -> int:
        """What counts of a delegation's cap in a session at most; NOT_ALLOTTED for all of it."""
        return cast(int, await self._read_one("allotmentOf", encode_key(key), block=block))


def draw_session(
    roster: Sequence[RosterEntry],
    seed: Hash32,
    session_id: Hash32,
    members: int,
    *,
    is_allotted: bool,
) -> Shares:
    """The members of a session and their parts of its cap; `seed` is that of n-1."""
    if is_allotted:
        return draw_shares(roster, seed, session_id, members)
    return share_evenly(draw_members(roster, seed, session_id, members), members)


def encode_key(key: SessionKey) -> tuple[Address, Address, Hash32, int]:
    """The Solidity struct of a session key."""
    return (key.application, key.gateway, key.service, key.number)
