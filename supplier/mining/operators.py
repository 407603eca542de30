"""The operator keys this node holds, and which one is on record in each session.

A supplier's operator changes at a session boundary: what is served in a session is signed by the
operator of that session, and a transaction is sent by the one of the running session, whatever it
claims. A node that holds the old key and the new one passes the boundary without a pause.
"""

import asyncio
import logging
from collections.abc import Iterable

from contracts import Call, ChainError, Registry, SendPolicy, TxReceipt, TxSender
from node.errors import OperatorError
from node.keystore import PrivateKey
from relay_mining import Address, Signer
from supplier.mining.chain_view import ChainView

log = logging.getLogger(__name__)

SESSIONS_KEPT = 8


class Operators:
    """Signs and sends with the key of the session; `learn` keeps it true."""

    def __init__(self, view: ChainView, keys: Iterable[PrivateKey], policy: SendPolicy) -> None:
        self._view = view
        self._policy = policy
        self._signers: dict[Address, Signer] = {}
        self._senders: dict[Address, TxSender] = {}
        self._recorded: dict[int, Address] = {}
        self._first: Address | None = None
        for key in keys:
            self.add(key)

    @property
    def held(self) -> tuple[Address, ...]:
        """Addresses of the keys."""
        return tuple(self._signers)

    def add(self, key: PrivateKey) -> None:
        """Hold one more key; one that is held already changes nothing."""
        if key.address in self._signers:
            return
        secret = key.reveal()
        self._signers[key.address] = Signer(secret)
        self._senders[key.address] = TxSender(self._view.market.chain, secret, self._policy)
        self._first = self._first or key.address

    async def learn(self) -> None:
        """Ask the chain who operates in the running session and the next; raises ChainError.

        With one key there is nothing to choose, and nothing is asked.
        """
        if len(self._signers) < 2:
            return
        registry: Registry = self._view.market.registry
        current = self._view.current
        for number in (current, current + 1):
            operator = await registry.operator(self._view.supplier, number, block=self._view.head)
            if operator in self._signers:
                self._recorded[number] = operator
        for number in [each for each in self._recorded if each < current - SESSIONS_KEPT]:
            del self._recorded[number]

    async def follow(self, pause_s: float) -> None:
        """Keep learning until cancelled; a chain that does not answer is asked again."""
        while True:
            try:
                await self.learn()
            except ChainError as error:
                log.debug("the operator on record could not be read: %s", error)
            await asyncio.sleep(pause_s)

    def of(self, number: int) -> Signer:
        """The signer of a session."""
        return self._signers[self._address_of(number)]

    @property
    def address(self) -> Address:
        """The operator of the running session."""
        return self._address_of(self._view.current if self._recorded else 0)

    async def send(self, call: Call, *, last_block: int | None = None) -> TxReceipt:
        """Send a call as the operator of the running session; as `TxSender.send`."""
        return await self._senders[self.address].send(call, last_block=last_block)

    def _address_of(self, number: int) -> Address:
        """Who is on record; of a session not asked about, whoever was in the newest before it."""
        known = [each for each in self._recorded if each <= number]
        address = self._recorded[max(known)] if known else self._first
        if address is None:
            raise OperatorError("this node holds no operator key")
        return address
