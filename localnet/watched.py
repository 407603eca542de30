"""Nodes that are killed and started again, and each end of their own, with what they said."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localnet.nodes import OK, status_of
from localnet.processes import Node

LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class OwnEnd:
    """A process that ended without being killed."""

    node: str
    status: int
    log: str
    """The file that has what it said from its start on."""
    is_meant: bool
    """Whether it said that it ends for a reason for which it is to be started again."""


def page_answers(url: str) -> Callable[[], bool]:
    """Whether a page answers 200."""
    return lambda: status_of(url) == OK


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told from any later one that is given its number."""

    number: int
    started: int
    """Ticks since the machine's start."""

    def end(self) -> bool:
        """Whether it still runs; it is ended."""
        if (found := _read_stat(self.number)) is None or found[1:] != (self.started, True):
            return False
        os.kill(self.number, signal.SIGKILL)
        return True


def members_of(group: int) -> set[Process]:
    """The processes in a group, but for the one that leads it."""
    numbers = [int(each.name) for each in Path("/proc").glob("[0-9]*")]
    return {
        Process(number, found[1])
        for number in numbers
        if number != group and (found := _read_stat(number)) is not None and found[0] == group
    }


def _read_stat(number: int) -> tuple[int, int, bool] | None:
    """A process's group and start, and whether it runs; None of a number that nobody has."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[2]), int(fields[19]), fields[0] != "Z"


@dataclass(slots=True)
class Watched:
    """A process that is started again whenever it is not there, as a service manager would."""

    node: Node
    answers: Callable[[], bool]
    """Whether it works."""
    kept: Path
    """The folder for what it said before an end of its own."""
    meant: Sequence[bytes] = ()
    """What it says where its end is part of how it works."""
    kills: int = 0
    own_ends: list[OwnEnd] = field(default_factory=list)
    _killed: subprocess.Popen[bytes] | None = None
    """The process that was killed last."""
    _left: set[Process] = field(default_factory=set)
    """What ran in the process groups of those that were killed."""
    _killing: threading.Lock = field(default_factory=threading.Lock)
    _began: int = 0
    """Where in the log the last start is."""

    def is_ready(self) -> bool:
        """Whether it runs and works."""
        return self.node.is_alive() and self.answers()

    def kill(self) -> bool:
        """`kill -9` of the one process, if it is up; what it started has to see to itself."""
        with self._killing:  # two that kill at once would count one end twice
            process = self.node.process
            if process.poll() is not None:
                return False
            self._left |= members_of(process.pid)
            self._killed = process
            process.kill()
            process.wait()
            self.kills += 1
            return True

    async def keep_up(self) -> None:
        """Start it again whenever it has ended; until cancelled."""
        while True:
            with self._killing:
                if not self.node.is_alive():
                    self.note_end()
                    self._began = self.node.log.stat().st_size
                    self.node.start_again()
            await asyncio.sleep(LOOK_S)

    def note_end(self) -> None:
        """Keep what the ended process said, unless it was killed."""
        process = self.node.process
        if process is self._killed:
            return
        said = self.node.log.read_bytes()[self._began :]
        self.kept.mkdir(parents=True, exist_ok=True)
        log = self.kept / f"{self.node.name}-ended-{len(self.own_ends) + 1}.log"
        log.write_bytes(said)
        is_meant = any(each in said for each in self.meant)
        self.own_ends.append(OwnEnd(self.node.name, process.returncode, str(log), is_meant))

    def orphans(self) -> int:
        """Processes of the groups of killed nodes that still run; they are ended here."""
        return sum(each.end() for each in self._left)
