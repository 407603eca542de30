"""Performs a schedule of kills and faults on a running market, and keeps its nodes up meanwhile."""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from localnet.chain import DevChain
from localnet.fault_proxy import FaultProxy, Mode
from localnet.faults import Injection, Kind
from localnet.market import OK, status_of
from localnet.processes import Node, wait_until

GWEI = 10**9
POOL_LOOK_S = 0.1
TRANSACTION_S_MAX = 10.0
LOOK_S = 0.2
READY_S_MAX = 180.0

CLOCK_OFFSETS = ("SUPPLIER_CLOCK_OFFSET_S", "GATEWAY_CLOCK_OFFSET_S")

MODES = {
    Kind.RPC_REFUSE: Mode.REFUSE,
    Kind.RPC_STALL: Mode.STALL,
    Kind.RPC_CUT: Mode.CUT,
    Kind.RPC_SLOW: Mode.SLOW,
}


@dataclass(slots=True)
class Watched:
    """A node that is started again whenever it is not there, as a service manager would."""

    node: Node
    health: str
    """A page that answers 200 while the node works."""
    kills: int = 0
    starts: int = 0
    """Starts after the first, each for a kill or for an end that was the node's own."""
    groups: list[int] = field(default_factory=list)
    """Process groups of those that were killed."""
    _killing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def own_ends(self) -> int:
        """How often the node ended without being killed: at a start without a chain, say."""
        return self.starts - self.kills

    def is_ready(self) -> bool:
        """Whether the node answers."""
        return self.node.is_alive() and status_of(self.health) == OK

    def kill(self) -> bool:
        """`kill -9` of the one process, if it is up; what it started has to see to itself."""
        with self._killing:  # two that kill at once would count one end twice
            process = self.node.process
            if process.poll() is not None:
                return False
            self.groups.append(process.pid)
            process.kill()
            process.wait()
            self.kills += 1
            return True

    async def keep_up(self) -> None:
        """Start the node again whenever it has ended; until cancelled."""
        while True:
            if not self.node.is_alive():
                self.node.start_again()
                self.starts += 1
            await asyncio.sleep(LOOK_S)

    def orphans(self) -> int:
        """Process groups of killed nodes in which something still runs; it is ended here."""
        return sum(map(_end_group, self.groups))


def _end_group(group: int) -> bool:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@dataclass(slots=True)
class Injector:
    """Performs injections; kills go on while chain faults, one at a time, last."""

    suppliers: Sequence[Watched]
    gateway: Watched
    chain: DevChain
    proxy: FaultProxy
    answer: Callable[[], Awaitable[None]]
    """Returns with an answer from the gateway, or with its failure."""
    say: Callable[[str], None]
    rest_s: float = 8.0
    """After each fault of the chain: one after the other, they would be one long cut."""
    done: Counter[str] = field(default_factory=Counter)
    """Injections by kind."""
    dropped: int = 0
    """Transactions taken out of the pool."""
    underpriced: int = 0
    """Transactions in the pool when the base fee rose beyond them."""
    _chain_fault: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def nodes(self) -> list[Watched]:
        """The suppliers and, last, the gateway."""
        return [*self.suppliers, self.gateway]

    async def run(self, plan: Sequence[Injection]) -> None:
        """Perform the plan, and return once all nodes work without a fault."""
        keepers = [asyncio.create_task(each.keep_up()) for each in self.nodes]
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, each in enumerate(plan):
                    await asyncio.sleep(each.after_s)
                    self.say(f"  {number + 1:>4}/{len(plan)}  {each.kind.value}")
                    tasks.create_task(self._perform(each))
            for watched in self.nodes:
                await asyncio.to_thread(
                    wait_until, watched.is_ready, f"{watched.node.name} is not up", READY_S_MAX
                )
        finally:
            for keeper in keepers:
                keeper.cancel()

    async def _perform(self, each: Injection) -> None:
        match each.kind:
            case Kind.KILL_SUPPLIER:
                await self._kill(self.suppliers[each.victim])
            case Kind.KILL_GATEWAY:
                await self._kill(self.gateway)
            case Kind.KILL_SUPPLIER_AFTER_ANSWER:
                await self.answer()
                await self._kill(self.suppliers[each.victim])
            case Kind.KILL_GATEWAY_AFTER_ANSWER:
                await self.answer()
                await self._kill(self.gateway)
            case Kind.STALL:
                await self._stall(self.nodes[each.victim], each.seconds)
            case Kind.SKEW:
                await self._skew(self.nodes[each.victim], each.skew_s, each.seconds)
            case _:
                async with self._chain_fault:
                    await self._fail_chain(each)
                    await asyncio.sleep(self.rest_s)
        self.done[each.kind.value] += 1

    async def _kill(self, watched: Watched) -> None:
        """Kill at once; a node that is just being started again is killed as soon as it is."""
        what = f"{watched.node.name} is not started again"
        await asyncio.to_thread(wait_until, watched.kill, what, pause_s=LOOK_S)

    async def _stall(self, watched: Watched, seconds: float) -> None:
        process = watched.node.process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    async def _skew(self, watched: Watched, skew_s: float, seconds: float) -> None:
        """Have the node go by a wrong clock for a while; it is killed for each change."""
        watched.node.environment = {name: str(skew_s) for name in CLOCK_OFFSETS}
        await self._kill(watched)
        await asyncio.sleep(seconds)
        watched.node.environment = {}
        await self._kill(watched)

    async def _fail_chain(self, each: Injection) -> None:
        match each.kind:
            case Kind.REORG:
                await asyncio.to_thread(self.chain.call, "anvil_reorg", each.depth, [])
            case Kind.DROP:
                await asyncio.to_thread(self._drop, each.seconds)
            case Kind.UNDERPRICE:
                await asyncio.to_thread(self._underprice, each.fee_gwei)
            case _:
                self.proxy.mode = MODES[each.kind]
                await asyncio.sleep(each.seconds)
                self.proxy.mode = Mode.PASS

    def _drop(self, seconds: float) -> None:
        """Empty the pool again and again, from the next transaction on."""
        self._await_transaction()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.dropped += self._pending()
            self.chain.call("anvil_dropAllTransactions")
            time.sleep(POOL_LOOK_S)

    def _underprice(self, fee_gwei: int) -> None:
        """Make the next block dearer than what is in the pool offers."""
        self._await_transaction()
        self.chain.call("anvil_setNextBlockBaseFeePerGas", hex(fee_gwei * GWEI))
        self.underpriced += self._pending()

    def _await_transaction(self) -> None:
        """Return once a transaction is in the pool; nodes send few, so not for ever."""
        until = time.monotonic() + TRANSACTION_S_MAX
        while not self._pending() and time.monotonic() < until:
            time.sleep(POOL_LOOK_S)

    def _pending(self) -> int:
        return int(cast("dict[str, str]", self.chain.call("txpool_status"))["pending"], 16)
