"""The applications' funds, their delegations, and what everyone who earned can collect."""

from dataclasses import dataclass
from typing import cast

from contracts.chain import Call
from contracts.client import ContractClient
from contracts.events import decode_log, read_logs
from relay_mining import Address, Hash32


@dataclass(frozen=True, slots=True)
class EscrowAccount:
    """An application's escrow, in token base units."""

    balance: int
    """All funds that no claim has locked, pending withdrawals included."""
    pending: int
    """What has been asked back."""
    pending_session: int
    """The session from which `pending` can be taken."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a gateway may spend of an application's escrow on a service in one session."""

    cap: int
    """Token base units; 0 is none."""
    fee_bps: int
    """The gateway's share of what is claimed."""


class Escrow(ContractClient):
    """The contract `Escrow`; amounts in token base units."""

    CONTRACT = "Escrow"

    async def delegated(self, first: int, last: int) -> frozenset[tuple[Address, Address, Hash32]]:
        """Application, gateway and service of each delegation set in blocks `first` to `last`."""
        signature = self.abi.event("Delegate").signature_hash
        logs = await read_logs(self.chain, [self.address], first, last, [signature])
        found = (decode_log(self.CONTRACT, self.abi, log) for log in logs)
        values = [each.values for each in found if each is not None]
        return frozenset((each["application"], each["gateway"], each["service"]) for each in values)

    async def account(self, application: Address, *, block: int | None = None) -> EscrowAccount:
        """An application's unlocked funds and pending withdrawal."""
        return EscrowAccount(*await self._read_one("accountOf", application, block=block))

    async def claimable(self, payee: Address, *, block: int | None = None) -> int:
        """What an address has earned and can collect."""
        return cast(int, await self._read_one("claimableOf", payee, block=block))

    async def delegation(
        self,
        application: Address,
        gateway: Address,
        service: Hash32,
        number: int,
        *,
        block: int | None = None,
    ) -> Delegation:
        """A delegation's cap and fee in a session, as set so far."""
        return Delegation(
            *await self._read("delegationAt", application, gateway, service, number, block=block)
        )

    async def cap_sum(self, application: Address, *, block: int | None = None) -> tuple[int, int]:
        """The sum of an application's caps as set last, and the session it counts from."""
        total, session = await self._read("capSumOf", application, block=block)
        return cast(int, total), cast(int, session)

    def deposit(self, application: Address, amount: int) -> Call:
        """Add the sender's tokens to an application's funds; the token's approval comes first."""
        return self._call("deposit", application, amount)

    def request_withdraw(self, amount: int) -> Call:
        """Ask funds back; they can be taken two full sessions later."""
        return self._call("requestWithdraw", amount)

    def finish_withdraw(self) -> Call:
        """Take what was asked back."""
        return self._call("finishWithdraw")

    def delegate(self, gateway: Address, service: Hash32, cap: int, fee_bps: int) -> Call:
        """Let a gateway spend up to `cap` a session from the next one on; 0 revokes.

        A delegation that had no cap starts a session later, where nobody can know its members
        yet, and costs the delegation fee, out of the sender's tokens.
        """
        return self._call("delegate", gateway, service, cap, fee_bps)

    def collect(self) -> Call:
        """Pay the sender everything it has earned."""
        return self._call("collect")

    def collect_for(self, payee: Address) -> Call:
        """Pay someone else everything it has earned."""
        return self._call("collectFor", payee)
