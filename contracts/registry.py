"""Services, gateways, suppliers, stakes and posted asks."""

import asyncio
from dataclasses import dataclass
from typing import cast

from contracts.chain import Call, Chain
from contracts.client import ContractClient
from contracts.events import decode_log, read_logs
from contracts.service import Service, decode_service, encode_service
from relay_mining import Address, Hash32, RosterEntry

NOBODY = bytes(20)
"""The zero address."""

SETTLE_SESSIONS = 3
"""Before stake can be taken: the last claim it backs is made, challenged and settled."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A supplier's posted ask for a service."""

    supplier: Address
    unit_price: int
    """Token base units for a million compute units."""
    last_active_epoch: int
    """The epoch of the listing or of its last paid claim, whichever is later."""


@dataclass(frozen=True, slots=True)
class SupplierAccount:
    """A supplier, amounts in token base units."""

    owner: Address
    operator: Address
    """The operator key of the running session."""
    payout: Address
    stake: int
    """All stake, what is reserved and what is leaving included."""
    reserved: int
    """Stake that backs open claims."""
    unstaking: int
    """Stake on its way out; it backs claims as long as a roster may hold the supplier."""
    unstake_session: int
    """The session from which `unstaking` can be taken."""
    bond_cap: int
    """Most bond the operator may put at risk for one session."""
    url: str

    def free(self, number: int) -> int:
        """Stake that can back new claims for session `number`."""
        is_left = number + 1 + SETTLE_SESSIONS > self.unstake_session
        return max(0, self.stake - self.reserved - (self.unstaking if is_left else 0))


class Registry(ContractClient):
    """The contract `Registry`."""

    CONTRACT = "Registry"

    def __init__(self, chain: Chain, address: Address, deployment_block: int) -> None:
        super().__init__(chain, address)
        self._deployment_block = deployment_block

    async def services(self, *, block: int | None = None) -> dict[Hash32, Service]:
        """All services ever listed by their ids, in the order of their listing."""
        event = self.abi.event("ListService")
        last = block if block is not None else (await self.chain.head()).number
        logs = await read_logs(
            self.chain, [self.address], self._deployment_block, last, [event.signature_hash]
        )
        decoded = (decode_log("registry", self.abi, each) for each in logs)
        listed = (each.values for each in decoded if each is not None)
        return {each["service"]: decode_service(each["value"]) for each in listed}

    async def service(self, service: Hash32, *, block: int | None = None) -> Service:
        """A listed service (ContractError if there is none)."""
        return decode_service(await self._read_one("serviceOf", service, block=block))

    async def suppliers(self, service: Hash32, *, block: int | None = None) -> tuple[Listing, ...]:
        """All asks for a service."""
        return tuple(
            Listing(*each) for each in await self._read_one("listingsOf", service, block=block)
        )

    async def candidates(
        self, service: Hash32, *, block: int | None = None
    ) -> tuple[RosterEntry, ...]:
        """What a roster built now would hold."""
        return tuple(
            RosterEntry(*each)
            for each in await self._read_one("candidatesOf", service, block=block)
        )

    async def supplier(self, supplier: Address, *, block: int | None = None) -> SupplierAccount:
        """A supplier's account (ContractError if there is none)."""
        return SupplierAccount(*await self._read_one("supplierOf", supplier, block=block))

    async def accounts(
        self, suppliers: tuple[Address, ...], *, block: int | None = None
    ) -> dict[Address, SupplierAccount]:
        """Several suppliers' accounts as of one block."""
        if block is None:
            block = (await self.chain.head()).number
        found = await asyncio.gather(*(self.supplier(each, block=block) for each in suppliers))
        return dict(zip(suppliers, found, strict=True))

    async def is_supplier(self, supplier: Address, *, block: int | None = None) -> bool:
        """Whether a supplier is registered."""
        return cast(bool, await self._read_one("isSupplier", supplier, block=block))

    async def operator(
        self, supplier: Address, number: int, *, block: int | None = None
    ) -> Address | None:
        """The operator key of a supplier in a session; None where there is none."""
        found = await self._read_one("operatorAt", supplier, number, block=block)
        return None if found == NOBODY else cast(Address, found)

    async def is_gateway(self, gateway: Address, *, block: int | None = None) -> bool:
        """Whether a gateway is registered."""
        return cast(bool, await self._read_one("isGateway", gateway, block=block))

    async def gateway_url(self, gateway: Address, *, block: int | None = None) -> str:
        """Where a gateway is reached; empty where there is none."""
        return cast(str, await self._read_one("gatewayUrl", gateway, block=block))

    async def gateway_key(
        self, gateway: Address, number: int, *, block: int | None = None
    ) -> Address | None:
        """The address a gateway signs with in a session; None where there is none."""
        found = await self._read_one("gatewayKeyAt", gateway, number, block=block)
        return None if found == NOBODY else cast(Address, found)

    def list_service(self, service: Service) -> Call:
        """List a service; its source sends it."""
        return self._call("listService", encode_service(service))

    def register_gateway(self, signing_key: Address, url: str) -> Call:
        """Make the sender a gateway that signs with an address from the next session on."""
        return self._call("registerGateway", signing_key, url)

    def rotate_gateway_key(self, signing_key: Address) -> Call:
        """Change the signing address from the next session on; the gateway's owner sends it."""
        return self._call("rotateGatewayKey", signing_key)

    def set_gateway_url(self, url: str) -> Call:
        """Change where the gateway is reached; the gateway's owner sends it."""
        return self._call("setGatewayUrl", url)

    def register_supplier(
        self, salt: Hash32, operator: Address, payout: Address, url: str, bond_cap: int
    ) -> Call:
        """Make a supplier owned by the sender; its id is `compute_supplier_id(sender, salt)`."""
        return self._call("registerSupplier", salt, operator, payout, url, bond_cap)

    def set_operator(self, supplier: Address, operator: Address) -> Call:
        """Change the operator key from the next session on; the owner sends it."""
        return self._call("setOperator", supplier, operator)

    def set_payout(self, supplier: Address, payout: Address) -> Call:
        """Change who receives payments; the owner sends it."""
        return self._call("setPayout", supplier, payout)

    def set_url(self, supplier: Address, url: str) -> Call:
        """Change where the supplier is reached; the owner or the operator sends it."""
        return self._call("setUrl", supplier, url)

    def set_bond_cap(self, supplier: Address, bond_cap: int) -> Call:
        """Bound the bond at risk for one session; the owner sends it."""
        return self._call("setBondCap", supplier, bond_cap)

    def offer_supplier(self, supplier: Address, new_owner: Address) -> Call:
        """Offer the supplier to another owner; the owner sends it."""
        return self._call("offerSupplier", supplier, new_owner)

    def accept_supplier(self, supplier: Address) -> Call:
        """Take over a supplier that was offered to the sender."""
        return self._call("acceptSupplier", supplier)

    def stake(self, supplier: Address, amount: int) -> Call:
        """Add the sender's tokens to a stake; the token's approval comes first."""
        return self._call("stake", supplier, amount)

    def request_unstake(self, supplier: Address, amount: int) -> Call:
        """Ask stake back, to be taken three sessions after the next epoch; the owner sends it."""
        return self._call("requestUnstake", supplier, amount)

    def finish_unstake(self, supplier: Address) -> Call:
        """Take the stake that was asked back; the owner sends it."""
        return self._call("finishUnstake", supplier)

    def set_listing(self, supplier: Address, service: Hash32, unit_price: int) -> Call:
        """Post, change or renew an ask; it counts from the next roster on."""
        return self._call("setListing", supplier, service, unit_price)

    def remove_listing(self, supplier: Address, service: Hash32) -> Call:
        """Withdraw an ask; the running epoch's roster stays as it is."""
        return self._call("removeListing", supplier, service)
