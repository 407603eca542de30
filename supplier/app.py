"""The serving node: runs its parts in one task group, and drains at the end."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from contracts import ChainError, Market, until_reachable
from contracts.trading import each_head
from node.http import Limits, Server, serve
from relay_mining import Hash32
from supplier.assembly import open_desk, open_relays, open_settler, open_vitals
from supplier.control_server import open_control, reload_on_hangup, run_board
from supplier.dialling import Dialler
from supplier.mining.backing import Backing
from supplier.mining.miner import Miner
from supplier.operation.leaving import is_bound
from supplier.parts import Node, open_node, open_pool
from supplier.server.endpoints import Endpoints
from supplier.server.relays import RelayServer
from supplier.settings import Settings
from supplier.trading import open_trader

Ready = Callable[[dict[str, Any]], None]


async def run(
    settings: Settings,
    miner: type[Miner] = Miner,
    relays: type[RelayServer] = RelayServer,
    ready: Ready = lambda facts: None,
    stop: asyncio.Event | None = None,
    reread: Callable[[], Settings] | None = None,
) -> None:
    """Serve, claim and prove until `stop` (by default SIGTERM or SIGINT); then drain.

    A chain that does not answer is waited for, and settlement waits for no engine. `miner` decides
    what is claimed, `relays` what is served. `ready` is told the port once relays are taken;
    `reread` is asked for the settings at SIGHUP. Raises OperatorError, ChainError and KeystoreError
    where the node cannot start.
    """
    stop = stop or stop_on_signals()
    async with Market.unverified(settings.chain) as market, open_pool(settings) as pool:
        node = open_node(settings, market, pool, miner, reread or (lambda: settings))
        try:
            async with _kept_up(node.backing):
                await _serve(node, relays, ready, stop)
        finally:
            await asyncio.to_thread(node.traces.close)


@asynccontextmanager
async def _kept_up(backing: Backing) -> AsyncIterator[None]:
    """Keep it up, open relays' last seconds included; where it fails, the node ends."""
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(backing.run())
            try:
                yield
            finally:
                running.cancel()
    finally:
        await backing.close()


async def _serve(
    node: Node, relay_server: type[RelayServer], ready: Ready, stop: asyncio.Event
) -> None:
    relays = open_relays(node, relay_server)
    control = open_control(node)
    try:
        server = await _listen(node)

        def announce(url: str) -> None:
            ready({"port": server.port, "supplier": node.view.supplier, "engine": url})

        try:
            async with control.listening():
                await _until(
                    stop,
                    _follow_chain(node, relays),
                    node.fleet.run(),
                    _announce(node, announce),
                    _trade(node),
                )
        finally:
            await server.close(node.settings.server.drain_s)
    finally:
        await node.fleet.close()


async def _listen(node: Node) -> Server:
    settings = node.settings.server
    limits = Limits(body_bytes_max=settings.body_bytes_max, write_stall_s=settings.write_timeout_s)
    context = None if node.tls is None else node.tls.context
    return await serve(node.door.handle, settings.host, settings.port, limits, ssl=context)


async def _follow_chain(node: Node, relays: RelayServer) -> None:
    """Wait for the chain, take relays, settle what was served and show it; until cancelled."""
    await until_reachable(lambda: _meet_chain(node))
    await node.backing.started()
    await node.backing.receipt_log.enter(node.view.current)
    node.door.open(Endpoints(open_desk(node, relays)).handle)
    settler = open_settler(node)
    reload_on_hangup(node, settler)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(settler.run())
        tasks.create_task(node.operators.follow(node.settings.chain.poll_s))
        tasks.create_task(open_vitals(node).run())
        if node.settings.server.metrics_port:
            tasks.create_task(run_board(node, relays))
        if node.dialler is not None:
            tasks.create_task(_dial_out(node.dialler, node.settings.server.drain_s))


async def _meet_chain(node: Node) -> None:
    """Return once the chain has said that contracts are there, and of what model services are."""
    await node.market.verify()
    await node.view.start()

    async def listed(service: Hash32) -> Hash32:
        return (await node.view.service(service)).spec_hash

    async def is_needed(service: Hash32) -> bool:
        try:
            return await is_bound(node.view, node.backing.settled, service)
        except ChainError:
            return True

    await node.fleet.assign(node.settings.services, listed, is_needed)


async def _announce(node: Node, announce: Callable[[str], None]) -> None:
    """Say that relays are taken, once they are."""
    await node.fleet.is_up.wait()
    await node.door.opened.wait()
    announce(", ".join(node.fleet.urls))


async def _dial_out(dialler: Dialler, drain_s: float) -> None:
    """Keep lines to the gateways, until cancelled; then finish what they carry."""
    try:
        await dialler.run()
    finally:
        await dialler.close(drain_s)


async def _trade(node: Node) -> None:
    """Trade in auctions where this node is the one that does, until cancelled."""
    trader = open_trader(node.settings, node.market, node.operators)
    if trader.wishes:
        async for _ in each_head(node.market.chain, node.settings.auction.poll_s):
            if node.backing.office.is_ours:
                await trader.step()


async def _until(stop: asyncio.Event, *loops: Coroutine[None, None, None]) -> None:
    """Run the node's loops side by side until `stop`; one that fails ends them all."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(loop) for loop in loops]
        await stop.wait()
        for task in running:
            task.cancel()


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop
