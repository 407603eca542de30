"""What the commands do on the chain: register, fund, delegate, withdraw."""

from dataclasses import dataclass

from contracts import Call, Market, SendPolicy, TxReceipt, TxSender
from node.keystore import PrivateKey
from relay_mining import Address, Hash32


@dataclass(frozen=True, slots=True)
class Operator:
    """The owner at work on one market; every method returns when its transaction is mined."""

    market: Market
    owner: PrivateKey
    policy: SendPolicy

    async def register(self, signing_key: Address, url: str) -> TxReceipt:
        """Register the owner as a gateway, or rotate its signing key where it is one."""
        registry = self.market.registry
        if not await registry.is_gateway(self.owner.address):
            return await self.send(registry.register_gateway(signing_key, url))
        if url and url != await registry.gateway_url(self.owner.address):
            await self.send(registry.set_gateway_url(url))
        return await self.send(registry.rotate_gateway_key(signing_key))

    async def deposit(self, application: Address, amount: int) -> TxReceipt:
        """Add the owner's tokens to an application's escrow, in base units."""
        await self._approve(amount)
        return await self.send(self.market.escrow.deposit(application, amount))

    async def delegate(
        self, gateway: Address, service: Hash32, cap: int, fee_bps: int
    ) -> TxReceipt:
        """Let a gateway spend up to `cap` of the owner's escrow a session, from the next one."""
        clock = await self.market.sessions.clock()
        number = clock.session_at((await self.market.chain.head()).number)
        before = await self.market.escrow.delegation(
            self.owner.address, gateway, service, number + 1
        )
        if before.cap == 0 and cap > 0:
            params = await self.market.parameters.values(clock.epoch_of(number))
            await self._approve(params.delegation_fee)
        return await self.send(self.market.escrow.delegate(gateway, service, cap, fee_bps))

    async def withdraw(self, amount: int) -> str:
        """Collect earnings and take funds back, as far as it goes now; says what is next."""
        escrow, me = self.market.escrow, self.owner.address
        if await escrow.claimable(me) > 0:
            await self.send(escrow.collect())
        account = await escrow.account(me)
        if account.pending == 0:
            if amount <= 0:
                return "collected; nothing was asked back from the escrow"
            await self.send(escrow.request_withdraw(amount))
            account = await escrow.account(me)
            return f"asked back; run this again from session {account.pending_session} on"
        if await self._session() < account.pending_session:
            return f"asked back already; run this again from session {account.pending_session} on"
        await self.send(escrow.finish_withdraw())
        return "withdrawn"

    async def _session(self) -> int:
        clock = await self.market.sessions.clock()
        return clock.session_at((await self.market.chain.head()).number)

    async def _approve(self, amount: int) -> None:
        token, escrow = self.market.token, self.market.book.escrow
        if amount > 0 and await token.allowance(self.owner.address, escrow) < amount:
            await self.send(token.approve(escrow, amount))

    async def send(self, call: Call) -> TxReceipt:
        """Send any call as the owner; returns when it is mined."""
        return await TxSender(self.market.chain, self.owner.reveal(), self.policy).send(call)
