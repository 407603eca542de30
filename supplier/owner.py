"""What the owner and the source send by hand: register, stake, list, withdraw, collect."""

import os
from dataclasses import dataclass

from contracts import (
    NOBODY,
    Call,
    Market,
    SendPolicy,
    Service,
    SupplierAccount,
    TxReceipt,
    TxSender,
    compute_service_id,
    compute_supplier_id,
)
from relay_mining import Address, Hash32


@dataclass(frozen=True, slots=True)
class Funds:
    """Where a supplier's money is; amounts in token base units."""

    stake: int
    """All of it, bonds and what is leaving included."""
    reserved: int
    """Bonds of open claims; free when the claims are paid."""
    unstaking: int
    unstake_session: int
    """The session from which `unstaking` can be taken."""
    free: int
    """Stake that neither backs a claim nor leaves."""
    claimable: int
    """Earned; `supplier collect` pays it out."""
    payout_balance: int
    owner_balance: int
    operator: Address
    """Of the running session; before a supplier's first one, of the next."""
    operator_gas: int
    """Wei on the operator's key, for gas."""
    current_session: int


@dataclass(frozen=True, slots=True)
class Registration:
    """Who a new supplier is."""

    operator: Address
    payout: Address
    url: str
    bond_cap: int


class Owner:
    """Sends with one key of one person."""

    def __init__(self, market: Market, private_key: bytes, policy: SendPolicy) -> None:
        self._market = market
        self._sender = TxSender(market.chain, private_key, policy)
        self.address = self._sender.address

    async def register(self, registration: Registration, salt: Hash32 | None = None) -> Address:
        """Make a supplier and return its id; one with this salt is left as it is."""
        salt = os.urandom(32) if salt is None else salt
        supplier = compute_supplier_id(self.address, salt)
        if not await self._market.registry.is_supplier(supplier):
            call = self._market.registry.register_supplier(
                salt,
                registration.operator,
                registration.payout,
                registration.url,
                registration.bond_cap,
            )
            await self._sender.send(call)
        return supplier

    async def stake(self, supplier: Address, amount: int) -> TxReceipt:
        """Approve and stake."""
        registry = self._market.book.registry
        if await self._market.token.allowance(self.address, registry) < amount:
            await self._sender.send(self._market.token.approve(registry, amount))
        return await self._sender.send(self._market.registry.stake(supplier, amount))

    async def send(self, call: Call) -> TxReceipt:
        """Send any call."""
        return await self._sender.send(call)

    async def list_service(self, service: Service) -> Hash32:
        """List a service and return its id; one listed before is left as it is."""
        service_id = compute_service_id(service)
        if service_id not in await self._market.registry.services():
            await self._sender.send(self._market.registry.list_service(service))
        return service_id


async def read_funds(market: Market, supplier: Address) -> tuple[Funds, SupplierAccount]:
    """Where the supplier's money is now."""
    head = (await market.chain.head()).number
    account = await market.registry.supplier(supplier, block=head)
    number = (await market.sessions.clock()).session_at(head)
    operator = account.operator
    if operator == NOBODY:
        operator = await market.registry.operator(supplier, number + 1, block=head) or NOBODY
    funds = Funds(
        stake=account.stake,
        reserved=account.reserved,
        unstaking=account.unstaking,
        unstake_session=account.unstake_session,
        free=max(0, account.stake - account.reserved - account.unstaking),
        claimable=await market.escrow.claimable(account.payout, block=head),
        payout_balance=await market.token.balance(account.payout, block=head),
        owner_balance=await market.token.balance(account.owner, block=head),
        operator=operator,
        operator_gas=await market.chain.balance(operator, block=head),
        current_session=number,
    )
    return funds, account
