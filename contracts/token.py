"""The token that everything is staked, escrowed and paid in: any ERC-20; a test token locally."""

from typing import cast

from contracts.chain import Call
from contracts.client import ContractClient
from relay_mining import Address


class Token(ContractClient):
    """The ERC-20; amounts in its base units."""

    CONTRACT = "TestToken"

    async def balance(self, holder: Address, *, block: int | None = None) -> int:
        """What an address holds."""
        return cast(int, await self._read_one("balanceOf", holder, block=block))

    async def allowance(
        self, holder: Address, spender: Address, *, block: int | None = None
    ) -> int:
        """What a holder lets a spender take."""
        return cast(int, await self._read_one("allowance", holder, spender, block=block))

    async def decimals(self, *, block: int | None = None) -> int:
        """Decimal places that people see."""
        return cast(int, await self._read_one("decimals", block=block))

    async def symbol(self, *, block: int | None = None) -> str:
        """The short name that people see."""
        return cast(str, await self._read_one("symbol", block=block))

    def approve(self, spender: Address, amount: int) -> Call:
        """Let a contract of the market take up to `amount`."""
        return self._call("approve", spender, amount)

    def transfer(self, receiver: Address, amount: int) -> Call:
        """Pay another address."""
        return self._call("transfer", receiver, amount)

    def mint(self, receiver: Address, amount: int) -> Call:
        """Make tokens from nothing: the test token of a local network only."""
        return self._call("mint", receiver, amount)
