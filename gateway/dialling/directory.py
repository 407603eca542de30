"""What the chain says of whoever dials: whether it may serve, and by which keys."""

from dataclasses import dataclass, field

from gateway.errors import DialBusyError
from gateway.routing.loading import SessionLoader
from gateway.routing.relay import RelaySigner
from gateway.routing.sessions import SessionTable
from gateway.settlement.delivery import SupplierAddress
from relay_mining import Address, Domain, Signer


@dataclass(slots=True)
class Directory:
    """Reads the sessions that the gateway follows."""

    loader: SessionLoader
    table: SessionTable
    signer: RelaySigner
    _keys: dict[int, Address] = field(default_factory=dict)

    @property
    def domain(self) -> Domain:
        """What is signed in."""
        return self.signer.domain

    @property
    def gateway(self) -> Address:
        """Who this gateway is."""
        return self.loader.gateway

    @property
    def number(self) -> int:
        """The session being served; below 0 before the first."""
        return self.table.number

    def is_listed(self, supplier: Address) -> bool:
        """Whether a supplier may be drawn for a session, or may be owed receipts of one."""
        return self.loader.is_listed(supplier)

    async def locate(self, supplier: Address, number: int) -> SupplierAddress:
        """Where a supplier is, and its operator in a session; raises ChainError."""
        return await self.loader.locate(supplier, number)

    async def signer_of(self, number: int) -> Signer:
        """The gateway's signer on record for a session; raises ChainError or DialBusyError."""
        address = self._keys.get(number)
        if address is None:
            registry = self.loader.market.registry
            address = await registry.gateway_key(self.gateway, number)
            if address is None:
                raise DialBusyError("this gateway has no signing key on record in that session")
            if number <= self.number:  # of a later one it may still change
                self._keys = {number: address}
        return self.signer.key_of(address)
