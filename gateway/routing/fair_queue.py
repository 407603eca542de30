"""Whose request runs next: deficit round robin over keys, in two classes; pure.

Every key in turn may run as much as its credit covers, which grows by a quantum a turn, so that
keys get equal work however many requests they have and however long those are. Source: M. Shreedhar
and G. Varghese, "Efficient Fair Queuing Using Deficit Round Robin", IEEE/ACM Transactions on
Networking 4 (1996), 375-385.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

QUANTUM = 4096
"""Tokens that a key may run a turn."""
COST_MAX = 16 * QUANTUM
"""What a request counts for at most, so that no turn takes long to find."""
BATCH_EVERY = 8
"""Of so many requests one is of the batch class, where both wait."""


@dataclass(slots=True)
class RoundRobin(Generic[T]):
    """The requests of one class: a line for each key that waits, and its credit."""

    size: int = 0
    _lines: dict[str, deque[tuple[int, T]]] = field(default_factory=dict)
    _credit: dict[str, int] = field(default_factory=dict)
    _turns: deque[str] = field(default_factory=deque)

    def push(self, key: str, cost: int, item: T) -> None:
        """Add to the end of a key's line."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
            self._credit[key] = 0
            self._turns.append(key)
        line.append((min(cost, COST_MAX), item))
        self.size += 1

    def pop(self) -> T:
        """Take whose turn it is; IndexError where nobody waits."""
        while True:
            key = self._turns[0]
            cost, item = self._lines[key][0]
            if cost <= self._credit[key]:
                self._credit[key] -= cost
                self._lines[key].popleft()
                self._forget(key)
                return item
            self._credit[key] += QUANTUM
            self._turns.rotate(-1)

    def remove(self, key: str, item: T) -> None:
        """Take out one that waits no more (ValueError where it is not here)."""
        line = self._lines[key]
        line.remove(next(each for each in line if each[1] is item))
        self._forget(key)

    def length(self, key: str) -> int:
        """How many of a key wait."""
        return len(self._lines.get(key, ()))

    @property
    def longest(self) -> str:
        """The key of which most wait."""
        return max(self._lines, key=self.length)

    def drop_last(self, key: str) -> T:
        """Take the last of a key's line."""
        item = self._lines[key].pop()[1]
        self._forget(key)
        return item

    def _forget(self, key: str) -> None:
        """One fewer waits; a key without any keeps no credit."""
        self.size -= 1
        if not self._lines[key]:
            del self._lines[key], self._credit[key]
            self._turns.remove(key)


@dataclass(slots=True)
class FairQueue(Generic[T]):
    """Both classes: who waits goes first, and batches still get on."""

    interactive: RoundRobin[T] = field(default_factory=RoundRobin)
    batch: RoundRobin[T] = field(default_factory=RoundRobin)
    _since_batch: int = 0

    @property
    def size(self) -> int:
        """How many wait."""
        return self.interactive.size + self.batch.size

    def of(self, is_batch: bool) -> RoundRobin[T]:
        """The requests of a class."""
        return self.batch if is_batch else self.interactive

    def pop(self) -> T:
        """Take whose turn it is; IndexError where nobody waits."""
        is_due = self._since_batch >= BATCH_EVERY - 1
        if self.batch.size and (is_due or not self.interactive.size):
            self._since_batch = 0
            return self.batch.pop()
        self._since_batch += 1
        return self.interactive.pop()

    def make_room(self, key: str, is_batch: bool) -> T | None:
        """Take out whoever has least right to the last place; None where it is the newcomer.

        Batches give way to interactive requests, and of one class the key of which most wait.
        """
        if not is_batch and self.batch.size:
            return self.batch.drop_last(self.batch.longest)
        mine = self.of(is_batch)
        if not mine.size or mine.length(mine.longest) <= mine.length(key) + 1:
            return None
        return mine.drop_last(mine.longest)
