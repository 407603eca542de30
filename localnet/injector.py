"""Performs a schedule of kills and faults on a running market, and keeps its nodes up meanwhile."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from localnet.chain import DevChain
from localnet.fault_proxy import FaultProxy, Mode
from localnet.faults import KILLS, KILLS_AFTER_ANSWER, PARTITIONS, Injection, Kind
from localnet.processes import wait_until
from localnet.stage import Stage
from localnet.watched import LOOK_S, Watched

GWEI = 10**9
POOL_LOOK_S = 0.1
TRANSACTION_S_MAX = 10.0
READY_S_MAX = 180.0

CLOCK_OFFSETS = ("SUPPLIER_CLOCK_OFFSET_S", "GATEWAY_CLOCK_OFFSET_S")

MODES = {
    Kind.RPC_REFUSE: Mode.REFUSE,
    Kind.RPC_STALL: Mode.STALL,
    Kind.RPC_CUT: Mode.CUT,
    Kind.RPC_SLOW: Mode.SLOW,
    Kind.RPC_OVERTAKE: Mode.OVERTAKE,
    Kind.CUT_DATABASE: Mode.REFUSE,
    Kind.HOLD_DATABASE: Mode.STALL,
    Kind.CUT_SERVER: Mode.REFUSE,
    Kind.HOLD_SERVER: Mode.STALL,
    Kind.OVERTAKE_SERVER: Mode.OVERTAKE,
}
ENGINE = b"supplier.engines.embedded"
"""In the command line of a supplier's child that is its engine."""


@dataclass(slots=True)
class Injector:
    """Performs injections; kills go on while chain faults, one at a time, last."""

    stage: Stage
    chain: DevChain
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
    engines_killed: int = 0
    _chain_fault: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, plan: Sequence[Injection]) -> None:
        """Perform the plan, and return once all nodes work without a fault."""
        keepers = [asyncio.create_task(each.keep_up()) for each in self.stage.watched]
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, each in enumerate(plan):
                    await asyncio.sleep(each.after_s)
                    self.say(f"  {number + 1:>4}/{len(plan)}  {each.kind.value}")
                    tasks.create_task(self._perform(each))
            for watched in self.stage.watched:
                await asyncio.to_thread(
                    wait_until, watched.is_ready, f"{watched.node.name} is not up", READY_S_MAX
                )
        finally:
            for keeper in keepers:
                keeper.cancel()

    async def _perform(self, each: Injection) -> None:
        victim = self.stage.victim(each)
        match each.kind:
            case Kind.KILL_ENGINE:
                await self._kill_engine(victim)
            case kind if kind in KILLS:
                if kind in KILLS_AFTER_ANSWER:
                    await self.answer()
                await self._kill(victim)
            case Kind.STALL:
                await self._stall(victim, each.seconds)
            case Kind.SKEW:
                await self._skew(victim, each.skew_s, each.seconds)
            case kind if kind in PARTITIONS:
                await _cut(self.stage.way(each), MODES[kind], each.seconds)
            case _:
                async with self._chain_fault:
                    await self._fail_chain(each)
                    await asyncio.sleep(self.rest_s)
        self.done[each.kind.value] += 1

    async def _kill_engine(self, watched: Watched) -> None:
        """Kill a node's engine, which the node starts again by itself."""

        def is_killed() -> bool:
            return any(map(_kill_process, engines_of(watched.node.process.pid)))

        what = f"{watched.node.name} has no engine"
        await asyncio.to_thread(wait_until, is_killed, what, READY_S_MAX, LOOK_S)
        self.engines_killed += 1

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
                await _cut(self.stage.rpc, MODES[each.kind], each.seconds)

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


async def _cut(way: FaultProxy, mode: Mode, seconds: float) -> None:
    way.mode = mode
    await asyncio.sleep(seconds)
    way.mode = Mode.PASS


def engines_of(supplier: int) -> list[int]:
    """The processes that a supplier's process has started as its engine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == supplier and ENGINE in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def _kill_process(process: int) -> bool:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
