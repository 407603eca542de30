"""Who has ever let whom spend on which service."""

from dataclasses import dataclass

from contracts.addressbook import AddressBook
from contracts.chain import Chain
from contracts.escrow import Escrow
from contracts.events import decode_log, read_logs
from relay_mining import Address, Hash32


@dataclass(frozen=True, slots=True)
class Payer:
    """An application and the gateway it delegated to; the cap is asked for by session."""

    application: Address
    gateway: Address


async def read_payers(chain: Chain, book: AddressBook, service: Hash32) -> tuple[Payer, ...]:
    """Each pair that ever had a delegation for a service, in the order of the first one."""
    client = Escrow(chain, book.escrow)
    topic = next(e.signature_hash for e in client.abi.events.values() if e.name == "Delegate")
    last = (await chain.head()).number
    logs = await read_logs(chain, [client.address], book.deployment_block, last, [topic])
    events = (decode_log("escrow", client.abi, each) for each in logs)
    found = {
        Payer(event.values["application"], event.values["gateway"]): None
        for event in events
        if event is not None and event.values["service"] == service
    }
    return tuple(found)
