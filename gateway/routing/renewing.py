"""A relay whose session ended before it was served, made out anew for the one that follows."""

from dataclasses import replace

from gateway.routing.relay import Relay
from gateway.routing.sessions import SessionTable

NEXT_S_MAX = 3.0
"""A supplier may see the chain so much earlier or later than this gateway."""


def bring_up_to_date(table: SessionTable, relay: Relay) -> Relay:
    """The same relay in the session that is open now, which it may be in already.

    It takes as many units as before, as a service's weights never change, and nobody is asked who
    is dearer than was allowed for. Without such a session it stays as it is.
    """
    key = relay.session.key
    if table.number == key.number:
        return relay
    session = table.sessions.get((key.application, relay.request.model))
    if session is None or session.key.service != key.service or session.key.number < key.number:
        return relay
    return replace(relay, session=session)


async def renew(table: SessionTable, relay: Relay) -> Relay:
    """The relay in a later session, waited for; in its own, where its supplier is the late one."""
    await table.wait_beyond(relay.session.key.number, NEXT_S_MAX)
    return bring_up_to_date(table, relay)
