"""What every contract's client shares: its place, its interface, its reads and its calls."""

from typing import Any, ClassVar

from contracts.abi import Abi, load_abi
from contracts.chain import Call, Chain
from relay_mining import Address

Struct = tuple[Any, ...]
"""A Solidity struct: its fields in order."""


class ContractClient:
    """One deployed contract. Methods that change state return the Call for a TxSender to send;
    reads are async and take the block by number, None for the newest."""

    CONTRACT: ClassVar[str]

    def __init__(self, chain: Chain, address: Address) -> None:
        self.chain = chain
        self.address = address

    @property
    def abi(self) -> Abi:
        """The contract's interface."""
        return load_abi(self.CONTRACT)

    def _call(self, function: str, *arguments: object) -> Call:
        return Call(self.address, self.abi.encode_call(function, *arguments))

    async def _read(self, function: str, *arguments: object, block: int | None) -> Struct:
        data = await self.chain.read(self._call(function, *arguments), block)
        return self.abi.decode_result(function, data)

    async def _read_one(self, function: str, *arguments: object, block: int | None) -> Any:
        (value,) = await self._read(function, *arguments, block=block)
        return value
