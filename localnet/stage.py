"""Everybody who can be hit in a run, and every way between them that can be cut."""

from collections.abc import Sequence
from dataclasses import dataclass

from localnet.fault_proxy import FaultProxy
from localnet.faults import (
    DATABASE_CUTS,
    GATEWAY_KILLS,
    SERVER_KILLS,
    Cast,
    Injection,
    Kind,
)
from localnet.watched import Watched


@dataclass(frozen=True, slots=True)
class Stage:
    """The nodes of a market, each watched, and the proxies between them."""

    suppliers: Sequence[Watched]
    """Those of one node."""
    gateway: Watched
    rpc: FaultProxy
    """Before the chain, for all nodes."""
    servers: Sequence[Watched] = ()
    """Relay servers of one more supplier."""
    database: Watched | None = None
    database_ways: Sequence[FaultProxy] = ()
    """Of each relay server to the database, and, last, of the gateway."""
    server_ways: Sequence[FaultProxy] = ()
    """Of the gateway to each relay server."""

    @property
    def nodes(self) -> list[Watched]:
        """All but the database: suppliers, relay servers and, last, the gateway."""
        return [*self.suppliers, *self.servers, self.gateway]

    @property
    def watched(self) -> list[Watched]:
        """All that is started again when it ends, the database last."""
        return self.nodes if self.database is None else [*self.nodes, self.database]

    @property
    def proxies(self) -> list[FaultProxy]:
        """Every way that can be cut."""
        return [self.rpc, *self.database_ways, *self.server_ways]

    @property
    def cast(self) -> Cast:
        """How many there are."""
        return Cast(len(self.suppliers), len(self.servers))

    def victim(self, injection: Injection) -> Watched:
        """Who is hit; of an injection that hits no node, anybody."""
        kind, number = injection.kind, injection.victim
        if kind in GATEWAY_KILLS:
            return self.gateway
        if kind is Kind.KILL_DATABASE and self.database is not None:
            return self.database
        return (self.servers if kind in SERVER_KILLS else self.nodes)[number]

    def way(self, injection: Injection) -> FaultProxy:
        """What a partition cuts."""
        is_database = injection.kind in DATABASE_CUTS
        return (self.database_ways if is_database else self.server_ways)[injection.victim]
