"""One deployed market: a client for each of its contracts, over one chain."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.addressbook import AddressBook
from contracts.auction import Auction
from contracts.chain import Chain
from contracts.claims import Claims
from contracts.endpoints import Endpoints
from contracts.errors import AddressBookError
from contracts.escrow import Escrow
from contracts.events import Cursor, EventReader
from contracts.parameters import Parameters
from contracts.registry import Registry
from contracts.sessions import Sessions
from contracts.settings import ChainSettings
from contracts.token import Token
from relay_mining import Domain


class Market:
    """The contracts of an address book on a chain; `async with` closes the chain."""

    def __init__(self, chain: Chain, book: AddressBook) -> None:
        if chain.chain_id != book.chain_id:
            raise AddressBookError(
                f"the address book is of chain {book.chain_id}, not of {chain.chain_id}"
            )
        self.chain = chain
        self.book = book
        self.domain = Domain(book.chain_id, book.claims)
        self.registry = Registry(chain, book.registry, book.deployment_block)
        self.escrow = Escrow(chain, book.escrow)
        self.sessions = Sessions(chain, book)
        self.claims = Claims(chain, book.claims)
        self.parameters = Parameters(chain, book.parameters)
        self.token = Token(chain, book.token)
        self.auction = Auction(chain, book.auction)

    @classmethod
    async def connect(
        cls, rpc_urls: Sequence[str], book: AddressBook | Path, *, timeout_s: float = 10.0
    ) -> "Market":
        """Reach a market through one or several endpoints, each checked to serve its chain."""
        if isinstance(book, Path):
            book = AddressBook.load(book)
        chain = await Chain.connect(rpc_urls, book.chain_id, timeout_s=timeout_s)
        try:
            market = cls(chain, book)
            await market.verify()
        except BaseException:
            await chain.close()
            raise
        return market

    @classmethod
    async def open(cls, settings: ChainSettings) -> "Market":
        """Reach the market that a node's settings name."""
        return await cls.connect(
            settings.urls(), settings.address_book, timeout_s=settings.timeout_s
        )

    @classmethod
    def unverified(cls, settings: ChainSettings) -> "Market":
        """The market that a node's settings name, before any endpoint was asked; see `verify`."""
        book = AddressBook.load(settings.address_book)
        endpoints = Endpoints(settings.urls(), book.chain_id, settings.timeout_s)
        return cls(Chain(endpoints, book.chain_id), book)

    async def verify(self) -> None:
        """Check that there is code where the book says (AddressBookError if not)."""
        for name, address in self.book.contracts().items():
            if not await self.chain.code(address):
                raise AddressBookError(
                    f"there is no code at 0x{address.hex()} ({name}): the address book is of "
                    f"another deployment than the chain behind {self.chain.endpoint}"
                )

    def events(self, cursor: Cursor | None = None, *, confirmations: int = 2) -> EventReader:
        """A reader of the market's events from a cursor on, or from its deployment."""
        return EventReader(self.chain, self.book, cursor, confirmations=confirmations)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.chain.close()
