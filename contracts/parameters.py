"""The numbers of the market by epoch, its clock, and the pause of new sessions."""

from typing import cast

from contracts.chain import Call
from contracts.client import ContractClient, Struct
from relay_mining import Address, Clock, Params

FIELDS = (
    "members",
    "target_leaves",
    "margin_bps",
    "bond_ratio_max",
    "protocol_bps",
    "lots_max",
    "idle_epochs",
    "roster_max",
    "lot_stake",
    "delegation_fee",
    "min_stake",
)
"""Fields of a Params in the order of the Solidity struct."""


class Parameters(ContractClient):
    """The contract `Parameters`; its admin is a timelock."""

    CONTRACT = "Parameters"

    async def clock(self, *, block: int | None = None) -> Clock:
        """The session clock of the deployment."""
        return Clock(*await self._read_one("clock", block=block))

    async def values(self, epoch: int, *, block: int | None = None) -> Params:
        """The values in force in an epoch, as scheduled so far."""
        return decode_params(await self._read_one("valuesAt", epoch, block=block))

    async def is_paused(self, number: int, *, block: int | None = None) -> bool:
        """Whether a session opens paused, as set so far."""
        return cast(bool, await self._read_one("isPausedAt", number, block=block))

    async def treasury(self, *, block: int | None = None) -> Address:
        """Who receives the protocol's shares."""
        return cast(Address, await self._read_one("treasury", block=block))

    def schedule_values(self, from_epoch: int, values: Params) -> Call:
        """Values from an epoch on, 2 to 66 ahead; the timelock sends it."""
        return self._call("scheduleValues", from_epoch, encode_params(values))

    def pause(self) -> Call:
        """Stop sessions that open from the next one on; a pauser sends it."""
        return self._call("pause")

    def unpause(self) -> Call:
        """Let sessions open again from the next one on; a pauser sends it."""
        return self._call("unpause")


def encode_params(values: Params) -> Struct:
    """The Solidity struct of a set of values."""
    return tuple(getattr(values, each) for each in FIELDS)


def decode_params(struct: Struct) -> Params:
    """The set of values of a Solidity struct."""
    return Params(**dict(zip(FIELDS, struct, strict=True)))
