"""Values for the cases on which Python and Solidity are held against each other."""

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

UINT32, UINT64 = 2**32 - 1, 2**64 - 1

Harness = Callable[..., Awaitable[Any]]


class Draw:
    """Values for a case, the edges as likely as the rest; the same ones each run."""

    def __init__(self, seed: object) -> None:
        self.random = random.Random(str(seed))

    def hash(self) -> bytes:
        edges = (bytes(32), b"\xff" * 32, bytes(31) + b"\1", b"\x80" + bytes(31))
        return self.random.choice((*edges, *(self.random.randbytes(32) for _ in edges)))

    def address(self) -> bytes:
        return self.random.choice((bytes(20), b"\xff" * 20, self.random.randbytes(20)))

    def pick(self, low: int, high: int) -> int:
        edges = (low, min(low + 1, high), max(high - 1, low), high)
        return self.random.choice((*edges, self.random.randint(low, high)))


def cases(count: int = 12) -> Iterator[Draw]:
    return (Draw(each) for each in range(count))
