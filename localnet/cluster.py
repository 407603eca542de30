"""A running market put on a PostgreSQL: the gateway's tables, and two relay servers of a supplier.

Every way between gateway, relay servers and database leads through a proxy that can be cut.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import psycopg

from localnet.audit import SessionBooks, fold_sessions
from localnet.chain import free_port
from localnet.databases import Postgres
from localnet.fault_proxy import FaultProxy
from localnet.market import LocalMarket
from localnet.nodes import OK, status_of
from localnet.processes import Node, module
from localnet.provision import add_lines, run_gateway
from relay_mining import Hash32
from supplier.config_file import set_value
from supplier.mining.records import decode_record

NAMES = ("relay-a", "relay-b")
READY_S_MAX = 120.0
FENCED = (b"others serve its gateways now: start it again", b"took this relay server for dead")
"""What a relay server says that was silent for longer than its lease, and is to start again."""
ARCHIVE = """
CREATE TABLE archive (id bigint, payload bytea);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO archive VALUES (NEW.id, NEW.payload); RETURN NEW; END $$;
CREATE TRIGGER keep AFTER INSERT ON relay_record FOR EACH ROW EXECUTE FUNCTION keep();
"""
"""What is written to the shared log, however soon it is deleted."""


@dataclass(frozen=True, slots=True)
class RelayServer:
    """One process of the supplier, and the ways to it and from it."""

    node: Node
    health: str
    """Its page that answers 200 while it works."""
    database_way: FaultProxy
    gateway_way: FaultProxy


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was added to a market."""

    postgres: Postgres
    log_url: str
    """The database of the supplier."""
    gateway_way: FaultProxy
    """Of the gateway to its database."""
    servers: tuple[RelayServer, ...]

    def read_sessions(self) -> dict[Hash32, SessionBooks]:
        """All that was ever in the shared log."""
        with psycopg.connect(self.log_url) as connection:
            rows = connection.execute("SELECT payload FROM archive ORDER BY id")
            return fold_sessions(decode_record(bytes(payload)) for (payload,) in rows)


@contextmanager
def clustered(market: LocalMarket, postgres: Postgres) -> Iterator[Cluster]:
    """Move a market's gateway and its first supplier, which have served nothing yet."""
    with ExitStack() as stack:
        gateway_way = _move_gateway(market, postgres, stack)
        log_url = postgres.create()
        servers = _open_servers(market, log_url, stack)
        with psycopg.connect(log_url, autocommit=True) as connection:
            connection.execute(ARCHIVE)
        yield Cluster(postgres, log_url, gateway_way, servers)


def _move_gateway(market: LocalMarket, postgres: Postgres, stack: ExitStack) -> FaultProxy:
    gateway = market.gateway
    gateway.stop()
    way = stack.enter_context(FaultProxy())
    config = market.gateway_config
    config.write_text(f'database_url = "{way.front(postgres.create())}"\n{config.read_text()}')
    key = run_gateway(config, "keys", "create", "localnet")["key"]
    market.gateways[0] = replace(market.gateways[0], api_key=key)
    gateway.start_again()
    page = f"{market.base_url.removesuffix('/v1')}/readyz"
    gateway.wait_ready(lambda: status_of(page) == OK)
    return way


def _open_servers(market: LocalMarket, log_url: str, stack: ExitStack) -> tuple[RelayServer, ...]:
    """Relay servers in the first supplier's place, and a balancer at its address."""
    supplier = market.suppliers[0]
    supplier.node.stop()
    ports = [free_port() for _ in NAMES]
    servers = tuple(
        _open_server(market, name, port, log_url, stack)
        for name, port in zip(NAMES, ports, strict=True)
    )
    balancer = stack.enter_context(FaultProxy())
    balancer.front(*(_url(each) for each in ports), port=int(supplier.url.rsplit(":", 1)[1]))
    first = servers[0].node
    config = market.folder / first.name / "supplier.toml"
    market.suppliers[0] = replace(supplier, config=config, node=first)
    return servers


def _open_server(
    market: LocalMarket, name: str, port: int, log_url: str, stack: ExitStack
) -> RelayServer:
    """A relay server with the settings of the first supplier, at a port of its own."""
    database_way = stack.enter_context(FaultProxy())
    gateway_way = stack.enter_context(FaultProxy())
    config = market.folder / name / "supplier.toml"
    config.parent.mkdir()
    config.touch(mode=0o600)
    config.write_text(market.suppliers[0].config.read_text())
    set_value(config, "port", port)
    set_value(config, "metrics_port", 0)
    shared = (
        f'database_url = "{database_way.front(log_url)}"',
        f'url = "{gateway_way.front(_url(port))}"',
    )
    add_lines(config, "[shared]", shared)
    node = Node.start(name, module("supplier", "serve", "--config", str(config)), market.folder)
    stack.callback(node.stop)
    health = f"{_url(port)}/lode/v1/health"
    node.wait_ready(lambda: status_of(health) == OK, READY_S_MAX)
    return RelayServer(node, health, database_way, gateway_way)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
